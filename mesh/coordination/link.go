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

// maxTerm is the last term: at eight seconds each they last for a thousand years.
const maxTerm = 1<<32 - 2

// link is a member's way to the coordinator of its seat: its clock, its heartbeats,
// and whom it follows. An agent has one, and a coordinator that is not the root.
//
// Who coordinates is decided by promises, as with the leases of raft (Ongaro 2014,
// 6.4.1): each heartbeat says until when the member gives its promise to nobody
// else, and a coordinator leads while it holds such promises of a strict majority
// of all members. A promise counts from the coordinator's own message that the
// heartbeat echoes, which had left before it came: so it ends earlier for who holds
// it than for who gave it, whatever the way takes. Two never lead at once, because a
// member that changes its term promises nothing in the new one until what it
// promised in the old one is over (quietUntil); it may follow the new coordinator
// meanwhile. And because it promises nothing in a term below one in which it ever
// did, the terms of those who lead only rise. So members change theirs freely: a member that has followed
// nobody for a while goes on to the next one, whose one candidate is the next in
// line; one that follows nobody goes over to a higher one that it hears of, so that
// those who seek meet; and a fresh proof that somebody leads, in whatever term,
// brings everybody there.
type link struct {
	seat       *Seat
	leaveAt    time.Duration // when the term is given up
	owes       time.Duration // the end of the last promise in this term
	quietUntil time.Duration // no promise before: one in another term may be out
	next       time.Duration // heartbeat
	since      time.Duration // when it went over to this term
	first      time.Duration // At of the answer that it has followed from
	peerAt     time.Duration // echo: At of the last message of the term's candidate
	peerCame   time.Duration // and when it came; 0: none
	peerEpoch  uint32
	node       uint32
	child      uint32
	epoch      uint32
	term       uint32
	measured   uint32 // counts what changed the clock
	promised   uint32 // the highest term in which anything was ever promised
	seen       uint32 // the highest term of which anybody has told
	asks       uint32 // the node that the next heartbeat goes to
	following  bool
	tries      uint8
	clock      impedance.Clock
}

func newLink(now time.Duration, p Place, t *Timing, random *rand.Rand) link {
	l := link{since: now, seat: p.Seat, node: p.Node, child: p.Child, epoch: p.Epoch, term: min(max(p.Term, 1), maxTerm), promised: p.Term}
	l.clock = impedance.NewClock(t.MaxDrift)
	l.asks = l.seat.Holder(l.term)
	l.leaveAt = now + t.Follow
	if p.Quiet || p.Term != 0 { // what the start before has promised, in whatever term
		l.quietUntil = now + t.Follow
	}
	l.next = now + time.Duration(random.Int64N(int64(t.Seek)+1))
	return l
}

// rejoin begins anew, when the seat that this member stands for was lost for a
// while. Where another may have held it, that one may have promised.
func (l *link) rejoin(now time.Duration, others bool, t *Timing, random *rand.Rand) {
	l.following, l.tries, l.leaveAt, l.since = false, 0, now+t.Follow, now
	if others {
		l.quietUntil = max(l.quietUntil, now+t.Follow)
	}
	l.next = now + time.Duration(random.Int64N(int64(t.Seek)/4+1))
}

// deadline is when tick has something to do.
func (l *link) deadline() time.Duration { return min(l.next, l.leaveAt) }

