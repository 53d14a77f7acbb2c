package link

import (
	"math"
	"testing"
	"time"

	"dancer/hal"
)

func TestTraceRoundTrip(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	for _, want := range []Trace{
		{Kind: TraceReading, Flags: uint8(hal.Stuck) | TraceEnd, Index: 2, Value: -1.5, At: 7 * time.Second, Now: 8 * time.Second},
		{Kind: TraceMove, Flags: 3, Index: 69, Now: 1},
		{Kind: TraceTick, Now: math.MaxInt64},
	} {
		s.PutTrace(&want)
		var got Trace
		if !brain.TakeTrace(&got) || got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if ParseTraceKind(got.Kind.String()) != got.Kind {
			t.Errorf("kind %q is read as %v", got.Kind, ParseTraceKind(got.Kind.String()))
		}
	}
	if tr := (Trace{Flags: uint8(hal.Stuck) | TraceEnd}); tr.Validity() != hal.Stuck || !tr.End() {
		t.Errorf("%+v is %v, end %v", tr, tr.Validity(), tr.End())
	}
}

// TestTraceGap: where traces were lost there is a gap with their number, as soon
// as there is room, and events are not displaced.
func TestTraceGap(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	for i := range TraceCapacity + 10 {
		s.PutTrace(&Trace{Kind: TraceReading, Index: int32(i)})
	}
	if lost := brain.TracesLost(); lost != 10 {
		t.Fatalf("%d lost, want 10", lost)
	}
	if !s.PutEvent(&Event{Kind: EventMode}) {
		t.Error("a full ring of traces has no room for an event")
	}
	var tr Trace
	for i := range TraceCapacity {
		if !brain.TakeTrace(&tr) || tr.Kind != TraceReading || tr.Index != int32(i) {
			t.Fatalf("trace %d is %+v", i, tr)
		}
	}
	s.PutTrace(&Trace{Kind: TraceReading, Index: 77})
	if !brain.TakeTrace(&tr) || tr.Kind != TraceGap || tr.Index != 10 {
		t.Errorf("after the loss comes %+v, want a gap of 10", tr)
	}
	if !brain.TakeTrace(&tr) || tr.Index != 77 {
		t.Errorf("after the gap comes %+v", tr)
	}
	if brain.TakeTrace(&tr) {
		t.Errorf("and then %+v", tr)
	}
}

// TestTraceNonsense: what a hostile writer left in the ring is passed over.
func TestTraceNonsense(t *testing.T) {
	s := newSegment(t)
	brain := attach(t, s)
	bad := traceRecord{200}
	s.traces.put(bad[:], 0)
	s.PutTrace(&Trace{Kind: TraceTick})
	var tr Trace
	if !brain.TakeTrace(&tr) || tr.Kind != TraceTick {
		t.Errorf("took %+v", tr)
	}
}

func BenchmarkPutTrace(b *testing.B) {
	s, err := Create(testLayout())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	brain := attach(b, s)
	var out Trace
	in := Trace{Kind: TraceReading, Index: 1, Value: 2, At: 3, Now: 4}
	for b.Loop() {
		s.PutTrace(&in)
		brain.TakeTrace(&out)
	}
}
