package gpio

import (
	"fmt"
	"time"

	"dancer/hal"
)

// Line says which line is meant: a chip and an offset, or a line name.
type Line struct {
	Name     string // for messages, such as "GPIO17"
	Chip     string // label ("pinctrl-bcm2711"), device ("gpiochip0") or path; "" finds LineName on any chip
	Offset   int    // 0-based; -1: find LineName
	LineName string // the kernel's name of the line, such as "PQ.05"
}

// String is the line as messages name it.
func (l Line) String() string {
	switch {
	case l.Name != "":
		return l.Name
	case l.Offset < 0 || l.Chip == "":
		return l.LineName
	}
	return fmt.Sprintf("%s/%d", l.Chip, l.Offset)
}

// Pull is the bias of an input. The kernel grants it on a chip that has none as
// well, and nothing tells: where a cut wire must read as a hit, measure it once,
// or wire a resistor.
type Pull uint8

// The biases. The zero value leaves the line as the board has it.
const (
	PullDefault Pull = iota
	PullUp
	PullDown
	PullOff
)

// InputConfig is one input line.
type InputConfig struct {
	Line      Line
	Signal    int // of the readings that it delivers
	Pull      Pull
	ActiveLow bool          // a low level reads 1
	Debounce  time.Duration // the level must be stable this long; 0: none; at most MaxDebounce
}

// MaxDebounce bounds InputConfig.Debounce.
const MaxDebounce = time.Minute

// OutputConfig is one output line.
type OutputConfig struct {
	Line      Line
	ActiveLow bool // 1 drives the line low
	Safe      bool // logical level of the safe state, driven from the request on
}

// reading makes a reading of a level.
func reading(signal int, active bool, at time.Duration) hal.Reading {
	r := hal.Reading{Signal: signal, At: at}
	if active {
		r.Value = 1
	}
	return r
}
