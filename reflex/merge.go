package reflex

import (
	"math"

	"dancer/hal"
)

// choice is the value that the rules ask of one output. The zero value asks for
// nothing.
type choice struct {
	value float64
	by    int // rule
	ok    bool
}

// setter is one rule that sets an output.
type setter struct {
	rule  int
	value float64 // at once, or at the end of the ramp
	after float64 // once the controlled part of its stop is over
	ramp  int     // index into the rule's ramps, -1 for none
}

// merge gives the more restrictive of two choices for an output: the one nearer
// to safe, then the lower value, then the lower rule. It is associative,
// commutative and idempotent, so that the order of rules never matters.
func merge(output *hal.Output, a, b choice) choice {
	switch {
	case !a.ok:
		return b
	case !b.ok:
		return a
	}
	far, near := math.Abs(a.value-output.Safe), math.Abs(b.value-output.Safe)
	switch {
	case far != near:
		if far < near {
			return a
		}
		return b
	case a.value != b.value:
		if a.value < b.value {
			return a
		}
		return b
	case a.by <= b.by:
		return a
	}
	return b
}

// Merged gives the value that the active and latched rules together ask of an
// output, and the rule that it is from; not ok if none sets it. The most
// restrictive wins: nearest to safe, then lower value.
func (t *Table) Merged(output int) (value float64, by int, ok bool) {
	c := &t.merged[output]
	return c.value, c.by, c.ok
}

// settle merges anew after a change.
func (t *Table) settle() {
	if !t.changed {
		return
	}
	t.changed = false
	for o := range t.merged {
		result := choice{}
		for k := range t.setters[o] {
			s := &t.setters[o][k]
			word, bit := &t.word[s.rule>>6], uint64(1)<<(s.rule&63)
			if (word.active|word.latched)&bit == 0 {
				continue
			}
			value := s.after
			if word.stopping&bit != 0 {
				value = t.controlled(s)
			}
			result = merge(&t.outputs[o], result, choice{value: value, by: s.rule, ok: true})
		}
		t.merged[o] = result
	}
}

// newSetters collects, for each output, the rules that set it, and all ramps.
func newSetters(rules []Rule, outputs []hal.Output) (setters [][]setter, ramps [][]ramp) {
	setters, ramps = make([][]setter, len(outputs)), make([][]ramp, len(rules))
	for i := range rules {
		for _, s := range rules[i].Set {
			one := setter{rule: i, value: s.Value, after: s.Value, ramp: -1}
			if rules[i].Stop != Stop2 {
				one.after = outputs[s.Output].Safe
			}
			if rules[i].Ramp > 0 && !outputs[s.Output].Switch {
				one.ramp = len(ramps[i])
				ramps[i] = append(ramps[i], ramp{Ramp{To: s.Value, Safe: outputs[s.Output].Safe}, s.Output})
			}
			setters[s.Output] = append(setters[s.Output], one)
		}
	}
	return setters, ramps
}
