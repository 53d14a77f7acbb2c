package dancer

import (
	"math"
	"math/bits"
	"time"

	"dancer/hal"
)

// Figures of the model's error.
const (
	// errorWindow is how many residuals are kept per signal.
	errorWindow = 256
	// errorLeast is how many residuals must be there before they act.
	errorLeast = 32
	// errorPercent is the quantile, in either direction, in hundredths.
	errorPercent = 99
	// errorSteps is how many model steps a prediction may reach, for sensors
	// that are slower than the model. Readings farther apart are left out.
	errorSteps = 8
	// errorGrain is the grain of a widened range, as a part of the declared
	// width: bounds are rounded outward to it, so that a range changes when it
	// is worth a new version and not with every residual.
	errorGrain = 0.01
	// errorJumps is how many of the last 32 readings may be jumps: more are no
	// events of the world.
	errorJumps = 16
	// errorTold is how far a range must grow, as a part of the declared width,
	// to be told again.
	errorTold = 0.1
)

// ModelError follows how far the manual's model is from what is then measured.
// For every signal with a rule it predicts the next reading from the measured
// state, the outputs in force and disturbances at rest (0 where their range
// holds 0, else the middle), and keeps the last 256 residuals, each as the
// disturbance per step that would explain it.
//
// The effective disturbance of a signal is the hull of the declared range and of
// the residuals between their conformal quantiles: the ceil((n+1) 99/100)-th of n
// from either end, and the extreme ones while n is under 99 (split conformal
// prediction: Vovk, Gammerman and Shafer 2005, "Algorithmic learning in a random
// world"; Lei et al. 2018, "Distribution-free predictive inference for
// regression"). Under exchangeable residuals the next one falls inside in 98 of
// 100 cases. It acts from 32 residuals on, widens at once, narrows only after
// 256 more residuals, and is never narrower than declared nor more than ten times
// as wide.
//
// A reading that jumps farther than that, alone, is an event of the world (a leak
// springs, somebody steps in front) and not an error of each step of the model:
// the next decision sees it, and it widens nothing. When the next reading is as
// far off on the same side, or every other reading jumps, the model is wrong, and
// that counts.
//
// It takes no clock and holds no reference to what it is fed. Feed allocates only
// when a range changes. It is not safe for concurrent use.
type ModelError struct {
	m        *Manual
	layout   Layout
	rules    []ruleError
	ring     [errorSteps + 1][]float64 // the last states with disturbances at rest, by sequence
	sequence uint64                    // of the newest state; the first is 1
	since    time.Duration             // the outputs are in force as they are
	now      time.Duration
	outputs  []float64
	next     []float64 // scratch: a result per rule
	state    []float64 // scratch: the state that is rolled
	before   []float64 // scratch: signals one step before
	register []float64
	changes  []ModelChange // scratch
	widening *Widening
	version  uint64
}

// ruleError is what is known of the rule of one signal.
type ruleError struct {
	signal      int
	disturbance int           // index into Model.Disturbance; -1: none is declared
	from        uint64        // sequence of the state that its next reading is compared with; 0: none
	at          time.Duration // of the reading that the next one is compared with
	window      residuals
	effective   Disturbance
	sinceChange int
	toldWidth   float64
	capped      bool
	cappedCount uint64
	leftOut     uint64
	beyond      int    // the last residual was beyond the limits of widening: below -1, above 1
	recent      uint32 // one bit for each of the last 32 residuals: it was beyond them
	jumps       uint64
}

// ModelChange is a disturbance that the model's error has widened noticeably, or
// that has reached the limit of widening: then the model does not fit.
type ModelChange struct {
	Signal   string
	Declared DisturbanceRange
	Widened  DisturbanceRange
	Capped   bool
}

// ModelFigure is the model's error of one signal, per model step and in the
// signal's unit.
type ModelFigure struct {
	Signal    string
	Residuals int     // kept now, up to 256
	Low, High float64 // their quantiles, see ModelError; 0 under 32 residuals
	LeftOut   uint64  // readings that could not be compared: too far apart, at the end of the range, or no prediction
	Jumps     uint64  // readings that jumped, see ModelError
	// HasDisturbance: one is declared. Without it the error is tracked and
	// widens nothing.
	HasDisturbance     bool
	Declared, Widened  DisturbanceRange
	Capped             bool   // the range is at its limit now: the model does not fit
	CappedSoFar        uint64 // how often it came to its limit
	LimitTimesDeclared int    // how many times as wide as declared is the limit
}

