package proof

import (
	"math"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

type interval = program.Interval

// world is the part of a manual's model that bears on some of its values.
type world struct {
	m        *dancer.Manual
	layout   dancer.Layout
	values   []int         // that are looked at
	next     []dancer.Next // that move a signal which bears on them
	bears    []bool        // per signal and output
	steps    int
	switches []bool // per output: only its two ends are possible

	slots []interval // scratch, see scratch
}

// scratch is memory for the slots of one condition.
func (w *world) scratch() []interval {
	if w.slots == nil {
		w.slots = make([]interval, w.layout.Slots())
	}
	return w.slots
}

// newWorld finds what bears on the values; also are further programs whose slots
// belong to the question.
func newWorld(q *questions, values []int, also ...*program.Program) *world {
	m := q.m
	w := &world{m: m, layout: m.Layout(), values: values, steps: m.Model.Steps(), switches: q.switches}
	w.bears = make([]bool, len(m.Signals)+len(m.Outputs))
	for _, v := range values {
		w.mark(m.Impact[v])
	}
	moved := make([]bool, len(m.Model.Next))
	for changed := true; changed; {
		changed = false
		for i := range m.Model.Next {
			if next := &m.Model.Next[i]; w.bears[next.Signal] && !moved[i] {
				moved[i], changed = true, true
				w.mark(next.Program)
			}
		}
	}
	for i := range moved {
		if moved[i] {
			w.next = append(w.next, m.Model.Next[i])
		}
	}
	for _, p := range also {
		w.mark(p)
	}
	return w
}

func (w *world) mark(p *program.Program) {
	if p == nil {
		return
	}
	for _, slot := range p.Reads() {
		if slot < len(w.bears) {
			w.bears[slot] = true
		}
	}
}

// schedule gives what a reflex does in every step from 1 on.
func (w *world) schedule(r *reflex.Rule) [][]drive {
	out := make([][]drive, w.steps)
	for step := range out {
		out[step] = drivesAt(w.m, r, step+1)
	}
	return out
}

// above and below are the next numbers.
func above(x float64) float64 { return math.Nextafter(x, math.Inf(1)) }
func below(x float64) float64 { return math.Nextafter(x, math.Inf(-1)) }

// index clamps an impact to 0-10; what is not a number is ruin.
func index(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}

// spans rolls a box of states forward under all disturbances.
type spans struct {
	w           *world
	slots, next []interval
	registers   []interval
	sequence    []float64 // disturbances of every step, the same in each; nil: all that are possible
}

func newSpans(w *world) *spans {
	return &spans{
		w: w, slots: make([]interval, w.layout.Slots()), next: make([]interval, len(w.next)),
		registers: make([]interval, program.Registers),
	}
}

// load puts a box in, with these outputs set.
func (s *spans) load(sp *space, b box, set []reflex.Setting) {
	for d, slot := range sp.slots {
		s.slots[slot] = b[d]
	}
	for _, o := range set {
		s.slots[s.w.layout.Output(o.Output)] = program.Between(o.Value, o.Value)
	}
	for i := range s.w.m.Model.Disturbance {
		d := &s.w.m.Model.Disturbance[i]
		x := program.Between(d.Minimum, d.Maximum)
		if s.sequence != nil {
			x = program.Between(s.sequence[i], s.sequence[i])
		}
		s.slots[s.w.layout.Disturbance(i)] = x
	}
}

func (s *spans) advance() {
	for i := range s.w.next {
		s.next[i] = s.w.next[i].Program.EvalInterval(s.slots, s.registers)
	}
	for i := range s.w.next {
		s.slots[s.w.next[i].Signal] = s.next[i]
	}
}

// indices gives the least and the greatest index of a value.
func (s *spans) indices(value int) (least, greatest float64) {
	x := s.w.m.Impact[value].EvalInterval(s.slots, s.registers)
	if x.Empty() {
		return 0, 0
	}
	least, greatest = index(x.Low), index(x.High)
	if x.Invalid {
		least = 0
	}
	return least, greatest
}

// margins rolls a box on and gives the least distance of a floored index above
// its floor, in all states reached, and the greatest that the state of the least
// can have; both over the world's values.
func (s *spans) margins(sp *space, b box, set []reflex.Setting) (least, greatest float64) {
	least, greatest = math.Inf(1), math.Inf(1)
	s.load(sp, b, set)
	for range s.w.horizon() {
		s.advance()
		for _, v := range s.w.values {
			low, high := s.indices(v)
			least = min(least, low-s.w.m.Values[v].Floor)
			greatest = min(greatest, high-s.w.m.Values[v].Floor)
		}
	}
	return least, greatest
}

// horizon is the number of steps that can differ.
func (w *world) horizon() int {
	if len(w.next) == 0 {
		return 1
	}
	return w.steps
}

// pairs rolls a box of states forward twice, under the same disturbances.
type pairs struct {
	w           *world
	slots, next []program.Pair
	registers   []program.Pair
	frozen      []bool // per rule of next: its signal is surely invalid at the start
	doubtful    []bool // it may be
}

func newPairs(w *world) *pairs {
	return &pairs{
		w: w, slots: make([]program.Pair, w.layout.Slots()), next: make([]program.Pair, len(w.next)),
		registers: make([]program.Pair, program.Registers),
		frozen:    make([]bool, len(w.next)), doubtful: make([]bool, len(w.next)),
	}
}

// load puts a box in for both runs, and the disturbances.
func (p *pairs) load(sp *space, b box) {
	for d, slot := range sp.slots {
		p.slots[slot] = program.Same(b[d])
	}
	for i := range p.w.m.Model.Disturbance {
		d := &p.w.m.Model.Disturbance[i]
		p.slots[p.w.layout.Disturbance(i)] = program.Same(program.Between(d.Minimum, d.Maximum))
	}
	for i := range p.w.next {
		d := sp.dimension(p.w.next[i].Signal)
		p.frozen[i] = d >= 0 && b[d].Empty()
		p.doubtful[i] = d >= 0 && b[d].Invalid
	}
}

// setBoth drives outputs in both runs, to what an option sets in each.
func (p *pairs) setBoth(sp *space, b box, inA, inB []reflex.Setting) {
	for d, slot := range sp.slots {
		if sp.isSignal(d) {
			continue
		}
		output := slot - p.w.layout.Signals
		x, setA := setting(inA, output, b[d])
		y, setB := setting(inB, output, b[d])
		switch {
		case !setA && !setB, setA && setB && x == y:
			p.slots[slot] = program.Same(x)
		default:
			p.slots[slot] = program.Apart(x, y)
		}
	}
}

// setting is the value of an output under the settings, or what it was.
func setting(settings []reflex.Setting, output int, before interval) (interval, bool) {
	for _, s := range settings {
		if s.Output == output {
			return program.Between(s.Value, s.Value), true
		}
	}
	return before, false
}

// advance moves both runs one step. A signal that was invalid at the start stays
// so: the model does not advance it.
func (p *pairs) advance() {
	for i := range p.w.next {
		if !p.frozen[i] {
			p.next[i] = p.w.next[i].Program.EvalPair(p.slots, p.registers)
		}
	}
	for i := range p.w.next {
		if p.frozen[i] {
			continue
		}
		if p.doubtful[i] {
			p.next[i].States |= program.NeitherValid
		}
		p.slots[p.w.next[i].Signal] = p.next[i]
	}
}

// shortfall is by how much the index of a value can be lower in run A than in
// run B, 0 if it never is by more than the Tolerance.
func (p *pairs) shortfall(value int) float64 {
	x := p.w.m.Impact[value].EvalPair(p.slots, p.registers)
	worst := 0.0
	if x.States&program.BothValid != 0 {
		gap := index(x.B.High) - index(x.A.Low)
		worst = max(worst, min(gap, max(0, -x.Difference.Low)))
	}
	if x.States&program.OnlyBValid != 0 {
		worst = max(worst, index(x.B.High))
	}
	if worst <= Tolerance {
		return 0
	}
	return worst
}
