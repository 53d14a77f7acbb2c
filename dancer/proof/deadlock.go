package proof

import (
	"fmt"
	"slices"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/reflex/program"
)

// deadlocks looks at every pair of reflexes of which each reads an output that
// the other sets; no other pair can keep each other from ending.
func deadlocks(q *questions, o Options) []Finding {
	d := newKnot(q, o)
	all := Finding{Property: Deadlock, Subject: "reflexes", Answer: Proved, Action: -1}
	var findings []Finding
	looked := 0
	for i := range q.m.Rules {
		for j := i + 1; j < len(q.m.Rules); j++ {
			if !d.reads(i, j) || !d.reads(j, i) {
				continue
			}
			if o.cut() {
				all.Answer, all.Boxes = Undecided, d.boxes
				all.Says = fmt.Sprintf("it was not looked further than at %s of the %d reflexes whether they can keep each other from ending", pairsOf(looked), len(q.m.Rules))
				return append(findings, all)
			}
			looked++
			if f := d.pair(i, j); f.Answer != Proved {
				findings = append(findings, f)
			}
		}
	}
	if len(findings) > 0 {
		return findings
	}
	all.Boxes, all.Says = d.boxes, saysNoDeadlock(len(q.m.Rules), looked)
	return []Finding{all}
}

// knot is the question whether two reflexes keep each other from ending. Rules
// that set the same are of one class: what they hold is worked out once.
type knot struct {
	q      *questions
	o      Options
	read   [][]bool // per rule: the outputs that its conditions read
	past   [][]bool // per rule: the outputs that its conditions look back at through a window
	class  []int    // per rule
	known  map[string]held
	ends   map[string]ending
	boxes  int
	labels []string // of the classes
}

// held is what reflexes hold together.
type held struct {
	settings []reflex.Setting
	err      error
}

func newKnot(q *questions, o Options) *knot {
	d := &knot{q: q, o: o, known: map[string]held{}, ends: map[string]ending{}}
	for i := range q.m.Rules {
		r := &q.m.Rules[i]
		w := newWorld(q, nil, r.When, r.Until)
		d.read, d.past = append(d.read, w.bears[len(q.m.Signals):]), append(d.past, lookedBack(q.m, w.bears))
		label := fmt.Sprint(r.Set, r.Stop == reflex.Stop2)
		class := slices.Index(d.labels, label)
		if class < 0 {
			class = len(d.labels)
			d.labels = append(d.labels, label)
		}
		d.class = append(d.class, class)
	}
	return d
}

// lookedBack gives the outputs that the windows among these slots look back at.
func lookedBack(m *dancer.Manual, bears []bool) []bool {
	through := make([]bool, len(m.Signals)+len(m.Outputs))
	for i := len(m.Windows) - 1; i >= 0; i-- { // a window reads those before it
		w := &m.Windows[i]
		if !bears[w.Slot] && !through[w.Slot] {
			continue
		}
		for _, slot := range w.Argument.Reads() {
			through[slot] = true
		}
	}
	return through[len(m.Signals):]
}

// reads says whether the conditions of rule i read an output that rule j sets,
// now or through a window.
func (d *knot) reads(i, j int) bool {
	for _, s := range d.q.m.Rules[j].Set {
		if d.read[i][s.Output] || d.past[i][s.Output] {
			return true
		}
	}
	return false
}

// looksBack says whether a rule looks back at an output that is held. A window
// counts as free of what it looks back at, so that "it can end" does not follow.
func (d *knot) looksBack(rule int, held []reflex.Setting) bool {
	for _, s := range held {
		if d.past[rule][s.Output] {
			return true
		}
	}
	return false
}