// tick gives up a term whose promise is over, and says whether a heartbeat is due.
func (l *link) tick(now time.Duration, t *Timing, random *rand.Rand) (beat bool) {
	if now >= l.leaveAt {
		l.adopt(now, min(max(l.term+1, l.seen), maxTerm), t)
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
	// coordinator is not asked by all at once for minutes. One who answers is asked on
	// until most have promised.
	l.next = now + spread(t.Seek, random)
	if l.tries = min(l.tries+1, 32); l.peerCame == 0 {
		if l.tries%2 == 0 && l.asks == l.seat.Holder(l.term) {
			l.asks = l.seat.Line[random.IntN(len(l.seat.Line))] // who may know more
		}
		l.next = now + spread(min(t.Seek*time.Duration(1+l.tries/8), t.Stand/2), random)
	}
	return true
}

// adopt goes over to a term. What the old one measured is of another clock.
func (l *link) adopt(now time.Duration, term uint32, t *Timing) {
	l.quietUntil, l.owes, l.since = max(l.quietUntil, l.owes), 0, now
	l.term, l.asks = term, l.seat.Holder(term)
	l.following, l.tries = false, 0
	l.clock = impedance.NewClock(t.MaxDrift)
	l.measured++
	l.peerAt, l.peerCame, l.peerEpoch = 0, 0, 0
}

// beat writes what every heartbeat has.
func (l *link) beat(now time.Duration, m *Message, t *Timing, out *Outbox) {
	l.head(now, m, Heartbeat, l.asks)
	if l.following {
		m.Flags |= FlagFollows
	}
	if l.asks == l.seat.Holder(l.term) { // who is only asked gets no promise, and no echo of another
		m.Sent, m.Received, m.Numbers[NumberPeerEpoch] = l.peerAt, l.peerCame, l.peerEpoch
		m.Numbers[NumberGrant] = l.promise(now, t, out)
	}
	l.asks = l.seat.Holder(l.term)
}

// promise gives the term's candidate as much as it may have, in ms from when the
// message came that is echoed. Without an echo there is nothing to count it from.
func (l *link) promise(now time.Duration, t *Timing, out *Outbox) uint32 {
	until := l.leaveAt
	if !l.following {
		until = min(until, now+t.Stand) // who does not lead holds nobody back for long
	}
	if l.peerCame == 0 || now < l.quietUntil || until <= now || l.term < l.promised {
		return 0
	}
	l.owes = max(l.owes, until)
	if l.term > l.promised {
		l.promised = l.term
		e := out.say(TermChanged)
		e.Term, e.Seat = l.term, l.seat.ID
	}
	return uint32(min((until-l.peerCame)/time.Millisecond, 1<<32-1))
}

// head writes what every message up has.
func (l *link) head(now time.Duration, m *Message, kind Kind, to uint32) {
	m.Kind, m.Flags = kind, m.Flags|FlagUp
	m.From, m.To, m.Seat, m.Term, m.Epoch, m.Child = l.node, to, l.seat.ID, l.term, l.epoch, l.child
	m.At = now
}

// stale says whether a command may be one that this member had and dropped when it
// left its coordinator or started anew. A coordinator sends none of those any more
// once it has heard that the member seeks, and that was before it answered.
func (l *link) stale(m *Message) bool { return m.At <= l.first }

// trusts says whether an order comes from whom the member follows.
func (l *link) trusts(m *Message) bool {
	return l.following && m.Seat == l.seat.ID && m.Term == l.term && m.From == l.seat.Holder(l.term) && m.Epoch == l.peerEpoch
}

// answered takes the answer to a heartbeat. It says whether the member has gone
// over to another term: what the old one's coordinator said counts no more.
func (l *link) answered(now time.Duration, m *Message, t *Timing) (moved bool) {
	if m.Numbers[NumberEpoch] != l.epoch || m.Received == 0 || m.Sent > now || now-m.Sent >= t.Follow || m.Term == 0 {
		return false // not an answer to what this start of the node has asked lately
	}
	l.hears(now, m.Numbers[NumberSeen])
	if m.Flags&FlagFollows != 0 {
		l.hint(now, m.Term, t)
		return false
	}
	leads := m.Flags&FlagLeading != 0
	if leads && !l.following && m.Sent < l.since {
		return false // it was asked before this member left: see stale
	}
	if m.From != l.seat.Holder(m.Term) || m.Term > maxTerm {
		return false
	}
	if leads && m.Term != l.term {
		if l.following && m.Sent <= l.peerCame {
			return false // asked before the own coordinator was heard last: that is newer
		}
		l.adopt(now, m.Term, t)
		l.leaveAt = m.Sent + t.Follow
		moved = true
	}
	if m.Term != l.term || m.Epoch < l.peerEpoch {
		return moved
	}
	if m.Epoch != l.peerEpoch {
		moved = moved || l.peerEpoch != 0 // its clock counts from elsewhere, its commands are forgotten
		l.first = m.At
		l.peerAt, l.peerCame = 0, 0
		l.clock = impedance.NewClock(t.MaxDrift)
		l.peerEpoch = m.Epoch
	}
	l.measured++
	_, _ = l.clock.Observe(impedance.Exchange{Sent: m.Sent, Received: m.Received, Answered: m.At, Returned: now})
	if l.peerCame == 0 || m.At > l.peerAt {
		l.peerAt, l.peerCame = m.At, now
	}
	if leads {
		if !l.following {
			l.first, l.next = m.At, now+(l.next-now)/2
		}
		l.following, l.tries = true, 0
		l.leaveAt = max(l.leaveAt, m.Sent+t.Follow)
	}
	return moved
}

// hears notes a term of which somebody has told. Who follows nobody goes over to a
// higher one at once: those who have been apart would otherwise go through the terms
// one behind the other.
func (l *link) hears(now time.Duration, term uint32) {
	if term <= l.term || term > maxTerm || term-l.term >= jump {
		return
	}
	l.seen = max(l.seen, term)
	if !l.following {
		l.leaveAt = min(l.leaveAt, now)
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
	l.hears(now, m.Term)
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
