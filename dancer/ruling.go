package dancer

import "time"

// Verdicts of a ruling, as on the wire.
const (
	RuleDeny       = "deny"
	RuleDefer      = "defer"
	RuleReschedule = "reschedule"
	RuleEscalate   = "escalate"
	RuleApprove    = "approve"
)

// Outcomes of a ruling, as in the acknowledgement.
const (
	RulingApplied = "applied" // it changed what runs, or the deadline
	RulingKept    = "kept"    // understood, and everything stays as it is
	RulingVetoed  = "vetoed"  // a floor forbids it
	RulingLate    = "late"    // the question is over; stored, never executed
	RulingRefused = "refused" // it cannot be understood
)

// Ruling is an answer to a question.
type Ruling struct {
	Question string // id
	Verdict  string // approve | deny | defer | reschedule | escalate
	Option   string // for approve; "": what the question proposed
	By       string // who rules; without it a ruling is refused
}

// RulingResult says what became of a ruling, for its acknowledgement.
type RulingResult struct {
	Outcome string // applied | kept | vetoed | late | refused
	Why     string // plain words
}

// Rule applies a ruling to the question. It passes the same floors as the
// robot's own choice: an option that the current verdict vetoes never runs. Of
// two rulings the more restrictive one stands, so a later deny revokes an
// approval and a later approval does not revoke a deny.
func (q *Question) Rule(now time.Duration, r Ruling) RulingResult {
	if r.By == "" {
		return RulingResult{RulingRefused, "it does not say by whom: send \"by\""}
	}
	if !knownRuling(r.Verdict) {
		return RulingResult{RulingRefused, "unknown verdict " + r.Verdict + ": use approve, deny, defer, reschedule or escalate"}
	}
	if why := q.late(now, r.Question); why != "" {
		return RulingResult{RulingLate, why}
	}
	switch r.Verdict {
	case RuleApprove:
		return q.approve(r)
	case RuleDeny:
		return q.deny(r)
	case RuleDefer:
		return q.deferBy(now, r)
	}
	return q.keepOpen(now, r)
}

func knownRuling(verdict string) bool {
	switch verdict {
	case RuleApprove, RuleDeny, RuleDefer, RuleReschedule, RuleEscalate:
		return true
	}
	return false
}

func (q *Question) late(now time.Duration, id string) string {
	switch {
	case q.state == QuestionNone || id != q.id:
		return "question " + id + " is over"
	case q.state == QuestionTimedOut || q.state.Awaits() && now >= q.due:
		return "question " + id + " was not answered in time"
	}
	return ""
}

func (q *Question) approve(r Ruling) RulingResult {
	if !q.state.Awaits() {
		return RulingResult{RulingKept, q.standing()}
	}
	option := r.Option
	if option == "" {
		option = q.proposed
	}
	if q.latest.Find(option) == nil {
		return RulingResult{RulingRefused, "there is no option " + option + " in question " + q.id}
	}
	if !q.survives(option) {
		return RulingResult{RulingVetoed, option + " is vetoed: " + q.vetoWords(option)}
	}
	q.state, q.chosen, q.ruledBy = QuestionApproved, option, r.By
	q.told = q.m.gravity(&q.latest)
	return RulingResult{RulingApplied, option + " runs, approved by " + r.By}
}

func (q *Question) vetoWords(option string) string {
	name := q.canonical(option)
	for _, v := range q.latest.Verdict.Vetoes {
		if v.Option == name && v.Worst < v.Floor {
			return v.Value + " could fall to " + number(v.Worst) + ", under its floor " + number(v.Floor)
		}
	}
	return "the current verdict does not let it live"
}

func (q *Question) deny(r Ruling) RulingResult {
	if q.state == QuestionDenied {
		return RulingResult{RulingKept, q.standing()}
	}
	q.state, q.chosen, q.ruledBy = QuestionDenied, "", r.By
	q.told = q.m.gravity(&q.latest)
	return RulingResult{RulingApplied, "denied by " + r.By + ": the hold stays for this situation"}
}

// deferBy extends the deadline once per question. A deferral that comes after an
// approval is more restrictive, so it revokes it and opens the question again.
func (q *Question) deferBy(now time.Duration, r Ruling) RulingResult {
	switch {
	case q.state == QuestionDenied:
		return RulingResult{RulingKept, q.standing()}
	case q.state == QuestionApproved:
		q.reopen(now)
		q.state, q.extended = QuestionDeferred, true
		return RulingResult{RulingApplied, "the approval is revoked and the question is open again, deferred by " + r.By}
	case q.extended:
		return RulingResult{RulingKept, "the question was deferred already; its deadline stays"}
	}
	q.state, q.extended = QuestionDeferred, true
	q.due += q.m.deadline()
	return RulingResult{RulingApplied, "the deadline is " + q.m.deadline().String() + " later, deferred by " + r.By}
}

// keepOpen is reschedule and escalate: somebody else, or another time.
func (q *Question) keepOpen(now time.Duration, r Ruling) RulingResult {
	switch q.state {
	case QuestionDenied:
		return RulingResult{RulingKept, q.standing()}
	case QuestionApproved:
		q.reopen(now)
		return RulingResult{RulingApplied, "the approval is revoked and the question is open again, by " + r.By}
	}
	return RulingResult{RulingKept, "the question stays open (" + r.Verdict + " by " + r.By + ")"}
}

// reopen takes an approval back. The time that it ran does not count.
func (q *Question) reopen(now time.Duration) {
	q.state, q.chosen, q.ruledBy = QuestionOpen, "", ""
	q.due = max(q.due, now+q.m.deadline())
}

func (q *Question) standing() string {
	if q.state == QuestionApproved {
		return q.chosen + " was approved by " + q.ruledBy + "; deny first to revoke it"
	}
	return "denied by " + q.ruledBy + ", which is more restrictive"
}