// pair looks at two rules.
func (d *knot) pair(i, j int) Finding {
	m := d.q.m
	f := Finding{
		Property: Deadlock, Subject: m.Rules[i].Name + " and " + m.Rules[j].Name, Reflexes: []int{i, j}, Action: -1, Answer: Proved,
	}
	both := d.held(i, j)
	if both.err != nil { // the manual has faults
		f.Answer, f.Says = Undecided, "the outputs of "+f.Subject+" cannot be told: "+both.err.Error()
		return f
	}
	answer := Refuted
	for _, rule := range []int{i, j} {
		switch e := d.end(rule, both, &f); e {
		case yes:
			return f
		case unknown:
			answer = Undecided
		}
	}
	for _, rule := range []int{i, j} {
		switch e := d.end(rule, d.held(rule), &f); e {
		case no: // it never ends at all, so the other is not what keeps it
			return f
		case unknown:
			answer = Undecided
		}
	}
	f.Answer, f.Example = answer, &Example{}
	f.Example.follow(&dancer.Manual{Outputs: m.Outputs}, nil, both.settings)
	f.Says = saysDeadlock(&f)
	return f
}

// held gives what rules hold together.
func (d *knot) held(rules ...int) held {
	key := ""
	for _, i := range rules {
		key += fmt.Sprint(d.class[i], " ")
	}
	h, ok := d.known[key]
	if !ok {
		h.settings, h.err = heldBy(d.q.m, rules...)
		d.known[key] = h
	}
	return h
}

// end says whether a rule can end while these outputs are held.
func (d *knot) end(rule int, h held, f *Finding) whether {
	key := fmt.Sprint(rule, h.settings)
	e, ok := d.ends[key]
	if !ok {
		e = canEnd(d.q, rule, h.settings, d.o)
		d.ends[key] = e
		d.boxes += e.boxes
		f.Boxes += e.boxes
	}
	if e.can == yes && d.looksBack(rule, h.settings) {
		return unknown
	}
	if e.can == unknown {
		f.Left = e.left
	}
	return e.can
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

// whether something can be.
type whether uint8

const (
	unknown whether = iota
	yes             // there is a state, and it was evaluated
	no              // there is none
)

// ending is the answer whether a rule can end.
type ending struct {
	can   whether
	boxes int
	left  *Region
}

// canEnd says whether there are valid signals, and values of the outputs that are
// not held, with which a rule ends: when is false, and until true if there is one.
func canEnd(q *questions, rule int, held []reflex.Setting, o Options) ending {
	e := newExit(q, rule, held)
	s := search{space: e.space, boxes: o.boxes(), cut: o.cut, judge: e.judge, attack: e.attack}
	found := s.run([]box{e.space.whole})
	out := ending{can: no, boxes: s.used}
	switch {
	case found:
		out.can = yes
	case s.left.boxes > 0:
		out.can, out.left = unknown, e.space.region(&s.left)
	}
	return out
}

// exit is the question whether a rule can end.
type exit struct {
	rule      *reflex.Rule
	space     *space
	states    *states
	slots     []interval
	registers []interval
	scratch   []float64
}

func newExit(q *questions, rule int, held []reflex.Setting) *exit {
	m := q.m
	w := newWorld(q, nil, m.Rules[rule].When, m.Rules[rule].Until)
	for _, s := range held {
		w.bears[len(m.Signals)+s.Output] = false
	}
	sp := newSpace(w)
	e := &exit{
		rule: &m.Rules[rule], space: sp, states: newStates(m, sp, newSource(3<<32+uint64(rule))),
		slots: make([]interval, len(m.Signals)+len(m.Outputs)), registers: make([]interval, program.Registers), scratch: make([]float64, program.Registers),
	}
	for _, s := range held {
		e.slots[len(m.Signals)+s.Output] = program.Between(s.Value, s.Value)
		e.states.base[len(m.Signals)+s.Output] = s.Value
	}
	return e
}

// judge is 0 where the rule surely does not end.
func (e *exit) judge(b box) float64 {
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

func (e *exit) attack(b box) bool {
	for i := range brief {
		state := e.states.draw(b, i)
		if e.rule.When.Eval(state, e.scratch) == 0 && (e.rule.Until == nil || e.rule.Until.Eval(state, e.scratch) == 1) {
			return true
		}
	}
	return false
}
