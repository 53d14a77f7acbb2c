package arrival

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// TestSizes: a fleet has a million targets, and a sender for each thirty.
func TestSizes(t *testing.T) {
	if have := unsafe.Sizeof(state{}); have != 116 {
		t.Errorf("%d bytes a target: say so in the comment of Adaptive and in docs/arrival.md", have)
	}
	if have := unsafe.Sizeof(pool{}); have > 2400 {
		t.Errorf("%d bytes a sender: say so in the comment of Adaptive and in docs/arrival.md", have)
	}
}

// TestBuckets: a bucket's ceiling is in it, nothing above is, and none is wider
// than a quarter.
func TestBuckets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		delay := rapid.Uint32().Draw(t, "delay")
		b := bucket(delay)
		if b < 0 || b >= buckets || bucket(ceiling(b)) != b || ceiling(b) < delay {
			t.Fatalf("%d is in bucket %d up to %d", delay, b, ceiling(b))
		}
		if delay >= 1<<lowest && float64(ceiling(b)) > 1.25*float64(delay) {
			t.Fatalf("%d counts as %d", delay, ceiling(b))
		}
		if b+1 < buckets && bucket(ceiling(b)+1) != b+1 {
			t.Fatalf("after bucket %d comes %d", b, bucket(ceiling(b)+1))
		}
	})
}

// TestState: delays stay in order and distinct, the weights sum up, the longest of
// what is remembered is never shortened, and repeats cost no room.
func TestState(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s state
		kinds := rapid.Uint32Range(1, 40).Draw(t, "kinds")
		for _, v := range rapid.SliceOfN(rapid.Uint32Range(1, kinds), 1, 400).Draw(t, "values") {
			longest := uint32(0)
			if s.count > 0 {
				longest = s.value[s.count-1]
			}
			full := s.total >= remember*unit
			s.add(v)
			sum := uint16(0)
			for _, w := range s.weight[:s.count] {
				sum += w
			}
			if sum != s.total || s.last != v || !slices.IsSorted(s.value[:s.count]) || len(slices.Compact(slices.Clone(s.value[:s.count]))) != int(s.count) {
				t.Fatalf("%+v", s)
			}
			if !full && s.value[s.count-1] < longest {
				t.Fatalf("%d became %d", longest, s.value[s.count-1])
			}
			if kinds <= entries && s.weightOf(v) == 0 {
				t.Fatalf("%d is lost: %+v", v, s)
			}
		}
	})
}

// distribution is what lead looks through, written down the long way: each delay
// that the next one may have, with its probability.
func distribution(p *pool, s *state, fresh float32) map[uint32]float64 {
	own := map[uint32]float64{}
	for i, v := range s.value[:s.count] {
		if v != s.last {
			own[v] += float64(s.weight[i]) / unit
		}
	}
	for _, k := range p.known[:p.kinds] {
		if k.delay != s.last {
			own[k.delay] += float64(k.weight)
		}
	}
	mass := float64(s.total-s.weightOf(s.last))/unit + prior
	for v := range own {
		own[v] *= float64(fresh) / mass
	}
	own[s.last] = 1 - float64(fresh)
	return own
}

