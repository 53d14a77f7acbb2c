package proof_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/partner"
	"dancer/reflex"
	"dancer/reflex/program"
)

// arithmetic draws source text of a number over the names.
func arithmetic(r *rand.Rand, names []string, depth int) string {
	if depth == 0 || r.IntN(4) == 0 {
		if r.IntN(3) == 0 {
			return fmt.Sprintf("%.1f", float64(r.IntN(40)-10)/10)
		}
		return names[r.IntN(len(names))]
	}
	x, y := arithmetic(r, names, depth-1), arithmetic(r, names, depth-1)
	switch r.IntN(8) {
	case 0:
		return fmt.Sprintf("min(%s, %s)", x, y)
	case 1:
		return fmt.Sprintf("max(%s, %s)", x, y)
	case 2:
		return fmt.Sprintf("abs(%s)", x)
	case 3:
		return fmt.Sprintf("(%s < %s ? %s : %s)", x, y, arithmetic(r, names, depth-1), arithmetic(r, names, depth-1))
	case 4:
		return fmt.Sprintf("(%s) * (%s)", x, y)
	case 5:
		if r.IntN(3) == 0 {
			return fmt.Sprintf("(%s) / %s", x, names[r.IntN(len(names))])
		}
	}
	return fmt.Sprintf("(%s) %s (%s)", x, []string{"+", "-"}[r.IntN(2)], y)
}

// anyManual draws a small manual.
func anyManual(r *rand.Rand) *sketch {
	s := &sketch{
		signals: []hal.Signal{signal("x", -2, 3), signal("y", 0, 5)}, outputs: []hal.Output{output("u", 0, 1, 0), output("v", -1, 1, 0.5)},
		values: []dancer.Value{floored("safety", 5), floored("things", 3)}, disturbance: map[string][2]float64{"x": {-0.1, 0.2}}, horizon: 500e6,
	}
	now, model := []string{"x", "y", "u", "v"}, []string{"x", "y", "u", "v", "d.x", "dt"}
	if r.IntN(2) == 0 {
		s.disturbance = nil
		model = now
	} else {
		model = model[:5]
	}
	s.next = [][2]string{{"x", "x + 0.3 * (" + arithmetic(r, model, 2) + ")"}}
	if s.disturbance != nil {
		s.next[0][1] += " + d.x"
	}
	if r.IntN(2) == 0 {
		s.next = append(s.next, [2]string{"y", arithmetic(r, model, 2)})
	}
	s.impact = []string{"5 + " + arithmetic(r, now, 3), "4 + " + arithmetic(r, now, 2)}
	s.rules = []ruleSketch{{
		name: "rule", when: arithmetic(r, now, 1) + " < " + arithmetic(r, now, 2), stop: reflex.StopCategory(1 + r.IntN(3)), controlled: 200e6, ramp: time.Duration(r.IntN(3)) * 150e6,
		set: []reflex.Setting{set(0, float64(r.IntN(3))/2)},
	}}
	s.actions = []dancer.Action{
		{Name: "halt", Set: []reflex.Setting{set(0, 0), set(1, 0.5)}, Fallback: true},
		{Name: "go", Set: []reflex.Setting{set(0, 1)}},
		{Name: "turn", Set: []reflex.Setting{set(1, -1)}},
	}
	return s
}

// future is a plain roll-out, written apart from that of the proof.
type future struct {
	m         *dancer.Manual
	slots     []float64
	registers []float64
	stuck     []bool
	dark      []bool
}

func newFuture(m *dancer.Manual, state []float64) *future {
	f := &future{m: m, slots: make([]float64, m.Layout().Slots()), registers: make([]float64, program.Registers)}
	copy(f.slots, state)
	for i := range m.Signals {
		f.stuck = append(f.stuck, math.IsNaN(state[i]))
	}
	for _, p := range m.Impact {
		f.dark = append(f.dark, p.AnyInvalid(state))
	}
	return f
}

