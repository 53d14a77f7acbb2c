package conductor

import (
	"context"
	"time"

	"dancer/mesh"
	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
)

// openConflicts opens the log of conflicts. A conductor that cannot write it goes
// on without and says so on its page.
func (s *service) openConflicts(context.Context) error {
	keeper, err := conflicts.Open(conflicts.Options{
		Data: s.config.Data, Store: s.store, NewID: s.newID, Wall: time.Now, Clock: func() time.Duration { return time.Since(s.started) },
		Owner: mesh.ConductorMember(s.config.Settings.Name), Cell: s.config.Settings.Cell, Log: s.log,
	})
	if err != nil {
		s.log.Error("going on without the log of conflicts", "error", err)
		s.strangers.note("conflicts", "no log of conflicts: "+err.Error())
		return nil
	}
	s.conflicts = keeper
	return nil
}

// newID gives an id; the wall clock before 1970 counts as 1970.
func (s *service) newID() string {
	id, err := s.ids.Next(time.Now())
	if err != nil {
		id, _ = s.ids.Next(time.UnixMilli(0)) // fails for 2^79 ids a millisecond alone
	}
	return id
}

// keepConflicts runs the keeper until everything that reports to it has ended.
func (s *service) keepConflicts(ctx context.Context) error {
	if s.conflicts == nil {
		return nil
	}
	if err := s.conflicts.Run(ctx); err != nil {
		s.log.Error("close log of conflicts", "error", err)
	}
	return nil
}

// conflict hands on what the register found.
func (s *service) conflict(c conflict.Claim) {
	if s.conflicts != nil {
		s.conflicts.Report(c)
	}
}

func (s *service) clonedName(name, first, second string) {
	s.conflict(conflict.OfNames(s.config.Settings.Cell, name, first, second))
}

func (s *service) conflictCounters() conflicts.Counters {
	if s.conflicts == nil {
		return conflicts.Counters{}
	}
	return s.conflicts.Counters()
}
