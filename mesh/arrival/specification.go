package arrival

import (
	"math"
	"slices"
	"time"
)

// specificationWindow is the number of newest delays that mesh-30k 4.1 keeps.
const specificationWindow = 100

// Specification is mesh-30k 3.1 as it is written: the median of the last hundred
// delays one way, and a buffer for the drift, which 4.1 says is their standard
// deviation. Processing and queue are added by Lead, as for every estimator. 404
// bytes a target.
type Specification struct {
	margin float32
	recent []recent
}

type recent struct {
	values [specificationWindow]float32 // us
	next   uint8
	count  uint8
}

// NewSpecification makes one whose buffer is so many standard deviations; the
// specification has one.
func NewSpecification(targets int, margin float64) *Specification {
	return &Specification{float32(margin), make([]recent, targets)}
}

// Lead implements Estimator.
func (e *Specification) Lead(target int, _ Rate) time.Duration {
	r := &e.recent[target]
	return duration(r.median() + float32(e.margin*r.deviation()))
}

// Point implements Estimator.
func (e *Specification) Point(target int) time.Duration { return duration(e.recent[target].median()) }

// Deviation is the spread that the margin multiplies.
func (e *Specification) Deviation(target int) time.Duration {
	return duration(e.recent[target].deviation())
}

// Observe implements Estimator.
func (e *Specification) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	r := &e.recent[target]
	r.values[r.next] = micros(actual)
	r.next = (r.next + 1) % specificationWindow
	r.count = min(r.count+1, specificationWindow)
}

// Round implements Estimator.
func (*Specification) Round() {}

// median is the lower one of an even number of values.
func (r *recent) median() float32 {
	if r.count == 0 {
		return 0
	}
	sorted := r.values
	slices.Sort(sorted[:r.count])
	return sorted[(r.count-1)/2]
}

func (r *recent) deviation() float32 {
	if r.count < 2 {
		return 0
	}
	mean, square := 0.0, 0.0
	for _, v := range r.values[:r.count] {
		mean += float64(v) / float64(r.count)
	}
	for _, v := range r.values[:r.count] {
		off := float64(v) - mean
		square += float64(off * off)
	}
	return float32(math.Sqrt(square / float64(r.count-1)))
}
