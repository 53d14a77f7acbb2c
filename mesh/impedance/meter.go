package impedance

import "time"

// WindowAge is how long a sample counts.
const WindowAge = 60 * time.Second

// Meter gathers what one agent measures of itself. The zero value is ready. It
// is not safe for use by several goroutines.
type Meter struct {
	roundTrip  Window // ms
	processing Window // ms for a payload of weight 1
	total      Window // ms, for drift
	success    Window // 0 or 1
	queue      uint32
}

// RoundTrip takes one measured round trip to a peer of the cell.
func (m *Meter) RoundTrip(now, roundTrip time.Duration) {
	ms := milliseconds(roundTrip)
	m.roundTrip.Add(now, ms)
	m.total.Add(now, ms+m.processing.Mean())
}

// Processed takes the time that one operation of the given payload weight took
// (1 is a standard payload; 0 and less count as 1), and whether it succeeded.
func (m *Meter) Processed(now, took time.Duration, weight float64, ok bool) {
	if !(weight > 0) {
		weight = 1
	}
	ms := milliseconds(took) / weight
	m.processing.Add(now, ms)
	m.success.Add(now, truth(ok))
	m.total.Add(now, m.roundTrip.Mean()+ms)
}

// Queue sets the number of operations that wait.
func (m *Meter) Queue(depth int) { m.queue = uint32(max(depth, 0)) }

// Fill writes the measured fields of a record and its score; who the agent is
// and its Operation are the caller's. An agent that has done nothing within the
// window counts as reliable.
func (m *Meter) Fill(now time.Duration, r *Record) {
	for _, w := range []*Window{&m.roundTrip, &m.processing, &m.total, &m.success} {
		w.Expire(now, WindowAge)
	}
	r.RoundTripMS, r.ProcessingMS, r.QueueDepth = m.roundTrip.Mean(), m.processing.Mean(), m.queue
	r.Drift, r.Reliability = m.total.Drift(), 1
	if m.success.Len() > 0 {
		r.Reliability = m.success.Mean()
	}
	r.Score = Score(*r)
}

func milliseconds(d time.Duration) float64 { return float64(max(d, 0)) / float64(time.Millisecond) }

func truth(ok bool) float64 {
	if ok {
		return 1
	}
	return 0
}
