package arrival

import (
	"math"
	"time"
)

// The estimators of this file are what the adaptive one is compared with. They
// have one margin for both rates: it is a constant, nothing steers it.

// deviations is what all of them add to their point: a multiple of how far their
// own points were off, smoothed as RFC 6298 does (2.3: beta is 1/4).
type deviations struct {
	margin float32
	spread []float32 // us, by target
}

func newDeviations(targets int, margin float64) deviations {
	return deviations{margin: float32(margin), spread: make([]float32, targets)}
}

// observe takes the error of a point; the first one sets half of the delay, as
// RFC 6298 (2.2) does.
func (d *deviations) observe(target int, seen bool, point, actual float32) {
	if !seen {
		d.spread[target] = actual / 2
		return
	}
	off := point - actual
	if off < 0 {
		off = -off
	}
	d.spread[target] += float32((off - d.spread[target]) / 4)
}

func (d *deviations) lead(target int, point float32) time.Duration {
	return duration(point + float32(d.margin*d.spread[target]))
}

// Deviation is the spread that the margin multiplies.
func (d *deviations) Deviation(target int) time.Duration { return duration(d.spread[target]) }

// Round implements Estimator: these learn nothing from it.
func (*deviations) Round() {}

// LastValue says that the next delay is the last one. 8 bytes a target.
type LastValue struct {
	deviations
	last []float32
}

// NewLastValue makes one whose lead is the last value and so many deviations.
func NewLastValue(targets int, margin float64) *LastValue {
	return &LastValue{newDeviations(targets, margin), make([]float32, targets)}
}

// Lead implements Estimator.
func (e *LastValue) Lead(target int, _ Rate) time.Duration { return e.lead(target, e.last[target]) }

// Point implements Estimator.
func (e *LastValue) Point(target int) time.Duration { return duration(e.last[target]) }

// Observe implements Estimator.
func (e *LastValue) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	now := micros(actual)
	e.observe(target, e.last[target] > 0, e.last[target], now)
	e.last[target] = now
}

// Average is an exponentially weighted mean, gain 1/8 (RFC 6298 2.3). With a
// margin of 4 deviations it is the rule of TCP's retransmission timer. 8 bytes a
// target.
type Average struct {
	deviations
	mean []float32
}

// NewAverage makes one whose lead is the mean and so many deviations.
func NewAverage(targets int, margin float64) *Average {
	return &Average{newDeviations(targets, margin), make([]float32, targets)}
}

// Lead implements Estimator.
func (e *Average) Lead(target int, _ Rate) time.Duration { return e.lead(target, e.mean[target]) }

// Point implements Estimator.
func (e *Average) Point(target int) time.Duration { return duration(e.mean[target]) }

// Observe implements Estimator.
func (e *Average) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	now, mean := micros(actual), &e.mean[target]
	e.observe(target, *mean > 0, *mean, now)
	if *mean > 0 {
		*mean += float32((now - *mean) / 8)
	} else {
		*mean = now
	}
}

// medianWindow is the number of newest delays that Median looks at.
const medianWindow = 9

// Median is the median of the last nine delays. 44 bytes a target.
type Median struct {
	deviations
	recent []ring[[medianWindow]float32]
}

// ring holds the newest values, and how many were ever put in up to its size.
type ring[T any] struct {
	values      T
	next, count uint8
}

// NewMedian makes one whose lead is the median and so many deviations.
func NewMedian(targets int, margin float64) *Median {
	return &Median{newDeviations(targets, margin), make([]ring[[medianWindow]float32], targets)}
}

// Lead implements Estimator.
func (e *Median) Lead(target int, _ Rate) time.Duration { return e.lead(target, e.point(target)) }

// Point implements Estimator.
func (e *Median) Point(target int) time.Duration { return duration(e.point(target)) }

func (e *Median) point(target int) float32 {
	r := &e.recent[target]
	if r.count == 0 {
		return 0
	}
	sorted := r.values
	insertionSort(sorted[:r.count])
	return sorted[(r.count-1)/2]
}

// Observe implements Estimator.
func (e *Median) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	r := &e.recent[target]
	e.observe(target, r.count > 0, e.point(target), micros(actual))
	r.values[r.next] = micros(actual)
	r.next = (r.next + 1) % medianWindow
	r.count = min(r.count+1, medianWindow)
}

func insertionSort(s []float32) {
	for i := 1; i < len(s); i++ {
		for j := i; j > 0 && s[j] < s[j-1]; j-- {
			s[j], s[j-1] = s[j-1], s[j]
		}
	}
}

// maxDelay is the longest delay that is kept; a longer one counts as this.
const maxDelay = time.Hour

// micros is the form that states keep: microseconds, rounded up, exact to 16.7 s.
func micros(d time.Duration) float32 {
	return float32((min(d, maxDelay) + time.Microsecond - 1) / time.Microsecond)
}

// duration rounds up, so that a delay equal to one that was kept is in time.
func duration(us float32) time.Duration {
	return saturate(math.Ceil(float64(us)) * float64(time.Microsecond))
}
