package spine

import (
	"testing"
	"time"

	"dancer/hal"
	"dancer/reflex"
	"dancer/runtime/link"
)

// traces takes what was traced so far.
func (b *bench) traces() []link.Trace {
	var all []link.Trace
	var tr link.Trace
	for b.brain.TakeTrace(&tr) {
		all = append(all, tr)
	}
	return all
}

func TestTraceOfAFrame(t *testing.T) {
	b := moving(t)
	b.traces()
	b.now += time.Millisecond
	b.reading(sigRange, 0.9, b.now)
	b.reading(sigRange, 0.2, b.now)
	b.reading(sigSoft, 5, b.now)
	b.reading(sigRange, 3, b.now-time.Second) // older than what is there: nothing enters
	b.frame(b.now, b.now, 9)
	got := b.traces()
	want := []link.Trace{
		{Kind: link.TraceOvertook, Flags: uint8(hal.Valid), Index: sigRange, Value: 0.9, At: b.now, Now: b.now},
		{Kind: link.TraceReading, Flags: uint8(hal.Valid), Index: sigRange, Value: 0.2, At: b.now, Now: b.now},
	}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("traces %+v, want %+v first", got, want)
		}
	}
	if soft := got[2]; soft.Index != sigSoft || !soft.End() || soft.Validity() != b.table.Validity(sigSoft) {
		t.Errorf("the last reading of the frame is %+v", soft)
	}
	if move := got[3]; move.Kind != link.TraceMove || reflex.Kind(move.Flags) != reflex.Fired {
		t.Errorf("after the frame comes %+v, want what the rule did", move)
	}
}

// BenchmarkFrame is one reading through the core: the signal table, the rules
// that read it, and the trace for the recording, which is taken off the ring
// again because a full one would be cheaper.
func BenchmarkFrame(b *testing.B) {
	c := moving(b)
	var tr link.Trace
	b.ReportAllocs()
	for b.Loop() {
		c.now += time.Microsecond
		c.reading(sigRange, 2, c.now)
		c.frame(c.now, c.now, 1)
		for c.brain.TakeTrace(&tr) {
		}
	}
}

func TestTracesAllocateNothing(t *testing.T) {
	c := moving(t)
	if n := testing.AllocsPerRun(2*link.TraceCapacity, func() { // past a full ring too
		c.now += time.Millisecond
		c.reading(sigRange, 2, c.now)
		c.frame(c.now, c.now, 1)
	}); n != 0 {
		t.Errorf("%v allocations a frame, want none", n)
	}
	if c.brain.TracesLost() == 0 {
		t.Error("the ring was never full")
	}
}
