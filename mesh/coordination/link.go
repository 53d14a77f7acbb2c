package coordination

import (
	"math/rand/v2"
	"time"

	"dancer/mesh/impedance"
)

// never is a deadline that does not come.
const never = time.Duration(1<<63 - 1)

// jump bounds by how much a word alone, of whoever, lets a member skip terms.
const jump = 1 << 20

// link is a member's way to the coordinator of its seat: its clock, its heartbeats,
// and whom it follows. An agent has one, and a coordinator that is not the root.
//
// Who coordinates is decided by promises, as with the leases of raft (Ongaro 2014,
// 6.4.1): each heartbeat says for how long the member will not leave its term, and
// a coordinator leads while it holds such promises of a strict majority of all
// members. A promise counts from the coordinator's own message that the heartbeat
// echoes, which was before the heartbeat: so it ends earlier for who holds it than
// for who gave it, whatever the way takes. A member that has followed nobody for as
// long as it promised goes on to the next term, whose one candidate is the next in
// line. It adopts another term, higher or lower, only on a fresh proof that its
// coordinator leads; then no majority can stand behind any other.
type link struct {
	seat       *Seat
	clock      impedance.Clock
	leaveAt    time.Duration // the promise
	quietUntil time.Duration // no promise before
	next       time.Duration // heartbeat
	peerAt     time.Duration // echo: At of the last message of the term's candidate
	peerCame   time.Duration // and when it came; 0: none
	peerEpoch  uint32
	node       uint32
	child      uint32
	epoch      uint32
	term       uint32
	seen       uint32 // the highest term of which anybody has told
	asks       uint32 // the node that the next heartbeat goes to
	following  bool
	tries      uint8
}

func newLink(now time.Duration, p Place, t *Timing, random *rand.Rand) link {
	l := link{seat: p.Seat, node: p.Node, child: p.Child, epoch: p.Epoch, term: max(p.Term, 1)}
	l.clock = impedance.NewClock(t.MaxDrift)
	l.asks = l.seat.Holder(l.term)
	l.leaveAt = now + t.Follow
	if p.Quiet {
		l.quietUntil = now + t.Follow
	}
	l.next = now + time.Duration(random.Int64N(int64(t.Seek)+1))
	return l
}

// deadline is when tick has something to do.
func (l *link) deadline() time.Duration { return min(l.next, l.leaveAt) }

// tick gives up a term whose promise is over, and says whether a heartbeat is due.
func (l *link) tick(now time.Duration, t *Timing, random *rand.Rand, out *Outbox) (beat bool) {
	if now >= l.leaveAt {
		// Those who have been apart are in different terms, and would go on through
		// them one behind the other: the highest that was heard of brings them together.
		l.adopt(max(l.term+1, l.seen), t, out)
		l.leaveAt = now + t.Stand + time.Duration(random.Int64N(int64(t.Stand)))
		l.next = min(l.next, now+time.Duration(random.Int64N(int64(t.Seek)/4+1)))
	}
	if now < l.next {
		return false
	}
	if l.following {
		if l.next += spread(t.Heartbeat, random); l.next <= now {
			l.next = now + time.Duration(random.Int64N(int64(t.Heartbeat)))
		}
		return true
	}
	// Who follows nobody asks often at first, and ever less: after a partition a
	// coordinator is not asked by all at once for minutes.
	l.tries = min(l.tries+1, 32)
	if l.tries%2 == 0 && l.asks == l.seat.Holder(l.term) {
		l.asks = l.seat.Line[random.IntN(len(l.seat.Line))] // who may know more
	}
	l.next = now + spread(min(t.Seek*time.Duration(1+l.tries/8), t.Stand/2), random)
	return true
}

// adopt goes over to a term. What the old one measured is of another clock.
func (l *link) adopt(term uint32, t *Timing, out *Outbox) {
	l.term, l.asks = term, l.seat.Holder(term)
	l.following, l.tries = false, 0
	l.clock = impedance.NewClock(t.MaxDrift)
	l.peerAt, l.peerCame, l.peerEpoch = 0, 0, 0
	e := out.say(TermChanged)
	e.Term, e.Seat = term, l.seat.ID
}

// beat writes what every heartbeat has.
func (l *link) beat(now time.Duration, m *Message) {
	l.head(now, m, Heartbeat, l.asks)
	if l.asks == l.seat.Holder(l.term) { // who is only asked gets no promise, and no echo of another
		m.Sent, m.Received, m.Numbers[NumberPeerEpoch] = l.peerAt, l.peerCame, l.peerEpoch
		if grant := l.leaveAt - now; now >= l.quietUntil && grant > 0 {
			m.Numbers[NumberGrant] = uint32(min(grant/time.Millisecond, 1<<32-1))
		}
	}
	l.asks = l.seat.Holder(l.term)
}