func (f *future) step(settings []reflex.Setting, disturbance []float64) {
	for _, s := range settings {
		f.slots[len(f.m.Signals)+s.Output] = s.Value
	}
	copy(f.slots[len(f.m.Signals)+len(f.m.Outputs):], disturbance)
	after := append([]float64(nil), f.slots...)
	for _, n := range f.m.Model.Next {
		if !f.stuck[n.Signal] {
			after[n.Signal] = n.Program.Eval(f.slots, f.registers)
		}
	}
	copy(f.slots, after)
}

// output of a future in which nothing sets it.
func (f *future) output(i int) float64 { return f.slots[len(f.m.Signals)+i] }

func (f *future) index(v int) float64 {
	x := f.m.Impact[v].Eval(f.slots, f.registers)
	if f.dark[v] || !(x > 0) {
		return 0
	}
	return min(x, 10)
}

func anyState(r *rand.Rand, m *dancer.Manual, invalid bool) []float64 {
	var state []float64
	pick := func(low, high float64) float64 {
		switch r.IntN(5) {
		case 0:
			return low
		case 1:
			return high
		}
		return low + (high-low)*r.Float64()
	}
	for _, s := range m.Signals {
		x := pick(s.Minimum, s.Maximum)
		if invalid && r.IntN(6) == 0 {
			x = math.NaN()
		}
		state = append(state, x)
	}
	for _, o := range m.Outputs {
		state = append(state, pick(o.Minimum, o.Maximum))
	}
	return state
}

func anyDisturbance(r *rand.Rand, m *dancer.Manual) []float64 {
	var out []float64
	for _, d := range m.Model.Disturbance {
		out = append(out, d.Minimum+(d.Maximum-d.Minimum)*[]float64{0, 1, r.Float64()}[r.IntN(3)])
	}
	return out
}

// TestProvedDominationNeverFalls attacks every proof with random roll-outs.
func TestProvedDominationNeverFalls(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	manuals, attacks := 250, 3000
	if testing.Short() {
		manuals = 60
	}
	answers := map[proof.Answer]int{}
	for range manuals {
		s := anyManual(r)
		m := s.manual(t)
		f := proof.Tasks(m, nil)[0].Run(proof.Options{Boxes: 400})[0]
		answers[f.Answer]++
		if f.Answer == proof.Refuted {
			s.replay(t, m, &f)
		}
		for i := 0; f.Answer == proof.Proved && i < attacks; i++ {
			attackDomination(t, r, s, m)
		}
		if t.Failed() {
			t.Fatalf("%+v", s)
		}
	}
	t.Logf("answers: %v", answers)
	if answers[proof.Proved] < manuals/20 || answers[proof.Refuted] < manuals/20 {
		t.Errorf("answers %v: the draw is lopsided", answers)
	}
}

// divides says whether a source divides: to the oracle, what that makes invalid
// compares as false.
func (s *sketch) divides() bool {
	all := s.impact[0] + s.impact[1] + s.rules[0].when
	for _, n := range s.next {
		all += n[1]
	}
	return strings.Contains(all, "/")
}

func stateOf(e *proof.Example) (state []float64) {
	for _, n := range append(append([]proof.Named(nil), e.Signals...), e.Outputs...) {
		if n.Invalid {
			n.Value = math.NaN()
		}
		state = append(state, n.Value)
	}
	return state
}

// replay evaluates a counter-example apart from the proof, and with the oracle.
func (s *sketch) replay(t *testing.T, m *dancer.Manual, f *proof.Finding) {
	t.Helper()
	e := f.Example
	with, without := newFuture(m, stateOf(e)), newFuture(m, stateOf(e))
	for step := range e.Step {
		var d []float64
		if len(e.Disturbances) > 0 {
			d = e.Disturbances[step]
		}
		with.step(s.drives(&s.rules[0], step, without.output), d)
		without.step(nil, d)
	}
	if a, b := with.index(0), without.index(0); a != e.Index || b != e.Against || !(a < b) {
		t.Errorf("the example says %v against %v; it is %v against %v: %s", e.Index, e.Against, a, b, f.Says)
	}
	if !s.divides() {
		checkDomination(t, s, f)
	}
}

