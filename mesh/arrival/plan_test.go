package arrival

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func TestPlanReasons(t *testing.T) {
	good := Target{Standing: Measured, Lead: 100 * ms, Reliability: 1}
	for _, c := range []struct {
		name   string
		change func(*Target)
		weight float32
		reason Reason
		lead   time.Duration
	}{
		{"as it is", func(*Target) {}, 1, ReasonNone, 100 * ms},
		{"light payload", func(g *Target) { g.Service = 20 * ms }, 0.1, ReasonNone, 100 * ms},
		{"weight that is no number", func(g *Target) { g.Service = 20 * ms }, float32(math.NaN()), ReasonNone, 100 * ms},
		{"heavy payload", func(g *Target) { g.Service = 20 * ms }, 2.5, ReasonNone, 130 * ms},
		{"queue", func(g *Target) { g.Service, g.Queue = 20*ms, 3 }, 1, ReasonNone, 160 * ms},
		{"exactly enough", func(g *Target) { g.Lead = second }, 1, ReasonNone, second},
		{"one ns short", func(g *Target) { g.Lead = second + 1 }, 1, InsufficientLead, second + 1},
		{"endless queue", func(g *Target) { g.Service, g.Queue = math.MaxInt64, math.MaxUint32 }, 1, InsufficientLead, math.MaxInt64 / 4},
		{"endless weight", func(g *Target) { g.Service = ms }, float32(math.Inf(1)), InsufficientLead, math.MaxInt64 / 4},
		{"lead without a measurement", func(g *Target) { g.Standing = Unmeasured }, 1, NoMeasurement, 0},
		{"measured, but no lead", func(g *Target) { g.Lead = 0 }, 1, NoMeasurement, 0},
		{"human", func(g *Target) { g.Standing = Human }, 1, HumanTarget, 0},
		{"nothing known", func(g *Target) { *g = Target{} }, 1, NotRoutableTarget, 0},
		{"standing of a later version", func(g *Target) { g.Standing = 9 }, 1, NotRoutableTarget, 0},
	} {
		target := good
		c.change(&target)
		var s Schedule
		s.Plan(5*second, 6*second, []Target{target}, c.weight)
		e := s.Entries[0]
		if e.Reason != c.reason || e.Lead != c.lead || e.Available != second || s.Counts[c.reason] != 1 {
			t.Errorf("%s: %+v, counts %v", c.name, e, s.Counts)
		}
		if scheduled := e.Status == Scheduled; scheduled != (c.reason == ReasonNone) || scheduled != (len(s.Buckets) == 1) || !scheduled && (e.SendAt != 0 || e.Confidence != 0) {
			t.Errorf("%s: %+v, buckets %v", c.name, e, s.Buckets)
		}
	}
}

// TestPlanBuckets: a send time inside of a bucket goes at the bucket's beginning.
func TestPlanBuckets(t *testing.T) {
	var targets []Target
	for i, lead := range []time.Duration{100, 71, 75, 80, 79} {
		targets = append(targets, Target{Index: uint32(i), Standing: Measured, Lead: lead * ms})
	}
	var s Schedule
	s.Plan(second, second+100*ms, targets, 1)
	want := []struct {
		at      time.Duration
		members []uint32
	}{{second, []uint32{0}}, {second + 20*ms, []uint32{1, 2, 3, 4}}}
	if len(s.Buckets) != len(want) {
		t.Fatalf("%+v", s.Buckets)
	}
	for i, w := range want {
		if b := s.Buckets[i]; b.At != w.at || !slices.Equal(s.Members(b), w.members) {
			t.Errorf("%v at %v, want %v at %v", s.Members(b), b.At, w.members, w.at)
		}
	}
}

func TestConfidence(t *testing.T) {
	for _, c := range []struct {
		target Target
		want   float32
	}{
		{Target{Reliability: 1}, 1},
		{Target{Reliability: 0.5}, 0.5},
		{Target{}, 0},
		{Target{Reliability: 1, Drift: 0.5}, 0.85},
		{Target{Reliability: 1, Drift: 9}, 0.7},
		{Target{Reliability: 1, Heard: -10 * second}, 0.5},
		{Target{Reliability: float32(math.NaN())}, 0},
		{Target{Reliability: 2, Drift: float32(math.NaN())}, 1},
	} {
		if have := confidence(10*second, &c.target); math.Abs(float64(have-c.want)) > 1e-6 {
			t.Errorf("%+v: %v, want %v", c.target, have, c.want)
		}
	}
}

