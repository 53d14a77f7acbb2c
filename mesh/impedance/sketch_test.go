package impedance

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

// TestSketchIsAsGoodAsAWindow: over streams of several shapes, the mean error of
// a sketch against the truth is at most a quarter more than that of a window of a
// hundred, or 5% (a window of a bounded quantity has its end nearly exactly).
func TestSketchIsAsGoodAsAWindow(t *testing.T) {
	quantiles := [...]float64{0.5, 0.95, 0.99}
	for name, c := range map[string]struct {
		draw  func(*rand.Rand) float64        // ms
		truth func(q float64) (value float64) // quantile in ms
	}{
		"exponential": {func(r *rand.Rand) float64 { return 10 * r.ExpFloat64() }, func(q float64) float64 { return -10 * math.Log(1-q) }},
		"uniform":     {func(r *rand.Rand) float64 { return 5 + 10*r.Float64() }, func(q float64) float64 { return 5 + 10*q }},
		"normal":      {func(r *rand.Rand) float64 { return 50 + 5*r.NormFloat64() }, func(q float64) float64 { return 50 + 5*math.Sqrt2*math.Erfinv(2*q-1) }},
		"heavy tail":  {func(r *rand.Rand) float64 { return math.Exp(r.NormFloat64()) }, func(q float64) float64 { return math.Exp(math.Sqrt2 * math.Erfinv(2*q-1)) }},
	} {
		random := rand.New(rand.NewPCG(64, 1))
		var s Sketch
		var w Window
		var sketched, windowed [3]float64
		for i := range 30_000 {
			d := time.Duration(c.draw(random) * float64(time.Millisecond))
			s.Delay(d)
			w.Add(0, d)
			if i < 500 {
				continue
			}
			p, e := s.Delays(), w.Percentiles()
			for k, have := range [...][2]time.Duration{{p.P50, e.P50}, {p.P95, e.P95}, {p.P99, e.P99}} {
				want := c.truth(quantiles[k])
				sketched[k] += math.Abs(float64(have[0])/1e6 - want)
				windowed[k] += math.Abs(float64(have[1])/1e6 - want)
			}
		}
		for k, q := range quantiles {
			if sketched[k] > max(1.25*windowed[k], 29_500*0.05*c.truth(q)) {
				t.Errorf("%s, quantile %v: mean error %.3f ms, of a window %.3f", name, q, sketched[k]/30_000, windowed[k]/30_000)
			}
		}
	}
}

// TestSketchFollows: a level that jumps is the new level after some hundred
// samples, up and down; upper percentiles come down later, which is the safe side.
func TestSketchFollows(t *testing.T) {
	random := rand.New(rand.NewPCG(64, 2))
	var s Sketch
	for _, level := range []float64{10, 200, 5} {
		for range 600 {
			s.Delay(time.Duration(level * (0.9 + 0.2*random.Float64()) * float64(time.Millisecond)))
		}
		for q, have := range map[float64]time.Duration{0.5: s.Delays().P50, 0.95: s.Delays().P95, 0.99: s.Delays().P99} {
			limit := 1.15
			if q > 0.5 {
				limit = 2.5
			}
			if want := level * (0.9 + 0.2*q); float64(have)/1e6 < 0.85*want || float64(have)/1e6 > limit*want {
				t.Errorf("level %v: quantile %v is %v, want %.1f ms", level, q, have, want)
			}
		}
	}
}

