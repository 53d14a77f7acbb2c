package fleet

import (
	"testing"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// story tells a recorder what happens, in milliseconds of the true time.
type story struct {
	r *Recorder
	t *testing.T
}

func newStory(t *testing.T, agents int) story {
	return story{NewRecorder(topology(t, agents)), t}
}

func (s story) note(ms int64, node int32, n Note, delay, work time.Duration) {
	s.r.Observe(&Observation{Note: n, Node: node, Now: time.Duration(ms) * time.Millisecond, At: n.At, Delay: delay, Work: work})
}

func (s story) kpi(end time.Duration, name string) KPI {
	s.t.Helper()
	for _, k := range s.r.Report(Setup{}, end, Traffic{}, Counters{}).KPIs {
		if k.Name == name {
			return k
		}
	}
	s.t.Fatalf("no %s", name)
	return KPI{}
}

// TestRecorderPath: the slowest path is the longest sum of delays and work, without
// the time that anybody waited; a prediction is held against the agent's own part.
func TestRecorderPath(t *testing.T) {
	s := newStory(t, 60)
	top := s.r.topology
	const ms = time.Millisecond
	s.note(1000, Orchestrator, Note{Kind: Planned, At: 2 * time.Second, Value: 2}, 0, 0)
	s.note(1050, top.Sector(0), Note{Kind: Reached}, 50*ms, 0)
	s.note(1060, top.Sector(0), Note{Kind: Passed}, 0, 10*ms)
	s.note(1100, top.Cluster(0), Note{Kind: Reached}, 40*ms, 0)
	s.note(1110, top.Cluster(0), Note{Kind: Passed}, 0, 10*ms)
	// The lead waits for 300 ms until it sends.
	s.note(1430, top.Agent(0), Note{Kind: Reached}, 20*ms, 0)
	s.note(1530, top.Agent(0), Note{Kind: Ready, Value: 100_000}, 0, 100*ms)
	s.note(1440, top.Agent(1), Note{Kind: Reached}, 30*ms, 0)
	s.note(1900, top.Agent(1), Note{Kind: Ready, Value: 300_000}, 0, 250*ms)
	r := s.r.Report(Setup{}, time.Minute, Traffic{}, Counters{})
	op := r.Operations[0]
	if op.Slowest != 50+10+40+10+30+250 || op.Ready != 2 || op.InTime != 2 || op.P50 < 530 || op.P50 > 530*129/128 || op.P95 != 900 {
		t.Errorf("%+v", op)
	}
	if k := s.kpi(time.Minute, KPIPath); k.Value != 900-390 || k.Met {
		t.Errorf("%+v", k)
	}
	if k := s.kpi(time.Minute, KPIPrediction); k.Value != 1 || k.Samples != 2 { // 20 ms off each
		t.Errorf("%+v", k)
	}
}

// TestRecorderShares: who never came counts against the share, late is late, and
// exactly the target is enough.
func TestRecorderShares(t *testing.T) {
	s := newStory(t, 30)
	top := s.r.topology
	for op := range int32(2) {
		begun := int64(op) * 10_000
		s.note(begun, Orchestrator, Note{Kind: Planned, Operation: op, At: time.Duration(begun+1000) * time.Millisecond, Value: 20}, 0, 0)
		for i := range int32(19) {
			s.note(begun+600, top.Agent(i), Note{Kind: Ready, Operation: op}, 0, time.Millisecond)
		}
	}
	if k := s.kpi(time.Minute, KPIArrival); k.Value != 0.95 || !k.Met || k.Samples != 40 {
		t.Errorf("%+v", k)
	}
	s.note(11_001, top.Agent(19), Note{Kind: Ready, Operation: 1}, 0, time.Millisecond) // 1 ms late
	s.note(10_499, top.Agent(20), Note{Kind: Ready, Operation: 1}, 0, time.Millisecond) // 1 ms too early
	if op := s.r.operations[1]; op.Late != 1 || op.InTime != 19 || op.Ready != 21 {
		t.Errorf("%+v", op)
	}
	for i := range 200 {
		value := int32(1)
		if i < 2 {
			value = -1
		}
		s.note(20_000, Orchestrator, Note{Kind: Answered, Operation: 1, Value: value}, 0, 0)
	}
	if k := s.kpi(time.Minute, KPIConflicts); k.Value != 0.01 || !k.Met {
		t.Errorf("%+v", k)
	}
	s.note(20_000, Orchestrator, Note{Kind: Answered, Operation: 1, Value: -1}, 0, 0)
	if k := s.kpi(time.Minute, KPIConflicts); k.Met {
		t.Errorf("%+v", k)
	}
	s.note(21_000, Orchestrator, Note{Kind: Decided, Operation: 1, Value: int32(quorum.Proceed)}, 0, 0)
	if k := s.kpi(time.Minute, KPICoordination); k.Value != 0.5 || k.Met { // the other was never decided
		t.Errorf("%+v", k)
	}
}

// TestRecorderCascade: a cascade that never reached 95% is longer than any, and
// among twenty the percentile bears one of these.
func TestRecorderCascade(t *testing.T) {
	s := newStory(t, 30)
	top := s.r.topology
	for op := range int32(40) {
		begun := int64(op) * 1000
		s.note(begun, Orchestrator, Note{Kind: Planned, Operation: op, At: time.Duration(begun+900) * time.Millisecond, Value: 1}, 0, 0)
		if op != 7 && op != 31 {
			s.note(begun+int64(op)+1, top.Agent(0), Note{Kind: Ready, Operation: op}, 0, time.Millisecond)
		}
		k := s.kpi(time.Minute, KPICascade)
		switch {
		case op < 7 && (k.Value != float64(op+1) || !k.Met):
			t.Errorf("%d: %+v", op, k)
		case op >= 7 && op < 19 && (!k.Unbounded || k.Met): // 1 of up to 19 is over 5%
			t.Errorf("%d: %+v", op, k)
		case op == 39 && (k.Unbounded || k.Value != 40): // 38 of 40 are 95%
			t.Errorf("%d: %+v", op, k)
		}
	}
}

// TestRecorderAvailability is a share of the time, not of the words.
func TestRecorderAvailability(t *testing.T) {
	s := newStory(t, 100)
	if k := s.kpi(time.Second, KPIAvailability); k.Measured {
		t.Errorf("%+v", k)
	}
	s.r.Up(0, 100)
	s.note(0, Orchestrator, Note{Kind: Active, Value: 95, Operation: 100}, 0, 0)
	s.note(600, Orchestrator, Note{Kind: Active, Value: 94, Operation: 100}, 0, 0)
	s.note(601, Orchestrator, Note{Kind: Active, Value: 100, Operation: 100}, 0, 0)
	if k := s.kpi(time.Second, KPIAvailability); k.Value != 0.999 || !k.Met {
		t.Errorf("%+v", k)
	}
	if k := s.kpi(900*time.Millisecond, KPIAvailability); k.Met {
		t.Errorf("%+v", k)
	}
}

// TestRecorderIncidents: the longest counts; one that is not over has no end; said
// twice is one.
func TestRecorderIncidents(t *testing.T) {
	s := newStory(t, 900)
	say := func(ms int64, kind NoteKind, scope breaker.Scope, index int32) {
		s.note(ms, 5, ScopeNote(kind, scope, index), 0, 0)
	}
	say(1000, Failed, breaker.ScopeCluster, 3)
	say(2000, Failed, breaker.ScopeCluster, 3)
	say(2000, Failed, breaker.ScopeCluster, 4)
	say(3000, Restored, breaker.ScopeCluster, 4)
	say(4000, Restored, breaker.ScopeCluster, 3)
	say(5000, Restored, breaker.ScopeCluster, 3)
	say(1000, Failed, breaker.ScopeSector, 1)
	if k := s.kpi(time.Minute, KPIClusterRepair); k.Value != 3000 || k.Samples != 2 || !k.Met {
		t.Errorf("%+v", k)
	}
	if k := s.kpi(time.Minute, KPISectorRepair); !k.Unbounded || k.Met {
		t.Errorf("%+v", k)
	}
	say(400_000, Restored, breaker.ScopeSector, 1)
	if k := s.kpi(time.Hour, KPISectorRepair); k.Value != 399_000 || !k.Met {
		t.Errorf("%+v", k)
	}
}

// TestRecorderBreakers counts those that do not route everything.
func TestRecorderBreakers(t *testing.T) {
	s := newStory(t, 900)
	for _, b := range []struct {
		ms    int64
		scope breaker.Scope
		index int32
		state breaker.State
	}{
		{1000, breaker.ScopeCluster, 1, breaker.Open},
		{1500, breaker.ScopeCluster, 2, breaker.Open},
		{1500, breaker.ScopeCluster, 1, breaker.Open},
		{2000, breaker.ScopeCluster, 1, breaker.HalfOpen},
		{3000, breaker.ScopeSector, 1, breaker.Open},
		{9000, breaker.ScopeCluster, 1, breaker.Closed},
		{9000, breaker.ScopeCluster, 1, breaker.Closed},
		{9500, breaker.ScopeCluster, 2, breaker.Closed},
		{9999, breaker.ScopeGlobal, 0, breaker.Open},
	} {
		s.note(b.ms, 0, BreakerNote(b.scope, b.index, b.state), 0, 0)
	}
	want := []BreakerCount{
		{At: time.Second, Cluster: 2}, {At: 3 * time.Second, Cluster: 2, Sector: 1}, {At: 9 * time.Second, Sector: 1, Global: 1},
	}
	got := s.r.breakersAt
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
}

// TestRecorderHistogram: bars have round widths, T is an edge, and nobody is lost.
func TestRecorderHistogram(t *testing.T) {
	for _, span := range []int64{5, 90, 400, 3000, 20_000} {
		s := newStory(t, 30)
		s.note(100_000, Orchestrator, Note{Kind: Planned, At: 200 * time.Second, Value: 30}, 0, 0)
		for i := range int64(1000) {
			s.note(200_000-span+i*span*2/1000, s.r.topology.Agent(int32(i%30)), Note{Kind: Ready}, 0, time.Millisecond)
		}
		var all uint64
		edge := false
		bins := s.r.Report(Setup{}, time.Minute, Traffic{}, Counters{}).Arrivals
		for i, b := range bins {
			all += b.Count
			edge = edge || b.From == 0
			if i > 0 && !b.Open && bins[i-1].To != b.From {
				t.Errorf("span %d: a gap before %+v", span, b)
			}
		}
		if all != 1000 || !edge || len(bins) > 44 {
			t.Errorf("span %d: %d in %d bars, T an edge: %v", span, all, len(bins), edge)
		}
	}
}

// TestRecorderForeign: notes of no operation, of a scope that is none, change
// nothing and break nothing.
func TestRecorderForeign(t *testing.T) {
	s := newStory(t, 30)
	for kind := range noteKinds + 3 {
		if kind == Planned || kind == Active || kind == ModeIs {
			continue
		}
		for _, op := range []int32{-1, 0, 1 << 30} {
			s.note(1, 1, Note{Kind: kind, Operation: op, Value: 77 << 8}, 0, 0)
		}
	}
	s.note(1, 0, Note{Kind: Planned, Operation: 5, Value: 1}, 0, 0)
	if len(s.r.operations) != 0 || len(s.r.breakersAt) != 0 {
		t.Errorf("%d operations", len(s.r.operations))
	}
}
