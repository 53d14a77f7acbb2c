package spine

import (
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/latency"
	"dancer/runtime/link"
)

// counted reads a histogram as the brain does.
func (b *bench) counted(k link.LatencyKind) latency.Figures {
	var h latency.Histogram
	b.brain.LoadLatency(k, &h)
	return h.Figures()
}

// edge is one frame with one signal, whose output is written some time later.
func (b *bench) edge(signal int, value float64, took time.Duration) {
	at := b.now + time.Millisecond
	b.now = at + took
	b.reading(signal, value, at)
	b.frame(at, at, 1)
}

// TestEdgeToOutputCounts names what is counted: a reflex that a reading fired,
// in a cycle that wrote an output.
func TestEdgeToOutputCounts(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func(b *bench)
		want uint64
	}{
		{"a reading fires it", func(b *bench) { b.edge(sigRange, 0.1, 70*time.Microsecond) }, 1},
		{"it ends", func(b *bench) {
			b.edge(sigRange, 0.1, 70*time.Microsecond)
			b.edge(sigRange, 2, 5*time.Millisecond)
		}, 1},
		{"it fires again", func(b *bench) {
			b.edge(sigRange, 0.1, 70*time.Microsecond)
			b.edge(sigRange, 2, 0)
			b.edge(sigRange, 0.1, 70*time.Microsecond)
		}, 2},
		{"two in one cycle", func(b *bench) {
			at := b.now + time.Millisecond
			b.now = at + 70*time.Microsecond
			b.reading(sigRange, 0.1, at)
			b.reading(sigBumper, 1, at)
			b.frame(at, at, 1)
		}, 2},
		{"time alone fires it", func(b *bench) {
			b.feed(sigSoft, 1)
			b.pass(50 * time.Millisecond)
		}, 0},
		{"a signal that goes stale fires it", func(b *bench) { b.pass(6 * time.Second) }, 0},
		{"a lost port fires it", func(b *bench) {
			b.invalidate(sigRange, b.now)
			b.frame(b.now, b.now, 0)
		}, 0},
		{"a command fires it", func(b *bench) { b.post([]float64{1, 0}, 0, nil) }, 0},
		{"the outputs are there already", func(b *bench) {
			b.edge(sigBumper, 1, 70*time.Microsecond)
			b.edge(sigRange, 0.1, 10*time.Millisecond)
		}, 1},
		{"nothing is driven", func(b *bench) {
			b.status.DryRun = true
			b.edge(sigRange, 0.1, 70*time.Microsecond)
		}, 0},
	} {
		b := moving(t)
		if n := b.counted(link.LatencyReflex).Count; n != 0 {
			t.Fatalf("%d counted before anything happened", n)
		}
		fired := b.fired
		c.do(b)
		if b.fired == fired {
			t.Errorf("%s: no reflex fired: the test does not test", c.name)
		}
		got := b.counted(link.LatencyReflex)
		if got.Count != c.want {
			t.Errorf("%s: %d counted, want %d", c.name, got.Count, c.want)
		}
		if c.want > 0 && (got.Most != 70*time.Microsecond || got.P50 != got.Most) {
			t.Errorf("%s: %+v, want 70us each", c.name, got)
		}
	}
}

// TestWakeUpLateness gives the loop its deadlines late, in time, and not at all.
func TestWakeUpLateness(t *testing.T) {
	b := moving(t)
	l := &loop{core: b.core, hardware: &hardware{}, poller: &poller{armed: never}, heart: &heart{next: never}}
	wake := func(deadline, published, armed, now time.Duration) {
		l.deadline, l.core.status.Now, l.poller.armed = deadline, published, armed
		l.late(now)
	}
	const at = time.Hour
	wake(0, at, at, at+time.Second)                              // the first step of a simulated world
	wake(at, at, at+leastWait, at+leastWait/2)                   // at once, and something else came first
	wake(at, at-time.Second, at, at+30*time.Microsecond)         // 30 us late
	wake(at, at, at+leastWait, at+leastWait+40*time.Microsecond) // at once: late after the pause
	wake(at-time.Millisecond, at, at+leastWait, at+leastWait)    // passed while the loop worked
	wake(at, at-time.Second, at, at+lateAfter+time.Nanosecond)   // an overrun
	if got := l.core.status.Overruns; got != 2 {
		t.Errorf("%d overruns, want 2", got)
	}
	got := b.counted(link.LatencyWakeUp)
	if got.Count != 4 || got.P50 < 40*time.Microsecond || got.P50 > 42*time.Microsecond || got.Most != time.Millisecond+leastWait {
		t.Errorf("lateness %+v, want 30 us, 40 us, 1.1 ms and 1 ms", got)
	}
}

// TestEdgesCountOnceAWakeUp: of the edges that one wake-up finds, the oldest is
// how late it was; each reflex has the time stamp of its own.
func TestEdgesCountOnceAWakeUp(t *testing.T) {
	b := moving(t)
	l := &loop{core: b.core}
	woken := b.now + time.Second
	b.now = woken + 20*time.Microsecond // the clock at the writes
	l.takeEdges(nil, woken)             // nothing there after all
	l.takeEdges([]hal.Reading{
		{Signal: sigRange, Value: 0.1, At: woken - 50*time.Microsecond},
		{Signal: sigBumper, Value: 1, At: woken - 10*time.Microsecond},
	}, woken)
	if got := b.counted(link.LatencyWakeUp); got.Count != 1 || got.Most != 50*time.Microsecond {
		t.Errorf("lateness %+v, want 50 us once", got)
	}
	if got := b.counted(link.LatencyReflex); got.Count != 2 || got.Most != 70*time.Microsecond || got.P50 < 30*time.Microsecond || got.P50 > 31*time.Microsecond {
		t.Errorf("edge to output %+v, want 70 us and 30 us", got)
	}
}

// BenchmarkReflex is a frame in which a reflex fires and writes an output, and
// the one in which it ends.
func BenchmarkReflex(b *testing.B) {
	c := moving(b)
	c.notes = make([]link.Event, 0, 1<<16)
	c.wrote = make([][2]float64, 0, 1<<16)
	command := link.Command{Values: []float64{0.5, 0}}
	var e link.Event
	var tr link.Trace
	value := 0.1
	b.ReportAllocs()
	for b.Loop() {
		c.wrote, c.notes = c.wrote[:0], c.notes[:0]
		c.now += time.Microsecond
		c.reading(sigRange, value, c.now)
		c.frame(c.now, c.now, 1)
		value = 2.1 - value
		if value < 1 { // it ended: drive again
			c.posts++
			command.Decision, command.Epoch = c.posts, c.status.Epoch
			_ = c.brain.PostCommand(&command)
			c.takeCommand(c.now)
			c.frame(c.now, c.now, 0)
		}
		for c.brain.TakeEvent(&e) {
		}
		for c.brain.TakeTrace(&tr) {
		}
	}
}
