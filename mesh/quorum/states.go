package quorum

import "dancer/mesh"

// code is the state of one member in two bits. A member only ever moves up:
// transit, ready, conflict, or transit to absent. So the order in which answers
// come, and how often, makes no difference.
type code uint8

const (
	transit  code = iota // asked, or to be asked; not heard yet
	ready                // said READY
	conflict             // said CONFLICT; stays so in this coordination
	absent               // not asked; nothing is expected
)

// block holds 64 members: two bits of state and one that says "not counted".
type block struct{ low, high, exempt uint64 }

// states holds three bits a member.
type states struct {
	blocks []block
	size   int32
}

func newStates(size int32) states {
	return states{make([]block, (int(size)+63)/64), size}
}

// reset makes it the states of so many members, all in transit, in the room there is.
func (s *states) reset(size int32) {
	n := (int(size) + 63) / 64
	if cap(s.blocks) < n {
		*s = newStates(size)
		return
	}
	s.blocks, s.size = s.blocks[:n], size
	clear(s.blocks)
}

func (s *states) has(i int32) bool { return i >= 0 && i < s.size }

func (s *states) get(i int32) code {
	b, at := &s.blocks[i>>6], uint(i)&63
	return code(b.low>>at&1 | b.high>>at&1<<1)
}

func (s *states) set(i int32, c code) {
	b, at := &s.blocks[i>>6], uint(i)&63
	b.low = b.low&^(1<<at) | uint64(c&1)<<at
	b.high = b.high&^(1<<at) | uint64(c>>1)<<at
}

func (s *states) exempt(i int32) bool { return s.blocks[i>>6].exempt>>(uint(i)&63)&1 != 0 }

func (s *states) setExempt(i int32) { s.blocks[i>>6].exempt |= 1 << (uint(i) & 63) }

// Outcome is what became of one answer.
type Outcome uint8

// The outcomes. Only Counted and Changed change anything.
const (
	Refused      Outcome = iota // no such member, or no such state
	Counted                     // the first answer of a member
	Repeated                    // the same again: at least once is how messages come
	Changed                     // READY became CONFLICT: it counts as CONFLICT from now on
	Contradicted                // CONFLICT became READY: ignored. It may be an older answer that overtook, and a conflict is resolved by another attempt, not by silence
	Noted                       // TRANSIT: the agent is alive and works on it
	Uncounted                   // a person (class F): addressed, never counted in a window
	Unasked                     // from a member that was not asked: it cannot have processed what was not sent
)

// String names the outcome.
func (o Outcome) String() string {
	switch o {
	case Refused:
		return "refused"
	case Counted:
		return "counted"
	case Repeated:
		return "repeated"
	case Changed:
		return "changed"
	case Contradicted:
		return "contradicted"
	case Noted:
		return "noted"
	case Uncounted:
		return "uncounted"
	case Unasked:
		return "unasked"
	}
	return "invalid"
}

// answer takes one answer and says which way the member moved; from and to
// differ only for Counted and Changed.
func (s *states) answer(i int32, said mesh.Trinary) (o Outcome, from, to code) {
	if !s.has(i) || said < mesh.Conflict || said > mesh.Ready {
		return Refused, 0, 0
	}
	if s.exempt(i) {
		return Uncounted, 0, 0
	}
	from = s.get(i)
	o, to = next(from, said)
	if to != from {
		s.set(i, to)
	}
	return o, from, to
}

// next is the table of a member's moves.
func next(from code, said mesh.Trinary) (Outcome, code) {
	switch {
	case from == absent:
		return Unasked, from
	case said == mesh.Transit:
		return Noted, from
	case from == transit && said == mesh.Ready:
		return Counted, ready
	case from == transit:
		return Counted, conflict
	case from == ready && said == mesh.Conflict:
		return Changed, conflict
	case from == conflict && said == mesh.Ready:
		return Contradicted, from
	}
	return Repeated, from
}
