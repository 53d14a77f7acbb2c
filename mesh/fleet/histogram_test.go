package fleet

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestHistogram holds percentiles against the sorted list, over nine decades, and
// those of parts that are added against those of the whole.
func TestHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var whole, left, right Histogram
	var list []time.Duration
	for i := range 20_000 {
		d := time.Duration(random.Int64N(1 << random.IntN(45)))
		list = append(list, d)
		whole.Record(d)
		if i%3 == 0 {
			left.Record(d)
		} else {
			right.Record(d)
		}
	}
	slices.Sort(list)
	left.Add(&right)
	if left != whole {
		t.Error("the sum of the parts is not the whole")
	}
	for _, q := range []uint64{1, 10, 250, 500, 900, 950, 990, 999, 1000} {
		want := list[(len(list)*int(q)+999)/1000-1]
		got, ok := whole.Quantile(q, 0)
		if !ok || got < want || got > want+want/128+time.Microsecond {
			t.Errorf("%d thousandths: %v, %v; want %v", q, got, ok, want)
		}
	}
	if whole.Max() != list[len(list)-1] || whole.Count() != 20_000 {
		t.Errorf("max %v of %d", whole.Max(), whole.Count())
	}
	for i := range histogramBuckets {
		upper := histogramUpper(i)
		if histogramIndex(upper) != i || histogramIndex(upper+1) != min(i+1, histogramBuckets-1) {
			t.Fatalf("bucket %d ends at %v, which is in %d, and then comes %d", i, upper, histogramIndex(upper), histogramIndex(upper+1))
		}
	}
}

// TestHistogramMissing: those that never came are longer than any.
func TestHistogramMissing(t *testing.T) {
	var h Histogram
	if _, ok := h.Quantile(500, 0); ok {
		t.Error("an empty histogram has a median")
	}
	for range 95 {
		h.Record(time.Millisecond)
	}
	if d, ok := h.Quantile(950, 100); !ok || d != time.Millisecond {
		t.Errorf("95 of 100 came: %v, %v", d, ok)
	}
	if _, ok := h.Quantile(951, 100); ok {
		t.Error("96 of 100 did not come, and it says when")
	}
	if h.AtMost(time.Millisecond) != 95 || h.AtMost(900*time.Microsecond) != 0 || h.AtMost(-1) != 0 {
		t.Errorf("at most 1 ms: %d, 0.9 ms: %d", h.AtMost(time.Millisecond), h.AtMost(900*time.Microsecond))
	}
	h.Record(-time.Second)
	if h.AtMost(0) != 1 {
		t.Error("a negative one counts as 0")
	}
}
