package reflex

import (
	"math"
	"time"
)

// rampStep is how often a ramp moves on.
const rampStep = 10 * time.Millisecond

// ramp is the way of one output from where it was when a rule fired.
type ramp struct {
	output   int
	from, to float64
}

// Drive tells the value of an output that is on the wire now. Ramps begin there
// and never move away from safe from there. Before the first call an output
// counts as safe.
func (t *Table) Drive(output int, value float64) { t.present[output] = value }

// stop begins the controlled part of a rule's stop.
func (t *Table) stop(i int, now time.Duration) {
	s, rule := &t.states[i], &t.rules[i]
	s.began, s.stopped, s.step = now, now+rule.ControlledPart(), never
	if rule.Ramp == 0 {
		return
	}
	s.step = now + min(rampStep, rule.Ramp)
	for k := range t.ramps[i] {
		r := &t.ramps[i][k]
		r.from = t.present[r.output]
	}
}

// stopOn lets the controlled part of a rule's stop go on, or ends it.
func (t *Table) stopOn(i int, now time.Duration) {
	s := &t.states[i]
	switch end := s.began + t.rules[i].Ramp; {
	case now >= s.stopped:
		t.word[i>>6].stopping &^= 1 << (i & 63)
	case now < s.step:
		return
	case now >= end:
		s.step = never
	default:
		s.step = min(s.began+((now-s.began)/rampStep+1)*rampStep, end)
	}
	t.changed = true
}

// controlled gives the value that a rule asks of an output in the controlled
// part of its stop.
func (t *Table) controlled(s *setter) float64 {
	if s.ramp < 0 {
		return s.value
	}
	r := &t.ramps[s.rule][s.ramp]
	safe, present := t.outputs[r.output].Safe, t.present[r.output]
	value := r.at(t.now-t.states[s.rule].began, t.rules[s.rule].Ramp)
	if (r.from < safe) != (value < safe) && (r.from > safe) != (value > safe) {
		value = safe // on the way from one side of it to the other
	}
	if math.Abs(value-safe) >= math.Abs(present-safe) {
		return present
	}
	return value
}

// at is where a ramp is some time after its beginning.
func (r *ramp) at(elapsed, length time.Duration) float64 {
	if elapsed >= length {
		return r.to
	}
	share := float64(elapsed) / float64(length)
	return r.from + float64((r.to-r.from)*share)
}
