package impedance

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
	"unsafe"
)

func TestMeter(t *testing.T) {
	var m Meter
	r := Record{Agent: "a", Cell: "c", Class: ClassLocal, Operation: Active}
	m.Fill(0, &r)
	if r.Reliability != 1 || r.Drift != 0 || r.RoundTripMS != 0 || r.DelayMS != 0 || r.ProcessingMS != 225 {
		t.Errorf("before any sample: %+v", r)
	}
	if want := uint16(1000 * 525 / 725); r.Score != want { // 300 ms and 225 ms of the class
		t.Errorf("score before any sample %d, want %d", r.Score, want)
	}
	for i := range 20 {
		now := time.Duration(i) * time.Second
		m.RoundTrip(now, 2*time.Millisecond)
		m.Processed(now, 30*time.Millisecond, 8, i%5 != 0) // 6 ms for weight 0; four of twenty fail
	}
	m.Queue(4)
	m.Fill(20*time.Second, &r)
	if r.RoundTripMS != 2 || r.ProcessingMS != 9 || r.QueueDepth != 4 || r.Reliability != 0.8 || r.Drift != 0 || r.Score != Score(r) {
		t.Errorf("have %+v", r)
	}
	if _, err := r.Encode(); err != nil {
		t.Error(err)
	}
	m.Delay(20*time.Second, 500*time.Microsecond)
	before := r.Score
	if m.Fill(20*time.Second, &r); r.DelayMS != 0.5 || r.Score >= before {
		t.Errorf("a one-way delay of 0.5 ms leaves %+v", r)
	}
	for i := range 10 {
		m.Processed(21*time.Second, time.Duration(i*i)*time.Millisecond, 0, true)
	}
	if m.Fill(22*time.Second, &r); !(r.Drift > 0.5) {
		t.Errorf("drift %v with scattered samples", r.Drift)
	}
	m.Queue(-1)
	if m.Fill(2*time.Hour, &r); r.QueueDepth != 0 || r.RoundTripMS != 0 || r.DelayMS != 0 || r.Reliability != 1 {
		t.Errorf("old samples still count: %+v", r)
	}
	if r.ProcessingMS == 225 {
		t.Error("what was learnt of the processing time is gone")
	}
}

// TestBaseIsLearnt: each sample takes the place of one sixteenth of the class.
func TestBaseIsLearnt(t *testing.T) {
	var m Meter
	for n := range 40 {
		share := float64(max(PriorSamples-n, 0)) / PriorSamples
		want := share*150 + (1-share)*10
		if have := milliseconds(m.Base(ClassLocal)); math.Abs(have-want) > 1e-3 {
			t.Fatalf("after %d samples of 10 ms: %v ms, want %v", n, have, want)
		}
		m.Processed(0, 20*time.Millisecond, 2, true)
	}
	m.Processed(0, time.Hour, -1, true)
	m.Processed(0, time.Hour, math.NaN(), false)
	if have := m.Base(ClassLocal); have != 10*time.Millisecond {
		t.Errorf("a time without a weight counts: %v", have)
	}
	if share, n := m.outcomes.Rate(0); n != 42 || share != 41.0/42 {
		t.Errorf("reliability %v of %d", share, n)
	}
	if have := m.Service(ClassLocal); have < 19*time.Millisecond || have > 20*time.Millisecond { // weight 2, nearly all of the mean
		t.Errorf("service time %v", have)
	}
	m.Queue(10)
	if have, want := m.Processing(ClassLocal, 4), 30*time.Millisecond+10*m.Service(ClassLocal); have != want {
		t.Errorf("processing %v, want %v", have, want)
	}
}

func TestProcessingTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		base   time.Duration
		weight float64
		queue  uint32
		want   time.Duration
	}{
		{"lightest", 10 * time.Millisecond, 0, 0, 10 * time.Millisecond},
		{"standard", 10 * time.Millisecond, 1, 0, 15 * time.Millisecond},
		{"heavy", 10 * time.Millisecond, 8, 0, 50 * time.Millisecond},
		{"queue", 10 * time.Millisecond, 1, 9, 15*time.Millisecond + 9*20*time.Millisecond},
		{"negative weight", 10 * time.Millisecond, -3, 0, 10 * time.Millisecond},
		{"no weight", 10 * time.Millisecond, math.NaN(), 0, 10 * time.Millisecond * 501},
		{"infinite weight", 10 * time.Millisecond, math.Inf(1), 0, 10 * time.Millisecond * 501},
		{"negative base", -time.Second, 1, 0, 0},
		{"no overflow", math.MaxInt64, MaxWeight, math.MaxUint32, maxProcessing},
	} {
		if have := ProcessingTime(c.base, c.weight, c.queue, 20*time.Millisecond); have != c.want {
			t.Errorf("%s: %v, want %v", c.name, have, c.want)
		}
	}
}

