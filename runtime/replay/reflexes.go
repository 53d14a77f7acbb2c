package replay

import (
	"fmt"
	"math"
	"time"

	"dancer/dancer"
	"dancer/reflex"
	"dancer/runtime/link"
	"dancer/runtime/record"
)

// reflexes replays the rules: a reflex table of the same rules is given what the
// spine's was given, in the same order, and must do the same.
type reflexes struct {
	m       *dancer.Manual
	table   *reflex.Table // nil: not known, until the next start
	signals map[string]int
	outputs map[string]int
	rules   map[string]int
	slots   []float64
	changed []change            // slots of the frame or pass in hand
	moves   []reflex.Transition // made and not yet seen in the recording
	scratch [64]reflex.Transition
	said    bool // why there is no table
}

// change is a slot with a new value, or one whose readings have stopped.
type change struct {
	slot int
	lost bool
}

func newReflexes(m *dancer.Manual) reflexes {
	x := reflexes{m: m, signals: map[string]int{}, outputs: map[string]int{}, rules: map[string]int{}}
	for i := range m.Signals {
		x.signals[m.Signals[i].Name] = i
	}
	for i := range m.Outputs {
		x.outputs[m.Outputs[i].Name] = i
	}
	for i := range m.Rules {
		x.rules[m.Rules[i].Name] = i
	}
	return x
}

// lost says that something is missing: what the rules wait for is not known any
// more.
func (x *reflexes) lost(r *run) {
	if x.table != nil {
		r.note("readings are missing: from there on reflexes are not replayed")
		x.said = true
	}
	x.table = nil
}

// unknown says once that the start of the rules is not in the recording.
func (x *reflexes) unknown(r *run) {
	if !x.said {
		r.note("the recording begins in the middle of a run: reflexes are not replayed, because what they waited for is not known")
		x.said = true
	}
}

// reading is one reading; the last of its frame lets the rules look.
func (x *reflexes) reading(r *run, m *reading) {
	if x.table == nil {
		x.unknown(r)
		return
	}
	if m.overtook {
		return
	}
	if m.slot < 0 {
		x.differs(r, m.now, "a reading", "no signal of that name")
		return
	}
	x.expect(r, m.now)
	x.slots[m.slot] = m.value
	x.changed = append(x.changed, change{int(m.slot), m.lost})
	if m.end {
		x.look(m.now)
	}
}

// look tells the table of the slots that have changed.
func (x *reflexes) look(now time.Duration) {
	for _, c := range x.changed {
		if c.lost {
			x.table.Lost(now, c.slot, x.slots)
		} else {
			x.table.Changed(now, c.slot, x.slots)
		}
	}
	x.changed = x.changed[:0]
	x.collect()
}

func (x *reflexes) collect() {
	for {
		n := x.table.TakeTransitions(x.scratch[:])
		x.moves = append(x.moves, x.scratch[:n]...)
		if n < len(x.scratch) {
			return
		}
	}
}

// trace is anything else that the table was told, or what it did.
func (x *reflexes) trace(r *run, m *record.Trace) {
	kind := link.ParseTraceKind(m.Kind)
	if kind == link.TraceStart {
		x.start(r)
		return
	}
	if x.table == nil {
		x.unknown(r)
		if kind == link.TraceMove {
			r.report.Reflexes.Skipped++
		}
		return
	}
	switch kind {
	case link.TraceMove:
		x.move(r, m)
	case link.TraceOutput, link.TraceSettled:
		x.output(r, kind, m)
	case link.TraceEvaluate:
		x.table.Evaluate(m.Monotonic, x.slots)
		x.collect()
	case link.TraceTick:
		x.expect(r, m.Monotonic)
		x.table.Tick(m.Monotonic)
		x.collect()
	case link.TraceSeen:
		if i, ok := x.signals[m.Name]; ok {
			x.table.Await(i, false)
		}
	case link.TraceRestore:
		if i, ok := x.rules[m.Name]; ok {
			x.table.Restore(i)
		}
	case link.TraceClear:
		if i, ok := x.rules[m.Name]; ok {
			_ = x.table.Clear(i) // refused or not: its transition is what counts
			x.collect()
		}
	}
}

// start makes a table in which nothing was seen, as the spine does.
func (x *reflexes) start(r *run) {
	table, err := reflex.NewTable(x.m.Rules, x.m.Outputs, len(x.m.Signals))
	if err != nil {
		r.note(fmt.Sprintf("reflexes are not replayed: %v", err))
		return
	}
	x.table, x.moves, x.changed = table, nil, nil
	x.slots = make([]float64, len(x.m.Signals)+len(x.m.Outputs))
	for i := range x.m.Signals {
		x.slots[i] = math.NaN()
		table.Await(i, true)
	}
	for i := range x.m.Outputs {
		x.slots[len(x.m.Signals)+i] = x.m.Outputs[i].Safe
	}
}

// output is the value of one output as the rules read it.
func (x *reflexes) output(r *run, kind link.TraceKind, m *record.Trace) {
	i, known := x.outputs[m.Name]
	if !known || m.Value == nil {
		x.differs(r, m.Monotonic, "output "+m.Name, "no output of that name, or no value")
		return
	}
	slot := len(x.m.Signals) + i
	x.slots[slot] = *m.Value
	if kind == link.TraceSettled {
		return
	}
	x.expect(r, m.Monotonic)
	x.changed = append(x.changed, change{slot: slot})
	if m.End {
		x.look(m.Monotonic)
	}
}

// move compares what a rule did with what it does now.
func (x *reflexes) move(r *run, m *record.Trace) {
	r.report.Reflexes.Replayed++
	recorded := m.Name + " " + m.Move
	if len(x.moves) == 0 {
		x.differs(r, m.Monotonic, recorded, "nothing")
		return
	}
	next := x.moves[0]
	x.moves = x.moves[1:]
	if replayed := x.m.Rules[next.Rule].Name + " " + next.Kind.String(); replayed != recorded {
		x.differs(r, m.Monotonic, recorded, replayed)
	}
}

// expect reports what the rules did and the recording does not have. It is
// called before the table is told anything new.
func (x *reflexes) expect(r *run, at time.Duration) {
	for _, next := range x.moves {
		x.differs(r, at, "nothing", x.m.Rules[next.Rule].Name+" "+next.Kind.String())
	}
	x.moves = nil
}

func (x *reflexes) differs(r *run, at time.Duration, recorded, replayed string) {
	r.difference(&r.report.Reflexes, &Difference{
		What: "reflex", Monotonic: at, Where: "transitions of the reflexes", Recorded: recorded, Replayed: replayed,
	})
}
