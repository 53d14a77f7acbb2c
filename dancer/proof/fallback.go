package proof

import (
	"math"

	"dancer/dancer"
	"dancer/reflex"
)

// refuge is the question whether the fallback keeps every floor wherever some
// option does.
type refuge struct {
	m       *dancer.Manual
	w       *world
	space   *space
	options []choice // all but the fallback
	refuge  []reflex.Setting
	spans   *spans
	pairs   *pairs

	states    *states
	adversary *adversary
	roller    *roller
	attacks   int
	cut       func() bool
	example   *Example
}

// choice is one option: an action, or going on as before.
type choice struct {
	name string
	set  []reflex.Setting
}

func fallback(q *questions, o Options) Finding {
	m := q.m
	f := Finding{Property: Fallback, Subject: m.Actions[m.Fallback].Name, Action: m.Fallback}
	r := newRefuge(q)
	r.cut = o.cut
	if len(r.w.values) == 0 {
		f.Answer, f.Says = Proved, "no value has a floor that "+f.Subject+" could break"
		return f
	}
	s := search{space: r.space, boxes: o.boxes(), cut: o.cut, judge: r.judge, attack: r.attack}
	found := s.run([]box{r.space.whole})
	f.Boxes = s.used
	switch {
	case found:
		f.Answer, f.Example = Refuted, r.example
	case s.left.boxes > 0:
		f.Answer, f.Left = Undecided, r.space.region(&s.left)
	default:
		f.Answer = Proved
	}
	used := r.extent(o, &f)
	f.Boxes += used
	f.Says = r.says(&f)
	return f
}

func newRefuge(q *questions) *refuge {
	m := q.m
	var values []int
	for v := range m.Values {
		if m.Values[v].HasFloor && m.Impact[v] != nil {
			values = append(values, v)
		}
	}
	w := newWorld(q, values)
	sp := newSpace(w)
	source := newSource(1 << 32)
	r := &refuge{
		m: m, w: w, space: sp, refuge: m.Actions[m.Fallback].Set, spans: newSpans(w), pairs: newPairs(w),
		states: newStates(m, sp, source), adversary: newAdversary(m, source), roller: newRoller(m, m.Model.Next),
	}
	if m.Action(m.Baseline) < 0 { // else not acting is that action
		r.options = append(r.options, choice{name: dancer.InactionName})
	}
	for i := range m.Actions {
		if i != m.Fallback {
			r.options = append(r.options, choice{m.Actions[i].Name, m.Actions[i].Set})
		}
	}
	return r
}

// judge is 0 where the fallback surely keeps every floor, or every other option
// surely breaks one or is never better than the fallback on any floored value.
func (r *refuge) judge(b box) float64 {
	least, _ := r.spans.margins(r.space, b, r.refuge)
	if least >= 0 {
		return 0
	}
	total := 0.0
	for i := range r.options {
		if worse := r.better(b, &r.options[i]); worse > 0 && r.breaks(b, r.options[i].set) >= 0 {
			total += worse
		}
	}
	return min(total, -least)
}

// better is by how much an option can be better than the fallback, on the floored
// values and summed over the steps.
func (r *refuge) better(b box, o *choice) float64 {
	p := r.pairs
	p.load(r.space, b)
	p.setBoth(r.space, b, r.refuge, o.set)
	total := 0.0
	for range r.w.horizon() {
		p.advance()
		for _, v := range r.w.values {
			total += p.shortfall(v)
		}
	}
	return total
}

// breaks is the least margin that an option can be sure to have somewhere on its
// way, under disturbances that are one corner throughout; below 0 it surely breaks
// a floor from every state of the box.
func (r *refuge) breaks(b box, set []reflex.Setting) float64 {
	lowest := math.Inf(1)
	sequence := make([]float64, len(r.m.Model.Disturbance))
	for c := range min(r.adversary.corners, 4) {
		r.adversary.corner(c, sequence)
		r.spans.sequence = sequence
		_, greatest := r.spans.margins(r.space, b, set)
		lowest = min(lowest, greatest)
	}
	r.spans.sequence = nil
	return lowest
}

// attack looks for a state from which the fallback breaks a floor while another
// option surely keeps all.
func (r *refuge) attack(b box) bool {
	for i := range points(r.attacks, r.w.steps) {
		if r.cut() {
			break
		}
		state := r.states.draw(b, i)
		for s := range r.adversary.strategies() {
			if r.roll(state, s) {
				r.simplify(state, s)
				return true
			}
		}
	}
	r.attacks++
	return false
}

