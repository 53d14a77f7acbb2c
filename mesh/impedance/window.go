package impedance

import (
	"math"
	"math/bits"
	"time"
)

// WindowSamples is how many of the newest samples a window keeps (mesh-30k 4.1).
const WindowSamples = 100

// WindowAge is how long after its newest sample a window counts. A window that
// is fed by every heartbeat spans 500 s; over that, and a little more, silence
// means that nothing is known any longer.
const WindowAge = 10 * time.Minute

// MaxSample is the longest duration a window tells from a longer one.
const MaxSample = math.MaxUint32 * time.Microsecond

// Window holds the newest samples of one duration, 336 bytes in all. The zero
// value is empty and ready. It is not safe for use by several goroutines.
//
// A sample is kept in 16 bits: to a microsecond below 4.1 ms, to one part in
// 4,096 above. Adding costs a binary search, a move of at most 99 bytes and a
// few sums of integers, which do not wear off however long the window runs; any
// percentile is one look-up.
type Window struct {
	code       [WindowSamples]uint16 // a ring, see encodeSample
	order      [WindowSamples]uint8  // places in the ring by value, equal ones the oldest first
	next       uint8
	count      uint8
	newest     time.Duration
	sum        uint64 // us
	squareHigh uint64 // us^2, upper half
	squareLow  uint64
}

// Add puts a sample in; the oldest of WindowSamples falls out. A negative
// duration, as an offset that is a little wrong makes them, counts as 0.
func (w *Window) Add(now, sample time.Duration) {
	if int(w.count) == WindowSamples {
		w.drop()
	}
	c := encodeSample(sample)
	at := w.after(c)
	copy(w.order[at+1:w.count+1], w.order[at:w.count])
	w.order[at], w.code[w.next] = w.next, c
	w.next = (w.next + 1) % WindowSamples
	w.count++
	w.newest = now
	v := decodeSample(c)
	high, low := bits.Mul64(v, v)
	var carry uint64
	w.sum += v
	w.squareLow, carry = bits.Add64(w.squareLow, low, 0)
	w.squareHigh += high + carry
}

// drop takes the oldest sample out.
func (w *Window) drop() {
	oldest := (int(w.next) - int(w.count) + WindowSamples) % WindowSamples
	c := w.code[oldest]
	at := w.before(c) // of equal samples the oldest is the first
	copy(w.order[at:w.count-1], w.order[at+1:w.count])
	w.count--
	v := decodeSample(c)
	high, low := bits.Mul64(v, v)
	var borrow uint64
	w.sum -= v
	w.squareLow, borrow = bits.Sub64(w.squareLow, low, 0)
	w.squareHigh -= high + borrow
}

// before is the rank of the first sample that is not below c.
func (w *Window) before(c uint16) int {
	low, high := 0, int(w.count)
	for low < high {
		if middle := (low + high) / 2; w.code[w.order[middle]] < c {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// after is the rank of the first sample that is above c.
func (w *Window) after(c uint16) int {
	low, high := 0, int(w.count)
	for low < high {
		if middle := (low + high) / 2; w.code[w.order[middle]] <= c {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low
}

// Expire empties the window when its newest sample is older than WindowAge.
func (w *Window) Expire(now time.Duration) {
	if w.count > 0 && now-w.newest > WindowAge {
		*w = Window{}
	}
}

// Len is the number of samples, at most WindowSamples.
func (w *Window) Len() int { return int(w.count) }

// Mean of the samples; 0 when there are none.
func (w *Window) Mean() time.Duration {
	if w.count == 0 {
		return 0
	}
	n := uint64(w.count)
	return time.Duration((w.sum*uint64(time.Microsecond) + n/2) / n)
}

// Deviation is the standard deviation of the samples (divided by n - 1); 0 for
// fewer than two.
func (w *Window) Deviation() time.Duration {
	return time.Duration(math.Round(math.Sqrt(w.variance()) * float64(time.Microsecond)))
}

// variance in us^2. n times the sum of squares, less the square of the sum, is
// exact in 128 bits; rounding begins after the subtraction.
func (w *Window) variance() float64 {
	if w.count < 2 {
		return 0
	}
	n := uint64(w.count)
	high, low := bits.Mul64(w.squareLow, n)
	high += w.squareHigh * n
	sumHigh, sumLow := bits.Mul64(w.sum, w.sum)
	low, borrow := bits.Sub64(low, sumLow, 0)
	high, _ = bits.Sub64(high, sumHigh, borrow)
	return (float64(float64(high)*(1<<64)) + float64(low)) / float64(n*(n-1))
}

// Drift is Deviation over Mean, clamped to 0-10; 0 when the mean is 0.
func (w *Window) Drift() float64 { return drift(w.variance(), float64(w.sum), float64(w.count)) }

// drift is the deviation over the mean, from a variance, a sum and a count.
func drift(variance, sum, count float64) float64 {
	if !(sum > 0) {
		return 0
	}
	return min(math.Sqrt(variance)*count/sum, MaxDrift)
}

// MaxDrift is the largest drift that is told from a larger one.
const MaxDrift = 10

// Quantile gives the sample that share q (0-1) of the samples do not exceed
// (nearest rank); 0 when there are none.
func (w *Window) Quantile(q float64) time.Duration {
	if w.count == 0 {
		return 0
	}
	rank := int(math.Ceil(q*float64(w.count))) - 1
	rank = min(max(rank, 0), int(w.count)-1)
	return time.Duration(decodeSample(w.code[w.order[rank]])) * time.Microsecond
}

// Percentiles are three of a window's quantiles.
type Percentiles struct{ P50, P95, P99 time.Duration }

// Percentiles gives the quantiles 0.5, 0.95 and 0.99.
func (w *Window) Percentiles() Percentiles {
	return Percentiles{P50: w.Quantile(0.5), P95: w.Quantile(0.95), P99: w.Quantile(0.99)}
}

// mantissaBits is the precision of a coded sample, beside the leading one.
const mantissaBits = 11

// encodeSample writes a duration in 16 bits that order as the durations do: an
// exponent above mantissaBits bits of what follows the leading one, rounded.
func encodeSample(d time.Duration) uint16 {
	v := uint64((min(max(d, 0), MaxSample) + time.Microsecond/2) / time.Microsecond)
	shift := max(bits.Len64(v)-mantissaBits-1, 0)
	v = (v + 1<<shift/2) >> shift // 4,096, where that rounds up, is the code of the next exponent
	return uint16(shift<<mantissaBits) + uint16(v)
}

// decodeSample gives microseconds.
func decodeSample(c uint16) uint64 {
	if c < 2<<mantissaBits {
		return uint64(c)
	}
	return uint64(1<<mantissaBits|c&(1<<mantissaBits-1)) << (c>>mantissaBits - 1)
}
