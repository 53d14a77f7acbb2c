package impedance

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScore(t *testing.T) {
	base := Record{Class: ClassLocal, Operation: Active, Reliability: 1}
	for _, c := range []struct {
		name   string
		change func(*Record)
		want   uint16
	}{
		{"at hand", func(*Record) {}, 0},
		{"1 ms", func(r *Record) { r.RoundTripMS = 1 }, 100},
		{"31 ms", func(r *Record) { r.RoundTripMS = 21; r.ProcessingMS = 10 }, 500},
		{"queue of 9", func(r *Record) { r.RoundTripMS = 1; r.ProcessingMS = 3; r.QueueDepth = 9 }, 500},
		{"1 s", func(r *Record) { r.RoundTripMS = 1000 }, 997},
		{"10 s", func(r *Record) { r.RoundTripMS = 10_000 }, 1000},
		{"drift", func(r *Record) { r.RoundTripMS = 1; r.Drift = 1 }, 150},
		{"half fail", func(r *Record) { r.RoundTripMS = 1; r.Reliability = 0.5 }, 200},
		{"all fail", func(r *Record) { r.Reliability = 0 }, 1000},
		{"degraded", func(r *Record) { r.RoundTripMS = 1.5; r.Operation = Degraded }, 200},
		{"offline", func(r *Record) { r.Operation = Offline }, 1000},
		{"quarantined", func(r *Record) { r.Operation = Quarantined }, 1000},
		{"human", func(r *Record) { r.Class = ClassHuman }, 1000},
		{"NaN", func(r *Record) { r.RoundTripMS = math.NaN() }, 1000},
	} {
		r := base
		c.change(&r)
		if have := Score(r); have != c.want {
			t.Errorf("%s: %d, want %d", c.name, have, c.want)
		}
	}
}

// TestScoreIsMonotonic: nothing that gets worse lowers the score.
func TestScoreIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{Operation: Active, RoundTripMS: rapid.Float64Range(0, 1e4).Draw(t, "round trip"), ProcessingMS: rapid.Float64Range(0, 1e4).Draw(t, "processing"),
			QueueDepth: rapid.Uint32Range(0, 1000).Draw(t, "queue"), Drift: rapid.Float64Range(0, 9).Draw(t, "drift"), Reliability: rapid.Float64Range(0.01, 1).Draw(t, "reliability")}
		more := rapid.Float64Range(0, 1).Draw(t, "more")
		for name, worse := range map[string]func(*Record){
			"round trip": func(r *Record) { r.RoundTripMS += more * 100 }, "processing": func(r *Record) { r.ProcessingMS += more * 100 },
			"queue": func(r *Record) { r.QueueDepth++ }, "drift": func(r *Record) { r.Drift += more },
			"reliability": func(r *Record) { r.Reliability *= 1 - more/2 }, "operation": func(r *Record) { r.Operation = Degraded },
		} {
			w := r
			worse(&w)
			if Score(w) < Score(r) {
				t.Fatalf("%s: %d became %d", name, Score(r), Score(w))
			}
		}
	})
}

// TestWindow checks against the plain definitions.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window
		var all []float64
		for i := range rapid.IntRange(0, 200).Draw(t, "samples") {
			v := rapid.Float64Range(0, 1000).Draw(t, "v")
			w.Add(time.Duration(i)*time.Second, v)
			all = append(all, v)
		}
		all = all[max(0, len(all)-WindowSamples):]
		if !slices.Equal(w.Samples(), all) || w.Len() != len(all) {
			t.Fatalf("have %v, want %v", w.Samples(), all)
		}
		if len(all) == 0 {
			if w.Mean() != 0 || w.Deviation() != 0 || w.Drift() != 0 || w.Quantile(0.5) != 0 {
				t.Fatal("an empty window is not 0")
			}
			return
		}
		sum, square := 0.0, 0.0
		for _, v := range all {
			sum += v
		}
		mean := sum / float64(len(all))
		for _, v := range all {
			square += (v - mean) * (v - mean)
		}
		if math.Abs(w.Mean()-mean) > 1e-9*(1+mean) {
			t.Fatalf("mean %v, want %v", w.Mean(), mean)
		}
		if len(all) > 1 {
			if want := math.Sqrt(square / float64(len(all)-1)); math.Abs(w.Deviation()-want) > 1e-6*(1+want) {
				t.Fatalf("deviation %v, want %v", w.Deviation(), want)
			}
		}
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		have, below := w.Quantile(q), 0
		for _, v := range all {
			if v <= have {
				below++
			}
		}
		if float64(below) < q*float64(len(all)) || !slices.Contains(all, have) {
			t.Fatalf("quantile %v is %v: %d of %d are at or below it", q, have, below, len(all))
		}
	})
}

func TestWindowExpires(t *testing.T) {
	var w Window
	for i := range 10 {
		w.Add(time.Duration(i)*time.Second, float64(i))
	}
	w.Add(10*time.Second, math.NaN())
	w.Add(10*time.Second, math.Inf(1))
	w.Expire(12*time.Second, 5*time.Second)
	if have := w.Samples(); !slices.Equal(have, []float64{7, 8, 9}) {
		t.Errorf("have %v", have)
	}
	w.Expire(time.Hour, time.Second)
	if w.Len() != 0 {
		t.Errorf("%d left", w.Len())
	}
}

func TestMeter(t *testing.T) {
	var m Meter
	r := Record{Agent: "a", Cell: "c", Operation: Active}
	m.Fill(0, &r)
	if r.Reliability != 1 || r.Score != 0 || r.Drift != 0 {
		t.Errorf("before any sample: %+v", r)
	}
	for i := range 10 {
		now := time.Duration(i) * time.Second
		m.RoundTrip(now, 2*time.Millisecond)
		m.Processed(now, 30*time.Millisecond, 10, i%5 != 0) // 3 ms for weight 1; two of ten fail
	}
	m.Queue(4)
	m.Fill(10*time.Second, &r)
	if r.RoundTripMS != 2 || math.Abs(r.ProcessingMS-3) > 1e-9 || r.QueueDepth != 4 || r.Reliability != 0.8 || r.Score != Score(r) || r.Score == 0 {
		t.Errorf("have %+v", r)
	}
	if _, err := r.Encode(); err != nil {
		t.Error(err)
	}
	steady := r.Drift
	for i := range 10 {
		m.Processed(11*time.Second, time.Duration(i*i)*time.Millisecond, 0, true)
	}
	if m.Fill(12*time.Second, &r); r.Drift <= steady {
		t.Errorf("drift %v does not rise over %v with scattered samples", r.Drift, steady)
	}
	m.Queue(-1)
	if m.Fill(time.Hour, &r); r.QueueDepth != 0 || r.RoundTripMS != 0 || r.Reliability != 1 {
		t.Errorf("old samples still count: %+v", r)
	}
}
