package proof

import (
	"math/rand/v2"
	"slices"
	"strconv"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

// roller moves one state forward as the partner does: all rules of the model are
// evaluated from the old state and then written, a signal that was invalid at the
// start is not advanced, and an impact that reads one is 0.
type roller struct {
	m         *dancer.Manual
	layout    dancer.Layout
	next      []dancer.Next
	slots     []float64
	began     []float64 // outputs at the start
	moved     []float64 // results of next
	saved     []float64
	invalid   []bool // per signal, at the start
	blind     []bool // per value
	registers []float64
}

func newRoller(m *dancer.Manual, next []dancer.Next) *roller {
	l := m.Layout()
	return &roller{
		m: m, layout: l, next: next, slots: make([]float64, l.Slots()), began: make([]float64, len(m.Outputs)), moved: make([]float64, len(next)),
		saved: make([]float64, l.Slots()), invalid: make([]bool, len(m.Signals)), blind: make([]bool, len(m.Values)),
		registers: make([]float64, program.Registers),
	}
}

// start puts a state in: signals, NaN where invalid, then outputs.
func (r *roller) start(state []float64) {
	copy(r.slots, state)
	copy(r.began, state[len(r.m.Signals):])
	for i := range r.invalid {
		r.invalid[i] = state[i] != state[i]
	}
	for v := range r.blind {
		r.blind[v] = r.m.Impact[v] == nil || r.m.Impact[v].AnyInvalid(state)
	}
}

func (r *roller) set(settings []reflex.Setting) {
	for _, s := range settings {
		r.slots[r.layout.Output(s.Output)] = s.Value
	}
}

func (r *roller) advance(disturbance []float64) {
	copy(r.slots[r.layout.Disturbance(0):], disturbance)
	for i := range r.next {
		r.moved[i] = r.next[i].Program.Eval(r.slots, r.registers)
	}
	for i := range r.next {
		if at := r.next[i].Signal; !r.invalid[at] {
			r.slots[at] = r.moved[i]
		}
	}
}

// impact of a value in the state, not clamped; NaN where it cannot be known.
func (r *roller) impact(v int) float64 {
	if r.blind[v] {
		return notANumber
	}
	return r.m.Impact[v].Eval(r.slots, r.registers)
}

func (r *roller) index(v int) float64 { return index(r.impact(v)) }

func (r *roller) save()    { copy(r.saved, r.slots) }
func (r *roller) restore() { copy(r.slots, r.saved) }

// adversary chooses disturbances by one of several strategies: a corner of their
// ranges kept in every step, corners drawn anew in each step, and the corner that
// is worst one step on.
type adversary struct {
	ranges  []dancer.Disturbance
	corners int
	source  *rand.Rand
	trial   []float64
	best    []float64
}

func newAdversary(m *dancer.Manual, source *rand.Rand) *adversary {
	n := len(m.Model.Disturbance)
	a := &adversary{ranges: m.Model.Disturbance, corners: 2, source: source, trial: make([]float64, n), best: make([]float64, n)}
	if n <= 3 {
		a.corners = 1 << n
	}
	return a
}

// strategies is how many there are; a model without disturbance has one future.
func (a *adversary) strategies() int {
	if len(a.ranges) == 0 {
		return 1
	}
	return a.corners + 2
}

// corner gives corner c; where not all are counted, 0 is all low and 1 all high.
func (a *adversary) corner(c int, out []float64) {
	for i := range out {
		out[i] = a.ranges[i].Minimum
		if a.corners == 1<<len(out) && c>>i&1 == 1 || a.corners != 1<<len(out) && c == 1 {
			out[i] = a.ranges[i].Maximum
		}
	}
}

// choose gives the disturbances of one step. goal says how bad the rollers' next
// state is for what is to be shown: the lower the better.
func (a *adversary) choose(strategy int, rollers []*roller, goal func() float64) []float64 {
	out := make([]float64, len(a.ranges))
	switch {
	case strategy < a.corners:
		a.corner(strategy, out)
	case strategy == a.corners:
		for i := range out {
			out[i] = a.ranges[i].Minimum
			if a.source.IntN(2) == 1 {
				out[i] = a.ranges[i].Maximum
			}
		}
	default:
		a.greedy(rollers, goal)
		copy(out, a.best)
	}
	return out
}

// greedy tries every corner, or where there are many flips one disturbance after
// the other, and leaves the lowest goal in best.
func (a *adversary) greedy(rollers []*roller, goal func() float64) {
	a.corner(0, a.best)
	lowest := a.try(a.best, rollers, goal)
	if a.corners == 1<<len(a.best) {
		for c := 1; c < a.corners; c++ {
			a.corner(c, a.trial)
			if g := a.try(a.trial, rollers, goal); g < lowest {
				lowest = g
				copy(a.best, a.trial)
			}
		}
		return
	}
	for i := range a.best {
		was := a.best[i]
		a.best[i] = a.ranges[i].Maximum
		if g := a.try(a.best, rollers, goal); g < lowest {
			lowest = g
		} else {
			a.best[i] = was
		}
	}
}

func (a *adversary) try(disturbance []float64, rollers []*roller, goal func() float64) float64 {
	for _, r := range rollers {
		r.save()
		r.advance(disturbance)
	}
	g := goal()
	for _, r := range rollers {
		r.restore()
	}
	return g
}

// states draws points of boxes.
type states struct {
	space  *space
	base   []float64   // of what does not bear: signals near 0, outputs safe
	liked  [][]float64 // per output: values that something drives it to
	source *rand.Rand
}

func newStates(m *dancer.Manual, sp *space, source *rand.Rand) *states {
	s := &states{space: sp, source: source, liked: make([][]float64, len(m.Outputs))}
	for slot := range m.Signals {
		x := rangeOf(m, slot)
		s.base = append(s.base, min(max(0, x.Low), x.High))
	}
	for o := range m.Outputs {
		s.base = append(s.base, m.Outputs[o].Safe)
		s.liked[o] = append(s.liked[o], m.Outputs[o].Safe)
	}
	for i := range m.Actions {
		s.like(m.Actions[i].Set)
	}
	for i := range m.Rules {
		s.like(m.Rules[i].Set)
	}
	return s
}

func (s *states) like(set []reflex.Setting) {
	for _, x := range set {
		s.liked[x.Output] = append(s.liked[x.Output], x.Value)
	}
}

// draw gives the n-th point of a box: its middle, two corners, then drawn ones.
func (s *states) draw(b box, n int) []float64 {
	state := append([]float64(nil), s.base...)
	for d, slot := range s.space.slots {
		state[slot] = s.coordinate(b[d], d, n)
	}
	return state
}

func (s *states) coordinate(x interval, d, n int) float64 {
	switch {
	case x.Empty() || x.Invalid && n > 3 && s.source.IntN(4) == 0:
		return notANumber
	case s.space.isBoolean(d):
		if x.Low == x.High || s.source.IntN(2) == 0 {
			return x.Low
		}
		return x.High
	case n == 1 || n > 3 && s.source.IntN(6) == 0:
		return x.Low
	case n == 2 || n > 3 && s.source.IntN(6) == 0:
		return x.High
	case n == 0:
		return within(x, float64(x.Low/2)+float64(x.High/2))
	}
	if !s.space.isSignal(d) && s.source.IntN(2) == 0 {
		liked := s.liked[s.space.slots[d]-len(s.space.m.Signals)]
		if v := liked[s.source.IntN(len(liked))]; x.Span.Contains(v) {
			return v
		}
	}
	return within(x, x.Low+float64(s.source.Float64()*(x.High-x.Low)))
}

func within(x interval, v float64) float64 { return min(max(v, x.Low), x.High) }

// simplify replaces the coordinates of a state by plainer numbers, one after the
// other, as long as what it is an example of still holds. The state is changed.
func (s *states) simplify(state []float64, holds func([]float64) bool) []float64 {
	for d, slot := range s.space.slots {
		was := state[slot]
		for _, v := range s.plainer(was, d) {
			if v == was {
				break // it is as plain as it can be
			}
			if state[slot] = v; holds(state) {
				break
			}
			state[slot] = was
		}
	}
	return state
}

// plainer gives numbers to try in place of one, the plainest first.
func (s *states) plainer(x float64, d int) []float64 {
	slot, all := s.space.slots[d], s.space.whole[d]
	if s.space.isBoolean(d) {
		return []float64{s.base[slot], all.Low, all.High}
	}
	list := []float64{s.base[slot], 1}
	if x != x {
		x = float64(all.Low/2) + float64(all.High/2)
	}
	for digits := 1; digits <= 4; digits++ {
		list = append(list, rounded(x, digits))
	}
	for _, share := range []float64{0.9, 0.99, 1.01, 1.1} { // the edge itself may not be in it
		list = append(list, rounded(share*x, 2))
	}
	list = append(list, all.Low, all.High)
	return slices.DeleteFunc(list, func(v float64) bool { return !all.Span.Contains(v) })
}

// rounded gives a number to so many decimal digits.
func rounded(x float64, digits int) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', digits, 64), 64)
	if err != nil {
		return x
	}
	return r
}

// newSource gives the same sequence for the same question.
func newSource(question uint64) *rand.Rand {
	return rand.New(rand.NewPCG(0x9e3779b97f4a7c15, question))
}
