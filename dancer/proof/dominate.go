package proof

import (
	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

// domination is the question whether one reflex can make the first value worse.
type domination struct {
	m      *dancer.Manual
	rule   *reflex.Rule
	w      *world
	space  *space
	drives [][]drive // per step, of run A
	pairs  *pairs
	when   []interval // scratch for the condition

	states    *states
	adversary *adversary
	with      *roller // run A
	without   *roller // run B
	attacks   int
	cut       func() bool
	example   *Example
}

const first = 0 // the first value

func dominate(q *questions, rule int, o Options) Finding {
	d := newDomination(q, rule)
	d.cut = o.cut
	f := Finding{
		Property: Domination, Subject: d.rule.Name, Reflexes: []int{rule}, Action: -1,
		EmergencyStop: d.rule.Stop == reflex.Stop0 && d.rule.Latch,
	}
	s := search{space: d.space, boxes: o.boxes(), cut: o.cut, judge: d.judge, attack: d.attack}
	found := s.run(d.starts())
	f.Boxes = s.used
	switch {
	case found:
		f.Answer, f.Example = Refuted, d.example
	case s.left.boxes > 0:
		f.Answer, f.Left = Undecided, d.space.region(&s.left)
	default:
		f.Answer = Proved
	}
	f.Says = d.says(&f)
	return f
}

func newDomination(q *questions, rule int) *domination {
	m := q.m
	r := &m.Rules[rule]
	w := newWorld(q, []int{first}, r.When)
	if len(w.next) == 0 && r.Stop != reflex.Stop1 {
		w.steps = 1
	}
	sp := newSpace(w)
	source := newSource(uint64(rule))
	return &domination{
		m: m, rule: r, w: w, space: sp, drives: w.schedule(r), pairs: newPairs(w),
		when:   make([]interval, program.Registers),
		states: newStates(m, sp, source), adversary: newAdversary(m, source),
		with: newRoller(m, m.Model.Next), without: newRoller(m, m.Model.Next),
	}
}

// starts covers every state in which the reflex can fire: all that it reads is
// valid and when is true, or one signal that it reads is invalid. What when does
// not read may be invalid or not.
func (d *domination) starts() []box {
	all := append(box(nil), d.space.whole...)
	var read []int
	for i := range all {
		if d.space.isSignal(i) {
			all[i].Invalid = true
		}
	}
	for _, slot := range d.rule.When.Reads() {
		if slot < len(d.m.Signals) {
			read = append(read, d.space.dimension(slot))
		}
	}
	valid := append(box(nil), all...)
	var starts []box
	for _, i := range read {
		starts = append(starts, replace(valid, i, program.Invalid()))
		valid[i].Invalid = false
	}
	return append(d.firing(valid), starts...)
}

// firing narrows a box to where the condition can be true, when it has the form
// of limits on single slots.
func (d *domination) firing(b box) []box {
	bounds, negated, simple := d.rule.When.Bounds()
	if !simple {
		return []box{b}
	}
	var out []box
	rest := append(box(nil), b...)
	for _, bound := range bounds {
		i := d.space.dimension(bound.Slot)
		inside, outside := narrow(rest[i], bound)
		inside, outside = d.space.possible(inside, i), d.space.possible(outside, i)
		if negated && !outside.Empty() {
			out = append(out, replace(rest, i, outside))
		}
		if inside.Empty() {
			return out
		}
		rest[i] = inside
	}
	if !negated {
		out = append(out, rest)
	}
	return out
}

// narrow divides an interval at a limit into what keeps it and what does not.
func narrow(x interval, b program.Bound) (inside, outside interval) {
	inside, outside = x, x
	if b.Sign > 0 {
		inside.High, outside.Low = min(x.High, b.Limit), max(x.Low, above(b.Limit))
	} else {
		inside.Low, outside.High = max(x.Low, -b.Limit), min(x.High, below(-b.Limit))
	}
	return inside, outside
}

// judge is 0 where the reflex surely does not fire, or never makes the first
// value worse; else the sum of what it can cost in each step.
func (d *domination) judge(b box) float64 {
	p := d.pairs
	if d.silent(b) || d.blind(b) {
		return 0
	}
	p.load(d.space, b)
	total := 0.0
	for step := range d.w.steps {
		p.drive(d.space, b, d.drives[step])
		p.advance()
		total += p.shortfall(first)
	}
	return total
}

// silent says whether the condition is surely valid and false.
func (d *domination) silent(b box) bool {
	slots := d.w.scratch()
	for _, slot := range d.rule.When.Reads() {
		x := b[d.space.dimension(slot)]
		if x.Invalid {
			return false
		}
		slots[slot] = x
	}
	x := d.rule.When.EvalInterval(slots, d.when)
	return !x.Invalid && x.Low == 0 && x.High == 0
}

// blind says whether the first impact surely reads an invalid signal: then its
// index is 0 whatever is done.
func (d *domination) blind(b box) bool {
	for _, slot := range d.m.Impact[first].Reads() {
		if b[d.space.dimension(slot)].Empty() {
			return true
		}
	}
	return false
}

// thorough is how many points of the first boxes are tried, and brief of the
// others; a long horizon has fewer.
const thorough, brief = 160, 3

func points(attacks, steps int) int {
	if attacks > 0 {
		return brief
	}
	return max(8, min(thorough, 100*thorough/steps))
}

// attack looks for a state of the box, and disturbances, with which the reflex
// makes the first value worse.
func (d *domination) attack(b box) bool {
	n := points(d.attacks, d.w.steps)
	for i := range n {
		if d.cut() {
			break
		}
		state := d.states.draw(b, i)
		if !fires(d.rule, state, d.with.registers) {
			continue
		}
		for s := range d.adversary.strategies() {
			if d.roll(state, s) {
				d.simplify(state, s)
				return true
			}
		}
	}
	d.attacks++
	return false
}

// fires says whether a reflex fires in a state.
func fires(r *reflex.Rule, state, registers []float64) bool {
	return r.When.AnyInvalid(state) || r.When.Eval(state, registers) != 0
}

// simplify looks for a plainer example that costs half as much at least.
func (d *domination) simplify(state []float64, strategy int) {
	best, least := d.example, d.example.cost()/2
	d.states.simplify(state, func(simpler []float64) bool {
		if !fires(d.rule, simpler, d.with.registers) || !d.roll(simpler, strategy) || d.example.cost() < least {
			d.example = best
			return false
		}
		best = d.example
		return true
	})
}

// roll follows one state in both runs to the step in which the reflex costs most.
func (d *domination) roll(state []float64, strategy int) bool {
	d.with.start(state)
	d.without.start(state)
	if d.with.blind[first] {
		return false
	}
	var sequence [][]float64
	most, at := Tolerance, 0
	both := []*roller{d.with, d.without}
	for step := range d.w.steps {
		d.with.drive(d.drives[step])
		disturbance := d.adversary.choose(strategy, both, d.gap)
		sequence = append(sequence, disturbance)
		d.with.advance(disturbance)
		d.without.advance(disturbance)
		if cost := d.without.index(first) - d.with.index(first); cost > most {
			most, at = cost, step+1
		}
	}
	return at > 0 && d.report(state, sequence[:at])
}

// gap is how much better the first value is with the reflex, not clamped.
func (d *domination) gap() float64 {
	a, b := d.with.impact(first), d.without.impact(first)
	switch {
	case b != b:
		return 1e300
	case a != a:
		return -1e300
	}
	return a - b
}

// report evaluates the example once more from its beginning.
func (d *domination) report(state []float64, sequence [][]float64) bool {
	with, without := newRoller(d.m, d.m.Model.Next), newRoller(d.m, d.m.Model.Next)
	with.start(state)
	without.start(state)
	for step, disturbance := range sequence {
		with.drive(d.drives[step])
		with.advance(disturbance)
		without.advance(disturbance)
	}
	a, b := with.index(first), without.index(first)
	if !(a < b-Tolerance) || !fires(d.rule, state, with.registers) {
		return false
	}
	d.example = newExample(d.m, state, d.w.bears)
	d.example.follow(d.m, sequence, with.settings(d.drives[len(sequence)-1]))
	d.example.Step, d.example.Value = len(sequence), d.m.Values[first].Name
	d.example.Index, d.example.Against = a, b
	return true
}
