package impedance

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// wire is a pair of clocks and the two ways between them, by true time.
type wires struct {
	random      *rand.Rand
	offset      float64 // ns that the peer's clock is ahead when ours says 0
	drift       float64 // s/s, now
	maxDrift    float64 // s/s
	wander      float64 // s/s and exchange: the drift walks
	there, back time.Duration
	jitter      time.Duration // mean of an exponential queue, each way
	sleep       time.Duration // what a sleeping radio adds to one exchange in ten
	now         time.Duration // our clock
}

// pass lets time go by: the drift walks within its limit.
func (w *wires) pass(d time.Duration) {
	w.offset += float64(d) * w.drift
	w.now += d
	w.drift = max(min(w.drift+w.random.NormFloat64()*w.wander, w.maxDrift), -w.maxDrift)
}

func (w *wires) peer() time.Duration { return w.now + time.Duration(math.Round(w.offset)) }

func (w *wires) way(least time.Duration) time.Duration {
	d := least + time.Duration(w.random.ExpFloat64()*float64(w.jitter))
	if w.random.IntN(10) == 0 {
		d += time.Duration(w.random.Int64N(int64(w.sleep) + 1))
	}
	return d
}

// exchange also gives the true one-way delays.
func (w *wires) exchange() (e Exchange, there, back time.Duration) {
	there, back = w.way(w.there), w.way(w.back)
	e.Sent = w.now
	w.pass(there)
	e.Received = w.peer()
	w.pass(time.Duration(w.random.Int64N(int64(time.Second))))
	e.Answered = w.peer()
	w.pass(back)
	e.Returned = w.now
	return e, there, back
}

func drawWires(t *rapid.T) *wires {
	between := func(name string, low, high time.Duration) time.Duration {
		return time.Duration(rapid.Int64Range(int64(low), int64(high)).Draw(t, name))
	}
	limit := rapid.SampledFrom([]float64{1e-6, 15e-6, 50e-6, 500e-6}).Draw(t, "limit")
	return &wires{
		random:   rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)),
		offset:   float64(between("offset", -500*time.Millisecond, 500*time.Millisecond)),
		drift:    limit * rapid.Float64Range(-1, 1).Draw(t, "drift"),
		maxDrift: limit, wander: limit * rapid.Float64Range(0, 0.5).Draw(t, "wander"),
		there: between("there", 0, 200*time.Millisecond), back: between("back", 0, 200*time.Millisecond),
		jitter: between("jitter", 0, 100*time.Millisecond), sleep: between("sleep", 0, 300*time.Millisecond),
		now: between("now", 0, time.Hour),
	}
}

// TestBoundHolds: whatever the delays, the true offset is within the bound while
// the clocks run apart at no more than the stated rate, at the exchange and long
// after; so are T and the one-way delays; and no step is seen where there is none.
func TestBoundHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWires(t)
		c := NewClock(w.maxDrift * 1e6)
		check := func(what string, have, bound time.Duration, known bool, want float64) {
			if !known || math.Abs(float64(have)-want) > float64(bound)+2 { // 2 ns: readings are rounded
				t.Fatalf("%s %v within %v (%v), truly %v", what, have, bound, known, time.Duration(want))
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "exchanges") {
			e, there, back := w.exchange()
			if stepped, err := c.Observe(e); stepped || err != nil {
				t.Fatalf("%+v: stepped %v, %v", e, stepped, err)
			}
			offset, bound, known := c.Offset(w.now)
			check("offset", offset, bound, known, w.offset)
			if least := (e.RoundTrip() + 1) / 2; bound > least+2*growth(e.Returned-e.Sent, w.maxDrift)+least+1 {
				t.Fatalf("bound %v after a round trip of %v", bound, e.RoundTrip())
			}
			delay, bound, known := c.There(e.Sent, e.Received)
			check("way there", delay, bound, known, float64(there))
			delay, bound, known = c.Back(e.Answered, e.Returned)
			check("way back", delay, bound, known, float64(back))
			w.pass(time.Duration(w.random.Int64N(int64(20 * time.Second))))
			offset, bound, known = c.Offset(w.now)
			check("offset later", offset, bound, known, w.offset)
			ours, bound, known := c.Ours(w.peer())
			check("T", ours, bound, known, float64(w.now))
		}
	})
}

