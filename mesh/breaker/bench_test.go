package breaker

import (
	"testing"
	"time"
	"unsafe"
)

// TestBytes holds what the doc comments say of the size of things.
func TestBytes(t *testing.T) {
	cluster := unsafe.Sizeof(record{}) + 5*8 + 4 + 4 + 2
	sector := unsafe.Sizeof(record{}) + 50*8 + 4
	for name, c := range map[string]struct{ have, most uintptr }{
		"breaker of a cluster": {cluster, 85}, "breaker of a sector": {sector, 430},
		"agent in the detector": {unsafe.Sizeof(agent{}) + 2*8, 56}, "freeze of a cluster": {unsafe.Sizeof(order{}) + 4 + 1, 21},
		"trend": {unsafe.Sizeof(Trend{}), 32}, "modes": {unsafe.Sizeof(Modes{}), 88},
	} {
		if c.have > c.most {
			t.Errorf("%s: %d bytes, over %d", name, c.have, c.most)
		}
	}
}

// TestHotCallsDoNotAllocate: what is asked or told for every message.
func TestHotCallsDoNotAllocate(t *testing.T) {
	g := Guard{mustModes(t), mustFreezes(t, 100, 10), mustNew(t, 100, 10, DefaultConfig(), 1)}
	g.Modes.Start(100, 100)
	d := mustDetector(t, 100, 10, 30)
	events, found := make([]Event, 0, 8192), make([]Finding, 0, 8192)
	i := int32(0)
	if n := testing.AllocsPerRun(2000, func() {
		i++
		now := time.Duration(i) * 100 * time.Millisecond
		g.May(Operation{Kind: Direct, Priority: 1, Size: 1, Members: 30_000}, i%1000, uint64(i))
		events = g.Breakers.Tick(now, g.Breakers.Failure(now, i%1000, events[:0]))
		g.Modes.Observe(now, 29_000, 30_000)
		d.Heard(now, i%30_000)
		found = d.TimedOut(now, i*7%30_000, found[:0])
		found = d.Impedance(now, i%30_000, 20*time.Millisecond, found)
		found = d.Contradict(now, i%30_000, i*3%30_000, found)
		found = d.Sweep(now, found)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRoutable(b *testing.B) {
	breakers := mustNew(b, 100, 10, DefaultConfig(), 1)
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		breakers.Routable(i % 1000)
		i++
	}
}

func BenchmarkGuard(b *testing.B) {
	g := Guard{mustModes(b), mustFreezes(b, 100, 10), mustNew(b, 100, 10, DefaultConfig(), 1)}
	g.Modes.Start(100, 100)
	o := Operation{Kind: Direct, Priority: 2, Size: 1, Members: 30_000}
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		g.May(o, i%1000, uint64(i))
		i++
	}
}

func BenchmarkFailure(b *testing.B) {
	breakers := mustNew(b, 3334, 10, DefaultConfig(), 1)
	events := make([]Event, 0, 64)
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		events = breakers.Failure(time.Duration(i)*time.Millisecond, i*7919%33_340, events[:0])
		i++
	}
}

// BenchmarkTick is a pass over the breakers of a million agents, one timer being
// due.
func BenchmarkTick(b *testing.B) {
	breakers := mustNew(b, 3334, 10, DefaultConfig(), 1)
	breakers.Trip(0, ScopeCluster, 33_000, nil)
	events := make([]Event, 0, 64)
	b.ReportAllocs()
	now := time.Duration(0)
	for b.Loop() {
		now, _ = breakers.Deadline()
		events = breakers.Tick(now, events[:0])
	}
}

func BenchmarkHeard(b *testing.B) {
	d := mustDetector(b, 3334, 10, 30)
	b.ReportAllocs()
	i := int32(0)
	for b.Loop() {
		d.Heard(time.Duration(i), i)
		if i += 7919; i >= 1_000_000 {
			i -= 1_000_000
		}
	}
}

// BenchmarkSweep is a pass over a million agents that are all well.
func BenchmarkSweep(b *testing.B) {
	d := mustDetector(b, 3334, 10, 30)
	for i := range int32(1_000_200) {
		d.Heard(0, i)
	}
	found := make([]Finding, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		found = d.Sweep(time.Second, found[:0])
	}
}
