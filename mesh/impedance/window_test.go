package impedance

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestWindow checks against the plain definitions.
func TestWindow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w Window
		var all []float64 // us, as kept
		spread := rapid.SampledFrom([]int64{1, 5, 5_000, 5_000_000, math.MaxUint32}).Draw(t, "spread")
		n := rapid.IntRange(0, 350).Draw(t, "samples")
		for i := range n {
			v := time.Duration(rapid.Int64Range(0, spread).Draw(t, "v")) * time.Microsecond
			w.Add(time.Duration(i)*time.Second, v)
			all = append(all, float64(decodeSample(encodeSample(v))))
		}
		all = all[max(0, len(all)-WindowSamples):]
		if w.Len() != len(all) {
			t.Fatalf("%d samples, want %d", w.Len(), len(all))
		}
		if len(all) == 0 {
			if w.Mean() != 0 || w.Deviation() != 0 || w.Drift() != 0 || w.Quantile(0.5) != 0 {
				t.Fatal("an empty window is not 0")
			}
			return
		}
		mean, deviation := moments(all)
		near(t, "mean", float64(w.Mean())/1000, mean)
		near(t, "deviation", float64(w.Deviation())/1000, deviation)
		if mean > 0 {
			near(t, "drift", w.Drift(), min(deviation/mean, MaxDrift))
		}
		slices.Sort(all)
		q := rapid.Float64Range(0, 1).Draw(t, "q")
		for _, q := range []float64{q, 0, 0.5, 0.95, 0.99, 1} {
			rank := max(int(math.Ceil(q*float64(len(all))))-1, 0)
			if have := float64(w.Quantile(q)) / 1000; have != all[rank] {
				t.Fatalf("quantile %v is %v us, want %v", q, have, all[rank])
			}
		}
	})
}

func moments(all []float64) (mean, deviation float64) {
	for _, v := range all {
		mean += v / float64(len(all))
	}
	square := 0.0
	for _, v := range all {
		square += (v - mean) * (v - mean)
	}
	if len(all) > 1 {
		deviation = math.Sqrt(square / float64(len(all)-1))
	}
	return mean, deviation
}

func near(t *rapid.T, what string, have, want float64) {
	if math.Abs(have-want) > 1e-3+1e-6*math.Abs(want) {
		t.Fatalf("%s %v, want %v", what, have, want)
	}
}

// TestWindowDoesNotWearOff: the sums of a window that ran for a long time over
// huge values are those of a new one.
func TestWindowDoesNotWearOff(t *testing.T) {
	var old, young Window
	for i := range 100_000 {
		old.Add(0, time.Duration(i)*time.Second)
	}
	for i := range WindowSamples {
		v := time.Duration(i*i) * time.Microsecond
		old.Add(0, v)
		young.Add(0, v)
	}
	if old.sum != young.sum || old.squareHigh != young.squareHigh || old.squareLow != young.squareLow || old.Drift() != young.Drift() {
		t.Errorf("sums %d %d %d, want %d %d %d", old.sum, old.squareHigh, old.squareLow, young.sum, young.squareHigh, young.squareLow)
	}
}

func TestWindowExpires(t *testing.T) {
	var w Window
	w.Add(0, time.Second)
	w.Add(time.Minute, time.Second)
	if w.Expire(time.Minute + WindowAge); w.Len() != 2 {
		t.Errorf("%d left at the age", w.Len())
	}
	if w.Expire(time.Minute + WindowAge + 1); w != (Window{}) {
		t.Errorf("%d left past the age", w.Len())
	}
}

// TestSampleCode: the code orders as the durations do and is as near as it says.
func TestSampleCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		magnitude := rapid.IntRange(0, 63).Draw(t, "magnitude")
		a := time.Duration(rapid.Int64Range(0, 1<<magnitude-1).Draw(t, "a"))
		b := time.Duration(rapid.Int64Range(0, 1<<magnitude-1).Draw(t, "b"))
		ca, cb := encodeSample(a), encodeSample(b)
		if a <= b && ca > cb || a >= b && ca < cb {
			t.Fatalf("%v has code %d, %v has %d", a, ca, b, cb)
		}
		want := min(float64(a)/1000, math.MaxUint32)
		if have := float64(decodeSample(ca)); math.Abs(have-want) > 0.5+want/4096 {
			t.Fatalf("%v is kept as %v us", a, have)
		}
		if have := encodeSample(time.Duration(decodeSample(ca)) * time.Microsecond); have != ca {
			t.Fatalf("code %d decodes to one with code %d", ca, have)
		}
	})
	for d, want := range map[time.Duration]uint64{
		-time.Second: 0, 0: 0, 499: 0, 500: 1, 4095 * time.Microsecond: 4095, 4097 * time.Microsecond: 4098, 10 * time.Millisecond: 10_000, math.MaxInt64: math.MaxUint32 + 1,
	} {
		if have := decodeSample(encodeSample(d)); have != want {
			t.Errorf("%v is kept as %d us, want %d", d, have, want)
		}
	}
}
