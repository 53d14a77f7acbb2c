package impedance

import (
	"math"
	"time"
)

// Sketch is a Meter in 64 bytes, one cache line: for fleets of a million agents in
// one process. It forgets exponentially where a Meter has windows: its mean and
// deviation weigh a sample half as much after 34 others, its percentiles follow
// those of the stream with about the noise of a window of a hundred, its
// reliability has a mean age of half an hour, as an hour's window has. The zero
// value is ready. No method allocates. It is not safe for use by several
// goroutines.
type Sketch struct {
	delay      trail
	processing trail   // of a payload of weight 0
	succeeded  float32 // decaying counts
	failed     float32
	minute     uint32 // of the newest count
	baseline   Baseline
	queue      uint16
	delays     uint8 // samples, at most sketchSamples
	processed  uint8
}

// Figures of a sketch.
const (
	sketchSamples = 100
	// sketchGain weighs a new sample as the mean of sketchSamples samples has
	// noise: 2 / (n + 1).
	sketchGain = 2.0 / (sketchSamples + 1)
	// sketchWarm is how many samples there are before percentiles follow by
	// themselves; until then they are those of a normal distribution.
	sketchWarm = 20
	// reliabilityDecay is what is left of a count after a minute.
	reliabilityDecay = 1 - 1.0/30
)

// trail follows one duration. All are in us.
type trail struct{ mean, variance, p50, p95, p99 float32 }

// add takes a sample; n is how many there were before, and becomes one more.
func (t *trail) add(sample time.Duration, n *uint8) {
	x := float32(min(max(sample, 0), MaxSample)) / float32(time.Microsecond)
	*n = min(*n+1, sketchSamples)
	gain := max(1/float32(*n), sketchGain)
	d := x - t.mean
	t.mean += float32(gain * d)
	t.variance = (1 - gain) * (t.variance + float32(gain*float32(d*d)))
	deviation := float32(math.Sqrt(float64(t.variance)))
	if *n < sketchWarm {
		t.p50, t.p95, t.p99 = t.mean, t.mean+float32(1.645*deviation), t.mean+float32(2.326*deviation)
		return
	}
	t.p50 = follow(t.p50, x, t.mean, deviation, 0.5)
	t.p95 = max(follow(t.p95, x, t.mean, deviation, 0.95), t.p50)
	t.p99 = max(follow(t.p99, x, t.mean, deviation, 0.99), t.p95)
}

// follow moves a percentile by stochastic approximation (Robbins and Monro 1951):
// up when it was exceeded, down when not, so that both balance where the share q
// of the samples is below. Cantelli's inequality says how far from the mean a
// quantile can be, whatever the distribution: that takes it along when the level
// jumps.
func follow(at, x, mean, deviation, q float32) float32 {
	step := deviation / (2 * sketchSamples * (1 - q))
	if x > at {
		at += float32(step * q)
	} else {
		at -= float32(step * (1 - q))
	}
	odds := float32(math.Sqrt(float64(q / (1 - q))))
	return max(min(at, mean+float32(deviation*odds)), mean-deviation/odds, 0)
}

func (t *trail) percentiles() Percentiles {
	return Percentiles{P50: ofMicroseconds(t.p50), P95: ofMicroseconds(t.p95), P99: ofMicroseconds(t.p99)}
}

func ofMicroseconds(us float32) time.Duration {
	return time.Duration(math.Round(float64(us) * float64(time.Microsecond)))
}

// Delay takes one measured delay; let all be one way, or all round trips.
func (s *Sketch) Delay(delay time.Duration) { s.delay.add(delay, &s.delays) }

// Processed is Meter.Processed.
func (s *Sketch) Processed(now, took time.Duration, weight float64, succeeded bool) {
	s.Outcome(now, succeeded)
	if weight >= 0 {
		s.processing.add(time.Duration(math.Round(float64(max(took, 0))/WeightFactor(weight))), &s.processed)
	}
}

// Outcome is Meter.Outcome.
func (s *Sketch) Outcome(now time.Duration, succeeded bool) {
	s.decay(now)
	if succeeded {
		s.succeeded++
	} else {
		s.failed++
	}
}

// decay makes old counts count less; after four hours nothing is left of them.
func (s *Sketch) decay(now time.Duration) {
	minute := uint32(max(now, 0) / time.Minute)
	if minute > s.minute+240 {
		s.succeeded, s.failed, s.minute = 0, 0, minute
	}
	for ; s.minute < minute; s.minute++ {
		s.succeeded *= reliabilityDecay
		s.failed *= reliabilityDecay
	}
}

// Queue sets the number of operations that wait, up to 65,535.
func (s *Sketch) Queue(depth int) { s.queue = uint16(min(max(depth, 0), math.MaxUint16)) }

// Base is Meter.Base.
func (s *Sketch) Base(class Class) time.Duration {
	return shrunk(class.BaseProcessing(), ofMicroseconds(s.processing.mean), int(s.processed))
}

// Delays gives the percentiles of the delay; all 0 when there is no sample.
func (s *Sketch) Delays() Percentiles { return s.delay.percentiles() }

// ProcessingTimes is Meter.ProcessingTimes.
func (s *Sketch) ProcessingTimes() Percentiles { return s.processing.percentiles() }

// Drift is Meter.Drift.
func (s *Sketch) Drift() float64 {
	return drift(float64(s.delay.variance)+float64(s.processing.variance), float64(s.delay.mean)+float64(s.processing.mean), 1)
}

// Report is what a registry is told, with the sketch's figures in place of those
// that r has. It says whether the score is a spike against the sketch's own
// long-term average: once per heartbeat.
func (s *Sketch) Report(now time.Duration, r Report) (filled Report, spike bool) {
	s.decay(now)
	r.Delay, r.Queue, r.Drift, r.Reliability = ofMicroseconds(s.delay.mean), uint32(s.queue), s.Drift(), 1
	r.Processing = bounded(float64(s.Base(r.Class)) * WeightFactor(1))
	if n := s.succeeded + s.failed; n > 0 {
		r.Reliability = float64(s.succeeded / n)
	}
	e := entryOf(r, NoCell, now)
	e.judge()
	return r, s.baseline.Observe(e.Score)
}