// TestSketchAgreesWithMeter: what goes into a registry is nearly the same.
func TestSketchAgreesWithMeter(t *testing.T) {
	random := rand.New(rand.NewPCG(64, 3))
	var s Sketch
	var m Meter
	now := time.Duration(0)
	for i := range 2000 {
		now += 5 * time.Second
		delay := time.Duration((20 + 10*random.Float64()) * float64(time.Millisecond))
		took := time.Duration((30 + 20*random.Float64()) * float64(time.Millisecond))
		ok := random.IntN(10) > 0
		s.Delay(delay)
		m.Delay(now, delay)
		s.Processed(now, took, 1, ok)
		m.Processed(now, took, 1, ok)
		s.Queue(i % 3)
		m.Queue(i % 3)
		record := Record{Class: ClassGPU, Operation: Active}
		m.Fill(now, &record)
		have, _ := s.Report(now, Report{Class: ClassGPU, Operation: Active})
		want := record.Report(0)
		if have.Queue != want.Queue {
			t.Fatalf("queue %d, want %d", have.Queue, want.Queue)
		}
		if i < 100 {
			continue
		}
		for name, pair := range map[string][2]float64{
			"delay": {float64(have.Delay), float64(want.Delay)}, "processing": {float64(have.Processing), float64(want.Processing)},
			"reliability": {have.Reliability, want.Reliability},
		} {
			if math.Abs(pair[0]/pair[1]-1) > 0.1 {
				t.Fatalf("%s after %d: %v, want %v", name, i, pair[0], pair[1])
			}
		}
		if math.Abs(have.Drift-want.Drift) > 0.05 {
			t.Fatalf("drift %v, want %v", have.Drift, want.Drift)
		}
	}
	if have := s.Base(ClassGPU); math.Abs(float64(have-m.Base(ClassGPU))) > float64(3*time.Millisecond) {
		t.Errorf("base %v, want %v", have, m.Base(ClassGPU))
	}
	p, want := s.ProcessingTimes(), m.ProcessingTimes()
	if (p.P95 - want.P95).Abs() > 3*time.Millisecond {
		t.Errorf("processing %v, want %v", p, want)
	}
	if r, _ := s.Report(now+5*time.Hour, Report{Class: ClassGPU, Operation: Active}); r.Reliability != 1 {
		t.Errorf("reliability %v long after", r.Reliability)
	}
}

// TestEmptySketch: nothing measured is nothing known.
func TestEmptySketch(t *testing.T) {
	var s Sketch
	r, spike := s.Report(0, Report{Class: ClassLocal, Operation: Active})
	if r.Delay != 0 || r.Processing != 225*time.Millisecond || r.Reliability != 1 || r.Drift != 0 || spike {
		t.Errorf("%+v, %v", r, spike)
	}
	s.Queue(-5)
	s.Processed(0, time.Second, math.NaN(), false)
	if r, _ = s.Report(0, r); r.Processing != 225*time.Millisecond || r.Reliability != 0 || r.Queue != 0 {
		t.Errorf("%+v", r)
	}
	if unsafe.Sizeof(s) != 64 {
		t.Errorf("%d bytes", unsafe.Sizeof(s))
	}
	if n := testing.AllocsPerRun(100, func() {
		s.Delay(time.Millisecond)
		s.Processed(0, time.Millisecond, 1, true)
		_, _ = s.Report(time.Hour, r)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSketchSpike: the average of a sketch is its own.
func TestSketchSpike(t *testing.T) {
	var s Sketch
	for i := range 100 {
		s.Delay(20 * time.Millisecond)
		if _, spike := s.Report(time.Duration(i)*HeartbeatPeriod, Report{Class: ClassEdge, Operation: Active}); spike {
			t.Fatal("a spike while nothing changes")
		}
	}
	spikes := 0
	for i := range 50 {
		s.Delay(2 * time.Second)
		if _, spike := s.Report(time.Duration(100+i)*HeartbeatPeriod, Report{Class: ClassEdge, Operation: Active}); spike {
			spikes++
		}
	}
	if spikes < 40 {
		t.Errorf("%d spikes of 50", spikes)
	}
}

// BenchmarkMillion is one heartbeat of one of many agents, in no order of memory:
// a delay, a processing time and the report.
func BenchmarkMillion(b *testing.B) {
	const agents = 1_000_000
	b.Run("Sketch", func(b *testing.B) {
		all := make([]Sketch, agents)
		b.ReportMetric(float64(unsafe.Sizeof(all[0])), "B/agent")
		id := 0
		for i := range b.N {
			id = (id + 7919) % agents
			now := time.Duration(i) * 5 * time.Microsecond
			all[id].Delay(time.Duration(i%1000) * time.Microsecond)
			all[id].Processed(now, time.Duration(i%777)*time.Microsecond, 1, true)
			r, _ := all[id].Report(now, Report{Class: ClassLocal, Operation: Active})
			sink.Store(uint64(r.Delay))
		}
	})
	b.Run("Meter", func(b *testing.B) {
		all := make([]Meter, agents/10) // a tenth of them: 128 MB
		b.ReportMetric(float64(unsafe.Sizeof(all[0])), "B/agent")
		id := 0
		for i := range b.N {
			id = (id + 7919) % len(all)
			now := time.Duration(i) * 5 * time.Microsecond
			all[id].Delay(now, time.Duration(i%1000)*time.Microsecond)
			all[id].Processed(now, time.Duration(i%777)*time.Microsecond, 1, true)
			r := Record{Class: ClassLocal, Operation: Active}
			all[id].Heartbeat(now, &r)
			sink.Store(uint64(r.Score))
		}
	})
}