// NewModelError follows nothing yet.
func NewModelError(m *Manual) *ModelError {
	e := &ModelError{m: m, layout: m.Layout(), outputs: make([]float64, len(m.Outputs))}
	e.next, e.state = make([]float64, len(m.Model.Next)), make([]float64, e.layout.Slots())
	e.before = make([]float64, len(m.Signals))
	for i := range e.ring {
		e.ring[i] = make([]float64, e.layout.Slots())
	}
	for i := range m.Model.Next {
		next := &m.Model.Next[i]
		r := ruleError{signal: next.Signal, disturbance: -1}
		for k := range m.Model.Disturbance {
			if m.Model.Disturbance[k].Signal == next.Signal {
				r.disturbance, r.effective = k, m.Model.Disturbance[k]
				r.toldWidth = r.effective.Maximum - r.effective.Minimum
			}
		}
		e.rules = append(e.rules, r)
		e.register = sizedFor(e.register, next.Program.Registers())
	}
	return e
}

func sizedFor(registers []float64, n int) []float64 {
	if len(registers) < n {
		return make([]float64, n)
	}
	return registers
}

// rest is a disturbance that adds nothing where that is within its range.
func (d *Disturbance) rest() float64 {
	if d.Minimum <= 0 && d.Maximum >= 0 {
		return 0
	}
	return d.Minimum + float64((d.Maximum-d.Minimum)*0.5)
}

// Widening gives the widened disturbances; nil while the manual's hold. It is
// never changed.
func (e *ModelError) Widening() *Widening { return e.widening }

// Feed takes in the measured state of one cycle: signals then outputs, invalid
// ones NaN; the age of every reading; and since when the outputs are in force as
// they are. Times are on the robot's monotonic clock. It gives what is worth
// telling; the slice is valid until the next call.
//
// A prediction across a change of the outputs, by a command, a reflex or a latch,
// is left out, and so is an invalid reading at either end.
func (e *ModelError) Feed(now time.Duration, slots []float64, age []time.Duration, since time.Duration) []ModelChange {
	e.changes = e.changes[:0]
	if len(slots) < e.layout.Signals+e.layout.Outputs || len(e.rules) == 0 {
		return nil
	}
	outputs := slots[e.layout.Signals : e.layout.Signals+e.layout.Outputs]
	if e.sequence == 0 || now < e.now || since > e.since || !equalOutputs(outputs, e.outputs) {
		e.forget()
		e.since = now
		if since > e.now && since < now {
			e.since = since
		}
		copy(e.outputs, outputs)
	}
	e.now = now
	e.push(slots)
	for back := e.oldest(); back < e.sequence; back++ {
		e.compare(back, slots, age)
	}
	for i := range e.rules {
		e.refer(&e.rules[i], slots, age)
	}
	return e.changes
}

// forget drops what the readings to come would be compared with.
func (e *ModelError) forget() {
	for i := range e.rules {
		e.rules[i].from = 0
	}
}

func (e *ModelError) push(slots []float64) {
	e.sequence++
	s := e.at(e.sequence)
	copy(s, slots[:e.layout.Signals+e.layout.Outputs])
	for i := range e.m.Model.Disturbance {
		s[e.layout.Disturbance(i)] = e.m.Model.Disturbance[i].rest()
	}
}

func (e *ModelError) at(sequence uint64) []float64 {
	return e.ring[sequence%uint64(len(e.ring))]
}

// oldest is the sequence of the oldest state that is kept.
func (e *ModelError) oldest() uint64 {
	if e.sequence < uint64(len(e.ring)) {
		return 1
	}
	return e.sequence - uint64(len(e.ring)) + 1
}

// readAt is when the present value of a signal was read.
func (e *ModelError) readAt(signal int, age []time.Duration) time.Duration {
	if signal < len(age) {
		return e.now - age[signal]
	}
	return e.now
}

