package quorum

import (
	"fmt"
	"time"
)

// HedgeShare is the default budget: one second copy for twenty requests.
const HedgeShare Share = 500

// HedgeBurst is the default number of hedges that may be saved up.
const HedgeBurst = 10

// Hedger decides which idempotent requests get a second copy to another agent
// because the first has not answered by the 95th percentile of its target (Dean
// and Barroso, "The Tail at Scale", CACM 2013). A bucket that only requests fill
// bounds the copies to a share of the requests: when everything is slow, which is
// when copies would do harm, there is no more than that. A hedge that finds the
// bucket empty is dropped, never queued.
//
// Requests are slots 0 to slots-1 of the caller's table; 16 bytes a slot, O(log n)
// and no allocation per call. It is not safe for use by several goroutines.
type Hedger struct {
	pending timers
	share   Share
	burst   int64 // in 1/Whole of a copy
	tokens  int64
	stats   HedgeStats
}

// HedgeStats counts what the hedger did.
type HedgeStats struct {
	Requests    uint64 // sent once, idempotent or not
	Hedged      uint64 // sent a second time
	Exhausted   uint64 // due, and the budget was empty
	Alone       uint64 // due, and nobody else could do it
	Unhedgeable uint64 // not idempotent, or without a known percentile
}

// NewHedger makes a hedger for so many requests in flight; share of the requests
// (0 to 10%) may be hedged, with burst (1 to 1000) saved up at most.
func NewHedger(slots int, share Share, burst int) (*Hedger, error) {
	if slots < 0 || slots > MaxMembers || share > 1000 || burst < 1 || burst > 1000 {
		return nil, fmt.Errorf("make hedger: %d slots, share %s, burst %d: slots to %d, share to 10%%, burst 1 to 1000", slots, share, burst, MaxMembers)
	}
	return &Hedger{pending: newTimers(slots), share: share, burst: int64(burst) * int64(Whole)}, nil
}

// Sent notes a request that was sent at now. It is hedged only if it is
// idempotent and the 95th percentile of its target's answers is known (over 0).
// A slot that is used again forgets what it held. It reports whether the request
// may be hedged.
func (h *Hedger) Sent(now time.Duration, slot int32, idempotent bool, p95 time.Duration) bool {
	h.stats.Requests++
	h.tokens = min(h.tokens+int64(h.share), h.burst)
	if slot < 0 || int(slot) >= len(h.pending.due) {
		h.stats.Unhedgeable++
		return false
	}
	h.pending.remove(slot)
	if !idempotent || p95 <= 0 {
		h.stats.Unhedgeable++
		return false
	}
	h.pending.set(slot, now+p95)
	return true
}

// Done notes that a request was answered, cancelled or given up.
func (h *Hedger) Done(slot int32) {
	if slot >= 0 && int(slot) < len(h.pending.due) {
		h.pending.remove(slot)
	}
}

// Next gives a request that is to be sent a second time now, and to whom: pick
// names another capable agent for a slot, or says that there is none. A request
// is hedged at most once. Call it until it says false.
func (h *Hedger) Next(now time.Duration, pick func(slot int32) (agent int32, ok bool)) (slot, agent int32, ok bool) {
	for {
		slot, due, waits := h.pending.first()
		if !waits || due > now {
			return 0, 0, false
		}
		h.pending.remove(slot)
		if h.tokens < int64(Whole) {
			h.stats.Exhausted++
			continue
		}
		agent, found := pick(slot)
		if !found {
			h.stats.Alone++
			continue
		}
		h.tokens -= int64(Whole)
		h.stats.Hedged++
		return slot, agent, true
	}
}

// Deadline is when Next has something to do; false when nothing waits.
func (h *Hedger) Deadline() (time.Duration, bool) {
	_, due, ok := h.pending.first()
	return due, ok
}

// Stats gives the counters.
func (h *Hedger) Stats() HedgeStats { return h.stats }
