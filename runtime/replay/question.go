package replay

import (
	"encoding/json"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/runtime/record"
)

// question replays what was asked and what was answered.
type question struct {
	m       *dancer.Manual
	state   *dancer.Question // nil: not known
	id      string           // of the decision in hand, for a question that it raises
	changes []dancer.Change  // that should come next in the recording
	at      time.Duration
}

// lost says that decisions or rulings are missing: the next snapshot says where
// the question stands.
func (q *question) lost() { q.state, q.changes = nil, nil }

// told takes a snapshot, or a change that the recording has.
func (q *question) told(r *run, m *record.Question) {
	switch {
	case m.Snapshot != nil:
		q.snapshot(r, m)
	case m.Change != nil && q.state != nil:
		q.change(r, m)
	}
}

func (q *question) snapshot(r *run, m *record.Question) {
	q.missing(r)
	if q.state != nil {
		// The state that led here and the state that was written are one.
		have := q.state.Record()
		if have.State != m.Snapshot.State || have.State != dancer.QuestionNone.String() && !same(have, *m.Snapshot) {
			q.differs(r, "", m.Monotonic, "snapshot", m.Snapshot, have)
		}
	}
	q.state = dancer.RestoreQuestion(q.m, func() string { return q.id }, *m.Snapshot)
}

// change compares one that was told with the one that should have been.
func (q *question) change(r *run, m *record.Question) {
	if len(q.changes) == 0 {
		q.differs(r, "", m.Monotonic, "change", m.Change, nil)
		return
	}
	want := record.ChangeOf(&q.changes[0])
	q.changes = q.changes[1:]
	if !same(want, m.Change) {
		q.differs(r, "", m.Monotonic, "change", m.Change, want)
	}
}

// missing reports changes that the recording should have had by now.
func (q *question) missing(r *run) {
	for i := range q.changes {
		q.differs(r, "", q.at, "change", nil, record.ChangeOf(&q.changes[i]))
	}
	q.changes = nil
}

// decided follows one decision: what is asked, and what runs on whose account.
func (q *question) decided(r *run, d *dancer.Decision) {
	if q.state == nil {
		r.report.Questions.Skipped++
		return
	}
	q.missing(r)
	r.report.Questions.Replayed++
	q.id, q.at = d.Question, d.Monotonic
	id, running, who := q.settle(d)
	for _, part := range []struct{ where, recorded, replayed string }{
		{"question", d.Question, id}, {"running", d.Running, running}, {"who", d.Who, who},
	} {
		// Who is none while the robot does not run, whatever the question says.
		if part.recorded != part.replayed && (part.where != "who" || part.recorded != dancer.WhoNone) {
			q.differs(r, d.ID, d.Monotonic, part.where, part.recorded, part.replayed)
			return
		}
	}
}

// settle is what the brain does with a decision: until every signal was seen
// nothing is asked and the fallback runs.
func (q *question) settle(d *dancer.Decision) (id, running, who string) {
	for i := range d.Signals {
		if d.Signals[i].Validity == hal.NeverSeen.String() {
			return "", q.m.Actions[q.m.Fallback].Name, dancer.WhoHold
		}
	}
	q.changes = q.state.Observe(d.Monotonic, *d)
	if state, open := q.state.State(); state.Awaits() {
		id = open
	}
	running, who = q.state.Effective(d.Monotonic)
	return id, running, who
}

// ruled gives a ruling to the question and compares what becomes of it.
func (q *question) ruled(r *run, m *record.Ruling) {
	if q.state == nil {
		r.report.Rulings.Skipped++
		return
	}
	r.report.Rulings.Replayed++
	result := q.state.Rule(m.Monotonic, dancer.Ruling{Question: m.Question, Verdict: m.Verdict, Option: m.Option, By: m.By})
	again := *m
	again.Outcome, again.Why = result.Outcome, result.Why
	again.Running, _ = q.state.Effective(m.Monotonic)
	if again != *m {
		r.difference(&r.report.Rulings, &Difference{
			What: "ruling", Monotonic: m.Monotonic, Where: "ruling on question " + m.Question, Recorded: text(m), Replayed: text(again),
		})
	}
}

func (q *question) differs(r *run, decision string, at time.Duration, where string, recorded, replayed any) {
	r.difference(&r.report.Questions, &Difference{
		What: "question", Decision: decision, Monotonic: at, Where: where, Recorded: text(recorded), Replayed: text(replayed),
	})
}

func same(a, b any) bool { return text(a) == text(b) }

func text(v any) string {
	if s, ok := v.(string); ok {
		return s
	}
	b, err := json.Marshal(v)
	if err != nil || string(b) == "null" {
		return "nothing"
	}
	return string(b)
}
