package boards

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"sync"

	"github.com/goccy/go-yaml"
)

// Line is one GPIO line of a board, enough to find it through the kernel's
// character device.
type Line struct {
	Name     string `json:"name"`      // as the profile calls it, e.g. GPIO17; also what messages show
	Chip     string `json:"chip"`      // label of the gpiochip, e.g. pinctrl-bcm2711, or its device name (gpiochip0) on board linux; "" when LineName alone finds it
	Offset   int    `json:"offset"`    // line on Chip, 0-based; -1 when only LineName is known
	LineName string `json:"line_name"` // the kernel's own name of the line, e.g. PQ.05; "" when it is not the same on every kernel
	Header   int    `json:"header"`    // pin number on the 40-pin header, 0 when not there
	Use      string `json:"use"`       // what else the pin is for, "" when nothing
}

// Serial is a serial port that a board brings out.
type Serial struct {
	Device string `json:"device"`
	Use    string `json:"use"`
}

// Profile is one board.
type Profile struct {
	Name      string         `json:"name"`      // as in robot.yaml, e.g. raspberry-pi-4
	Title     string         `json:"title"`     // as its maker writes it
	Models    []string       `json:"models"`    // device-tree models start with one of these
	Source    string         `json:"source"`    // where the facts about its lines were taken from
	Chip      string         `json:"chip"`      // label of the gpiochip that the header is on
	Lines     []Line         `json:"lines"`     // in the order of the header; empty for sim and linux
	Power     map[int]string `json:"power"`     // header pins that are not lines, and what they are
	Simulated bool           `json:"simulated"` // sim: every line name is accepted and no device is opened
	Open      bool           `json:"open"`      // linux: every line of every chip is accepted
	Serial    []Serial       `json:"serial"`    // serial ports that the board brings out
	Notes     []string       `json:"notes"`     // what an owner should know before wiring
}

//go:embed profiles/*.yaml headers/*.yaml
var files embed.FS

// profiles are the embedded ones by name. They are part of the binary: one that
// cannot be read is a broken build, and a test holds that none is.
var profiles = sync.OnceValue(func() map[string]Profile {
	all, err := load(files)
	if err != nil {
		panic(err)
	}
	return all
})

func load(fsys fs.FS) (map[string]Profile, error) {
	names, err := fs.Glob(fsys, "profiles/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list board profiles: %w", err)
	}
	all := make(map[string]Profile, len(names))
	for _, name := range names {
		p, err := read(fsys, name)
		if err != nil {
			return nil, err
		}
		all[p.Name] = p
	}
	return all, nil
}

// file is a profile as it is written in YAML.
type file struct {
	Name      string   `yaml:"name"`
	Title     string   `yaml:"title"`
	Models    []string `yaml:"models"`
	Source    string   `yaml:"source"`
	Chip      string   `yaml:"chip"`
	Header    string   `yaml:"header"`
	Simulated bool     `yaml:"simulated"`
	Open      bool     `yaml:"open"`
	Serial    []struct {
		Device string `yaml:"device"`
		Use    string `yaml:"use"`
	} `yaml:"serial"`
	Notes []string `yaml:"notes"`
}

// header is a pin header as it is written in YAML.
type header struct {
	Lines []struct {
		Header   int    `yaml:"header"`
		Name     string `yaml:"name"`
		LineName string `yaml:"line_name"`
		Offset   int    `yaml:"offset"`
		Use      string `yaml:"use"`
	} `yaml:"lines"`
	Power map[int]string `yaml:"power"`
}

func read(fsys fs.FS, name string) (Profile, error) {
	var f file
	if err := unmarshal(fsys, name, &f); err != nil {
		return Profile{}, err
	}
	p := Profile{
		Name: f.Name, Title: f.Title, Models: f.Models, Source: f.Source, Chip: f.Chip,
		Simulated: f.Simulated, Open: f.Open, Notes: f.Notes,
	}
	for _, s := range f.Serial {
		p.Serial = append(p.Serial, Serial(s))
	}
	if f.Header == "" {
		return p, nil
	}
	var h header
	if err := unmarshal(fsys, path.Join("headers", f.Header+".yaml"), &h); err != nil {
		return Profile{}, err
	}
	p.Power = h.Power
	for _, l := range h.Lines {
		p.Lines = append(p.Lines, Line{Name: l.Name, Chip: f.Chip, Offset: l.Offset, LineName: l.LineName, Header: l.Header, Use: l.Use})
	}
	return p, nil
}

func unmarshal(fsys fs.FS, name string, into any) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return fmt.Errorf("read board file %s: %w", name, err)
	}
	if err := yaml.UnmarshalWithOptions(data, into, yaml.Strict()); err != nil {
		return fmt.Errorf("read board file %s: %w", name, err)
	}
	return nil
}

// Names lists the boards, sorted.
func Names() []string {
	names := make([]string, 0, len(profiles()))
	for name := range profiles() {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// UnknownBoardError says that no profile has this name.
type UnknownBoardError struct{ Name string }

func (e *UnknownBoardError) Error() string { return "find board " + e.Name + ": no such board" }

// Get gives the profile of a board, or an *UnknownBoardError.
func Get(name string) (Profile, error) {
	p, ok := profiles()[name]
	if !ok {
		return Profile{}, &UnknownBoardError{name}
	}
	return p, nil
}
