package link

import (
	"math"
	"testing"
	"time"

	"dancer/hal"
)

func testLayout() Layout {
	return Layout{Signals: 3, Outputs: 2, Ports: 2, Rules: 70, Hash: Hash("a", "b")}
}

func newSegment(t *testing.T) *Segment {
	t.Helper()
	s, err := Create(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestSlotsStartInvalid(t *testing.T) {
	s := newSegment(t)
	for i := range 3 {
		if v, at, ok := s.LoadSignal(i); !math.IsNaN(v) || at != 0 || ok != hal.NeverSeen {
			t.Errorf("signal %d at start: %v %v %v, want NaN, 0, never seen", i, v, at, ok)
		}
	}
	if v, _, who, rule := s.LoadOutput(1); !math.IsNaN(v) || who != WhoSafe || rule != -1 {
		t.Errorf("output at start: %v %v %d, want NaN, safe, -1", v, who, rule)
	}
}

func TestSlotsRoundTrip(t *testing.T) {
	s := newSegment(t)
	s.StoreSignal(2, 1.5, 7*time.Second, hal.Valid)
	s.StoreOutput(1, 0.25, 3*time.Second, WhoReflex, 69)
	port := Port{Frames: 1, Bytes: 2, Errors: 3, Dropped: 4, Open: true, Line: hal.LineErrors{Framing: 1<<32 - 1, Parity: 6, Breaks: 7, Overruns: 8}, Counted: true}
	s.StorePort(1, port)
	if v, at, ok := s.LoadSignal(2); v != 1.5 || at != 7*time.Second || ok != hal.Valid {
		t.Errorf("signal: %v %v %v", v, at, ok)
	}
	if v, at, who, rule := s.LoadOutput(1); v != 0.25 || at != 3*time.Second || who != WhoReflex || rule != 69 {
		t.Errorf("output: %v %v %v %d", v, at, who, rule)
	}
	if p, ok := s.LoadPort(1); !ok || p != port {
		t.Errorf("port: %+v %v", p, ok)
	}
	if p, ok := s.LoadPort(0); !ok || p != (Port{}) {
		t.Errorf("other port: %+v %v", p, ok)
	}
}

func TestValidSignalIsFinite(t *testing.T) {
	s := newSegment(t)
	s.StoreSignal(0, math.Inf(1), 1, hal.Valid)
	if _, _, ok := s.LoadSignal(0); ok != hal.NotANumber {
		t.Errorf("an infinite value that claims to be valid reads as %v", ok)
	}
	storeSlot(s.signal(0), 0, 0, 99)
	if _, _, ok := s.LoadSignal(0); ok != hal.NeverSeen {
		t.Errorf("a validity that does not exist reads as %v", ok)
	}
}

func TestRuleBits(t *testing.T) {
	s := newSegment(t)
	s.StoreRule(69, true, false)
	s.StoreRule(3, false, true)
	s.StoreRule(64, true, true)
	s.StoreRule(64, false, true)
	for i := range 70 {
		active, latched := s.LoadRule(i)
		if wantA, wantL := i == 69, i == 3 || i == 64; active != wantA || latched != wantL {
			t.Errorf("rule %d: active %v latched %v, want %v %v", i, active, latched, wantA, wantL)
		}
	}
}

func TestStatusRoundTrip(t *testing.T) {
	s := newSegment(t)
	want := Status{
		Mode: ModeReportOnly, Started: true, DryRun: true, RealTime: true, Lease: LeaseExpired, Epoch: 3<<32 | 4,
		BrainStarts: 3, SpineStart: 1, Now: 2, Cycles: 5, Overruns: 6, Discarded: 7, LatencyLast: 8, LatencyMax: 9,
		Deaths: 10, Strikes: 11, LastExit: -9, LastDeath: ReasonBrainHung,
	}
	s.StoreStatus(&want)
	if got, ok := s.LoadStatus(); !ok || got != want {
		t.Errorf("status %+v %v, want %+v", got, ok, want)
	}
}

func TestTornSlotIsNeverUsed(t *testing.T) {
	s := newSegment(t)
	s.StoreSignal(0, 1, 1, hal.Valid)
	s.signal(0)[0].Add(1) // a writer that died in the middle
	if _, _, ok := s.LoadSignal(0); ok != hal.NeverSeen {
		t.Errorf("torn signal reads as %v", ok)
	}
	s.StoreSignal(0, 2, 2, hal.Valid) // the next writer heals it
	if v, _, ok := s.LoadSignal(0); v != 2 || ok != hal.Valid {
		t.Errorf("healed signal reads as %v %v", v, ok)
	}
}

func TestSpineSideDoesNotAllocate(t *testing.T) {
	s := newSegment(t)
	c := Command{Values: make([]float64, 2), Hold: make([]float64, 2)}
	in := Command{Decision: 1, Values: []float64{1, 2}}
	var r Request
	var read Reading
	allocs := testing.AllocsPerRun(100, func() {
		s.StoreSignal(0, 1, 2, hal.Valid)
		s.StoreOutput(0, 1, 2, WhoCommand, -1)
		s.StorePort(0, Port{Frames: 1})
		s.StoreRule(0, true, false)
		s.StoreStatus(&Status{Epoch: 1})
		s.PutEvent(&Event{Kind: EventSignal, Value: 1})
		s.PostCommand(&in)
		s.TakeCommand(&c)
		s.PostRequest(Request{Kind: RequestStart})
		s.TakeRequest(&r)
		s.PostReading(Reading{Signal: 1})
		s.TakeReading(&read)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
