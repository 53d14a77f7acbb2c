package latency

import (
	"math/bits"
	"time"
)

// The shape of the buckets: octaves of 2^subBits buckets, the first after
// 2^lowestBit ns, the last up to 2^highestBit ns.
const (
	subBits    = 5
	lowestBit  = 10
	highestBit = 34
)

// Buckets of a histogram: one for what is short, 32 for each of 24 octaves, and
// one for what is long.
const Buckets = 1 + (highestBit-lowestBit)<<subBits + 1

// Shortest and Longest bound what the buckets tell apart.
const (
	Shortest = time.Duration(1) << lowestBit  // 1.024 us
	Longest  = time.Duration(1) << highestBit // 17.18 s
)

// RelativeError bounds how much too high a quantile between Shortest and Longest
// can be; it is never too low.
const RelativeError = 1.0 / (1 << subBits)

// Index gives the bucket of a duration, from 0 to Buckets-1. A negative one is
// as short as any.
func Index(d time.Duration) int {
	if d <= Shortest {
		return 0
	}
	if d > Longest {
		return Buckets - 1
	}
	v := uint64(d - 1) // a bucket has its upper bound in it
	octave := bits.Len64(v) - 1
	sub := int(v>>(octave-subBits)) & (1<<subBits - 1)
	return 1 + (octave-lowestBit)<<subBits + sub
}

// Upper gives the longest duration in a bucket. The last bucket has none; its
// lower bound stands for it.
func Upper(bucket int) time.Duration {
	if bucket <= 0 {
		return Shortest
	}
	if bucket >= Buckets-1 {
		return Longest
	}
	octave, sub := (bucket-1)>>subBits, (bucket-1)&(1<<subBits-1)
	return time.Duration(1<<subBits+sub+1) << (octave + lowestBit - subBits)
}

// Histogram counts durations. The zero value is empty. It is not safe for
// concurrent use.
type Histogram struct {
	Counts [Buckets]uint64 // per bucket; they never go down
	Sum    time.Duration   // of all; wraps after 292 years of latency
	Max    time.Duration   // the longest, exactly
}

// Record counts a duration and gives its bucket. One below zero counts as zero:
// two clocks that differ by some nanoseconds, not time running backwards.
func (h *Histogram) Record(d time.Duration) (bucket int) {
	d = max(d, 0)
	bucket = Index(d)
	h.Counts[bucket]++
	h.Sum += d
	h.Max = max(h.Max, d)
	return bucket
}

// Count is how many durations were counted.
func (h *Histogram) Count() uint64 {
	var n uint64
	for _, c := range &h.Counts {
		n += c
	}
	return n
}

// Whole is the quantile of all: Quantile takes parts of it.
const Whole = 1_000_000

// Quantile gives the duration that the given share of all, in millionths, does
// not exceed (nearest rank, rounded up): Quantile(999_000) is p99.9. It is the
// upper bound of a bucket, or Max where that is less; 0 while nothing has been
// counted.
func (h *Histogram) Quantile(millionths uint64) time.Duration {
	return h.quantile(millionths, h.Count())
}

func (h *Histogram) quantile(millionths, count uint64) time.Duration {
	if count == 0 {
		return 0
	}
	high, low := bits.Mul64(count, min(millionths, Whole))
	rank, rest := bits.Div64(high, low, Whole)
	if rest > 0 || rank == 0 {
		rank++
	}
	var seen uint64
	for i, c := range &h.Counts {
		if seen += c; seen >= rank {
			if i == Buckets-1 {
				return h.Max
			}
			return min(Upper(i), h.Max)
		}
	}
	return h.Max
}

// AtMost is how many of the counted are not longer than the upper bound of a
// bucket.
func (h *Histogram) AtMost(bucket int) uint64 {
	var n uint64
	for _, c := range h.Counts[:min(bucket, Buckets-1)+1] {
		n += c
	}
	return n
}

// Since gives what was counted after an earlier state of the same histogram. Its
// Max is the upper bound of the longest bucket in it, or h's own where that is
// less: the exact one is not known.
func (h *Histogram) Since(earlier *Histogram) (later Histogram) {
	highest := -1
	for i := range h.Counts {
		if h.Counts[i] > earlier.Counts[i] { // never less, unless memory was scribbled over
			later.Counts[i] = h.Counts[i] - earlier.Counts[i]
			highest = i
		}
	}
	later.Sum = max(h.Sum-earlier.Sum, 0)
	switch {
	case highest == Buckets-1:
		later.Max = h.Max
	case highest >= 0:
		later.Max = min(Upper(highest), h.Max)
	}
	return later
}

// Figures are what people ask of a histogram.
type Figures struct {
	Count                uint64
	P50, P99, P999, Most time.Duration
}

// Figures gives them at once.
func (h *Histogram) Figures() Figures {
	n := h.Count()
	return Figures{n, h.quantile(500_000, n), h.quantile(990_000, n), h.quantile(999_000, n), h.Max}
}
