package hal

import "time"

// Validity says whether a reading may be used. The zero value is invalid: a
// signal that nobody has written yet is never mistaken for a good one.
type Validity uint8

// The states of a signal. Only Valid may be used; a rule or a score that reads
// any other takes its unsafe side.
const (
	NeverSeen  Validity = iota // no reading since start
	Valid                      // fresh, finite and inside its range
	Stale                      // older than stale_after
	NotANumber                 // the reading was NaN or infinite
	OutOfRange                 // the reading was outside [Minimum, Maximum]
	Stuck                      // unchanged for stuck_after; the next reading that is another one is Valid
)

// String names the state as it appears in events and in YAML.
func (v Validity) String() string {
	switch v {
	case NeverSeen:
		return "never seen"
	case Valid:
		return "valid"
	case Stale:
		return "stale"
	case NotANumber:
		return "not a number"
	case OutOfRange:
		return "out of range"
	case Stuck:
		return "stuck"
	}
	return "unknown"
}

// TimedOut says whether time alone makes the signal invalid: no reading need come
// that would confirm it, so that nobody may wait for one.
func (v Validity) TimedOut() bool { return v == Stale || v == Stuck }

// Signal describes one input of the robot. Its index in the robot's list is its
// slot in the signal table and in every expression.
type Signal struct {
	Name       string
	Boolean    bool          // true for GPIO inputs: values are 0 and 1
	Unit       string        // as written in YAML, e.g. "m"; "" is dimensionless
	Minimum    float64       // inclusive, in Unit; Minimum >= Maximum: the range is not checked
	Maximum    float64       // inclusive, in Unit
	StaleAfter time.Duration // 0: never stale (edge-driven GPIO inputs)
	StuckAfter time.Duration // 0: not checked; a change of less than a billionth of the range is none
	Debounce   time.Duration // GPIO only; 0: none
	Publish    bool          // value is included in the MQTT state
}

// Output describes one actuator line of the robot. Its index in the robot's
// list plus the number of signals is its slot in every expression.
type Output struct {
	Name    string
	Unit    string
	Minimum float64
	Maximum float64
	Safe    float64 // value of the safe state, inside [Minimum, Maximum]
	Switch  bool    // only Minimum and Maximum are possible, as on a line that is on or off
	Rate    float64 // greatest change by commands, in Unit per second; 0: none; never of a Switch
}

// Reading is one value that an adapter delivers. At is CLOCK_MONOTONIC.
type Reading struct {
	Signal int
	Value  float64
	At     time.Duration
}
