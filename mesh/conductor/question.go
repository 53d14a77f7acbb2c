package conductor

import (
	"cmp"
	"slices"
	"time"

	"dancer/mesh"
)

// Status of a question as people see it.
const (
	StatusOpen      = "open"      // waits for a ruling
	StatusDeferred  = "deferred"  // somebody took more time; still waits
	StatusApproved  = "approved"  // an approval was applied by the robot
	StatusDenied    = "denied"    // a denial was applied by the robot
	StatusTimedOut  = "timed-out" // nobody answered in time: the manual's time-out action ran
	StatusWithdrawn = "withdrawn" // the situation passed by itself
)

// Outcomes of an acknowledgement.
const (
	AckStored  = "stored"  // the conductor has the question on disk
	AckApplied = "applied" // the ruling runs
	AckVetoed  = "vetoed"  // the option is under a floor
	AckLate    = "late"    // the question was over
	AckKept    = "kept"    // nothing changes: a more restrictive ruling stands, or the question stays open
	AckRefused = "refused" // a request that the robot does not carry out
)

// Ruling is one ruling with what the robot made of it.
type Ruling struct {
	ID string `json:"id"` // envelope id, a ULID
	mesh.Ruling
	Robot    string    `json:"robot"`
	Cell     string    `json:"cell"`
	Revision int       `json:"revision"` // of the question that the ruling was given on
	Ack      *mesh.Ack `json:"ack,omitempty"`
	AckedAt  time.Time `json:"acked_at,omitzero"`
}

// Question is an escalation with its rulings: the unit that is stored.
type Question struct {
	mesh.Escalation
	Status     string    `json:"status"`
	Severity   Severity  `json:"severity"`
	ReceivedAt time.Time `json:"received_at"` // first time, wall clock, display only
	ChangedAt  time.Time `json:"changed_at"`
	Rulings    []Ruling  `json:"rulings"`
	Ack        *mesh.Ack `json:"ack,omitempty"` // of the newest ruling that has one
}

// Open says whether the question still waits for an answer.
func (q *Question) Open() bool {
	return q.Status == StatusOpen || q.Status == StatusDeferred
}

// refresh derives what follows from the escalation and its rulings.
func (q *Question) refresh() {
	q.Status = q.derive()
	q.Severity = Assess(q.Escalation)
	q.Ack = nil
	for i := range q.Rulings {
		if q.Rulings[i].Ack != nil {
			q.Ack = q.Rulings[i].Ack
		}
	}
}

// derive gives the status: of the rulings that the robot applied the newest
// decides, as it applies a later one only if it is more restrictive, or if the
// question was still open. Then comes what the robot says of the question.
func (q *Question) derive() string {
	ruled, late := "", false
	for i := range q.Rulings {
		r := &q.Rulings[i]
		if r.Ack == nil {
			continue
		}
		late = late || r.Ack.Outcome == AckLate
		switch {
		case r.Ack.Outcome == AckApplied && r.Verdict == mesh.RuleApprove:
			ruled = StatusApproved
		case r.Ack.Outcome == AckApplied && r.Verdict == mesh.RuleDeny:
			ruled = StatusDenied
		case r.Ack.Outcome == AckApplied && r.Verdict == mesh.RuleDefer:
			ruled = StatusDeferred
		case r.Ack.Outcome == AckApplied:
			ruled = StatusOpen // an approval was taken back: somebody else decides
		}
	}
	switch {
	case ruled == StatusApproved || ruled == StatusDenied:
		return ruled
	case q.State == "withdrawn":
		return StatusWithdrawn
	case q.State == "timed-out":
		return StatusTimedOut
	case late: // the robot knows it as over, whatever became of that message
		return StatusWithdrawn
	case ruled == StatusDeferred:
		return StatusDeferred
	}
	return StatusOpen
}

// standing is the most restrictive final ruling (deny, approve) that the robot
// applied or has not answered yet; nil if there is none.
func (q *Question) standing() *Ruling {
	var best *Ruling
	for i := range q.Rulings {
		r := &q.Rulings[i]
		if !final(r.Verdict) || (r.Ack != nil && r.Ack.Outcome != AckApplied) {
			continue
		}
		if best == nil || mesh.Restrictiveness(r.Verdict) > mesh.Restrictiveness(best.Verdict) || (r.Verdict == best.Verdict && r.Ack != nil) {
			best = r
		}
	}
	return best
}

// final says whether a verdict ends a question.
func final(verdict string) bool {
	return verdict == mesh.RuleApprove || verdict == mesh.RuleDeny
}

// clone gives a copy that shares nothing that changes later.
func (q *Question) clone() Question {
	c := *q
	c.Rulings = slices.Clone(q.Rulings)
	if c.Rulings == nil {
		c.Rulings = []Ruling{}
	}
	return c
}

// MostSevereFirst orders questions for people: open ones first, then by
// severity, then by the time that is left, then the oldest.
func MostSevereFirst(a, b Question) int {
	return cmp.Or(
		-compareBool(a.Open(), b.Open()),
		compareSeverity(a.Severity, b.Severity),
		a.DueAt.Compare(b.DueAt),
		a.RaisedAt.Compare(b.RaisedAt),
		cmp.Compare(a.ID, b.ID),
	)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
