package dancer

import "time"

// QuestionRecord is what must be stored of a question so that it survives a
// restart of the process that follows it. Its times are on the robot's monotonic
// clock, which goes on through such a restart but not through a boot: after a
// boot start without a record and tell the conductor that the question is
// withdrawn.
type QuestionRecord struct {
	Version  int           `json:"version"` // 1
	State    string        `json:"state"`
	ID       string        `json:"id,omitempty"`
	Revision int           `json:"revision,omitempty"`
	RaisedAt time.Duration `json:"raised_at,omitempty"`
	Due      time.Duration `json:"due,omitempty"`
	Extended bool          `json:"extended,omitempty"`
	Chosen   string        `json:"chosen,omitempty"`
	RuledBy  string        `json:"ruled_by,omitempty"`
	Proposed string        `json:"proposed,omitempty"`
	Under    []string      `json:"under,omitempty"`   // values under their floor as last told
	Unknown  []string      `json:"unknown,omitempty"` // those of them that cannot be known; older records have none
	Outcome  string        `json:"outcome,omitempty"`
	Option   string        `json:"option,omitempty"`
	Worst    []float64     `json:"worst,omitempty"`

	// Since when what is so, on the same clock; absent where it is not so. Older
	// records have none of them.
	ToldAt time.Duration  `json:"told_at,omitempty"`
	Calm   *time.Duration `json:"calm_since,omitempty"`  // no verdict has escalated
	Other  *time.Duration `json:"other_since,omitempty"` // the winner is another than was told
}

// Record gives what to store. Store it when Observe returns a change, when Rule
// has applied something, and when State changes.
// The state of a question and the decisions and rulings after it determine
// everything that follows.
func (q *Question) Record() QuestionRecord {
	r := QuestionRecord{
		Version: RecordVersion, State: q.state.String(), ID: q.id, Revision: q.revision,
		RaisedAt: q.raisedAt, Due: q.due, Extended: q.extended, Chosen: q.chosen, RuledBy: q.ruledBy,
		Proposed: q.proposed, Under: q.told.under, Unknown: q.told.unknown, Outcome: q.told.outcome, Option: q.told.option, Worst: q.told.worst,
		ToldAt: q.toldAt,
	}
	if q.calm {
		calm := q.calmSince
		r.Calm = &calm
	}
	if q.other {
		other := q.otherSince
		r.Other = &other
	}
	return r
}

// RestoreQuestion continues from a record. One of another version, or in no
// known state, gives a start without a question.
func RestoreQuestion(m *Manual, newID func() string, r QuestionRecord) *Question {
	q := NewQuestion(m, newID)
	state, known := parseQuestionState(r.State)
	if r.Version != RecordVersion || !known || state == QuestionNone || state == QuestionWithdrawn || r.ID == "" {
		return q
	}
	q.state, q.id, q.revision, q.raisedAt, q.due = state, r.ID, r.Revision, r.RaisedAt, r.Due
	q.extended, q.chosen, q.ruledBy, q.proposed = r.Extended, r.Chosen, r.RuledBy, r.Proposed
	q.told = gravity{under: r.Under, unknown: r.Unknown, outcome: r.Outcome, option: r.Option, worst: r.Worst}
	q.toldAt = r.ToldAt
	if r.Calm != nil {
		q.calm, q.calmSince = true, *r.Calm
	}
	if r.Other != nil {
		q.other, q.otherSince = true, *r.Other
	}
	return q
}

func parseQuestionState(s string) (QuestionState, bool) {
	for i, name := range questionStates {
		if name == s {
			return QuestionState(i), true
		}
	}
	return QuestionNone, false
}
