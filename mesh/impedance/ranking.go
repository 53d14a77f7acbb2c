package impedance

import (
	"math/bits"
	"sync/atomic"
)

// ranking is the active agents that have one capability, by score: a list for
// each score, first come first, and a bit for each list that is not empty. One
// goroutine changes it; any number read it.
//
// A node of a list is one capability of one agent: number agent x MaxCapabilities
// + place of the capability in the agent's set, plus 1, so that 0 is none.
type ranking struct {
	sequence atomic.Uint32 // odd while it is being changed
	present  [MaxScore/64 + 1]atomic.Uint64
	head     [MaxScore + 1]atomic.Uint32
	tail     [MaxScore + 1]uint32 // the owner's
}

// links are the neighbours of all nodes in all rankings.
type links struct {
	next []atomic.Uint32
	last []uint32 // the owner's
}

// append puts a node at the end of its score's list.
func (r *ranking) append(l *links, node uint32, score uint16) {
	last := r.tail[score]
	l.last[node] = last
	l.next[node].Store(0)
	r.tail[score] = node
	if last != 0 {
		l.next[last].Store(node)
		return
	}
	r.head[score].Store(node)
	word := &r.present[score/64]
	word.Store(word.Load() | 1<<(score%64))
}

// remove takes a node out of its score's list. Whoever stands on it finds the way
// on.
func (r *ranking) remove(l *links, node uint32, score uint16) {
	last, next := l.last[node], l.next[node].Load()
	if next != 0 {
		l.last[next] = last
	} else {
		r.tail[score] = last
	}
	if last != 0 {
		l.next[last].Store(next)
		return
	}
	r.head[score].Store(next)
	if next == 0 {
		word := &r.present[score/64]
		word.Store(word.Load() &^ (1 << (score % 64)))
	}
}

// walk appends the first n agents with scores up to maxScore. Beside a change it may
// give others, and the same one twice, and comes to an end all the same: every
// step appends one or goes on to a higher score.
func (r *ranking) walk(l *links, dst []AgentID, n int, maxScore uint16) []AgentID {
	for score, ok := r.from(0); ok && score <= maxScore && n > 0; score, ok = r.from(score + 1) {
		for node := r.head[score].Load(); node != 0 && n > 0; node = l.next[node].Load() {
			dst = append(dst, AgentID((node-1)/MaxCapabilities))
			n--
		}
	}
	return dst
}

// from is the lowest score with agents that is not below score.
func (r *ranking) from(score uint16) (uint16, bool) {
	mask := ^uint64(0) << (score % 64)
	for i := int(score / 64); i < len(r.present); i++ {
		if word := r.present[i].Load() & mask; word != 0 {
			return uint16(64*i + bits.TrailingZeros64(word)), true
		}
		mask = ^uint64(0)
	}
	return 0, false
}
