package fleet

import (
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"dancer/mesh/quorum"
)

// diary writes down everything that happens.
type diary struct {
	lines []Observation
}

func (d *diary) Observe(o *Observation) { d.lines = append(d.lines, *o) }

func (d *diary) of(kind NoteKind) (found []Observation) {
	for _, o := range d.lines {
		if o.Kind == kind {
			found = append(found, o)
		}
	}
	return found
}

func (d *diary) hash() uint64 {
	h := fnv.New64a()
	for _, o := range d.lines {
		fmt.Fprintln(h, o)
	}
	return h.Sum64()
}

// run is a fleet of the tests' own protocol.
func run(t testing.TB, setup Setup, protocol *beat, until time.Duration) (*Simulation[word], *diary) {
	t.Helper()
	d := &diary{}
	s, err := New(setup, protocol, d)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.Run(until)
	return s, d
}

// TestRepeats: a run is a function of its setup, down to the last message.
func TestRepeats(t *testing.T) {
	top := topology(t, 900)
	faults, err := ParseFaults("from 3s for 4s crash cluster 3\nfrom 5s for 9s loss all 5%\nfrom 1s for 20s byzantine agent 7 flood")
	if err != nil {
		t.Fatal(err)
	}
	hash := func(seed Seed) uint64 {
		s, d := run(t, Setup{top, DefaultConditions(), faults, seed}, newBeat(top, 4*time.Second, 10*time.Second), 30*time.Second)
		if s.Traffic().Delivered == 0 || len(d.lines) < 1000 {
			t.Fatalf("nothing happened: %+v", s.Traffic())
		}
		return d.hash()
	}
	if a, b := hash(7), hash(7); a != b {
		t.Errorf("the same seed gave %x and %x", a, b)
	}
	if hash(7) == hash(8) {
		t.Error("another seed gave the same run")
	}
}

// TestFaultShiftsNobody: a crash of one agent leaves every other agent's day as it
// was, to the nanosecond.
func TestFaultShiftsNobody(t *testing.T) {
	top := topology(t, 300)
	victim := top.Agent(42)
	day := func(faults []Fault) []Observation {
		_, d := run(t, Setup{top, DefaultConditions(), faults, 3}, newBeat(top, 4*time.Second, 10*time.Second), 30*time.Second)
		return slices.DeleteFunc(d.lines, func(o Observation) bool {
			tier, _ := top.Place(o.Node)
			return o.Node == victim || tier != quorum.TierAgent
		})
	}
	before := day(nil)
	after := day([]Fault{{From: time.Second, For: 5 * time.Second, Kind: Crash, At: Place{AtAgent, 42}}})
	if len(before) < 500 || !slices.Equal(before, after) {
		t.Errorf("%d observations of the others without the crash, %d with it, or not the same", len(before), len(after))
	}
}

// TestWaveInPerfectWorld: everybody that is a machine is ready and acts at T.
func TestWaveInPerfectWorld(t *testing.T) {
	top := topology(t, 3000)
	_, d := run(t, Setup{Topology: top, Seed: 1}, newBeat(top, 30*time.Second, 10*time.Second), 60*time.Second)
	machines := 0
	for _, c := range top.AgentClass {
		if c != quorum.ClassHuman {
			machines++
		}
	}
	if got := len(d.of(Ready)); got != machines {
		t.Errorf("%d ready, want %d", got, machines)
	}
	acted := d.of(Acted)
	if len(acted) != machines {
		t.Errorf("%d acted, want %d", len(acted), machines)
	}
	for _, o := range acted {
		if o.Now != 40*time.Second || o.At != o.Now {
			t.Fatalf("node %d acted at %v, T was %v", o.Node, o.Now, o.At)
		}
	}
}

