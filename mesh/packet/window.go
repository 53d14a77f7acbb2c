package packet

// windowWords of 64 bits are remembered below the highest sequence number. A
// coordinator's numbers count its copies to all receivers, so what one receiver
// sees has gaps: a copy may be overtaken by some 960 others.
const (
	windowWords = 16
	// WindowSize is how far below the highest number a late datagram is still told
	// from a replay.
	WindowSize = (windowWords - 1) * 64
)

// window is the anti-replay window of RFC 4303 section 3.4.3 and appendix A2,
// kept as RFC 6479 does: words of a ring that are cleared when the highest number
// enters them, so that moving on shifts nothing.
type window struct {
	top  uint64
	bits [windowWords]uint64
}

// fresh says whether a number can still be accepted. It changes nothing: only an
// authentic datagram may move the window (RFC 4303: after the integrity check).
func (w *window) fresh(seq uint64) bool {
	if seq > w.top {
		return true
	}
	// The word that top is in is only begun, so the window reaches from its first
	// number 15 words down.
	return seq/64+windowWords > w.top/64 && w.bits[seq/64%windowWords]>>(seq%64)&1 == 0
}

// mark remembers a number that was fresh.
func (w *window) mark(seq uint64) {
	if seq > w.top {
		from, to := w.top/64, seq/64
		for n := range min(to-from, windowWords) {
			w.bits[(from+1+n)%windowWords] = 0
		}
		w.top = seq
	}
	w.bits[seq/64%windowWords] |= 1 << (seq % 64)
}

// recent remembers the newest ids of one source by their random part. A source
// cannot push out another's.
type recent struct {
	marks [recentIDs]uint64
	next  uint8
}

// recentIDs is how many other messages a source may send before it sends one
// again, and the copy is still known for one.
const recentIDs = 64

func (r *recent) has(id ID) bool {
	mark := id.mark()
	for _, m := range r.marks {
		if m == mark {
			return true
		}
	}
	return false
}

func (r *recent) add(id ID) {
	r.marks[r.next] = id.mark()
	r.next = (r.next + 1) % recentIDs
}