func randomTargets(random *rand.Rand, n int) []Target {
	targets := make([]Target, n)
	for i := range targets {
		targets[i] = Target{Index: uint32(i), Standing: Measured, Lead: time.Duration(random.ExpFloat64() * float64(200*ms)),
			Queue: uint32(random.IntN(5)), Service: time.Duration(random.IntN(50)) * ms, Reliability: random.Float32(), Drift: random.Float32()}
		if random.IntN(10) == 0 {
			targets[i].Standing = Standing(random.IntN(5))
		}
	}
	return targets
}

// TestPlanProperties: every target is in the plan once and, when scheduled, in
// one bucket that is sent at or up to 10 ms before its send time.
func TestPlanProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		targets := randomTargets(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1)), rapid.IntRange(0, 300).Draw(t, "targets"))
		now := time.Duration(rapid.Int64Range(-1e12, 1e12).Draw(t, "now"))
		at := now + time.Duration(rapid.Int64Range(-1e9, 3e9).Draw(t, "ahead"))
		weight := rapid.Float32Range(0, 4).Draw(t, "weight")
		var s, again Schedule
		s.Plan(now, at, targets, weight)
		if len(s.Entries) != len(targets) {
			t.Fatalf("%d entries", len(s.Entries))
		}
		sent := make([]int, len(targets))
		last := time.Duration(math.MinInt64)
		for _, b := range s.Buckets {
			if b.At <= last || b.At < now || (b.At-now)%BucketSize != 0 || len(s.Members(b)) == 0 || !slices.IsSorted(s.Members(b)) {
				t.Fatalf("bucket %+v of %v after %v", b, s.Members(b), last)
			}
			last = b.At
			for _, i := range s.Members(b) {
				sent[i]++
				if early := s.Entries[i].SendAt - b.At; early < 0 || early >= BucketSize {
					t.Fatalf("%+v in the bucket of %v", s.Entries[i], b.At)
				}
			}
		}
		total := 0
		for _, n := range s.Counts {
			total += n
		}
		for i, e := range s.Entries {
			if want := e.Status == Scheduled; e.Index != targets[i].Index || (sent[i] == 1) != want || sent[i] > 1 || want && (e.SendAt+e.Lead != at || e.Confidence < 0 || e.Confidence > 1) {
				t.Fatalf("%+v sent %d times", e, sent[i])
			}
		}
		if total != len(targets) {
			t.Fatalf("counts %v of %d", s.Counts, len(targets))
		}
		again.Plan(0, second, randomTargets(rand.New(rand.NewPCG(1, 1)), 100), 1)
		again.Plan(now, at, targets, weight)
		if len(s.Entries)+len(s.Buckets) > 0 && (!slices.Equal(s.Entries, again.Entries) || !slices.Equal(s.Buckets, again.Buckets) || !slices.Equal(s.order, again.order)) {
			t.Fatal("used buffers change the plan")
		}
	})
}

// TestResidual: what is observed of a message is what was predicted for it.
func TestResidual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		residual := time.Duration(rapid.Int64Range(0, 1e10).Draw(t, "residual"))
		queue, service := rapid.Uint32Range(0, 1000).Draw(t, "queue"), time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "service"))
		weight := rapid.Float32Range(0, 100).Draw(t, "weight")
		if have := Residual(Lead(residual, queue, service, weight), queue, service, weight); have < residual-2 || have > residual+2 {
			t.Fatalf("%v became %v", residual, have)
		}
	})
	if Residual(ms, 5, ms, 1) != 0 {
		t.Error("a residual under 0")
	}
}

func TestPlanAllocatesNothing(t *testing.T) {
	targets := randomTargets(rand.New(rand.NewPCG(1, 2)), 30_000)
	var s Schedule
	s.Plan(0, second, targets, 1)
	first := reflect.ValueOf(s.Entries).Pointer()
	if n := testing.AllocsPerRun(5, func() { s.Plan(0, second, targets, 2) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if reflect.ValueOf(s.Entries).Pointer() != first {
		t.Error("the buffers were not used again")
	}
	if s.Counts[ReasonNone] < 20_000 || s.Counts[InsufficientLead] == 0 || s.Counts[HumanTarget] == 0 {
		t.Errorf("counts %v: this test plans nothing", s.Counts)
	}
}

func BenchmarkPlan30000(b *testing.B) {
	targets := randomTargets(rand.New(rand.NewPCG(1, 2)), 30_000)
	var s Schedule
	b.ReportAllocs()
	for b.Loop() {
		s.Plan(0, second, targets, 1)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/30_000, "ns/target")
}