func TestClasses(t *testing.T) {
	for class, want := range map[Class]time.Duration{
		ClassEdge: 10 * time.Millisecond, ClassServerless: 50 * time.Millisecond, ClassPersistent: 200 * time.Millisecond,
		ClassGPU: 100 * time.Millisecond, ClassLocal: 150 * time.Millisecond, ClassHuman: time.Minute,
	} {
		low, top := class.TypicalDelay()
		if class.BaseProcessing() != want || !(0 < low && low < top) || class.Counted() != (class != ClassHuman) {
			t.Errorf("%v: base %v, delay %v to %v, counted %v", class, class.BaseProcessing(), low, top, class.Counted())
		}
	}
	if have, want := Class(200).BaseProcessing(), ClassUnknown.BaseProcessing(); have != want {
		t.Errorf("a class out of range has %v, want %v", have, want)
	}
	for class := ClassEdge; class < ClassHuman; class++ {
		if ClassUnknown.BaseProcessing() < class.BaseProcessing() {
			t.Errorf("an unknown class is thought faster than %v", class)
		}
	}
}

// TestHeartbeatSpike: an agent that is suddenly slow is told once its own past
// is known, however slow it always was.
func TestHeartbeatSpike(t *testing.T) {
	for _, usual := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 300 * time.Millisecond, 5 * time.Second} {
		var m Meter
		r := Record{Class: ClassGPU, Operation: Active}
		now := time.Duration(0)
		beat := func(delay time.Duration, n int) (spikes int) {
			for range n {
				now += HeartbeatPeriod
				m.Delay(now, delay)
				m.Processed(now, time.Millisecond, 0, true)
				if m.Heartbeat(now, &r) {
					spikes++
				}
			}
			return spikes
		}
		if n := beat(usual, 400); n != 0 {
			t.Errorf("%v: %d spikes while nothing changes", usual, n)
		}
		if n := beat(30*usual+time.Second, 100); n < 50 {
			t.Errorf("%v: %d spikes of 100 at thirty times the delay", usual, n)
		}
		if n := beat(30*usual+time.Second, 4000); n > 2900 {
			t.Errorf("%v: %d spikes of 4000 long after", usual, n)
		}
	}
}

func TestBaseline(t *testing.T) {
	for _, c := range []struct {
		usual, now uint16
		spike      bool
	}{
		{0, 50, false}, {0, 51, true},
		{5, 55, false}, {5, 56, true}, // not the doubled score: a few milliseconds are no spike
		{200, 400, false}, {200, 401, true},
		{300, 600, false}, {300, 601, true},
		{500, 750, false}, {500, 751, true}, // twice 500 is past all scores but MaxScore
		{900, 950, false}, {900, 951, true},
		{990, 995, false}, {990, 996, true},
		{200, MaxScore, false}, // not a measurement
	} {
		var b Baseline
		for range BaselineMinimum {
			if b.Observe(c.usual) {
				t.Errorf("spike at %d from the start", c.usual)
			}
		}
		if math.Abs(b.Average()-float64(c.usual)) > 0.01 {
			t.Errorf("average of %d is %v", c.usual, b.Average())
		}
		if have := b.Observe(c.now); have != c.spike {
			t.Errorf("%d after %d: %v", c.now, c.usual, have)
		}
	}
	var b Baseline
	for range BaselineMinimum - 1 {
		b.Observe(10)
	}
	if b.Observe(900) {
		t.Error("a spike against too short a past")
	}
}