// TestLeadAgainstDistribution: the lead is the shortest delay of the distribution
// that is exceeded with no more than the aim.
func TestLeadAgainstDistribution(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 3))
		e := NewAdaptive(3, time.Duration(rapid.IntRange(1, 2000).Draw(t, "cold"))*ms)
		hold := rapid.IntRange(1, 6).Draw(t, "hold")
		var values [3]time.Duration
		for i := range rapid.IntRange(1, 60).Draw(t, "rounds") {
			for target := range values {
				if i%hold == 0 {
					values[target] = time.Duration(random.IntN(30)+1) * 10 * ms
				}
				e.Observe(target, values[target])
			}
			e.Round()
		}
		s := &e.targets[0]
		if e.Lead(0, Rate99) < e.Lead(0, Rate95) {
			t.Fatal("more on time with a shorter lead")
		}
		for rate := range Rate(Rates) {
			fresh, aim := e.pool.chance(s), float64(e.pool.aim(s, rate))
			have, all := e.pool.lead(s, fresh, rate), distribution(&e.pool, s, fresh)
			above, next := 0.0, uint32(0)
			for v, probability := range all {
				if v > have {
					above += probability
				}
				if v < have {
					next = max(next, v)
				}
			}
			if above > aim+1e-4 {
				t.Fatalf("lead %d is exceeded by %v, aim %v", have, above, aim)
			}
			for _, v := range []uint32{have, have + 1, s.last, s.last + 1, 1, rapid.Uint32Range(1, 2_000_000).Draw(t, "value")} {
				if tail := float64(e.pool.tail(s, fresh, v)); math.Abs(tail-aim) > 1e-4 && (v > have) != (tail <= aim) {
					t.Fatalf("lead %d, but %d or more has probability %v, aim %v", have, v, tail, aim)
				}
			}
			if have != s.last && above+all[have] <= aim-1e-4 {
				t.Fatalf("lead %d is longer than it has to be: above it %v, at it %v, aim %v, next %d", have, above, all[have], aim, next)
			}
		}
	})
}

// TestFlood: with every age missing the lesser of the level and what is new at it,
// the share missed is reached.
func TestFlood(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r repetition
		missed := rapid.SampledFrom([]float32{0.01, 0.05}).Draw(t, "missed")
		each := float32(rapid.IntRange(1, 100).Draw(t, "each"))
		all, fresh := quiet*each, quiet*each
		for age := range rapid.IntRange(1, ages).Draw(t, "ages") {
			r.count[age] = float32(rapid.IntRange(0, 1000).Draw(t, "count"))
			r.fresh[age] = float32(rapid.Float64Range(0, 1).Draw(t, "new")) * r.count[age]
			all, fresh = all+r.count[age], fresh+r.fresh[age]
		}
		level := r.flood(missed, each)
		late := quiet * each * min(level, 1)
		for age, n := range r.count {
			late += min(r.fresh[age], level*n)
		}
		if level < missed || late > missed*all*1.001 || fresh > missed*all && late < missed*all*0.999 {
			t.Fatalf("level %v: %v late of %v, want %v", level, late, all, missed*all)
		}
	})
}

// TestCold: what a lead is made from while nothing is known.
func TestCold(t *testing.T) {
	e := NewAdaptive(100, 700*ms)
	if e.Lead(0, Rate99) != 0 || e.Point(0) != 0 {
		t.Error("a lead without a measurement")
	}
	e.Observe(0, -second)
	e.Observe(0, 0)
	if e.Lead(0, Rate99) != 0 {
		t.Error("what is no delay was taken for one")
	}
	e.Observe(0, 20*ms)
	if have := e.Lead(0, Rate95); have != 700*ms || e.Point(0) != 20*ms {
		t.Errorf("after the first delay: lead %v, point %v", have, e.Point(0))
	}
	e.Observe(1, 5*second)
	if have := e.Lead(1, Rate95); have < 5*second {
		t.Errorf("lead %v is under the last delay, which may well repeat", have)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		for target := 1; target < 100; target++ {
			e.Observe(target, 20*ms+time.Duration(random.IntN(10_000))*time.Microsecond)
		}
		e.Round()
	}
	e.Observe(0, 21*ms)
	if have := e.Lead(0, Rate95); have < 28*ms || have > 40*ms {
		t.Errorf("a cold target of a sender that knows the others: lead %v", have)
	}
	e.Reset(0)
	if e.Lead(0, Rate95) != 0 {
		t.Error("not reset")
	}
	e.Observe(0, math.MaxInt64)
	if have := e.Lead(0, Rate99); have != maxDelay {
		t.Errorf("lead %v after the longest delay", have)
	}
	if e.Lead(1, 77) != e.Lead(1, Rate99) {
		t.Error("an unknown rate is not the safe one")
	}
}

