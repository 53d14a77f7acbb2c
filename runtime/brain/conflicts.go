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
		Context: func() string { return b.manual.Hash }, SegmentBytes: conflictSegment, MaxBytes: conflictBytes, Log: b.log,
	})
	if err != nil {
		b.log.Error("going on without the log of conflicts", "error", err)
		return
	}
	b.conflicts = keeper
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