// TestBoundIsNarrow: the bound is never wider than NTP's, half of the best round
// trip and what the drift can have done since, by more than the estimate is
// carried forward; and the estimate is where all exchanges allow it.
func TestBoundIsNarrow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := drawWires(t)
		c := NewClock(w.maxDrift * 1e6)
		for range 20 {
			e, _, _ := w.exchange()
			_, _ = c.Observe(e)
			offset, bound, _ := c.Offset(w.now)
			best := c.shortest(w.now)
			carried := growth(w.now-best.at, w.maxDrift)
			if ntp := best.half() + carried; bound > ntp+carried+1 {
				t.Fatalf("bound %v, NTP's is %v", bound, ntp)
			}
			if all, _ := c.allowed(w.now); offset < all.low || offset > all.high {
				t.Fatalf("%v is not between %v and %v", offset, all.low, all.high)
			}
			w.pass(5 * time.Second)
		}
	})
}

// TestOldExchangesCountLess: of two, the one that says more now is the estimate.
func TestOldExchangesCountLess(t *testing.T) {
	exchange := func(at, trip, offset time.Duration) Exchange {
		return Exchange{Sent: at, Received: at + trip/2 + offset, Answered: at + trip/2 + offset, Returned: at + trip}
	}
	c := NewClock(50)
	for _, e := range []Exchange{exchange(0, 2*time.Millisecond, 0), exchange(100*time.Second, 4*time.Millisecond, 2*time.Millisecond)} {
		if stepped, err := c.Observe(e); stepped || err != nil {
			t.Fatal(stepped, err)
		}
	}
	if offset, _, _ := c.Offset(100 * time.Second); offset < 1900*time.Microsecond {
		t.Errorf("the offset is %v, 5 ms of drift after an exchange that said 0, and with one that says 2 ms", offset)
	}
}

// TestBoundOfOurs: T is farther off than the offset, by the drift in between.
func TestBoundOfOurs(t *testing.T) {
	for _, sign := range []float64{1, -1} {
		w := &wires{random: rand.New(rand.NewPCG(1, 1)), drift: sign * 500e-6, maxDrift: 500e-6, there: time.Second}
		if sign > 0 {
			w.there, w.back = 0, time.Second
		}
		c := NewClock(500)
		e, _, _ := w.exchange()
		_, _ = c.Observe(e)
		w.pass(10_000 * time.Second)
		if ours, bound, _ := c.Ours(w.peer()); (ours - w.now).Abs() > bound+2 {
			t.Errorf("wrong by %v within %v", ours-w.now, bound)
		}
	}
}

// TestLopsidedPath: an offset of half a second and ways of 1 and 80 ms: the error
// is half of the difference, as nothing can tell, and within the bound; one
// exchange that is even brings it down.
func TestLopsidedPath(t *testing.T) {
	c := NewClock(50)
	w := &wires{random: rand.New(rand.NewPCG(1, 1)), offset: float64(500 * time.Millisecond), there: time.Millisecond, back: 80 * time.Millisecond}
	for range 10 {
		e, _, _ := w.exchange()
		_, _ = c.Observe(e)
		w.pass(5 * time.Second)
	}
	offset, bound, _ := c.Offset(w.now)
	if wrong := offset - 500*time.Millisecond; wrong < -41*time.Millisecond || wrong > -39*time.Millisecond || bound < 39*time.Millisecond || bound > 45*time.Millisecond {
		t.Errorf("wrong by %v, bound %v", wrong, bound)
	}
	w.back = time.Millisecond
	e, _, _ := w.exchange()
	_, _ = c.Observe(e)
	if offset, bound, _ = c.Offset(w.now); (offset-500*time.Millisecond).Abs() > 100*time.Microsecond || bound > 1200*time.Microsecond {
		t.Errorf("after an even exchange: %v within %v", offset, bound)
	}
}

// TestFilterPrefersShortTrips: queues make the estimate of the newest exchange
// wrong by tens of milliseconds, that of the filter by a fraction.
func TestFilterPrefersShortTrips(t *testing.T) {
	w := &wires{random: rand.New(rand.NewPCG(7, 7)), offset: -3e8, there: 2 * time.Millisecond, back: 2 * time.Millisecond, jitter: 20 * time.Millisecond, sleep: 200 * time.Millisecond}
	var c Clock
	newest, filtered := 0.0, 0.0
	for range 500 {
		e, _, _ := w.exchange()
		if _, err := c.Observe(e); err != nil {
			t.Fatal(err)
		}
		offset, _, _ := c.Offset(w.now)
		naive := ((e.Received - e.Sent) + (e.Answered - e.Returned)) / 2
		filtered += math.Abs(float64(offset)-w.offset) / 500
		newest += math.Abs(float64(naive)-w.offset) / 500
		w.pass(5 * time.Second)
	}
	if filtered > newest/3 {
		t.Errorf("mean error %v, of the newest exchange alone %v", time.Duration(filtered), time.Duration(newest))
	}
}