// due says whether a new reading can be compared, and how many steps after the
// one before it was made.
func (e *ModelError) due(r *ruleError, slots []float64, age []time.Duration) (steps float64, ok bool) {
	if x := slots[r.signal]; finite(x) != x || e.m.Model.Step <= 0 {
		return 0, false
	}
	steps = float64(e.readAt(r.signal, age)-r.at) / float64(e.m.Model.Step)
	return steps, steps >= 0.5
}

// compare holds the signals that wait since the given state against what the
// model made of it. The model is rolled once for all of them.
func (e *ModelError) compare(from uint64, slots []float64, age []time.Duration) {
	farthest := 0.0
	for i := range e.rules {
		if r := &e.rules[i]; r.from == from {
			if steps, ok := e.due(r, slots, age); ok && steps <= errorSteps {
				farthest = max(farthest, steps)
			}
		}
	}
	if farthest == 0 {
		return
	}
	copy(e.state, e.at(from))
	for step := 1; float64(step-1) < farthest; step++ {
		copy(e.before, e.state)
		e.advance()
		for i := range e.rules {
			r := &e.rules[i]
			if r.from != from {
				continue
			}
			if steps, ok := e.due(r, slots, age); ok && steps > float64(step-1) && steps <= float64(step) {
				e.take(i, steps, float64(steps-float64(step-1)), slots[r.signal])
				r.from = 0
			}
		}
	}
}

// advance moves the scratch state one step, all rules from the old state.
func (e *ModelError) advance() {
	rules := e.m.Model.Next
	for i := range rules {
		e.next[i] = rules[i].Program.Eval(e.state, e.register)
	}
	for i := range rules {
		e.state[rules[i].Signal] = e.next[i]
	}
}

// take makes a residual of a reading: what was measured beyond the prediction,
// which lies the given part of a step after the state before.
func (e *ModelError) take(i int, steps, part, measured float64) {
	r := &e.rules[i]
	a, b := e.before[r.signal], e.state[r.signal]
	predicted := a + float64(part*(b-a))
	if saturated(&e.m.Signals[r.signal], measured, predicted) {
		r.leftOut++
		return
	}
	residual := (measured - predicted) / steps
	if r.disturbance >= 0 {
		effect := e.effect(i)
		residual = e.m.Model.Disturbance[r.disturbance].rest() + residual/effect
	}
	if finite(residual) != residual {
		r.leftOut++
		return
	}
	if r.jumped(e.m, residual) {
		r.jumps++
		return
	}
	r.window.add(residual)
	r.sinceChange++
	if r.disturbance >= 0 && r.window.n >= errorLeast {
		e.adjust(r)
	}
}

// jumped says whether a residual is a jump: beyond what widening can cover, while
// the one before was not on the same side, and few are. The next one tells whether
// the world has changed or the model is wrong.
func (r *ruleError) jumped(m *Manual, residual float64) bool {
	if r.disturbance < 0 {
		return false
	}
	lowest, highest := m.Model.Disturbance[r.disturbance].limits()
	before := r.beyond
	switch {
	case residual < lowest:
		r.beyond = -1
	case residual > highest:
		r.beyond = 1
	default:
		r.beyond = 0
	}
	r.recent <<= 1
	if r.beyond != 0 {
		r.recent |= 1
	}
	return r.beyond != 0 && r.beyond != before && bits.OnesCount32(r.recent) <= errorJumps
}

// saturated says whether a sensor at the end of its range hides how far beyond it
// the prediction was right.
func saturated(s *hal.Signal, measured, predicted float64) bool {
	if s.Minimum >= s.Maximum {
		return false
	}
	return measured >= s.Maximum && predicted >= s.Maximum || measured <= s.Minimum && predicted <= s.Minimum
}

// effect is what a unit of its disturbance does to the signal in one step, from
// the state that the prediction started from; 0 when nothing.
func (e *ModelError) effect(i int) float64 {
	r := &e.rules[i]
	d := &e.m.Model.Disturbance[r.disturbance]
	low, high := d.Minimum, d.Maximum
	if high <= low {
		high = low + 1
	}
	s, slot := e.at(r.from), e.layout.Disturbance(r.disturbance)
	p := e.m.Model.Next[i].Program
	s[slot] = high
	above := p.Eval(s, e.register)
	s[slot] = low
	below := p.Eval(s, e.register)
	s[slot] = d.rest()
	return (above - below) / (high - low)
}

