package dancer

import (
	"strings"
	"time"
)

// QuestionState is where a question stands.
type QuestionState uint8

// The states of a question. None is entered at start and when a situation is
// over; Open when a verdict escalates; Approved and Denied by a ruling; Deferred
// by a ruling that gives more time; TimedOut at the deadline; Withdrawn never
// lasts: it is what a change says when the situation cleared by itself.
const (
	QuestionNone QuestionState = iota
	QuestionOpen
	QuestionDeferred
	QuestionApproved
	QuestionDenied
	QuestionTimedOut
	QuestionWithdrawn
)

var questionStates = [...]string{"none", "open", "deferred", "approved", "denied", "timed-out", "withdrawn"}

// String names the state as on the wire.
func (s QuestionState) String() string {
	if int(s) < len(questionStates) {
		return questionStates[s]
	}
	return "unknown"
}

// Awaits says whether an answer is still wanted.
func (s QuestionState) Awaits() bool { return s == QuestionOpen || s == QuestionDeferred }

// Settle is how long a change must last before it counts, where the manual does
// not say (EscalationPolicy.Settle): a verdict that no longer escalates for this
// long ends a situation, and another winner that is no worse is sent after an
// open question once it has lasted this long. Without it an index at the edge of
// its band would raise questions without end.
const Settle = 2 * time.Second

// DefaultDeadline is the time to answer where the manual gives none.
const DefaultDeadline = 5 * time.Minute

// Change is something about a question that must be told to the conductor: it
// was raised, revised, withdrawn or timed out.
type Change struct {
	ID        string
	Revision  int           // 1 when raised, one more each time
	State     QuestionState // open | deferred | withdrawn | timed-out
	RaisedAt  time.Duration // on the robot's clock, like all below
	Due       time.Duration
	Situation string // plain words
	Because   []string
	Hold      string // option names as in the manual
	OnTimeout string
	Proposed  string // the verdict's winner: what approve without an option means
	Running   string // what runs now, see Effective
	Who       string
}

// Question follows one robot's questions, one at a time, from the verdict that
// raises it to its end. It is not safe for concurrent use. All times are on the
// robot's monotonic clock and must not go back.
type Question struct {
	m     *Manual
	newID func() string

	state    QuestionState
	id       string
	revision int
	raisedAt time.Duration
	due      time.Duration
	extended bool   // a deferral has moved the deadline
	chosen   string // the approved option
	ruledBy  string
	told     gravity // what the last change said, or what a ruling was made on

	toldAt     time.Duration
	proposed   string // winner as last told
	latest     Decision
	observed   bool
	calmSince  time.Duration
	calm       bool
	otherSince time.Duration // since when the winner or outcome differs from what was told
	other      bool
}

// NewQuestion starts without a question. newID gives the id of each new question
// (a ULID); it is called once per question raised.
func NewQuestion(m *Manual, newID func() string) *Question {
	return &Question{m: m, newID: newID}
}

// State gives the state, and the id of the question it speaks of ("" in
// QuestionNone).
func (q *Question) State() (QuestionState, string) { return q.state, q.id }

// Due is the deadline of the question that awaits an answer.
func (q *Question) Due() time.Duration { return q.due }

// Observe takes in the latest decision and the time, and gives what must be told.
// Call it once for every decision, after Judge and before Effective; call it
// with the last decision again to let a deadline pass.
func (q *Question) Observe(now time.Duration, d Decision) []Change {
	q.latest, q.observed = d, true
	var changes []Change
	if q.state.Awaits() && now >= q.due {
		changes = append(changes, q.timeOut(now))
	}
	if q.state == QuestionApproved && !q.survives(q.chosen) {
		q.reset() // vetoed by a later verdict: the ruling is spent
	}
	if q.clears(now) {
		return append(changes, q.end(now)...)
	}
	if !d.Verdict.Escalate {
		return changes
	}
	g := q.m.gravity(&d)
	switch {
	case q.state == QuestionNone:
		return append(changes, q.raise(now, g))
	case q.state.Awaits():
		return append(changes, q.follow(now, g)...)
	case g.beyond(q.told): // a ruling covers what its author saw, not worse
		q.reset()
		return append(changes, q.raise(now, g))
	}
	return changes
}

// clears says whether the situation is over: no verdict has escalated for Settle.
func (q *Question) clears(now time.Duration) bool {
	if q.latest.Verdict.Escalate || q.state == QuestionNone {
		q.calm = false
		return false
	}
	if !q.calm {
		q.calm, q.calmSince = true, now
	}
	return now-q.calmSince >= q.m.settle()
}

// end closes the situation. Only a question that still awaits an answer is
// withdrawn; the others are closed already for whoever was asked.
func (q *Question) end(now time.Duration) []Change {
	awaited := q.state.Awaits()
	c := q.change(now, QuestionWithdrawn)
	q.reset()
	if !awaited {
		return nil
	}
	c.Running, c.Who = q.Effective(now)
	return []Change{c}
}

func (q *Question) reset() {
	q.state, q.id, q.chosen, q.ruledBy = QuestionNone, "", "", ""
	q.extended, q.calm, q.other = false, false, false
}

