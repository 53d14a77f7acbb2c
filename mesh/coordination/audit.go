package coordination

import (
	"fmt"
	"time"
)

// Entry is one effect in an audit trail: what a node did, when in true time, and
// what an observer who knows all clocks can add.
type Entry struct {
	True    time.Duration // moment, by a clock that is right
	Node    uint32
	Start   uint32        // which start of the node
	Effect  Effect        //
	T       time.Duration // Act: the true moment of T by the root's clock
	Drifted time.Duration // Act: what clocks may have run apart beside Effect.Bound; 0
}

// Violation is a broken invariant.
type Violation struct {
	Rule  string
	Entry Entry
	Why   string
}

// Error says what was broken, where and when.
func (v *Violation) Error() string {
	return fmt.Sprintf("%s: at %s node %d (start %d), command %x: %s", v.Rule, v.Entry.True, v.Entry.Node, v.Entry.Start, v.Entry.Effect.Command, v.Why)
}

// The invariants of the mesh, each a function over a trail that is in the order of
// true time. nil: it holds.

// ActsOnce holds when no node acts on, or processes, a command twice within a start,
// and acts on none that another start of it had held.
func ActsOnce(trail []Entry) error {
	type key struct {
		node    uint32
		command uint64
		kind    EffectKind
	}
	started := map[key]uint32{}
	for _, e := range trail {
		if e.Effect.Kind != Act && e.Effect.Kind != Process {
			continue
		}
		k := key{e.Node, e.Effect.Command, e.Effect.Kind}
		if start, done := started[k]; done && (e.Effect.Kind == Act || start == e.Start) {
			return &Violation{"no message acted on twice", e, "it was before"}
		}
		started[k] = e.Start
		if e.Effect.Kind == Act {
			if start, known := started[key{e.Node, e.Effect.Command, Process}]; !known || start != e.Start {
				return &Violation{"a restart acts on nothing that was held before it", e, "this start of the node has not processed it"}
			}
		}
	}
	return nil
}

// NotBeforeT holds when nobody acts before T, by true time less the bound that the
// agent itself gave for its clock.
func NotBeforeT(trail []Entry) error {
	for _, e := range trail {
		if e.Effect.Kind == Act && e.True < e.T-e.Effect.Bound-e.Drifted {
			return &Violation{"no act before T", e, fmt.Sprintf("T is %s later and the clocks are said to be within %s", e.T-e.True, e.Effect.Bound)}
		}
	}
	return nil
}

// Majority holds when every quorum is more than half of the membership that was
// addressed, and counts nobody as READY who did not say so.
func Majority(trail []Entry, members int32) error {
	ready := map[uint64]map[uint32]bool{}
	for _, e := range trail {
		switch e.Effect.Kind {
		case Process: // who has begun may have said READY
			if ready[e.Effect.Command] == nil {
				ready[e.Effect.Command] = map[uint32]bool{}
			}
			ready[e.Effect.Command][e.Node] = true
		case Committed, Degraded:
			c := e.Effect.Verdict.Counts
			if c.Ready*2 <= c.Total || (members > 0 && c.Ready*2 <= members) {
				return &Violation{"no quorum from a minority", e, fmt.Sprintf("%d READY of %d, %d members", c.Ready, c.Total, members)}
			}
			if int(c.Ready) > len(ready[e.Effect.Command]) {
				return &Violation{"no quorum from a minority", e, fmt.Sprintf("%d counted as READY, %d were given the command", c.Ready, len(ready[e.Effect.Command]))}
			}
		}
	}
	return nil
}

// Confirmed holds when nobody acts on a command that needs a confirmation before its
// root has decided.
func Confirmed(trail []Entry, needs func(command uint64) bool) error {
	decided := map[uint64]bool{}
	for _, e := range trail {
		switch e.Effect.Kind {
		case Committed, Degraded:
			decided[e.Effect.Command] = true
		case Act:
			if needs(e.Effect.Command) && !decided[e.Effect.Command] {
				return &Violation{"no act without the confirmation that it needs", e, "its root had not decided"}
			}
		}
	}
	return nil
}

// FrozenStill holds when no agent acts between its freeze and its thaw, and no
// coordinator asks for anything, or finds that there is a quorum, between its own.
func FrozenStill(trail []Entry) error {
	type part struct{ node, start, seat uint32 } // seat 0: the agent
	frozen := map[part]bool{}
	for _, e := range trail {
		is := part{e.Node, e.Start, e.Effect.Seat}
		switch e.Effect.Kind {
		case Froze, Thawed:
			frozen[is] = e.Effect.Kind == Froze
		case Act, PhaseOpened, Committed, Degraded:
			if frozen[is] {
				return &Violation{"a frozen scope never acts", e, "it was frozen"}
			}
		}
	}
	return nil
}

// OneLeader holds when no two nodes hold one seat at once, each from when it says so
// until it says no or starts anew.
func OneLeader(trail []Entry) error {
	type holder struct{ node, start, term uint32 }
	holds := map[uint32]holder{}
	for _, e := range trail {
		if e.Effect.Kind != LeadingChanged {
			continue
		}
		seat, is := e.Effect.Seat, holder{e.Node, e.Start, e.Effect.Term}
		if !e.Effect.Leading {
			if holds[seat].node == is.node {
				delete(holds, seat)
			}
			continue
		}
		if by, held := holds[seat]; held && by.node != is.node {
			return &Violation{"two never coordinate one seat", e, fmt.Sprintf("node %d holds seat %d in term %d", by.node, seat, by.term)}
		}
		holds[seat] = is
	}
	return nil
}

// TermsRise holds when a seat is never held in a term before one in which it was held.
// It is for seats whose members are always the same nodes: those who stand in for a
// coordinator do not know what it had stored of the seat above it.
func TermsRise(trail []Entry) error {
	last := map[uint32]uint32{}
	for _, e := range trail {
		if e.Effect.Kind != LeadingChanged || !e.Effect.Leading {
			continue
		}
		if e.Effect.Term < last[e.Effect.Seat] {
			return &Violation{"terms never go back", e, fmt.Sprintf("term %d after term %d", e.Effect.Term, last[e.Effect.Seat])}
		}
		last[e.Effect.Seat] = e.Effect.Term
	}
	return nil
}
