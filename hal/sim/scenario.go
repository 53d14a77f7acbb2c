package sim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dancer/hal"
)

// Version is the newest version of the scenario format that ParseScenario
// reads.
const Version = 1

// MaxScenario bounds a scenario file, in bytes.
const MaxScenario = 1 << 20

// Scenario is what happens to the signals of a simulated robot, and when. It is
// immutable after ParseScenario.
type Scenario struct {
	File   string
	loop   time.Duration // 0: runs once
	starts []change
	sets   []change // by time
	holds  []window // by begin
	ramps  []window
	drops  []window
	noises []change
}

// change sets a signal to a value (or its noise to an amplitude) at a time.
type change struct {
	name  word
	at    time.Duration
	value quantity
}

// window is something that lasts from begin (inclusive) to end (exclusive): a
// held value, a slope per second, or missing readings.
type window struct {
	name       word
	begin, end time.Duration
	value      quantity
}

// quantity is a number and the unit that stood behind it, "" if none did.
type quantity struct {
	number float64
	unit   string
}

// word is a piece of the file and where it stands, counted from 1.
type word struct {
	text   string
	line   int
	column int
}

// Fault is one thing wrong with a scenario.
type Fault struct {
	File   string
	Line   int // from 1
	Column int // from 1, in bytes
	What   string
	Hint   string
}

// Error says "file:line:column: what (hint)".
func (f Fault) Error() string {
	text := fmt.Sprintf("%s:%d:%d: %s", f.File, f.Line, f.Column, f.What)
	if f.Hint != "" {
		text += " (" + f.Hint + ")"
	}
	return text
}

// Faults is everything wrong with a scenario, in the order of the file.
type Faults []Fault

// Error is one line per fault.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.Error()
	}
	return strings.Join(lines, "\n")
}

// sorted gives an error if there is a fault, the faults by place.
func (f Faults) sorted() error {
	if len(f) == 0 {
		return nil
	}
	slices.SortStableFunc(f, func(a, b Fault) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		return a.Column - b.Column
	})
	return f
}

// Check compares the scenario with the signals of a robot: names, units, and
// what a boolean can do. The error is of type Faults.
func (s *Scenario) Check(signals []hal.Signal) error {
	var faults Faults
	check := func(name word, q quantity, slope bool) {
		i := find(signals, name.text)
		if i < 0 {
			faults = append(faults, s.fault(name, fmt.Sprintf("signal %q is unknown", name.text), "the signals are "+signalNames(signals)))
			return
		}
		if q.unit != "" && q.unit != signals[i].Unit {
			faults = append(faults, s.fault(name, fmt.Sprintf("unit %q does not fit signal %q", q.unit, name.text), unitHint(signals[i])))
		}
		if slope && signals[i].Boolean {
			faults = append(faults, s.fault(name, fmt.Sprintf("signal %q is on or off and cannot change by degrees", name.text), "write: at 2s "+name.text+" = 1 for 200ms"))
		}
	}
	for _, list := range [][]change{s.starts, s.sets} {
		for _, c := range list {
			check(c.name, c.value, false)
		}
	}
	for _, c := range s.noises {
		check(c.name, c.value, true)
	}
	for _, list := range [][]window{s.holds, s.drops} {
		for _, w := range list {
			check(w.name, w.value, false)
		}
	}
	for _, w := range s.ramps {
		check(w.name, w.value, true)
	}
	return faults.sorted()
}

func (s *Scenario) fault(at word, what, hint string) Fault {
	return Fault{s.File, at.line, at.column, what, hint}
}

func find(signals []hal.Signal, name string) int {
	return slices.IndexFunc(signals, func(s hal.Signal) bool { return s.Name == name })
}

func signalNames(signals []hal.Signal) string {
	names := make([]string, len(signals))
	for i, s := range signals {
		names[i] = s.Name
	}
	return strings.Join(names, ", ")
}

func unitHint(s hal.Signal) string {
	if s.Unit == "" {
		return "it has no unit: write the number alone"
	}
	return "it is in " + s.Unit
}
