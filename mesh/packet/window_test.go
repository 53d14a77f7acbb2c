package packet

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindow holds the window against a plain set: no number is accepted twice,
// and none that is new and within WindowSize is refused.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window
		plain, top := map[uint64]bool{}, uint64(0)
		base := rapid.SampledFrom([]uint64{1, 63, 1 << 20, math.MaxUint64 - 20_000}).Draw(t, "base")
		for range rapid.IntRange(1, 500).Draw(t, "datagrams") {
			reach := rapid.SampledFrom([]uint64{2, 70, 1100, 5000}).Draw(t, "reach")
			seq := rapid.Uint64Range(max(top, reach)-reach, max(top, base)+min(reach, math.MaxUint64-max(top, base))).Draw(t, "seq")
			if seq == 0 {
				continue
			}
			fresh := w.fresh(seq)
			switch {
			case fresh && plain[seq]:
				t.Fatalf("%d accepted twice, the highest is %d", seq, top)
			case !fresh && !plain[seq] && (seq > top || top-seq < WindowSize):
				t.Fatalf("%d refused, though new: the highest is %d", seq, top)
			case fresh:
				w.mark(seq)
				plain[seq], top = true, max(top, seq)
			}
		}
	})
}

// TestBucket holds the bucket against a plain one of numbers: in any second it lets
// pass at most what the rate brings and what the bucket holds.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Uint32Range(1, 1000).Draw(t, "rate")
		var b bucket
		each := float64(time.Second / time.Duration(rate)) // whole nanoseconds, so a second may hold a little more than rate
		capacity := float64(time.Second) / each
		now, tokens := time.Duration(0), capacity
		for range rapid.IntRange(1, 2000).Draw(t, "messages") {
			step := time.Duration(rapid.Int64Range(0, int64(2*time.Second)/int64(rate)).Draw(t, "step"))
			now += step
			tokens = min(capacity, tokens+float64(step)/each)
			p := Priority(rapid.IntRange(0, 3).Draw(t, "priority"))
			left := tokens - 1
			reserve := capacity * float64(3-p) / 4
			took := b.take(now, rate, p)
			if took && left < reserve-1e-6 && tokens < capacity-1e-6 {
				t.Fatalf("%s took a token with %v left, %v are kept for others", p, tokens, reserve)
			}
			if !took && left > reserve+1e-6 {
				t.Fatalf("%s got no token with %v left, %v are kept for others", p, tokens, reserve)
			}
			if took {
				tokens--
			}
		}
	})
}
