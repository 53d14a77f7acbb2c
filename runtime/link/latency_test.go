package link

import (
	"sync"
	"testing"
	"time"

	"dancer/runtime/latency"
)

func TestLatencyRoundTrip(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	var own [latencyKinds]latency.Histogram
	for k := range own {
		for i := range 500 {
			h := &own[k]
			s.StoreLatency(LatencyKind(k), h, h.Record(time.Duration(k+1)<<(i%40)))
		}
	}
	for k := range own {
		var got latency.Histogram
		brain.LoadLatency(LatencyKind(k), &got)
		if got != own[k] {
			t.Errorf("histogram %d reads as %+v, want %+v", k, got.Figures(), own[k].Figures())
		}
	}
	var event Event
	if brain.TakeEvent(&event) || s.EventsLost() != 0 {
		t.Error("counting reached into another part of the segment")
	}
}

// TestLatencyWhileItIsWritten: a reader beside the writer sees no count that is
// torn, less than before, or more than was counted.
func TestLatencyWhileItIsWritten(t *testing.T) {
	const rounds, step = 200_000, 1 << 33 // a torn word shows in the upper half
	s := newSegment(t)
	brain := attach(t, s)
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(done)
		var own latency.Histogram
		for i := range rounds {
			d := time.Duration(i%7) << 20
			bucket := latency.Index(d)
			own.Counts[bucket] += step + 1
			own.Sum, own.Max = own.Sum+d, max(own.Max, d)
			s.StoreLatency(LatencyWakeUp, &own, bucket)
		}
	})
	var before, now latency.Histogram
	for over := false; !over; before = now {
		select {
		case <-done:
			over = true
		default:
		}
		brain.LoadLatency(LatencyWakeUp, &now)
		for i, n := range now.Counts {
			if n < before.Counts[i] || n>>33 != n&(1<<33-1) {
				t.Fatalf("bucket %d: %#x after %#x", i, n, before.Counts[i])
			}
		}
		if now.Sum < before.Sum || now.Max < before.Max {
			t.Fatalf("sum %v after %v, longest %v after %v", now.Sum, before.Sum, now.Max, before.Max)
		}
	}
	writer.Wait()
	if n := now.Count(); n != rounds*(step+1) {
		t.Errorf("%d in the end, want %d", n, uint64(rounds*(step+1)))
	}
}

// Where a kernel before 5.1 lets the brain scribble over the words, it loses what
// they say until the spine counts there again, and the spine nothing.
func TestLatencyHealsAfterScribbling(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	var own, got latency.Histogram
	s.StoreLatency(LatencyReflex, &own, own.Record(time.Millisecond))
	for i := range s.latency(LatencyReflex) {
		s.latency(LatencyReflex)[i].Store(^uint64(0))
	}
	bucket := own.Record(time.Millisecond)
	s.StoreLatency(LatencyReflex, &own, bucket)
	brain.LoadLatency(LatencyReflex, &got)
	if got.Counts[bucket] != 2 || got.Sum != 2*time.Millisecond || got.Max != time.Millisecond {
		t.Errorf("after the next count: %d, sum %v, longest %v", got.Counts[bucket], got.Sum, got.Max)
	}
}

func TestLatencyIsSmall(t *testing.T) {
	l := testLayout()
	with := l.offsets()
	if bytes := 8 * (with.total - with.latencies); bytes > 2*8<<10 {
		t.Errorf("the histograms take %d bytes of the segment", bytes)
	} else {
		t.Logf("%d bytes", bytes)
	}
}

func TestStoreLatencyAllocatesNothing(t *testing.T) {
	s := newSegment(t)
	var own, read latency.Histogram
	if n := testing.AllocsPerRun(100, func() {
		s.StoreLatency(LatencyReflex, &own, own.Record(time.Millisecond))
		s.LoadLatency(LatencyReflex, &read)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkStoreLatency(b *testing.B) {
	s, err := Create(testLayout())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var own latency.Histogram
	d := time.Duration(1)
	b.ReportAllocs()
	for b.Loop() {
		d = d*5 + 7
		s.StoreLatency(LatencyReflex, &own, own.Record(d&(1<<26-1)))
	}
}
