package reflex

import (
	"math"
	"time"
)

// RampStep is how often a ramp moves on.
const RampStep = 10 * time.Millisecond

// Ramp is the way of one output in the controlled part of a stop: a straight line
// from where it was when the stop began.
type Ramp struct {
	From, To float64 // in the unit of the output
	Safe     float64 // the output's safe value
}

// At gives where the output is so long after the beginning, for a line that takes
// the given time. present is what is on the wire: the output never moves away from
// safe from there, and never to the other side of it.
func (r *Ramp) At(elapsed, length time.Duration, present float64) float64 {
	value := r.line(elapsed, length)
	switch {
	case across(r.From, value, r.Safe):
		value = r.Safe // on the way from one side of it to the other
	case math.Abs(value-r.Safe) >= math.Abs(present-r.Safe):
		return present
	}
	if across(present, value, r.Safe) { // something else has brought it there meanwhile
		return r.Safe
	}
	return value
}

// line is where the straight line is.
func (r *Ramp) line(elapsed, length time.Duration) float64 {
	if elapsed >= length {
		return r.To
	}
	share := float64(elapsed) / float64(length)
	return r.From + float64((r.To-r.From)*share)
}

// across says whether safe lies between two values.
func across(a, b, safe float64) bool { return a < safe && b > safe || a > safe && b < safe }

// ramp is that of one output of a rule.
type ramp struct {
	Ramp
	output int
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
	s.step = now + min(RampStep, rule.Ramp)
	for k := range t.ramps[i] {
		r := &t.ramps[i][k]
		r.From = t.present[r.output]
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
		s.step = min(s.began+((now-s.began)/RampStep+1)*RampStep, end)
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
	return r.At(t.now-t.states[s.rule].began, t.rules[s.rule].Ramp, t.present[r.output])
}