// TestClocks: a node's clock is off and drifts by what the conditions allow, and
// the way back from it is exact.
func TestClocks(t *testing.T) {
	top := topology(t, 300)
	c := DefaultConditions()
	s, err := New[word](Setup{top, c, nil, 5}, newBeat(top, 0), nil)
	if err != nil {
		t.Fatal(err)
	}
	var least, most time.Duration
	for n := range top.Nodes() {
		for _, at := range []time.Duration{0, 1, time.Millisecond, time.Minute + 7, time.Hour, 23 * time.Hour} {
			local := s.Local(n, at)
			off := local - at - c.Offset
			most, least = max(most, off), min(least, off)
			if limit := c.Offset + time.Duration(float64(at)*50e-6) + 1; off > limit || off < -limit {
				t.Fatalf("node %d at %v: off by %v", n, at, off)
			}
			back := s.True(n, local)
			if s.Local(n, back) < local || s.Local(n, back-1) >= local {
				t.Fatalf("node %d: %v is first at %v, and it is not", n, local, back)
			}
		}
	}
	if most < 400*time.Millisecond || least > -400*time.Millisecond {
		t.Errorf("clocks are off by %v to %v; want up to %v", least, most, c.Offset)
	}
}

// TestLinks holds delays against their model: floor, median and tail of one link,
// and the shares of what goes wrong.
func TestLinks(t *testing.T) {
	top := topology(t, 300)
	c := Conditions{Loss: 1000, Duplicate: 500, Reorder: 200, Corrupt: 100}
	w := world{topology: top, conditions: c, seed: 9, nodes: newNodes(top, &c, 9)}
	agent := top.Agent(0)
	lead := top.ParentOf(agent)
	const many = 200_000
	var delays []int64
	passed := 0
	for i := range many {
		delays = append(delays, w.hop(lead, agent, w.seed.Draw(purposeDelay, lead, uint64(i))))
		if !w.pass(lead, agent).lost {
			passed++
		}
	}
	slices.Sort(delays)
	floor := int64(w.nodes[agent].down) * 1000
	near := func(name string, got, want, off float64) {
		if got < want*(1-off) || got > want*(1+off) {
			t.Errorf("%s: %.4f, want %.4f", name, got, want)
		}
	}
	if delays[0] < floor {
		t.Errorf("fastest %d ns, floor %d", delays[0], floor)
	}
	near("median", float64(delays[len(delays)/2])/float64(floor), 1.042, 0.02)
	near("p95", float64(delays[len(delays)*95/100])/float64(floor), 1.347, 0.02)
	near("p99.9", float64(delays[len(delays)*999/1000])/float64(floor), 4.06, 0.1)
	near("lost", float64(w.traffic.Lost)/many, 0.1, 0.03)
	near("damaged", float64(w.traffic.Damaged)/many, 0.009, 0.1)
	near("twice", float64(w.traffic.Duplicated)/float64(passed), 0.05, 0.05)
	near("held up", float64(w.traffic.Reordered)/float64(passed), 0.02, 0.06)
}

