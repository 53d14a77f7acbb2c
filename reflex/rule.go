package reflex

import (
	"time"

	"dancer/reflex/program"
)

// StopCategory as in IEC 60204-1. The zero value is invalid, so that a rule
// without one is refused.
type StopCategory uint8

// The stop categories.
const (
	StopInvalid StopCategory = iota
	Stop0                    // power off at once: the outputs of Set go to their safe values
	Stop1                    // controlled stop: the values of Set, and after Controlled the safe values
	Stop2                    // controlled stop, then held: the values of Set
)

// Setting is one output and the value it is driven to.
type Setting struct {
	Output int // index into the robot's outputs
	Value  float64
}

// Rule is one reflex, compiled.
type Rule struct {
	Name     string
	When     *program.Program // over signals then outputs; NaN fires
	Until    *program.Program // nil: ends when When ends; NaN does not end
	Set      []Setting
	Latch    bool          // stays until an operator clears it, and When must be false by then
	Stop     StopCategory  // default Stop2
	Debounce time.Duration // When must hold this long before the rule fires; invalid inputs too; 0: at once
	Confirm  int           // consecutive evaluations on new readings needed; 0 and 1: at once; see Table.Lost

	// Controlled is, for Stop1 alone, how long the outputs keep the values of Set
	// before they go to their safe values; 0: DefaultControlled.
	Controlled time.Duration

	// Ramp is, for Stop1 alone, how long outputs that are no switches take to get
	// from where they are when the rule fires to the values of Set, in a straight
	// line; 0: they take them at once. Until the controlled part is over, which
	// lasts as long as Ramp at least, no output of such a rule moves away from its
	// safe value: it stays where it is if the value of Set is farther, and stops at
	// safe if that lies on the way. Switches take the value of Set at once.
	Ramp time.Duration
}

// DefaultControlled is the length of the controlled part of a stop of category 1.
const DefaultControlled = 500 * time.Millisecond

// ControlledPart gives how long the controlled part of a stop of category 1 lasts.
func (r *Rule) ControlledPart() time.Duration {
	if r.Controlled > 0 {
		return max(r.Controlled, r.Ramp)
	}
	return max(DefaultControlled, r.Ramp)
}
