package quorum

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustHedger(t *testing.T, slots int, share Share, burst int) *Hedger {
	t.Helper()
	h, err := NewHedger(slots, share, burst)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHedge(t *testing.T) {
	h := mustHedger(t, 4, 1000, 1)
	other := func(slot int32) (int32, bool) { return slot + 100, true }
	for range 10 { // fills the bucket with one copy
		h.Sent(0, 0, true, 50*ms)
	}
	h.Sent(0, 1, true, 40*ms)
	h.Sent(0, 2, false, ms) // not idempotent
	h.Sent(0, 3, true, 0)   // nothing known of its target
	if due, ok := h.Deadline(); !ok || due != 40*ms {
		t.Errorf("due at %s", due)
	}
	if _, _, ok := h.Next(39*ms, other); ok {
		t.Error("hedged before the p95")
	}
	if slot, agent, ok := h.Next(40*ms, other); !ok || slot != 1 || agent != 101 {
		t.Errorf("slot %d to %d, %v", slot, agent, ok)
	}
	if _, _, ok := h.Next(time.Second, other); ok {
		t.Error("hedged without a budget")
	}
	if want := (HedgeStats{Requests: 13, Hedged: 1, Exhausted: 1, Unhedgeable: 2}); h.Stats() != want {
		t.Errorf("%+v", h.Stats())
	}
	for range 10 {
		h.Sent(0, 0, true, 50*ms)
	}
	h.Done(0)
	if _, _, ok := h.Next(time.Second, other); ok {
		t.Error("hedged what was answered")
	}
	h.Sent(0, 0, true, 50*ms)
	if _, _, ok := h.Next(time.Second, func(int32) (int32, bool) { return 0, false }); ok || h.Stats().Alone != 1 {
		t.Error("hedged to nobody")
	}
	if h.Sent(0, 4, true, ms) || h.Sent(0, -1, true, ms) {
		t.Error("a slot that is not there")
	}
	h.Done(-1)
	h.Done(4)
	for _, c := range []struct {
		slots int
		share Share
		burst int
	}{{-1, 500, 1}, {1, 1001, 1}, {1, 500, 0}, {1, 500, 1001}} {
		if _, err := NewHedger(c.slots, c.share, c.burst); err == nil {
			t.Errorf("%+v", c)
		}
	}
}

// TestTimersAgainstList compares the heap with a list that is sorted each time.
func TestTimersAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		heap := newTimers(12)
		var list []struct {
			slot int32
			due  time.Duration
		}
		forget := func(slot int32) {
			list = slices.DeleteFunc(list, func(x struct {
				slot int32
				due  time.Duration
			}) bool {
				return x.slot == slot
			})
		}
		for range rapid.IntRange(0, 100).Draw(t, "steps") {
			slot := rapid.Int32Range(0, 11).Draw(t, "slot")
			forget(slot)
			if rapid.IntRange(0, 2).Draw(t, "what") == 0 {
				heap.remove(slot)
			} else {
				due := time.Duration(rapid.IntRange(0, 20).Draw(t, "due"))
				heap.set(slot, due)
				list = append(list, struct {
					slot int32
					due  time.Duration
				}{slot, due})
			}
			slices.SortFunc(list, func(a, b struct {
				slot int32
				due  time.Duration
			}) int {
				return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.slot, b.slot))
			})
			first, due, ok := heap.first()
			if ok != (len(list) > 0) || (ok && (list[0].slot != first || list[0].due != due)) {
				t.Fatalf("%d at %s, %v; want %v", first, due, ok, list)
			}
		}
	})
}

// TestHedgeTail simulates targets of which one answer in a hundred is slow: the
// copies cut the tail, within their budget. When all targets are slow, which is
// when copies would do harm, there are no more than the budget either.
func TestHedgeTail(t *testing.T) {
	const requests = 50_000
	for _, c := range []struct {
		name     string
		slow     float64 // share of the answers that take 1 s instead of up to 20 ms
		cut      bool    // p99.5 comes under 100 ms
		overload bool
	}{{"one in a hundred is slow", 0.01, true, false}, {"all are slow", 1, false, true}} {
		h := mustHedger(t, requests, HedgeShare, HedgeBurst)
		random := rand.New(rand.NewPCG(20, 13))
		delay := func() time.Duration {
			if random.Float64() < c.slow {
				return time.Second
			}
			return time.Duration(random.Int64N(int64(20 * ms)))
		}
		done := make([]time.Duration, requests)
		for i := range requests {
			sent := time.Duration(i) * ms
			done[i] = sent + delay()
			h.Sent(sent, int32(i), true, 19*ms)
			hedgeUntil(h, sent+ms, done, delay)
		}
		hedgeUntil(h, time.Hour, done, delay)
		for i := range done {
			done[i] -= time.Duration(i) * ms
		}
		slices.Sort(done)
		p995, s := done[requests*995/1000], h.Stats()
		if limit := uint64(requests/20 + HedgeBurst); s.Hedged > limit || s.Hedged == 0 {
			t.Errorf("%s: %d copies, at most %d", c.name, s.Hedged, limit)
		}
		if c.cut && p995 > 100*ms {
			t.Errorf("%s: p99.5 is %s, %+v", c.name, p995, s)
		}
		if c.overload && s.Exhausted < requests*9/10 {
			t.Errorf("%s: %+v", c.name, s)
		}
	}
}

// hedgeUntil sends the copies that are due; a request that is done by then has
// been taken out, as the answer would have.
func hedgeUntil(h *Hedger, now time.Duration, done []time.Duration, delay func() time.Duration) {
	for {
		due, ok := h.Deadline()
		if !ok || due > now {
			return
		}
		slot, _, _ := h.pending.first()
		if done[slot] <= due {
			h.Done(slot)
			continue
		}
		if slot, _, ok := h.Next(due, func(int32) (int32, bool) { return 1, true }); ok {
			done[slot] = min(done[slot], due+delay())
		}
	}
}

func TestHedgerDoesNotAllocate(t *testing.T) {
	h := mustHedger(t, 1024, HedgeShare, HedgeBurst)
	pick := func(int32) (int32, bool) { return 1, true }
	i := 0
	if n := testing.AllocsPerRun(10_000, func() {
		now := time.Duration(i) * ms
		h.Sent(now, int32(i%1024), true, 30*ms)
		h.Done(int32(i * 7 % 1024))
		h.Next(now, pick)
		i++
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