// TestPlaces: each fault meets those whom its place says, and no other.
func TestPlaces(t *testing.T) {
	top := topology(t, 900)
	for _, c := range []struct {
		fault string
		cut   [][2]int32 // pairs between which nothing passes
		open  [][2]int32
	}{
		{"from 0s partition cluster 1",
			[][2]int32{{top.Cluster(1), top.Sector(0)}, {top.Sector(0), top.Agent(31)}},
			[][2]int32{{top.Cluster(1), top.Agent(30)}, {top.Cluster(0), top.Sector(0)}}},
		{"from 0s partition sector 1",
			[][2]int32{{Orchestrator, top.Sector(1)}, {top.Cluster(10), Orchestrator}, {top.Agent(300), top.Agent(0)}},
			[][2]int32{{top.Sector(1), top.Agent(599)}, {top.Agent(600), top.Cluster(20)}, {Orchestrator, top.Sector(0)}}},
		{"from 0s partition agent 5", [][2]int32{{top.Agent(5), top.Cluster(0)}}, [][2]int32{{top.Agent(6), top.Cluster(0)}}},
		{"from 0s partition coordinator 1", [][2]int32{{top.Sector(1), top.Cluster(10)}}, [][2]int32{{top.Agent(300), top.Cluster(10)}}},
		{"from 0s loss all 100%", [][2]int32{{0, 1}, {top.Agent(1), top.Agent(2)}}, nil},
		{"from 0s loss class F 100%", [][2]int32{{top.Cluster(0), firstOf(top, quorum.ClassHuman)}}, [][2]int32{{top.Cluster(0), firstOf(top, quorum.ClassEdge)}}},
	} {
		f, err := ParseFault(c.fault)
		if err != nil {
			t.Fatal(err)
		}
		s, err := New[word](Setup{Topology: top, Faults: []Fault{f}}, newBeat(top, 0), nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Run(0)
		for _, pair := range c.cut {
			if !s.pass(pair[0], pair[1]).lost {
				t.Errorf("%s: %d to %d passes", c.fault, pair[0], pair[1])
			}
		}
		for _, pair := range c.open {
			if s.pass(pair[0], pair[1]).lost {
				t.Errorf("%s: %d to %d does not pass", c.fault, pair[0], pair[1])
			}
		}
	}
}

func firstOf(t *Topology, class uint8) int32 {
	return t.Agent(int32(slices.Index(t.AgentClass, class)))
}

// TestCrash: who crashes is silent, forgets, and begins anew; what it had waiting
// does not wake its next life.
func TestCrash(t *testing.T) {
	top := topology(t, 30)
	agent := top.Agent(0)
	faults := []Fault{{From: 12 * time.Second, For: 10 * time.Second, Kind: Crash, At: Place{AtAgent, 0}}}
	// Ready well before the crash, and T in its middle.
	_, d := run(t, Setup{Topology: top, Faults: faults, Seed: 2}, newBeat(top, 15*time.Second, time.Second), 60*time.Second)
	for _, o := range d.lines {
		if o.Node == agent && o.Kind == Acted {
			t.Errorf("acted at %v after a crash that forgot the order", o.Now)
		}
	}
	readies := 0
	for _, o := range d.of(Ready) {
		if o.Node == agent {
			readies++
		}
	}
	if readies != 1 {
		t.Errorf("ready %d times, want once", readies)
	}
	if len(d.of(Acted)) != 27 { // 28 machines
		t.Errorf("%d others acted, want 27", len(d.of(Acted)))
	}
}

// TestClockStep: a clock that is set forward acts early by the true time, and one
// that is set back late; a wake-up is moved with it.
func TestClockStep(t *testing.T) {
	top := topology(t, 30)
	for _, step := range []time.Duration{2 * time.Second, -2 * time.Second} {
		faults := []Fault{{From: 10 * time.Second, Kind: Clock, Step: step, At: Place{AtAgent, 0}}}
		_, d := run(t, Setup{Topology: top, Faults: faults, Seed: 2}, newBeat(top, 19*time.Second, time.Second), 60*time.Second)
		for _, o := range d.of(Acted) {
			want := 20 * time.Second
			if o.Node == top.Agent(0) {
				want -= step
			}
			if o.Now != want {
				t.Errorf("step %v: node %d acted at %v, want %v", step, o.Node, o.Now, want)
			}
		}
	}
}

// TestByzantine: lies change what is said, floods how often.
func TestByzantine(t *testing.T) {
	top := topology(t, 30)
	p := newBeat(top, 5*time.Second, time.Second)
	run(t, Setup{Topology: top, Faults: []Fault{{Kind: Byzantine, Lie: WrongAnswer, At: Place{InCluster, 0}}}, Seed: 2}, p, 20*time.Second)
	if p.lies == 0 {
		t.Error("nobody lied")
	}
	honest, _ := run(t, Setup{Topology: top, Seed: 2}, newBeat(top, 0), 20*time.Second)
	flood, _ := run(t, Setup{Topology: top, Faults: []Fault{{Kind: Byzantine, Lie: Flood, At: Place{AtAgent, 3}}}, Seed: 2}, newBeat(top, 0), 20*time.Second)
	if more := flood.Traffic().Sent - honest.Traffic().Sent; more != 19*4 { // 4 heartbeats
		t.Errorf("%d messages more, want 76", more)
	}
}

// TestRefused: what cannot be simulated is refused, with words.
func TestRefused(t *testing.T) {
	top := topology(t, 30)
	for _, setup := range []Setup{
		{Topology: top, Conditions: Conditions{Loss: quorum.Whole + 1}},
		{Topology: top, Conditions: Conditions{Drift: 501}},
		{Topology: top, Conditions: Conditions{Offset: -1}},
	} {
		if _, err := New[word](setup, newBeat(top, 0), nil); !errors.Is(err, ErrFleet) {
			t.Errorf("%+v: %v", setup.Conditions, err)
		}
	}
	for _, f := range []Fault{
		{},
		{Kind: Crash},
		{Kind: Crash, At: Place{InSector, 1}},
		{Kind: Crash, At: Place{AtAgent, 30}},
		{Kind: Crash, At: Place{AtAgent, -1}},
		{Kind: Flap, At: Place{Kind: Everywhere}},
		{Kind: Slow, At: Place{Kind: Everywhere}},
		{Kind: Crash, At: Place{Kind: Everywhere}, From: -1},
	} {
		if _, err := New[word](Setup{Topology: top, Faults: []Fault{f}}, newBeat(top, 0), nil); !errors.Is(err, ErrFault) {
			t.Errorf("%v: %v", f, err)
		}
	}
}

// BenchmarkBeat is what the engine costs without a protocol to speak of: heartbeats
// every 5 s, events a second.
func BenchmarkBeat(b *testing.B) {
	for _, agents := range []int{300, 30_000, 1_000_000} {
		b.Run(fmt.Sprint(agents), func(b *testing.B) {
			top := topology(b, agents)
			s, err := New[word](Setup{top, DefaultConditions(), nil, 1}, newBeat(top, 0), nil)
			if err != nil {
				b.Fatal(err)
			}
			s.Start()
			s.Run(10 * time.Second)
			var events uint64
			now := s.Now()
			for b.Loop() {
				now += time.Second
				events += s.Run(now)
			}
			b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(events), "ns/event")
		})
	}
}

