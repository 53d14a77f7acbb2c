package brain

import (
	"dancer/dancer"
	"dancer/mesh"
	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
)

// Bounds of a robot's log of conflicts: small segments, because each is checked in
// memory at the start.
const (
	conflictSegment = 1 << 20
	conflictBytes   = 64 << 20
)

// openConflicts opens the log of conflicts. A robot that cannot write it goes on
// without and says so.
func (b *brain) openConflicts(data string) {
	keeper, err := conflicts.Open(conflicts.Options{
		Data: data, Store: b.archive.store, NewID: b.newID, Wall: b.wall, Clock: b.clock, Owner: b.robot.Name, Cell: b.robot.Cell,
		Context: func() string { return b.manual.Hash }, SegmentBytes: conflictSegment, MaxBytes: conflictBytes, Log: b.log, Told: b.tellConflict,
	})
	if err != nil {
		b.log.Error("going on without the log of conflicts", "error", err)
		return
	}
	b.conflicts = keeper
}

// conflictEvent tells of a conflict that others must know of.
type conflictEvent struct {
	ID       string            `json:"id"`
	Event    string            `json:"event"` // opened | raised
	Type     conflict.Type     `json:"type"`
	Priority conflict.Priority `json:"priority"`
	Subject  string            `json:"subject"`
	Expected string            `json:"expected"`
	Received string            `json:"received"`
	Source   string            `json:"source,omitempty"`
	Count    uint64            `json:"count"`
	Tell     []string          `json:"tell"` // sector, orchestrator
}

// tellConflict tells the conductor and whoever watches. It is not recorded: it
// follows from nothing that a replay could repeat.
func (b *brain) tellConflict(r conflict.Record) {
	b.tell(kindConflict, conflictEvent{
		ID: r.ID, Event: r.Event, Type: r.Type, Priority: r.Priority, Subject: r.Subject,
		Expected: r.Expected.Text, Received: r.Received.Text, Source: r.Source, Count: r.Count, Tell: r.Escalated,
	})
}

// conflict hands in what does not agree. It does not wait.
func (b *brain) conflict(c conflict.Claim) {
	if b.conflicts != nil {
		b.conflicts.Report(c)
	}
}

func (b *brain) clonedName(name, first, second string) {
	b.conflict(conflict.OfNames(b.robot.Cell, name, first, second))
}

// disagreement reports a ruling that contradicts the one that stood before it: by
// somebody else, or less restrictive. It runs in the decision goroutine.
func (b *brain) disagreement(before *dancer.QuestionRecord, given mesh.Ruling, result dancer.RulingResult) {
	standing := mesh.Ruling{Escalation: before.ID, By: before.RuledBy}
	switch before.State {
	case dancer.QuestionApproved.String():
		standing.Verdict, standing.Option = mesh.RuleApprove, before.Chosen
		if given.Option == "" && given.Verdict == mesh.RuleApprove {
			given.Option = before.Proposed
		}
	case dancer.QuestionDenied.String():
		standing.Verdict = mesh.RuleDeny
	default:
		return
	}
	stricter := mesh.Restrictiveness(given.Verdict) > mesh.Restrictiveness(standing.Verdict)
	switch {
	case before.ID != given.Escalation, result.Outcome == dancer.RulingRefused, result.Outcome == dancer.RulingLate,
		given.Verdict == standing.Verdict && given.Option == standing.Option,
		stricter && given.By == standing.By: // they have changed their mind
		return
	}
	b.conflict(conflict.OfRulings(standing, given))
}

func (b *brain) conflictCounters() conflicts.Counters {
	if b.conflicts == nil {
		return conflicts.Counters{}
	}
	return b.conflicts.Counters()
}