func attackDomination(t *testing.T, r *rand.Rand, s *sketch, m *dancer.Manual) {
	t.Helper()
	state := anyState(r, m, true)
	with, without := newFuture(m, state), newFuture(m, state)
	if when := m.Rules[0].When; !when.AnyInvalid(state) && when.Eval(with.slots, with.registers) == 0 {
		return
	}
	for step := range m.Model.Steps() {
		d := anyDisturbance(r, m)
		with.step(s.drives(&s.rules[0], step, without.output), d)
		without.step(nil, d)
		if with.index(0) < without.index(0)-proof.Tolerance {
			t.Errorf("proved, and from %v it is %v against %v in step %d", state, with.index(0), without.index(0), step+1)
			return
		}
	}
}

// TestProvedFallbackNeverFalls does the same for the fallback, in models without
// disturbance, where one roll-out says all of an option. What is said to be under
// in every option is held to it too.
func TestProvedFallbackNeverFalls(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	manuals, attacks := 100, 1000
	if testing.Short() {
		manuals = 40
	}
	answers, under := map[proof.Answer]int{}, 0
	for range manuals {
		s := anyManual(r)
		if s.disturbance != nil {
			continue
		}
		m := s.manual(t)
		f := run(t, s, proof.Fallback, proof.Options{Boxes: 300})[0]
		if f.Answer == proof.Refuted && keeps(m, stateOf(f.Example), m.Actions[0].Set) {
			t.Errorf("the fallback keeps the floors: %s", f.Says)
		}
		answers[f.Answer]++
		if f.Answer == proof.Refuted && !s.divides() {
			checkFallback(t, s, &f)
		}
		for range attacks {
			state := anyState(r, m, false)
			safe, others := keeps(m, state, m.Actions[0].Set), keeps(m, state, nil)
			for _, a := range m.Actions[1:] {
				others = others || keeps(m, state, a.Set)
			}
			if f.Answer == proof.Proved && !safe && others {
				t.Errorf("proved, and from %v another option alone keeps the floors", state)
			}
			if f.Under != nil && within(m, f.Under.Largest, state) {
				under++
				if safe || others {
					t.Errorf("from %v an option keeps the floors", state)
				}
			}
		}
		if t.Failed() {
			t.Fatalf("%+v", s)
		}
	}
	t.Logf("answers: %v; %d states under the floor", answers, under)
	if answers[proof.Proved] == 0 || answers[proof.Refuted] == 0 || under == 0 {
		t.Errorf("answers %v, %d states under the floor: the draw is lopsided", answers, under)
	}
}

func keeps(m *dancer.Manual, state []float64, set []reflex.Setting) bool {
	f := newFuture(m, state)
	for range m.Model.Steps() {
		f.step(set, nil)
		for v := range m.Values {
			if f.index(v) < m.Values[v].Floor-proof.Tolerance {
				return false
			}
		}
	}
	return true
}

func within(m *dancer.Manual, ranges []proof.Range, state []float64) bool {
	for _, x := range ranges {
		for slot := range state {
			name := ""
			if slot < len(m.Signals) {
				name = m.Signals[slot].Name
			} else {
				name = m.Outputs[slot-len(m.Signals)].Name
			}
			if name == x.Name && !(state[slot] >= x.Minimum && state[slot] <= x.Maximum) {
				return false
			}
		}
	}
	return true
}

// TestProofsRepeat: the answers are a function of the manual and the budget.
func TestProofsRepeat(t *testing.T) {
	s := anyManual(rand.New(rand.NewPCG(15, 16)))
	var p partner.Partner
	o := proof.Options{Boxes: 200, States: 50, Tier2: p.Corners, Tier3: p.Forecast}
	first := fmt.Sprintf("%+v", said(proof.Prove(s.manual(t), nil, o)))
	if again := fmt.Sprintf("%+v", said(proof.Prove(s.manual(t), nil, o))); again != first {
		t.Errorf("first\n%s\nthen\n%s", first, again)
	}
}

func said(findings []proof.Finding) (all []string) {
	for i := range findings {
		all = append(all, findings[i].Says, findings[i].SaysUnder(), fmt.Sprint(findings[i].Boxes))
	}
	return all
}