func (q *Question) raise(now time.Duration, g gravity) Change {
	q.state, q.id, q.revision = QuestionOpen, q.newID(), 0
	q.raisedAt, q.due = now, now+q.m.deadline()
	q.tell(now, g)
	return q.change(now, QuestionOpen)
}

func (q *Question) tell(now time.Duration, g gravity) {
	q.told, q.toldAt, q.proposed, q.other = g, now, q.latest.Verdict.Option, false
}

// follow sends what changed while the question is open: at once when another
// value fell under its floor, what grows worse step by step no more often than
// the settling time, and anything else when it has lasted that long.
func (q *Question) follow(now time.Duration, g gravity) []Change {
	if g.beyond(q.told) || g.worse(q.told, q.m.Band()) && now-q.toldAt >= q.m.settle() {
		q.tell(now, g)
		return []Change{q.change(now, q.state)}
	}
	if g.key() == q.told.key() {
		q.other = false
		return nil
	}
	if !q.other {
		q.other, q.otherSince = true, now
	}
	if now-q.otherSince < q.m.settle() {
		return nil
	}
	q.tell(now, g)
	return []Change{q.change(now, q.state)}
}

func (q *Question) timeOut(now time.Duration) Change {
	q.state = QuestionTimedOut
	q.told = q.m.gravity(&q.latest)
	return q.change(now, QuestionTimedOut)
}

func (q *Question) change(now time.Duration, state QuestionState) Change {
	q.revision++
	c := Change{
		ID: q.id, Revision: q.revision, State: state, RaisedAt: q.raisedAt, Due: q.due,
		Situation: q.m.situationWords(&q.latest), Because: append([]string(nil), q.latest.Verdict.Because...),
		Hold: q.m.actionName(q.m.Escalation.Hold), OnTimeout: q.m.actionName(q.m.Escalation.OnTimeout),
		Proposed: q.latest.Verdict.Option,
	}
	c.Running, c.Who = q.Effective(now)
	return c
}

// Effective gives the option that must run now and on whose account. The floors
// outrank everybody: a hold, a ruling or a time-out action that the current
// verdict vetoes gives way to the verdict's winner, and so does a hold or a
// time-out action of a blind robot to the fallback. Before the first decision it
// is the fallback.
func (q *Question) Effective(now time.Duration) (option, who string) {
	if !q.observed {
		return q.m.actionName(q.m.Fallback), WhoNone
	}
	v := &q.latest.Verdict
	under := v.Outcome == OutcomeUnderFloor
	switch {
	case q.state == QuestionApproved && q.survives(q.chosen):
		return q.canonical(q.chosen), WhoRuling
	case q.state == QuestionDenied:
		return q.orWinner(q.m.actionName(q.m.Escalation.Hold), WhoHold)
	case q.state == QuestionTimedOut || q.state.Awaits() && now >= q.due:
		return q.orWinner(q.m.actionName(q.m.Escalation.OnTimeout), WhoTimeout)
	case q.state.Awaits() && !under:
		return q.orWinner(q.m.actionName(q.m.Escalation.Hold), WhoHold)
	}
	return v.Option, WhoCommand
}

// orWinner gives way to the winner also where nothing can be compared and the
// winner is the fallback for that reason: what a manual names for the time-out
// must not set a blind robot in motion.
func (q *Question) orWinner(name, who string) (string, string) {
	v := &q.latest.Verdict
	blind := v.DecidedBy == decidedByFallback
	if q.survives(name) && (!blind || q.canonical(name) == v.Option) {
		return q.canonical(name), who
	}
	return v.Option, WhoCommand
}

// canonical turns an alias into the name that the latest decision uses.
func (q *Question) canonical(name string) string {
	if a := q.latest.Find(name); a != nil {
		return a.Option
	}
	return name
}

// survives says whether the option is among those the current verdict lets live.
func (q *Question) survives(name string) bool {
	name = q.canonical(name)
	for _, s := range q.latest.Verdict.Survivors {
		if s == name {
			return true
		}
	}
	return false
}

func (m *Manual) deadline() time.Duration {
	if m.Escalation.Deadline > 0 {
		return m.Escalation.Deadline
	}
	return DefaultDeadline
}

func (m *Manual) settle() time.Duration {
	if m.Escalation.Settle > 0 {
		return m.Escalation.Settle
	}
	return Settle
}

func (m *Manual) actionName(i int) string {
	if i >= 0 && i < len(m.Actions) {
		return m.Actions[i].Name
	}
	return ""
}

// situationWords says in one line what is wrong.
func (m *Manual) situationWords(d *Decision) string {
	g := m.gravity(d)
	text := "asks about " + d.Verdict.Option
	if len(g.under) > 0 {
		text = "every option is under a floor (" + strings.Join(g.under, ", ") + "); least violating: " + d.Verdict.Option
	}
	for i := range d.Signals {
		if d.Signals[i].Validity != "valid" {
			text += "; " + d.Signals[i].Name + " is " + d.Signals[i].Validity
		}
	}
	return text
}