// TestReliability checks against a list of all operations.
func TestReliability(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 1))
	type operation struct {
		minute    int64
		succeeded bool
	}
	for range 30 {
		var r Reliability
		var all []operation
		now := time.Duration(random.Int64N(int64(time.Hour)))
		for range 3000 {
			switch random.IntN(100) {
			case 0:
				now += time.Duration(random.Int64N(int64(3 * time.Hour)))
			case 1, 2, 3, 4:
				now += time.Duration(random.Int64N(int64(5 * time.Minute)))
			default:
				now += time.Duration(random.Int64N(int64(5 * time.Second)))
			}
			ok := random.IntN(3) > 0
			r.Add(now, ok)
			all = append(all, operation{int64(now / time.Minute), ok})
			n, good := 0, 0
			for i := len(all) - 1; i >= 0 && all[i].minute > all[len(all)-1].minute-ReliabilityMinutes; i-- {
				n++
				if all[i].succeeded {
					good++
				}
			}
			if share, count := r.Rate(now); count != n || share != float64(good)/float64(n) {
				t.Fatalf("%v of %d, want %d of %d", share, count, good, n)
			}
		}
		if share, n := r.Rate(now + time.Hour); share != 1 || n != 0 {
			t.Fatalf("an hour later: %v of %d", share, n)
		}
	}
}

// TestReliabilityIsBounded: a minute with more operations than its counters hold
// keeps its share.
func TestReliabilityIsBounded(t *testing.T) {
	var r Reliability
	for i := range 300_000 {
		r.Add(time.Second, i%4 != 0)
	}
	if share, n := r.Rate(time.Second); math.Abs(share-0.75) > 0.001 || n < 30_000 {
		t.Errorf("%v of %d", share, n)
	}
	r.Add(0, false) // a time before counts in the newest minute
	if share, n := r.Rate(59*time.Minute + 59*time.Second); n < 30_000 || share == 1 {
		t.Errorf("%v of %d within the hour", share, n)
	}
	if share, n := r.Rate(time.Hour); share != 1 || n != 0 {
		t.Errorf("%v of %d after it", share, n)
	}
}

// TestSizes: the state of an agent is counted; whoever makes it larger says so
// here and in docs/impedance.md.
func TestSizes(t *testing.T) {
	for name, c := range map[string]struct{ have, want uintptr }{
		"Window":      {unsafe.Sizeof(Window{}), 336},
		"Reliability": {unsafe.Sizeof(Reliability{}), 256},
		"Baseline":    {unsafe.Sizeof(Baseline{}), 8},
		"Meter":       {unsafe.Sizeof(Meter{}), 1280},
		"Clock":       {unsafe.Sizeof(Clock{}), 304},
	} {
		if unsafe.Sizeof(uintptr(0)) == 8 && c.have != c.want {
			t.Errorf("a %s has %d bytes, %d are written down", name, c.have, c.want)
		}
	}
}

func TestMeterAllocatesNothing(t *testing.T) {
	var m Meter
	var clock Clock
	r := Record{Class: ClassLocal, Operation: Active}
	now := time.Duration(0)
	if n := testing.AllocsPerRun(1000, func() {
		now += time.Second
		m.RoundTrip(now, time.Millisecond)
		m.Delay(now, time.Millisecond)
		m.Processed(now, now%time.Millisecond, 1, true)
		m.Heartbeat(now, &r)
		_ = m.Delays(now)
		_, _ = clock.Observe(Exchange{Sent: now, Received: now, Answered: now, Returned: now + time.Millisecond})
		_, _, _ = clock.Ours(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkMeter(b *testing.B) {
	var m Meter
	r := Record{Class: ClassLocal, Operation: Active}
	random := rand.New(rand.NewPCG(1, 1))
	var sample [1024]time.Duration
	for i := range sample {
		sample[i] = time.Duration(random.ExpFloat64() * float64(10*time.Millisecond))
	}
	now := time.Duration(0)
	b.Run("Add", func(b *testing.B) {
		for i := range b.N {
			m.Delay(now, sample[i%1024])
		}
	})
	b.Run("Processed", func(b *testing.B) {
		for i := range b.N {
			now += time.Millisecond
			m.Processed(now, sample[i%1024], 1, true)
		}
	})
	b.Run("Percentiles", func(b *testing.B) {
		for range b.N {
			_ = m.Delays(now)
		}
	})
	b.Run("Heartbeat", func(b *testing.B) {
		for range b.N {
			m.Heartbeat(now, &r)
		}
	})
}
