package impedance

import (
	"math"
	"slices"
	"time"
)

// WindowSamples is how many of the newest samples a window keeps.
const WindowSamples = 64

// Window holds the newest samples of one quantity. The zero value is empty and
// ready. It is not safe for use by several goroutines.
type Window struct {
	value [WindowSamples]float64
	at    [WindowSamples]time.Duration
	next  int
	count int
}

// Add puts a sample in; the oldest falls out. NaN and infinities are ignored.
func (w *Window) Add(now time.Duration, value float64) {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return
	}
	w.value[w.next], w.at[w.next] = value, now
	w.next = (w.next + 1) % WindowSamples
	w.count = min(w.count+1, WindowSamples)
}

// Expire drops the samples that are older than age.
func (w *Window) Expire(now, age time.Duration) {
	for w.count > 0 {
		oldest := (w.next - w.count + WindowSamples) % WindowSamples
		if now-w.at[oldest] <= age {
			return
		}
		w.count--
	}
}

// Len is the number of samples, at most WindowSamples.
func (w *Window) Len() int { return w.count }

// Samples copies the samples, the oldest first.
func (w *Window) Samples() []float64 {
	out := make([]float64, w.count)
	for i := range out {
		out[i] = w.value[(w.next-w.count+i+WindowSamples)%WindowSamples]
	}
	return out
}

// Mean of the samples; 0 when there are none.
func (w *Window) Mean() float64 {
	if w.count == 0 {
		return 0
	}
	sum := 0.0
	for i := range w.count {
		sum += w.value[(w.next-w.count+i+WindowSamples)%WindowSamples]
	}
	return sum / float64(w.count)
}

// Deviation is the standard deviation of the samples; 0 for fewer than two.
func (w *Window) Deviation() float64 {
	if w.count < 2 {
		return 0
	}
	mean, sum := w.Mean(), 0.0
	for i := range w.count {
		d := w.value[(w.next-w.count+i+WindowSamples)%WindowSamples] - mean
		sum += float64(d * d)
	}
	return math.Sqrt(sum / float64(w.count-1))
}

// Drift is Deviation over Mean, clamped to 0-10; 0 when the mean is not positive.
func (w *Window) Drift() float64 {
	mean := w.Mean()
	if !(mean > 0) {
		return 0
	}
	return min(w.Deviation()/mean, 10)
}

// Quantile gives the sample that share q (0-1) of the samples do not exceed; 0
// when there are none.
func (w *Window) Quantile(q float64) float64 {
	if w.count == 0 {
		return 0
	}
	sorted := w.Samples()
	slices.Sort(sorted)
	rank := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(rank, 0), len(sorted)-1)]
}
