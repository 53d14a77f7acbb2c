package brain

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// order is what a coordinated command asks of a robot: to take values for signals
// that the cell gives, or to say something. So a command is advice, like what is
// posted: the manual's values decide what follows from it, reflexes and latches
// outrank it, and it is over when the signal's stale_after is.
type order struct {
	set   []setting
	about string // what a question is about
}

type setting struct {
	name  string
	value float64
}

// parseOrder reads "name=number ..." or one word, a question.
func parseOrder(text string) (order, error) {
	fields := strings.Fields(text)
	if len(fields) == 1 && !strings.Contains(text, "=") {
		return order{about: fields[0]}, nil
	}
	var o order
	for _, f := range fields {
		name, number, ok := strings.Cut(f, "=")
		value, err := strconv.ParseFloat(number, 64)
		if !ok || err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			return order{}, fmt.Errorf("%q is no name=number", clipped(f))
		}
		for _, s := range o.set {
			if s.name == name {
				return order{}, fmt.Errorf("%s comes twice", clipped(name))
			}
		}
		o.set = append(o.set, setting{name, value})
	}
	if len(o.set) == 0 {
		return order{}, fmt.Errorf("it asks for nothing")
	}
	return o, nil
}

// clipped bounds what is said again of what others have said.
func clipped(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
