package quorum

import (
	"fmt"
	"iter"
	"time"

	"dancer/mesh"
)

// Window is one scatter-gather: it opens when the first copy is sent, gathers
// answers, and closes at its deadline, or before when the answers that are out
// can no longer change the outcome. Stragglers are counted and never waited for
// beyond it. Three bits a member and about 900 bytes; answers are O(1) and
// allocate nothing. It is not safe for use by several goroutines.
//
// The sketch of the specification waited twice the window and took its time-out
// as an argument that it never read; here the deadline is one moment that the
// caller gives.
type Window struct {
	states states
	gate   gate
}

// NewWindow opens a window at now over the members 0 to size-1, without the
// exempt ones (people). It closes after length; where too many are then unknown
// and could still make the quorum, it is extended, doubling, to limit at most.
func NewWindow(now time.Duration, size int, rule Rule, length, limit time.Duration, exempt ...int32) (*Window, error) {
	if err := rule.Validate(); err != nil {
		return nil, fmt.Errorf("open window: %w", err)
	}
	if err := lengths(length, limit); err != nil {
		return nil, fmt.Errorf("open window: %w", err)
	}
	t, err := NewTally(size, exempt...)
	if err != nil {
		return nil, fmt.Errorf("open window: %w", err)
	}
	w := &Window{states: t.states, gate: gate{rule: rule, counts: t.counts}}
	w.gate.open(now, now+length, now+limit)
	return w, nil
}

// Answer counts what a member said at now. Answers after the end are counted and
// grouped by how late they are; the verdict stays as it was given.
func (w *Window) Answer(now time.Duration, member int32, said mesh.Trinary) Outcome {
	w.gate.overtake(now)
	outcome, from, to := w.states.answer(member, said)
	if from != to {
		w.gate.move(now, from, to)
	}
	return outcome
}

// Absent marks a member from whom nothing is expected; see Tally.Absent.
func (w *Window) Absent(now time.Duration, member int32) bool {
	w.gate.overtake(now)
	if !w.states.has(member) || w.states.exempt(member) || w.states.get(member) != transit {
		return false
	}
	w.states.set(member, absent)
	w.gate.move(now, transit, absent)
	return true
}

// Tick closes or extends the window when it is time; it reports whether it did.
// Call it after answers and at Deadline, until it says false.
func (w *Window) Tick(now time.Duration) bool { return w.gate.tick(now) }

// Deadline is when the window closes, as it is now.
func (w *Window) Deadline() time.Duration { return w.gate.deadline }

// Closed says whether the verdict is final.
func (w *Window) Closed() bool { return w.gate.isClosed }

// Verdict gives the final verdict of a closed window, the present one of an open
// one.
func (w *Window) Verdict() Verdict { return w.gate.now() }

// Counts gives what is known now, late answers included.
func (w *Window) Counts() Counts { return w.gate.counts }

// Broken says that the window closed with a quorum which later answers have
// taken away: READY that became CONFLICT. What was let go is to be cancelled
// while T is not reached.
func (w *Window) Broken() bool { return w.gate.broken() }

// Late gives the answers after the deadline by how late they were.
func (w *Window) Late() [LateGroups]LateGroup { return w.gate.late }

// Advice says how long the window of another attempt should be.
func (w *Window) Advice() Advice { return w.gate.advice() }

// Stragglers gives the members that were asked and not heard, in order.
func (w *Window) Stragglers() iter.Seq[int32] { return w.states.stragglers() }
