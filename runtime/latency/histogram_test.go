package latency

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"pgregory.net/rapid"
)

// durations draws from all decades alike, and from beyond both ends.
var durations = rapid.Custom(func(t *rapid.T) time.Duration {
	whole := rapid.Int64Range(-5, 1<<36).Draw(t, "whole")
	return time.Duration(whole >> rapid.IntRange(0, 36).Draw(t, "shift"))
})

// TestBucketsCoverEverything walks the bounds: each bucket begins where the one
// before it ended, and holds its upper bound.
func TestBucketsCoverEverything(t *testing.T) {
	if Buckets != 770 || Shortest != 1024*time.Nanosecond || Longest != 17179869184*time.Nanosecond {
		t.Errorf("%d buckets from %v to %v", Buckets, Shortest, Longest)
	}
	for i := range Buckets - 1 {
		if got := Index(Upper(i)); got != i {
			t.Errorf("the upper bound of bucket %d is in bucket %d", i, got)
		}
		if got := Index(Upper(i) + 1); got != i+1 {
			t.Errorf("one more than the upper bound of bucket %d is in bucket %d", i, got)
		}
		if i > 0 && float64(Upper(i)-Upper(i-1)) > RelativeError*float64(Upper(i-1)) {
			t.Errorf("bucket %d, %v to %v, is too wide", i, Upper(i-1), Upper(i))
		}
	}
	for _, d := range []time.Duration{math.MinInt64, -1, 0, 1, 1024} {
		if Index(d) != 0 {
			t.Errorf("%v is in bucket %d", d, Index(d))
		}
	}
	if Index(math.MaxInt64) != Buckets-1 || Index(Longest+1) != Buckets-1 || Upper(Buckets) != Longest {
		t.Error("what is too long is not in the last bucket")
	}
}

// exactly is the nearest rank among the values themselves, counted by hand.
func exactly(values []time.Duration, millionths uint64) time.Duration {
	sorted := slices.Clone(values)
	slices.Sort(sorted)
	for i, v := range sorted {
		if uint64(i+1)*Whole >= millionths*uint64(len(values)) {
			return max(v, 0)
		}
	}
	return max(sorted[len(sorted)-1], 0)
}

func TestQuantilesWithinTheirError(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(durations, 1, 300).Draw(t, "values")
		var h Histogram
		for _, v := range values {
			h.Record(v)
		}
		if h.Count() != uint64(len(values)) || h.Max != max(slices.Max(values), 0) {
			t.Fatalf("count %d, longest %v", h.Count(), h.Max)
		}
		for _, m := range []uint64{0, 1, 500_000, 990_000, 999_000, Whole, rapid.Uint64Range(0, Whole).Draw(t, "millionths")} {
			got, want := h.Quantile(m), exactly(values, m)
			high := max(time.Duration(math.Ceil(float64(want)*(1+RelativeError))), Shortest)
			if want > Longest {
				high = h.Max
			}
			if got < want || got > high {
				t.Fatalf("quantile %d of %v is %v, exactly %v", m, values, got, want)
			}
		}
	})
}

// TestAgreesWithHdrHistogram holds counts and quantiles against the library on
// the same stream, log-normal as latencies are.
func TestAgreesWithHdrHistogram(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 7))
	oracle := hdrhistogram.New(1, int64(Longest), 3)
	var h Histogram
	for range 100_000 {
		d := time.Duration(50e3 * math.Exp(1.5*random.NormFloat64()))
		d = min(max(d, Shortest), Longest)
		h.Record(d)
		if err := oracle.RecordValue(int64(d)); err != nil {
			t.Fatal(err)
		}
	}
	if int64(h.Count()) != oracle.TotalCount() {
		t.Errorf("%d counted, the library %d", h.Count(), oracle.TotalCount())
	}
	for _, m := range []uint64{1000, 100_000, 500_000, 900_000, 990_000, 999_000, 999_900, 999_990, Whole} {
		got, want := float64(h.Quantile(m)), float64(oracle.ValueAtQuantile(float64(m)/10_000))
		if got < want*(1-0.001) || got > want*(1+RelativeError) {
			t.Errorf("quantile %d is %v, the library's %v", m, time.Duration(got), time.Duration(want))
		}
	}
	if mean := float64(h.Sum) / float64(h.Count()); math.Abs(mean-oracle.Mean()) > 0.001*mean {
		t.Errorf("mean %v, the library's %v", mean, oracle.Mean())
	}
}

func TestSinceIsWhatCameAfter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all, later Histogram
		for _, d := range rapid.SliceOf(durations).Draw(t, "before") {
			all.Record(d)
		}
		earlier := all
		for _, d := range rapid.SliceOf(durations).Draw(t, "after") {
			all.Record(d)
			later.Record(d)
		}
		got := all.Since(&earlier)
		if got.Counts != later.Counts || got.Sum != later.Sum {
			t.Fatalf("counted after: %+v, want %+v", got.Figures(), later.Figures())
		}
		if got.Max < later.Max || got.Max > all.Max {
			t.Fatalf("longest after: %v, want at least %v and at most %v", got.Max, later.Max, all.Max)
		}
		if later.Max > Shortest && later.Max <= Longest && float64(got.Max) > float64(later.Max)*(1+RelativeError)+1 {
			t.Fatalf("longest after: %v, want about %v", got.Max, later.Max)
		}
	})
}

func TestAtMostCountsUpToABound(t *testing.T) {
	var h Histogram
	for _, d := range []time.Duration{0, Shortest, Shortest + 1, Longest, Longest + 1} {
		h.Record(d)
	}
	for bucket, want := range map[int]uint64{0: 2, 1: 3, Buckets - 2: 4, Buckets - 1: 5, Buckets + 7: 5} {
		if got := h.AtMost(bucket); got != want {
			t.Errorf("%d at most %v, want %d", got, Upper(bucket), want)
		}
	}
}

func TestEmpty(t *testing.T) {
	var h Histogram
	if h.Figures() != (Figures{}) || h.Since(&Histogram{}) != (Histogram{}) {
		t.Errorf("nothing counted gives %+v", h.Figures())
	}
}

func TestRecordingAllocatesNothing(t *testing.T) {
	var h, other Histogram
	var d time.Duration
	if n := testing.AllocsPerRun(1000, func() {
		d += 977 * time.Nanosecond
		h.Record(d)
		other = h.Since(&other)
		_ = h.Figures()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRecord(b *testing.B) {
	var h Histogram
	d := time.Duration(1)
	b.ReportAllocs()
	for b.Loop() {
		d = d*5 + 7
		h.Record(d & (1<<26 - 1))
	}
}

func BenchmarkFigures(b *testing.B) {
	var h Histogram
	for i := range 1_000_000 {
		h.Record(time.Duration(i))
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = h.Figures()
	}
}