// TestDrift: after a while on a local network the drift is known, and carries the
// offset through a silence better than its absence would.
func TestDrift(t *testing.T) {
	for seed, ppm := range []float64{50, -50, 8, 0, 8, -8, 30, -30} {
		w := &wires{random: rand.New(rand.NewPCG(uint64(seed), 9)), offset: 1e8, drift: ppm * 1e-6, maxDrift: 50e-6, there: 300 * time.Microsecond, back: 500 * time.Microsecond, jitter: 2 * time.Millisecond, sleep: 50 * time.Millisecond}
		c := NewClock(50)
		for range 300 { // 25 minutes
			e, _, _ := w.exchange()
			if stepped, err := c.Observe(e); stepped || err != nil {
				t.Fatal(stepped, err)
			}
			w.pass(5 * time.Second)
		}
		if math.Abs(c.Drift()-ppm) > 2 {
			t.Errorf("drift %v ppm, truly %v", c.Drift(), ppm)
		}
		w.pass(10 * time.Minute)
		offset, bound, _ := c.Offset(w.now)
		if wrong := math.Abs(float64(offset) - w.offset); wrong > 3e-6*600e9+1e6 || bound < 30*time.Millisecond {
			t.Errorf("%v ppm: wrong by %v after ten minutes, bound %v", ppm, time.Duration(wrong), bound)
		}
	}
}

// TestStep: a clock that is set, either way, on either side, is noticed with the
// next exchange; the bound holds before and after; the drift survives.
func TestStep(t *testing.T) {
	for _, step := range []time.Duration{10 * time.Millisecond, -10 * time.Millisecond, time.Hour, -time.Hour} {
		w := &wires{random: rand.New(rand.NewPCG(5, 5)), offset: 2e8, drift: 20e-6, maxDrift: 50e-6, there: time.Millisecond, back: 2 * time.Millisecond, jitter: 500 * time.Microsecond}
		c := NewClock(50)
		observe := func() bool {
			e, _, _ := w.exchange()
			stepped, err := c.Observe(e)
			if err != nil {
				t.Fatal(err)
			}
			offset, bound, known := c.Offset(w.now)
			if !known || math.Abs(float64(offset)-w.offset) > float64(bound)+2 {
				t.Fatalf("step %v: %v within %v, truly %v", step, offset, bound, time.Duration(w.offset))
			}
			w.pass(5 * time.Second)
			return stepped
		}
		for range 200 {
			if observe() {
				t.Fatal("a step before there is one")
			}
		}
		drift := c.Drift()
		w.offset += float64(step) // the peer's clock is set
		if !observe() || c.Steps() != 1 || c.Drift() != drift {
			t.Errorf("step %v: %d steps, drift %v before %v", step, c.Steps(), c.Drift(), drift)
		}
		if _, bound, _ := c.Offset(w.now); bound < step.Abs()-10*time.Millisecond {
			t.Errorf("step %v: one exchange is believed: bound %v", step, bound)
		}
		if observe() {
			t.Error("a second step")
		}
		if _, bound, _ := c.Offset(w.now); bound > 5*time.Millisecond {
			t.Errorf("step %v: bound %v after two exchanges", step, bound)
		}
		w.now, w.offset = w.now-step, w.offset+float64(step) // ours is set back or ahead
		if !observe() || observe() || c.Steps() != 2 {
			t.Errorf("step of our clock by %v: %d steps", -step, c.Steps())
		}
	}
}

// TestOneBadStamp: a single exchange with wrong stamps widens the bound, which
// goes on holding, until the next two have said what is true.
func TestOneBadStamp(t *testing.T) {
	w := &wires{random: rand.New(rand.NewPCG(8, 5)), offset: -4e8, maxDrift: 15e-6, there: time.Millisecond, back: 2 * time.Millisecond, jitter: 500 * time.Microsecond}
	var c Clock
	for i := range 40 {
		e, _, _ := w.exchange()
		if i == 20 {
			e.Received += 300 * time.Millisecond
			e.Answered += 300 * time.Millisecond
		}
		stepped, err := c.Observe(e)
		if stepped != (i == 20 || i == 21) || err != nil {
			t.Errorf("exchange %d: stepped %v, %v", i, stepped, err)
		}
		offset, bound, _ := c.Offset(w.now)
		if math.Abs(float64(offset)-w.offset) > float64(bound)+2 {
			t.Errorf("exchange %d: %v within %v, truly %v", i, offset, bound, time.Duration(w.offset))
		}
		if i > 22 && bound > 5*time.Millisecond {
			t.Errorf("exchange %d: bound %v", i, bound)
		}
		w.pass(5 * time.Second)
	}
}

