package impedance

import (
	"math"
	"time"
)

// Meter is the profiler of mesh-30k 4.1: what one agent measures of itself, or
// what somebody else measures of it, in 1.3 KB. The zero value is ready. No
// method allocates. It is not safe for use by several goroutines.
//
// A million agents of a simulation are better kept in a Sketch each.
type Meter struct {
	roundTrip  Window
	delay      Window // one way
	processing Window // of a payload of weight 0
	outcomes   Reliability
	baseline   Baseline
	weight     float32 // mean factor of the payloads, less that of weight 1
	queue      uint32
}

// RoundTrip takes one measured round trip to a peer of the cell.
func (m *Meter) RoundTrip(now, roundTrip time.Duration) { m.roundTrip.Add(now, roundTrip) }

// Delay takes one measured one-way delay (see Clock). Half of a round trip is
// not one: it is wrong by over 10% on every ninth path.
func (m *Meter) Delay(now, oneWay time.Duration) { m.delay.Add(now, oneWay) }

// Processed takes the time that one operation took for a payload of a weight (0
// and more, 1 is a standard payload), without its wait in the queue, and whether
// it succeeded. A weight that is negative or no number spoils the time, which is
// then left out; the outcome counts.
func (m *Meter) Processed(now, took time.Duration, weight float64, succeeded bool) {
	m.outcomes.Add(now, succeeded)
	if !(weight >= 0) {
		return
	}
	factor := WeightFactor(weight)
	m.processing.Add(now, time.Duration(math.Round(float64(max(took, 0))/factor)))
	m.weight += float32((factor - WeightFactor(1) - float64(m.weight)) / weightSamples)
}

// weightSamples is over how many payloads the mean weight runs, about.
const weightSamples = 16

// Outcome counts an operation whose processing time says nothing, as a message
// that was never answered.
func (m *Meter) Outcome(now time.Duration, succeeded bool) { m.outcomes.Add(now, succeeded) }

// Queue sets the number of operations that wait.
func (m *Meter) Queue(depth int) { m.queue = depthOf(depth) }

func depthOf(depth int) uint32 { return uint32(min(max(depth, 0), math.MaxInt32)) }

// Base is the processing time of a payload of weight 0: the class's base, each
// of whose PriorSamples gives way to a measured sample, then the mean of the
// window. What was learnt stays however long the agent does nothing.
func (m *Meter) Base(class Class) time.Duration {
	return shrunk(class.BaseProcessing(), m.processing.Mean(), m.processing.Len())
}

// Service is the time that one operation in the queue takes: Base with the mean
// weight of recent payloads.
func (m *Meter) Service(class Class) time.Duration {
	return bounded(float64(m.Base(class)) * (WeightFactor(1) + float64(m.weight)))
}

// Processing is the time from the arrival of a payload until it is processed,
// behind what waits now.
func (m *Meter) Processing(class Class, weight float64) time.Duration {
	return ProcessingTime(m.Base(class), weight, m.queue, m.Service(class))
}

// Delays gives the percentiles of the one-way delay, of the round trip where no
// one-way delay is measured; all 0 when nothing is.
func (m *Meter) Delays(now time.Duration) Percentiles { return m.path(now).Percentiles() }

// path is the window that says most about the delay.
func (m *Meter) path(now time.Duration) *Window {
	m.delay.Expire(now)
	m.roundTrip.Expire(now)
	if m.delay.Len() > 0 {
		return &m.delay
	}
	return &m.roundTrip
}

// ProcessingTimes gives the percentiles of the measured processing times of a
// payload of weight 0.
func (m *Meter) ProcessingTimes() Percentiles { return m.processing.Percentiles() }

// Drift is the standard deviation over the mean of delay + processing, 0-10. The
// two are taken to be independent. (The specification has the deviation alone,
// in ms, and compares it with 0.5.)
func (m *Meter) Drift(now time.Duration) float64 {
	path, sum, variance := m.path(now), 0.0, 0.0
	for _, w := range [...]*Window{path, &m.processing} {
		if w.Len() > 0 {
			sum += float64(w.sum) / float64(w.count)
			variance += w.variance()
		}
	}
	return drift(variance, sum, 1)
}

// Fill writes the measured fields of a record and its score; who the agent is,
// its Class and its Operation are the caller's, and are read. An agent that has
// done nothing within the hour counts as reliable.
func (m *Meter) Fill(now time.Duration, r *Record) {
	r.Drift = m.Drift(now) // expires the windows
	r.RoundTripMS, r.DelayMS = milliseconds(m.roundTrip.Mean()), milliseconds(m.delay.Mean())
	r.ProcessingMS, r.QueueDepth = milliseconds(m.Base(r.Class))*WeightFactor(1), m.queue
	r.Reliability, _ = m.outcomes.Rate(now)
	r.Score = Score(*r)
}

// Heartbeat is Fill for a record that goes out as a heartbeat. It says whether
// the score is a spike against the meter's own long-term average.
func (m *Meter) Heartbeat(now time.Duration, r *Record) (spike bool) {
	m.Fill(now, r)
	return m.baseline.Observe(r.Score)
}
