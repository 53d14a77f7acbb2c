package boards

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode"
)

// maximumModel bounds what is taken of a device-tree property, in bytes: a tree
// is written by whoever made the machine, and one can be broken.
const maximumModel = 4096

// Machine is what a machine's file system says about its board.
type Machine struct {
	Board      string   `json:"board"`      // name of the profile; linux when nothing below is known
	By         string   `json:"by"`         // what it was recognised by: compatible, model, GPIO chip or nothing
	Model      string   `json:"model"`      // of the device tree; "" when it has none
	Compatible []string `json:"compatible"` // of the device tree, the most specific first
	Chips      []string `json:"chips"`      // labels of the GPIO chips that sysfs lists; empty on kernels without /sys/class/gpio
}

// Identify recognises a board by the device tree (compatible, then model), and a
// machine without a device tree by the label of a GPIO chip that one board alone
// has. Numbers of chips are never looked at: they move between kernels.
func Identify(fsys fs.FS) (Machine, error) {
	m := Machine{Board: "linux", By: "nothing"}
	model, err := property(fsys, "model")
	if err != nil {
		return Machine{}, fmt.Errorf("read board model: %w", err)
	}
	compatible, err := property(fsys, "compatible")
	if err != nil {
		return Machine{}, fmt.Errorf("read board model: %w", err)
	}
	if len(model) > 0 {
		m.Model = model[0]
	}
	m.Compatible, m.Chips = compatible, labels(fsys)
	all := candidates()
	switch {
	case m.byCompatible(all), m.byModel(all):
	case m.Model == "" && len(m.Compatible) == 0:
		m.byChip(all)
	}
	return m, nil
}

// Detect names the board that a machine's file system describes. A machine that
// no profile is for is "linux".
func Detect(fsys fs.FS) (string, error) {
	m, err := Identify(fsys)
	return m.Board, err
}

// Model is the machine's device-tree model, "" when it has none.
func Model(fsys fs.FS) (string, error) {
	m, err := Identify(fsys)
	return m.Model, err
}

// candidates are the profiles without their lines.
func candidates() []Profile {
	var all []Profile
	for _, name := range Names() {
		p, _, err := readProfile(files, "profiles/"+name+".yaml")
		if err != nil {
			panic(err) // embedded: a broken build, and a test holds that none is
		}
		all = append(all, p)
	}
	return all
}

// byCompatible takes the first entry of the list that a profile names. NVIDIA
// appends "-super" to the entries of a board that runs at its higher power.
func (m *Machine) byCompatible(all []Profile) bool {
	for _, entry := range m.Compatible {
		entry = strings.TrimSuffix(entry, "-super")
		for _, p := range all {
			if slices.Contains(p.Compatible, entry) {
				m.Board, m.By = p.Name, "compatible"
				return true
			}
		}
	}
	return false
}

// byModel takes the profile with the longest model that the machine's begins
// with: Raspberry Pi 400 before Raspberry Pi 4.
func (m *Machine) byModel(all []Profile) bool {
	length := 0
	for _, p := range all {
		for _, model := range p.Models {
			if strings.HasPrefix(m.Model, model) && len(model) > length {
				m.Board, m.By, length = p.Name, "model", len(model)
			}
		}
	}
	return length > 0
}

// byChip takes the board whose chip is here, where only one board has it.
func (m *Machine) byChip(all []Profile) {
	var found []string
	for _, p := range all {
		if p.Chip != "" && slices.Contains(m.Chips, p.Chip) {
			found = append(found, p.Name)
		}
	}
	if len(found) == 1 {
		m.Board, m.By = found[0], "GPIO chip"
	}
}

// property reads a device-tree property that is a list of strings, each ended by
// a zero byte. Entries that are not text are left out.
func property(fsys fs.FS, name string) ([]string, error) {
	for _, root := range []string{"proc/device-tree", "sys/firmware/devicetree/base"} {
		data, err := fs.ReadFile(fsys, path.Join(root, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return entries(string(data[:min(len(data), maximumModel)])), nil
	}
	return nil, nil
}

func entries(text string) []string {
	var all []string
	for entry := range strings.SplitSeq(text, "\x00") {
		entry = strings.TrimSpace(entry)
		if entry != "" && !strings.ContainsFunc(entry, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
			all = append(all, entry)
		}
	}
	return all
}

// labels lists the labels of the GPIO chips, sorted.
func labels(fsys fs.FS) []string {
	names, err := fs.Glob(fsys, "sys/class/gpio/gpiochip*/label")
	if err != nil {
		return nil // the pattern is right
	}
	var all []string
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err == nil {
			all = append(all, entries(string(data[:min(len(data), maximumModel)]))...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}