// TestStale: a target that was not heard of since the others changed does not
// repeat its last delay.
func TestStale(t *testing.T) {
	e, random := NewAdaptive(20, 0), rand.New(rand.NewPCG(5, 1))
	var values [20]time.Duration
	for round := range 394 {
		for target := range values {
			if round%8 == 0 {
				values[target] = time.Duration(10+random.IntN(50)) * ms
			}
			if target > 0 || round < 300 {
				e.Observe(target, values[target])
			}
		}
		e.Round()
		if round == 290 {
			if have := e.Lead(1, Rate95); have != values[1] {
				t.Errorf("round 2 of 8: lead %v, and the delay will repeat %v", have, values[1])
			}
		}
	}
	for e.pool.age != 1 {
		t.Fatalf("age %d: this test is not where it should be", e.pool.age)
	}
	if heard, stale := e.pool.chance(&e.targets[1]), e.pool.chance(&e.targets[0]); heard > 0.02 || stale < 0.8 {
		t.Errorf("chance of a new delay: heard of %v, not heard of %v", heard, stale)
	}
}

// TestPoint: where the next delay is new for sure, the point is what is usual for
// the target, as long as that comes true; until then it is the last delay.
func TestPoint(t *testing.T) {
	usual := func(round int) time.Duration { // every third is slow, each time by another while
		if round%3 == 0 {
			return time.Duration(200+13*(round%17)) * ms
		}
		return time.Duration(40+round%2) * ms
	}
	never := func(round int) time.Duration { return time.Duration(50+40*(round/2)) * ms } // each delay twice, none again
	for _, c := range []struct {
		name  string
		delay func(round int) time.Duration
		near  func(round int) time.Duration
	}{
		{"usual", usual, func(int) time.Duration { return 40 * ms }},
		{"never again", never, never},
	} {
		e := NewAdaptive(4, 0)
		for round := range 31 {
			for target := range 4 {
				e.Observe(target, c.delay(round))
			}
			e.Round()
		}
		if have := e.Point(0); (have - c.near(30)).Abs() > 10*ms {
			t.Errorf("%s: point %v, want %v", c.name, have, c.near(30))
		}
	}
	p := newPool(whole(second))
	s := &state{}
	for range 10 {
		s.add(40_000)
	}
	s.add(300_000)
	for range 20 { // preferred, and wrong: the last delay was right
		p.judgePoint(s, 1, 300_000)
	}
	e := &Adaptive{targets: []state{*s}, pool: p}
	e.pool.chances = 1
	if have := e.Point(0); have != 300*ms {
		t.Errorf("point %v although the usual delay was wrong 20 times", have)
	}
}

// TestLeadUnderTheLast: a last delay that will not come again is not covered.
func TestLeadUnderTheLast(t *testing.T) {
	p, s := newPool(whole(ms)), &state{}
	for range 100 {
		s.add(10_000)
	}
	for range 20 {
		s.add(900_000)
	}
	p.level[Rate95] = 0.2
	// 100 new delays of 10 ms and the pool's 30 of 1 ms: the quantile is 10 ms, and
	// the weight of 900 ms is the chance of a repeat alone, 10%.
	if have := p.lead(s, 0.9, Rate95); have != 10_000 {
		t.Errorf("lead %d us", have)
	}
	if have := p.lead(s, 0.7, Rate95); have != 900_000 {
		t.Errorf("lead %d us, but the last delay comes again with 30%%", have)
	}
}

func TestEstimatorsAllocateNothing(t *testing.T) {
	for _, c := range contenders() {
		e, i := c.create(10), 0
		if n := testing.AllocsPerRun(500, func() {
			i++
			for target := range 10 {
				e.Observe(target, time.Duration(1+i*i%97+target)*ms)
				if e.Lead(target, Rate95) < 0 || e.Lead(target, Rate99) < 0 || e.Point(target) <= 0 {
					t.Fatal("no lead")
				}
			}
			e.Round()
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}

// BenchmarkEstimators: one message: lead, point, what came of it.
func BenchmarkEstimators(b *testing.B) {
	tr := synthetic(1, 12, 200)
	for _, c := range contenders() {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			e, n := c.create(12), 0
			for b.Loop() {
				target := n % 12
				_, _ = e.Lead(target, Rate95), e.Point(target)
				e.Observe(target, tr.slices[n/12%200][12*11+target])
				if n++; n%12 == 0 {
					e.Round()
				}
			}
		})
	}
}
