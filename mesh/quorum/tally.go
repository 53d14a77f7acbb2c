package quorum

import (
	"fmt"
	"iter"

	"dancer/mesh"
)

// MaxMembers bounds a membership: the fleet's million with room.
const MaxMembers = 1 << 24

// Tally counts the answers of one membership as they come: O(1) and no allocation
// per answer, three bits per member (30,000 members: 11 kB). It is not safe for
// use by several goroutines.
type Tally struct {
	states states
	counts Counts
}

// NewTally makes a tally over members 0 to size-1. exempt lists people (class F),
// who are addressed and never counted. Nobody can be taken out of the count
// later: that is what keeps a minority from becoming a quorum.
func NewTally(size int, exempt ...int32) (*Tally, error) {
	t := &Tally{}
	if err := t.Reset(size, exempt...); err != nil {
		return nil, err
	}
	return t, nil
}

// Reset makes the tally one of another membership, of which nothing is known yet. It
// allocates nothing where there is room from before.
func (t *Tally) Reset(size int, exempt ...int32) error {
	if size < 0 || size > MaxMembers {
		return fmt.Errorf("make tally: %d members; 0 to %d are possible", size, MaxMembers)
	}
	t.states.reset(int32(size))
	t.counts = Counts{Total: int32(size)}
	for _, i := range exempt {
		if !t.states.has(i) {
			return fmt.Errorf("make tally: exempt member %d of %d", i, size)
		}
		if !t.states.exempt(i) {
			t.states.setExempt(i)
			t.counts.Total--
		}
	}
	return nil
}

// Counts gives what is known now.
func (t *Tally) Counts() Counts { return t.counts }

// Answer counts what a member said. Answers may come late, repeated and in any
// order: the counts end up the same.
func (t *Tally) Answer(member int32, said mesh.Trinary) Outcome {
	outcome, from, to := t.states.answer(member, said)
	if from != to {
		t.counts.move(from, to)
	}
	return outcome
}

// Absent marks a member from whom nothing is expected: skipped, cut off, behind
// an open breaker. It still belongs to the membership, so it makes the quorum
// harder, never easier. It reports whether anything changed; somebody who has
// answered is not absent.
func (t *Tally) Absent(member int32) bool {
	if !t.states.has(member) || t.states.exempt(member) || t.states.get(member) != transit {
		return false
	}
	t.states.set(member, absent)
	t.counts.move(transit, absent)
	return true
}

// State gives what a member said last; TRANSIT for one that is absent, exempt or
// not there.
func (t *Tally) State(member int32) mesh.Trinary {
	if !t.states.has(member) {
		return mesh.Transit
	}
	return t.states.trinary(member)
}

func (s *states) trinary(i int32) mesh.Trinary {
	switch s.get(i) {
	case ready:
		return mesh.Ready
	case conflict:
		return mesh.Conflict
	}
	return mesh.Transit
}

// Stragglers gives the counted members that were asked and not heard, in order.
func (t *Tally) Stragglers() iter.Seq[int32] { return t.states.stragglers() }

func (s *states) stragglers() iter.Seq[int32] {
	return func(yield func(int32) bool) {
		for i := range s.size {
			if s.get(i) == transit && !s.exempt(i) && !yield(i) {
				return
			}
		}
	}
}
