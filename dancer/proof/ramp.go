package proof

import (
	"math"
	"time"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

// drive is what a reflex does to one output in one step: it sets a value, or in
// the ramp of a stop of category 1 goes from where the output was to that value.
type drive struct {
	output int
	value  float64
	safe   float64
	ramp   bool
	share  float64 // of the way of the ramp, at the beginning of the step
}

// drivesAt gives what a reflex drives its outputs to in a step from 1 on: safe
// values at once for a stop of category 0, the values of set for category 2, and
// for category 1 the latter, or the ramp to them, until the controlled part is
// over. What changes within a step counts from the next one on.
func drivesAt(m *dancer.Manual, r *reflex.Rule, step int) []drive {
	since := time.Duration(step-1) * m.Model.Step
	drives := make([]drive, len(r.Set))
	for i, s := range r.Set {
		o := &m.Outputs[s.Output]
		d := drive{output: s.Output, value: s.Value, safe: o.Safe}
		switch {
		case r.Stop == reflex.Stop0, r.Stop == reflex.Stop1 && since >= r.ControlledPart():
			d.value = o.Safe
		case r.Stop == reflex.Stop1 && r.Ramp > 0 && !o.Switch:
			d.ramp, d.share = true, min(1, float64(since)/float64(r.Ramp))
		}
		drives[i] = d
	}
	return drives
}

// from gives the value of an output that was at x when the reflex fired. A ramp
// never moves away from the safe value: it ends there where it would cross it,
// and does not begin where its end is farther from it (package reflex).
func (d *drive) from(x float64) float64 {
	if !d.ramp {
		return d.value
	}
	if sameSide := (x-d.safe)*(d.value-d.safe) >= 0; sameSide && math.Abs(d.value-d.safe) >= math.Abs(x-d.safe) {
		return x
	}
	way := d.value
	if d.share < 1 {
		way = x + float64((d.value-x)*d.share)
	}
	if x < d.safe != (way < d.safe) && x > d.safe != (way > d.safe) {
		return d.safe
	}
	return way
}

// pair gives the output in both runs, where run B has it as it was. The value of a
// ramp rises with where it began and its difference from there falls, so that the
// ends of the box are enough.
func (d *drive) pair(before interval) program.Pair {
	if !d.ramp || before.Empty() {
		return program.Apart(program.Between(d.value, d.value), before)
	}
	low, high := d.from(before.Low), d.from(before.High)
	slack := 0.0
	if d.share > 0 && d.share < 1 {
		slack = rounding * max(math.Abs(before.Low), math.Abs(before.High), math.Abs(d.value))
	}
	way := program.Between(low-slack, high+slack)
	if before.Low >= d.safe { // a ramp stays on its side of safe
		way.Low = max(way.Low, d.safe)
	}
	if before.High <= d.safe {
		way.High = min(way.High, d.safe)
	}
	p := program.Apart(way, before)
	p.Difference = program.Span{Low: outward(high-before.High, -slack), High: outward(low-before.Low, slack)}
	return p
}

// rounding bounds the error of a ramp's few operations, as a part of the largest
// number in them.
const rounding = 0x1p-50

// outward moves a difference by the slack, but not over 0: on which side of its
// beginning a ramp is, is exact.
func outward(x, slack float64) float64 {
	switch moved := x + slack; {
	case x == 0, x < 0 && moved > 0, x > 0 && moved < 0:
		return 0
	default:
		return moved
	}
}

// drive does to the outputs what the reflex does, which fired in the state that
// was put in last.
func (r *roller) drive(drives []drive) {
	for i := range drives {
		d := &drives[i]
		r.slots[r.layout.Output(d.output)] = d.from(r.began[d.output])
	}
}

// drive drives outputs in run A; those of run B stay as the box has them.
func (p *pairs) drive(sp *space, b box, drives []drive) {
	for i := range drives {
		slot := p.w.layout.Output(drives[i].output)
		if d := sp.dimension(slot); d >= 0 {
			p.slots[slot] = drives[i].pair(b[d])
		}
	}
}

// settings gives the values of a step as they are.
func (r *roller) settings(drives []drive) []reflex.Setting {
	out := make([]reflex.Setting, len(drives))
	for i := range drives {
		out[i] = reflex.Setting{Output: drives[i].output, Value: drives[i].from(r.began[drives[i].output])}
	}
	return out
}