// TestSoak is the mark of the mesh on this engine: 1,000,000 agents, 600 simulated
// seconds, heartbeats every 5 s and ten waves to all. Set DANCER_SOAK to run it
// (a few minutes); DANCER_FLEET_AGENTS for another size.
func TestSoak(t *testing.T) {
	if os.Getenv("DANCER_SOAK") == "" {
		t.Skip("set DANCER_SOAK=1: it takes minutes and a gigabyte")
	}
	agents := 1_000_000
	if text := os.Getenv("DANCER_FLEET_AGENTS"); text != "" {
		var err error
		if agents, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	top := topology(t, agents)
	var orders []time.Duration
	for i := range 10 {
		orders = append(orders, time.Duration(30+57*i)*time.Second)
	}
	p := newBeat(top, 10*time.Second, orders...)
	s, err := New[word](Setup{top, DefaultConditions(), nil, 1}, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	s.Start()
	for s.Now() < 600*time.Second {
		s.Run(s.Now() + time.Minute)
		t.Logf("%v: %+v after %v", s.Now(), s.Counters(), time.Since(begun).Round(time.Second))
	}
	var acted uint64
	for i := range p.nodes {
		acted += uint64(p.nodes[i].acted)
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	c := s.Counters()
	t.Logf("%d agents, 600 s in %v: %d events (%.0f a second), %d heartbeats, %d acts, %+v, %d MB, %d bytes an agent",
		agents, time.Since(begun).Round(time.Second), c.Events, float64(c.Events)/time.Since(begun).Seconds(), p.beats, acted, s.Traffic(),
		memory.Sys>>20, memory.HeapAlloc/uint64(agents))
	if machines := uint64(agents) * 28 / 30; acted < 10*machines*98/100 || p.beats < 118*uint64(agents) {
		t.Errorf("%d acts of %d, %d heartbeats", acted, 10*machines, p.beats)
	}
}