// adjust widens the effective range of a rule at once where the residuals ask
// for it, and narrows it when none has for as long as the window.
func (e *ModelError) adjust(r *ruleError) {
	declared := &e.m.Model.Disturbance[r.disturbance]
	width := declared.Maximum - declared.Minimum
	if !(width > 0) {
		return
	}
	low, high := r.window.quantiles()
	lowest, highest := declared.limits()
	capped := low < lowest || high > highest
	news := capped && !r.capped
	if news {
		r.cappedCount++
	}
	r.capped = capped
	wanted := declared.hull(outward(low, high, float64(width*errorGrain), declared))
	wider := wanted.Minimum < r.effective.Minimum || wanted.Maximum > r.effective.Maximum
	if wider {
		wanted = r.effective.join(wanted)
	}
	if wider || wanted != r.effective && r.sinceChange >= errorWindow {
		r.effective, r.sinceChange = wanted, 0
		e.publish()
	}
	reached := r.effective.Maximum - r.effective.Minimum
	if news || reached >= r.toldWidth+float64(errorTold*width) {
		e.tell(r, declared)
		r.toldWidth = reached
	}
	r.toldWidth = min(r.toldWidth, reached)
}

// outward rounds what lies outside the declared range to the grain.
func outward(low, high, grain float64, declared *Disturbance) (float64, float64) {
	if low < declared.Minimum {
		low = float64(math.Floor(low/grain) * grain)
	}
	if high > declared.Maximum {
		high = float64(math.Ceil(high/grain) * grain)
	}
	return low, high
}

// join holds both ranges.
func (d Disturbance) join(other Disturbance) Disturbance {
	d.Minimum, d.Maximum = min(d.Minimum, other.Minimum), max(d.Maximum, other.Maximum)
	return d
}

func (e *ModelError) tell(r *ruleError, declared *Disturbance) {
	e.changes = append(e.changes, ModelChange{
		Signal: e.m.Signals[r.signal].Name, Declared: e.rangeOf(declared), Widened: e.rangeOf(&r.effective), Capped: r.capped,
	})
}

func (e *ModelError) rangeOf(d *Disturbance) DisturbanceRange {
	return DisturbanceRange{e.m.Signals[d.Signal].Name, d.Minimum, d.Maximum}
}

// publish makes a new version of the widening.
func (e *ModelError) publish() {
	e.version++
	w := &Widening{Version: e.version}
	for i := range e.m.Model.Disturbance {
		declared := &e.m.Model.Disturbance[i]
		for k := range e.rules {
			if r := &e.rules[k]; r.disturbance == i && r.effective != *declared {
				w.Ranges = append(w.Ranges, e.rangeOf(&r.effective))
			}
		}
	}
	e.widening = w
	if len(w.Ranges) == 0 {
		e.widening = nil
	}
}

// refer makes the present state the one that the next reading of a signal is
// compared with, if it is new and was read under the outputs that are in force.
func (e *ModelError) refer(r *ruleError, slots []float64, age []time.Duration) {
	x, at := slots[r.signal], e.readAt(r.signal, age)
	if finite(x) != x {
		r.from = 0
		return
	}
	if r.from != 0 {
		if r.from > e.oldest() && at-r.at <= errorSteps*e.m.Model.Step {
			return // it waits for its next reading
		}
		r.from = 0
		r.leftOut++
	}
	if at != r.at && at >= e.since {
		r.from, r.at = e.sequence, at
	}
}

// Figures gives the model's error of every signal with a rule, in the order of
// the model.
func (e *ModelError) Figures() []ModelFigure {
	figures := make([]ModelFigure, len(e.rules))
	for i := range e.rules {
		r := &e.rules[i]
		f := &figures[i]
		*f = ModelFigure{
			Signal: e.m.Signals[r.signal].Name, Residuals: r.window.n, LeftOut: r.leftOut, Jumps: r.jumps,
			HasDisturbance: r.disturbance >= 0, Capped: r.capped, CappedSoFar: r.cappedCount, LimitTimesDeclared: wideningLimit,
		}
		if r.window.n >= errorLeast {
			f.Low, f.High = r.window.quantiles()
		}
		if f.HasDisturbance {
			f.Declared, f.Widened = e.rangeOf(&e.m.Model.Disturbance[r.disturbance]), e.rangeOf(&r.effective)
		}
	}
	return figures
}