// head writes what every message up has.
func (l *link) head(now time.Duration, m *Message, kind Kind, to uint32) {
	m.Kind, m.Flags = kind, m.Flags|FlagUp
	m.From, m.To, m.Seat, m.Term, m.Epoch, m.Child = l.node, to, l.seat.ID, l.term, l.epoch, l.child
	m.At = now
}

// trusts says whether an order comes from whom the member follows.
func (l *link) trusts(m *Message) bool {
	return l.following && m.Seat == l.seat.ID && m.Term == l.term && m.From == l.seat.Holder(l.term) && m.Epoch == l.peerEpoch
}

// answered takes the answer to a heartbeat. It says whether the member has gone
// over to another term: what the old one's coordinator said counts no more.
func (l *link) answered(now time.Duration, m *Message, t *Timing, out *Outbox) (moved bool) {
	if m.Numbers[NumberEpoch] != l.epoch || m.Received == 0 || m.Sent > now || now-m.Sent >= t.Follow || m.Term == 0 {
		return false // not an answer to what this start of the node has asked lately
	}
	l.hears(m.Numbers[NumberSeen])
	if m.Flags&FlagFollows != 0 {
		l.hint(now, m.Term, t)
		return false
	}
	if m.From != l.seat.Holder(m.Term) {
		return false
	}
	if m.Flags&FlagLeading != 0 && m.Term != l.term {
		l.adopt(m.Term, t, out)
		moved = true
	}
	if m.Term != l.term {
		return moved
	}
	if m.Epoch < l.peerEpoch {
		return moved
	}
	if m.Epoch != l.peerEpoch {
		moved = moved || l.peerEpoch != 0 // its clock counts from elsewhere, its commands are forgotten
		l.peerAt, l.peerCame = 0, 0
		l.clock = impedance.NewClock(t.MaxDrift)
		l.peerEpoch = m.Epoch
	}
	_, _ = l.clock.Observe(impedance.Exchange{Sent: m.Sent, Received: m.Received, Answered: m.At, Returned: now})
	if l.peerCame == 0 || m.At > l.peerAt {
		l.peerAt, l.peerCame = m.At, now
	}
	if m.Flags&FlagLeading != 0 {
		if !l.following {
			l.next = now + (l.next-now)/2
		}
		l.following, l.tries = true, 0
		l.leaveAt = max(l.leaveAt, now+t.Follow)
	}
	return moved
}

// hears notes a term of which somebody has told.
func (l *link) hears(term uint32) {
	if term < l.term+jump {
		l.seen = max(l.seen, term)
	}
}

// hint takes the word of a node that does not lead about a term that it follows:
// its coordinator is asked next, at once. Nothing else follows from a word.
func (l *link) hint(now time.Duration, term uint32, t *Timing) {
	if l.following || term == l.term {
		return
	}
	l.asks = l.seat.Holder(term)
	l.next = min(l.next, now+t.Seek/4)
}

// local is what this node's clock says at a moment of its coordinator's.
func (l *link) local(peer time.Duration) (at, bound time.Duration, known bool) {
	return l.clock.Ours(peer)
}

// corrected is the coordinator's clock as this node knows it.
func (l *link) corrected(now time.Duration) (at, bound time.Duration, known bool) {
	offset, bound, known := l.clock.Offset(now)
	return now + offset, bound, known
}

// asked answers a member of the seat that takes this node for its coordinator, or
// asks around, where nobody coordinates: it is told whom this member follows. Where
// that is nobody either and the term is this node's, the node is to stand.
func (l *link) asked(now time.Duration, m *Message, out *Outbox) {
	l.hears(m.Term)
	if !l.following && m.Term >= l.term && l.seat.Holder(m.Term) == l.node {
		e := out.say(Stand)
		e.Term, e.Seat = m.Term, m.Seat
	}
	r := out.next()
	r.Kind, r.Of = Ack, Heartbeat
	if l.following {
		r.Flags = FlagFollows
	}
	r.From, r.To, r.Seat, r.Child, r.Term, r.Epoch = l.node, m.From, m.Seat, m.Child, l.term, l.epoch
	r.At, r.Sent, r.Received = now, m.At, now
	r.Numbers[NumberEpoch], r.Numbers[NumberSeen] = m.Epoch, max(l.seen, l.term)
}