func TestImpossibleExchange(t *testing.T) {
	good := Exchange{Sent: time.Second, Received: 5 * time.Second, Answered: 6 * time.Second, Returned: 3 * time.Second}
	for name, spoil := range map[string]func(*Exchange){
		"back before it left":       func(e *Exchange) { e.Returned = e.Sent - 1 },
		"answered before it came":   func(e *Exchange) { e.Answered = e.Received - 1 },
		"longer there than it took": func(e *Exchange) { e.Answered = e.Received + 3*time.Second },
		"end of time":               func(e *Exchange) { e.Received, e.Answered = math.MaxInt64, math.MaxInt64 },
		"beginning of time":         func(e *Exchange) { e.Received, e.Answered = math.MinInt64, math.MinInt64 },
		"our clock is no clock":     func(e *Exchange) { e.Sent = math.MinInt64 },
		"146 years apart": func(e *Exchange) {
			*e = Exchange{Sent: -maxReading, Received: maxReading, Answered: maxReading, Returned: 1 - maxReading}
		},
	} {
		var c Clock
		e := good
		spoil(&e)
		if _, err := c.Observe(e); !errors.Is(err, ErrExchange) || c.Rejected() != 1 {
			t.Errorf("%s: %v, %d rejected", name, err, c.Rejected())
		}
		if _, _, known := c.Offset(0); known {
			t.Errorf("%s: believed", name)
		}
		if _, _, known := c.There(0, 0); known {
			t.Errorf("%s: delay known", name)
		}
	}
	var c Clock
	if _, err := c.Observe(good); err != nil {
		t.Error(err)
	}
	for _, peer := range []time.Duration{math.MaxInt64, math.MinInt64} {
		if ours, _, known := c.Ours(peer); known {
			t.Errorf("T %v is %v", peer, ours)
		}
	}
	if offset, bound, known := c.Offset(3 * time.Second); !known || offset != 3500*time.Millisecond || bound < 500*time.Millisecond || bound > 501*time.Millisecond {
		t.Errorf("offset %v within %v, %v", offset, bound, known)
	}
}

// TestExtremeStamps: whatever a peer writes into its stamps, the bound covers what
// is allowed and T is where the offset says: nothing overflows.
func TestExtremeStamps(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewClock(500)
		stamp := func(name string) time.Duration {
			return time.Duration(rapid.OneOf(rapid.Int64(), rapid.Int64Range(-5, 5), rapid.Map(rapid.Int64Range(-9, 9), func(d int64) int64 { return int64(maxReading) + d }),
				rapid.Map(rapid.Int64Range(-9, 9), func(d int64) int64 { return d - int64(maxReading) })).Draw(t, name))
		}
		now := time.Duration(rapid.Int64Range(-1<<40, 1<<61).Draw(t, "now"))
		for range rapid.IntRange(1, 20).Draw(t, "exchanges") {
			received := stamp("received")
			answered := max(received, received+time.Duration(rapid.Int64Range(0, 1e9).Draw(t, "held")))
			_, _ = c.Observe(Exchange{Sent: now, Received: received, Answered: answered, Returned: now + 2*time.Second})
			now += 5 * time.Second
			offset, bound, known := c.Offset(now)
			if all, _ := c.allowed(now); known && (bound < 0 || offset < all.low || offset > all.high || all.low < offset-bound || all.high > offset+bound) {
				t.Fatalf("%v within %v, %v to %v is allowed", offset, bound, all.low, all.high)
			}
			for _, peer := range []time.Duration{stamp("T"), now + offset} {
				ours, bound, known := c.Ours(peer)
				if offset, _, _ := c.Offset(ours); known && (bound < 0 || (ours+offset-peer).Abs() > time.Millisecond) {
					t.Fatalf("T %v is %v within %v, offset %v", peer, ours, bound, offset)
				}
			}
		}
	})
}

// TestRates: what is not a rate is the default's.
func TestRates(t *testing.T) {
	for _, ppm := range []float64{0, -1, 501, math.NaN(), math.Inf(1)} {
		if c := NewClock(ppm); c.rate() != DefaultMaxDrift/1e6 {
			t.Errorf("%v ppm: %v", ppm, c.rate())
		}
	}
	var zero Clock
	if fifty := NewClock(50); zero.rate() != 15e-6 || math.Abs(fifty.rate()-50e-6) > 1e-18 {
		t.Errorf("%v and %v", zero.rate(), fifty.rate())
	}
}

