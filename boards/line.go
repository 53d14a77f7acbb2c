package boards

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
)

// UnknownLineError says why a name is not a line of a board.
type UnknownLineError struct {
	Board string
	Name  string
	Is    string   // what the pin is instead, e.g. ground; "" when it does not exist
	Known []string // the lines that exist
}

func (e *UnknownLineError) Error() string {
	if e.Is != "" {
		return fmt.Sprintf("%s of board %s is %s, not a GPIO line", e.Name, e.Board, e.Is)
	}
	return fmt.Sprintf("board %s has no pin %s", e.Board, e.Name)
}

var (
	chipLine  = regexp.MustCompile(`^(gpiochip[0-9]+)/([0-9]{1,4})$`)
	headerPin = regexp.MustCompile(`^(?i:pin)\s*([0-9]{1,2})$`)
)

// Line finds a line by the profile's name (GPIO17), the header pin (pin 11), or
// the kernel's name (PQ.05); on board linux by chip and number (gpiochip0/17)
// or the kernel's name. The error is an *UnknownLineError.
func (p Profile) Line(name string) (Line, error) {
	name = strings.TrimSpace(name)
	switch {
	case p.Simulated:
		return Line{Name: name, Offset: -1, LineName: name}, nil
	case p.Open:
		return p.anyLine(name)
	}
	pin := 0
	if m := headerPin.FindStringSubmatch(name); m != nil {
		pin, _ = strconv.Atoi(m[1])
	}
	for _, l := range p.Lines {
		if l.Header == pin || strings.EqualFold(l.Name, name) || l.LineName != "" && strings.EqualFold(l.LineName, name) {
			return l, nil
		}
	}
	return Line{}, &UnknownLineError{Board: p.Name, Name: name, Is: p.Power[pin], Known: p.names()}
}

func (p Profile) anyLine(name string) (Line, error) {
	if m := chipLine.FindStringSubmatch(name); m != nil {
		offset, _ := strconv.Atoi(m[2])
		return Line{Name: name, Chip: m[1], Offset: offset}, nil
	}
	if name == "" || strings.Contains(name, "/") || headerPin.MatchString(name) {
		return Line{}, &UnknownLineError{Board: p.Name, Name: name}
	}
	return Line{Name: name, Offset: -1, LineName: name}, nil
}

func (p Profile) names() []string {
	names := make([]string, len(p.Lines))
	for i, l := range p.Lines {
		names[i] = l.Name
	}
	return names
}

// Detect names the board that a machine's file system describes, from
// proc/device-tree/model or sys/firmware/devicetree/base/model. A machine
// without a device tree, or of a model that no profile has, is "linux".
func Detect(fsys fs.FS) (string, error) {
	model, err := Model(fsys)
	if err != nil {
		return "", err
	}
	best, length := "linux", 0
	for _, name := range Names() {
		for _, m := range profiles()[name].Models {
			if strings.HasPrefix(model, m) && len(m) > length {
				best, length = name, len(m)
			}
		}
	}
	return best, nil
}

// Model is the machine's device-tree model, "" when it has none.
func Model(fsys fs.FS) (string, error) {
	for _, name := range []string{"proc/device-tree/model", "sys/firmware/devicetree/base/model"} {
		data, err := fs.ReadFile(fsys, name)
		if err == nil {
			return strings.TrimSpace(strings.TrimRight(string(data), "\x00")), nil
		}
		if !isAbsent(err) {
			return "", fmt.Errorf("read board model: %w", err)
		}
	}
	return "", nil
}

func isAbsent(err error) bool { return errors.Is(err, fs.ErrNotExist) }
