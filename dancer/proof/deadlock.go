package proof

import (
	"fmt"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

// deadlocks looks at every pair of reflexes of which each reads an output that
// the other sets; no other pair can keep each other from ending.
func deadlocks(q *questions, o Options) []Finding {
	m := q.m
	all := Finding{Property: Deadlock, Subject: "reflexes", Answer: Proved, Action: -1}
	var findings []Finding
	looked := 0
	for i := range m.Rules {
		for j := i + 1; j < len(m.Rules); j++ {
			if !readsOutputOf(m, i, j) || !readsOutputOf(m, j, i) {
				continue
			}
			if looked++; o.cut() {
				all.Answer, all.Says = Undecided, fmt.Sprintf("it was not looked further than at %s of the %d reflexes whether they can keep each other from ending", pairsOf(looked-1), len(m.Rules))
				return append(findings, all)
			}
			f := deadlock(q, i, j, o)
			all.Boxes += f.Boxes
			if f.Answer != Proved {
				findings = append(findings, f)
			}
		}
	}
	if len(findings) > 0 {
		return findings
	}
	all.Says = saysNoDeadlock(len(m.Rules), looked)
	return []Finding{all}
}

// readsOutputOf says whether the conditions of rule i read an output that rule j
// sets.
func readsOutputOf(m *dancer.Manual, i, j int) bool {
	for _, p := range []*program.Program{m.Rules[i].When, m.Rules[i].Until} {
		if p == nil {
			continue
		}
		for _, slot := range p.Reads() {
			for _, s := range m.Rules[j].Set {
				if slot == len(m.Signals)+s.Output {
					return true
				}
			}
		}
	}
	return false
}

func deadlock(q *questions, i, j int, o Options) Finding {
	m := q.m
	f := Finding{
		Property: Deadlock, Subject: m.Rules[i].Name + " and " + m.Rules[j].Name, Reflexes: []int{i, j}, Action: -1, Answer: Proved,
	}
	held, err := heldBy(m, i, j)
	if err != nil { // the manual has faults
		f.Answer, f.Says = Undecided, "the outputs of "+f.Subject+" cannot be told: "+err.Error()
		return f
	}
	ends := [2]Answer{}
	for k, rule := range []int{i, j} {
		ends[k] = canEnd(q, rule, held, o, &f)
		if ends[k] == Proved {
			f.Says = f.Subject + " cannot keep each other from ending: " + m.Rules[rule].Name + " can end while both hold"
			return f
		}
	}
	for _, rule := range []int{i, j} {
		alone, _ := heldBy(m, rule)
		switch canEnd(q, rule, alone, o, &f) {
		case Refuted: // it never ends at all, so the other is not what keeps it
			f.Says = m.Rules[rule].Name + " never ends, with " + f.Subject + " or alone"
			return f
		case Undecided:
			f.Answer = Undecided
		}
	}
	if ends[0] == Undecided || ends[1] == Undecided {
		f.Answer = Undecided
	}
	if f.Answer == Proved {
		f.Answer = Refuted
	}
	f.Example = heldExample(m, held)
	f.Says = saysDeadlock(&f)
	return f
}

// heldBy gives the outputs that reflexes hold together once they are active and
// their stops have run their course: -1 for an output that none sets.
func heldBy(m *dancer.Manual, rules ...int) ([]reflex.Setting, error) {
	var list []reflex.Rule
	for _, i := range rules {
		list = append(list, m.Rules[i])
	}
	t, err := reflex.NewTable(list, m.Outputs, len(m.Signals))
	if err != nil {
		return nil, err
	}
	for i := range list {
		t.Restore(i)
	}
	var held []reflex.Setting
	for o := range m.Outputs {
		if value, _, ok := t.Merged(o); ok {
			held = append(held, reflex.Setting{Output: o, Value: value})
		}
	}
	return held, nil
}

func heldExample(m *dancer.Manual, held []reflex.Setting) *Example {
	e := &Example{}
	e.follow(&dancer.Manual{Outputs: m.Outputs}, nil, held)
	return e
}

// canEnd says whether there are valid signals, and values of the outputs that are
// not held, with which a rule ends: when is false, and until true if there is one.
// Proved: there are, and they were evaluated. Refuted: there are none.
func canEnd(q *questions, rule int, held []reflex.Setting, o Options, f *Finding) Answer {
	e := newEnding(q, rule, held)
	s := search{space: e.space, boxes: o.boxes(), cut: o.cut, judge: e.judge, attack: e.attack}
	found := s.run([]box{e.space.whole})
	f.Boxes += s.used
	switch {
	case found:
		return Proved
	case s.left.boxes > 0:
		f.Left = e.space.region(&s.left)
		return Undecided
	}
	return Refuted
}

// ending is the question whether a rule can end.
type ending struct {
	rule      *reflex.Rule
	space     *space
	held      []reflex.Setting
	states    *states
	slots     []interval
	registers []interval
	scratch   []float64
}

func newEnding(q *questions, rule int, held []reflex.Setting) *ending {
	m := q.m
	w := newWorld(q, nil, m.Rules[rule].When, m.Rules[rule].Until)
	for _, s := range held {
		w.bears[len(m.Signals)+s.Output] = false
	}
	sp := newSpace(w)
	e := &ending{
		rule: &m.Rules[rule], space: sp, held: held, states: newStates(m, sp, newSource(3<<32+uint64(rule))),
		slots: make([]interval, len(m.Signals)+len(m.Outputs)), registers: make([]interval, program.Registers), scratch: make([]float64, program.Registers),
	}
	for _, s := range held {
		e.slots[len(m.Signals)+s.Output] = program.Between(s.Value, s.Value)
		e.states.base[len(m.Signals)+s.Output] = s.Value
	}
	return e
}

// judge is 0 where the rule surely does not end.
func (e *ending) judge(b box) float64 {
	for d, slot := range e.space.slots {
		e.slots[slot] = b[d]
	}
	if !e.rule.When.EvalInterval(e.slots, e.registers).Span.Contains(0) {
		return 0
	}
	if e.rule.Until != nil && !e.rule.Until.EvalInterval(e.slots, e.registers).Span.Contains(1) {
		return 0
	}
	return 1
}

func (e *ending) attack(b box) bool {
	for i := range brief {
		state := e.states.draw(b, i)
		if e.rule.When.Eval(state, e.scratch) == 0 && (e.rule.Until == nil || e.rule.Until.Eval(state, e.scratch) == 1) {
			return true
		}
	}
	return false
}