// TestUnixTime: a peer that counts from 1970 while we count from our start.
func TestUnixTime(t *testing.T) {
	w := &wires{random: rand.New(rand.NewPCG(8, 5)), offset: 1.7957e18, drift: 10e-6, maxDrift: 15e-6, there: time.Millisecond, back: 2 * time.Millisecond, jitter: 500 * time.Microsecond}
	var c Clock
	for range 50 {
		e, _, _ := w.exchange()
		if _, err := c.Observe(e); err != nil {
			t.Fatal(err)
		}
		w.pass(5 * time.Second)
	}
	peer := w.peer()
	ours, bound, _ := c.Ours(peer + time.Second)
	if wrong := (ours - w.now - time.Second).Abs(); wrong > bound+1000 || bound > 5*time.Millisecond { // a float64 holds 1.8e18 to 256 ns
		t.Errorf("T is wrong by %v within %v", wrong, bound)
	}
}

// TestHeartbeats: 30,000 agents that begin at one moment never speak with one
// voice, and each keeps its mean period.
func TestHeartbeats(t *testing.T) {
	const agents, bucket = 30_000, 10 * time.Millisecond
	random := rand.New(rand.NewPCG(30, 0))
	due := make([]time.Duration, agents)
	for i := range due {
		due[i] = FirstHeartbeat(0, random)
	}
	const run = 2 * time.Minute
	counts := make([]int, run/bucket)
	beats := 0
	for i := range due {
		for due[i] < run {
			counts[due[i]/bucket]++
			beats++
			next := NextHeartbeat(due[i], due[i], random)
			if gap := next - due[i]; gap < 4500*time.Millisecond || gap > 5500*time.Millisecond {
				t.Fatalf("a period of %v", gap)
			}
			due[i] = next
		}
	}
	if mean := float64(beats) / agents * float64(HeartbeatPeriod) / float64(run); math.Abs(mean-1) > 0.01 {
		t.Errorf("%v of the beats that are due", mean)
	}
	for i, n := range counts { // 60 are due in 10 ms; 120 are 7.7 deviations of Poisson's law
		if n > 120 {
			t.Errorf("%d beats within %v at %v", n, bucket, time.Duration(i)*bucket)
		}
	}
}

// TestHeartbeatsAfterSleep: agents that were asleep together do not wake together.
func TestHeartbeatsAfterSleep(t *testing.T) {
	random := rand.New(rand.NewPCG(31, 0))
	const wake = time.Hour
	first, last := time.Duration(math.MaxInt64), time.Duration(0)
	for range 1000 {
		next := NextHeartbeat(time.Second, wake, random)
		if next < wake || next >= wake+HeartbeatPeriod {
			t.Fatalf("due at %v", next)
		}
		first, last = min(first, next), max(last, next)
	}
	if last-first < HeartbeatPeriod*9/10 {
		t.Errorf("all within %v", last-first)
	}
	for silence, want := range map[time.Duration]int{-1: 0, 0: 0, 5499 * time.Millisecond: 0, 5500 * time.Millisecond: 1, 16499 * time.Millisecond: 2, 16500 * time.Millisecond: MissedSuspect, 33 * time.Second: MissedOffline} {
		if have := MissedHeartbeats(silence); have != want {
			t.Errorf("%d missed after %v, want %d", have, silence, want)
		}
	}
}

func BenchmarkClock(b *testing.B) {
	w := &wires{random: rand.New(rand.NewPCG(3, 9)), offset: 1e8, drift: 50e-6, maxDrift: 50e-6, there: 300 * time.Microsecond, back: 500 * time.Microsecond, jitter: 2 * time.Millisecond}
	exchanges := make([]Exchange, 1024)
	for i := range exchanges {
		exchanges[i], _, _ = w.exchange()
		w.pass(5 * time.Second)
	}
	b.Run("Observe", func(b *testing.B) {
		c := NewClock(50)
		for i := range b.N {
			_, _ = c.Observe(exchanges[i%len(exchanges)])
		}
	})
	b.Run("Ours", func(b *testing.B) {
		c := NewClock(50)
		for _, e := range exchanges {
			_, _ = c.Observe(e)
		}
		for range b.N {
			_, _, _ = c.Ours(exchanges[1023].Answered)
		}
	})
}
