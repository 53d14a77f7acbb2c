package boards

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// UnknownLineError says why a name is not a line of a board.
type UnknownLineError struct {
	Board string
	Name  string
	Is    string   // what the pin is instead, e.g. ground; "" when it does not exist
	Known []string // the lines that exist and belong to nobody
}

func (e *UnknownLineError) Error() string {
	if e.Is != "" {
		return fmt.Sprintf("%s of board %s is %s, not a GPIO line", e.Name, e.Board, e.Is)
	}
	return fmt.Sprintf("board %s has no pin %s", e.Board, e.Name)
}

var (
	chipLine  = regexp.MustCompile(`^(gpiochip[0-9]+)/([0-9]{1,4})$`)
	headerPin = regexp.MustCompile(`^(?i:pin\s*|(?:pin\s*)?(p[0-9])[_.])([0-9]{1,2})$`)
)

// Line finds a line by the profile's name (GPIO17), the header pin (pin 11; on a
// BeagleBone P9_12, P9.12 or pin P9_12), the SoC's name (GPIO1_28) or the kernel's
// name (PQ.05); on board linux by chip and number (gpiochip0/17) or the kernel's
// name. The error is an *UnknownLineError.
func (p Profile) Line(name string) (Line, error) {
	name = strings.TrimSpace(name)
	switch {
	case p.Simulated:
		return Line{Name: name, Offset: -1, LineName: name}, nil
	case p.Open:
		return p.anyLine(name)
	}
	pin := place(name)
	for _, l := range p.Lines {
		if l.Pin() == pin || l.is(name) {
			return l, nil
		}
	}
	return Line{}, &UnknownLineError{Board: p.Name, Name: name, Is: p.Power[pin], Known: p.names()}
}

// is says whether a line has this name.
func (l Line) is(name string) bool {
	return strings.EqualFold(l.Name, name) || l.SoC != "" && strings.EqualFold(l.SoC, name) ||
		l.LineName != "" && strings.EqualFold(l.LineName, name)
}

// place is what Line.Pin gives for a name that means a place on a header, or "".
func place(name string) string {
	m := headerPin.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	pin, _ := strconv.Atoi(m[2])
	return pinName(strings.ToUpper(m[1]), pin)
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

// names lists the lines that an owner may use.
func (p Profile) names() []string {
	var names []string
	for _, l := range p.Lines {
		if l.Owner == "" {
			names = append(names, l.Name)
		}
	}
	return names
}
