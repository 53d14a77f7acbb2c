package fleet

import (
	"math/bits"
	"time"
)

// The shape of a Histogram: microseconds one by one up to 128, then 128 buckets for
// each octave, up to 19 hours.
const (
	histogramBits    = 7
	histogramTop     = 36
	histogramBuckets = (histogramTop - histogramBits + 1) << histogramBits
)

// Histogram counts durations in log-linear buckets (after Gil Tene's HdrHistogram):
// a percentile is never told too low, and at most 1/128 or a microsecond too high, and histograms of
// parts add up to that of the whole. 30 kB. The zero value is empty.
type Histogram struct {
	counts [histogramBuckets]uint64
	count  uint64
	max    time.Duration
}

func histogramIndex(d time.Duration) int {
	// A bucket has its upper bound in it.
	v := min(uint64(max(0, (d+time.Microsecond-1)/time.Microsecond-1)), 1<<histogramTop-1)
	if v < 1<<histogramBits {
		return int(v)
	}
	octave := bits.Len64(v) - 1 - histogramBits
	return (octave+1)<<histogramBits + int(v>>octave)&(1<<histogramBits-1)
}

// histogramUpper is the longest duration of a bucket.
func histogramUpper(i int) time.Duration {
	if i < 1<<histogramBits {
		return time.Duration(i+1) * time.Microsecond
	}
	octave, sub := i>>histogramBits-1, i&(1<<histogramBits-1)
	return time.Duration((1<<histogramBits+sub+1)<<octave) * time.Microsecond
}

// Record counts one; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	h.counts[histogramIndex(d)]++
	h.count++
	h.max = max(h.max, d)
}

// Add counts what another has counted.
func (h *Histogram) Add(other *Histogram) {
	for i, n := range &other.counts {
		h.counts[i] += n
	}
	h.count += other.count
	h.max = max(h.max, other.max)
}

// Count is how many were counted; Max the longest, exactly.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the longest of all, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile gives the duration that so many thousandths of `of` do not exceed (nearest
// rank). of is the number of all, those included that were never counted: they are
// longer than any. ok is false when the quantile is among these.
func (h *Histogram) Quantile(thousandths, of uint64) (d time.Duration, ok bool) {
	rank := max(1, (max(of, h.count)*thousandths+999)/1000)
	if rank > h.count {
		return 0, false
	}
	var seen uint64
	for i, n := range &h.counts {
		if seen += n; seen >= rank {
			return min(histogramUpper(i), h.max), true
		}
	}
	return h.max, true
}

// AtMost is how many are not longer than d, rounded up to a bucket.
func (h *Histogram) AtMost(d time.Duration) (n uint64) {
	if d < 0 {
		return 0
	}
	for _, c := range h.counts[:histogramIndex(d)+1] {
		n += c
	}
	return n
}