// simplify looks for a plainer example that breaks the floor by half as much at
// least.
func (r *refuge) simplify(state []float64, strategy int) {
	best, least := r.example, r.example.cost()/2
	r.states.simplify(state, func(simpler []float64) bool {
		if !r.roll(simpler, strategy) || r.example.cost() < least {
			r.example = best
			return false
		}
		best = r.example
		return true
	})
}

// roll follows the fallback from one state to the step in which a floor is broken
// most.
func (r *refuge) roll(state []float64, strategy int) bool {
	r.roller.start(state)
	r.roller.set(r.refuge)
	var sequence [][]float64
	lowest, at := -Tolerance, 0
	rollers := []*roller{r.roller}
	for step := range r.w.horizon() {
		disturbance := r.adversary.choose(strategy, rollers, func() float64 { return r.margin(r.roller) })
		sequence = append(sequence, disturbance)
		r.roller.advance(disturbance)
		if margin := r.margin(r.roller); margin < lowest {
			lowest, at = margin, step+1
		}
	}
	return at > 0 && r.report(state, sequence[:at])
}

// margin is the least distance of a floored index above its floor, of one state.
func (r *refuge) margin(x *roller) float64 {
	least := math.Inf(1)
	for _, v := range r.w.values {
		least = min(least, x.index(v)-r.m.Values[v].Floor)
	}
	return least
}

// report evaluates the example once more from its beginning, and looks for an
// option that surely keeps every floor from the state from which the fallback
// breaks one.
func (r *refuge) report(state []float64, sequence [][]float64) bool {
	x := newRoller(r.m, r.m.Model.Next)
	x.start(state)
	x.set(r.refuge)
	for _, disturbance := range sequence {
		x.advance(disturbance)
	}
	if !(r.margin(x) < -Tolerance) {
		return false
	}
	point := make(box, len(r.space.slots))
	for d, slot := range r.space.slots {
		point[d] = interval{}
		point[d].Low, point[d].High = state[slot], state[slot]
	}
	for i := range r.options {
		if least, _ := r.spans.margins(r.space, point, r.options[i].set); least < 0 {
			continue
		}
		r.example = newExample(r.m, state, r.w.bears)
		r.example.follow(r.m, sequence, r.refuge)
		r.example.Step, r.example.Instead = len(sequence), r.options[i].name
		r.worst(r.example, x)
		return true
	}
	return false
}

// worst says which value has broken its floor most in a state.
func (r *refuge) worst(e *Example, reached *roller) {
	least := math.Inf(1)
	for _, v := range r.w.values {
		if x := reached.index(v); x-r.m.Values[v].Floor < least {
			least = x - r.m.Values[v].Floor
			e.Value, e.Index, e.Against = r.m.Values[v].Name, x, r.m.Values[v].Floor
		}
	}
}

// extentBoxes is the budget for measuring where every option is under: it is a
// figure for people, so it does not grow with that of the proof.
const extentBoxes = 1000

// extent measures the states in which every option surely breaks a floor.
func (r *refuge) extent(o Options, f *Finding) (used int) {
	var under region
	s := search{
		space: r.space, boxes: extentBoxes, cut: o.cut,
		attack: func(box) bool { return false },
	}
	s.judge = func(b box) float64 {
		keeps, breaks := r.spread(b)
		return max(0, min(keeps, breaks))
	}
	s.settled = func(b box, share float64) {
		if _, breaks := r.spread(b); breaks <= 0 {
			under.add(b, share)
		}
	}
	s.run([]box{r.space.whole})
	f.Under = r.space.region(&under)
	return s.used
}

// spread is how far the nearest option is from surely keeping every floor, and
// how far the farthest one is from surely breaking one.
func (r *refuge) spread(b box) (keeps, breaks float64) {
	keeps, breaks = r.spreadOf(b, r.refuge)
	for i := range r.options {
		if keeps <= 0 {
			break
		}
		k, x := r.spreadOf(b, r.options[i].set)
		keeps, breaks = min(keeps, k), max(breaks, x)
	}
	if keeps <= 0 {
		breaks = math.Inf(1)
	}
	return keeps, breaks
}

func (r *refuge) spreadOf(b box, set []reflex.Setting) (keeps, breaks float64) {
	least, _ := r.spans.margins(r.space, b, set)
	if least >= 0 {
		return 0, math.Inf(1)
	}
	surely := r.breaks(b, set)
	if surely < 0 {
		return -least, 0
	}
	return -least, surely + Tolerance
}
