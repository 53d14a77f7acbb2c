package impedance

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
	"unsafe"
)

// second is a registry without any index, written from the documentation.
type second struct {
	agents  []secondAgent
	regions []RegionID // of the cells
	now     time.Duration
	stamp   int
}

type secondAgent struct {
	cell      CellID
	order     int // in the cell
	report    Report
	operation Operation
	heard     time.Duration
	waiting   bool // for the next heartbeat
	stamp     int  // when it last came into its score or capabilities
	was       Capabilities
	score     uint16
}

func (s *second) scoreOf(a secondAgent) uint16 {
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	return Score(Record{
		Class: a.report.Class, Operation: a.operation, DelayMS: ms(a.report.Delay), ProcessingMS: ms(a.report.Processing),
		QueueDepth: a.report.Queue, Drift: a.report.Drift, Reliability: a.report.Reliability,
	})
}

// settle stamps an agent that has moved.
func (s *second) settle(id AgentID) {
	a := &s.agents[id]
	is := a.report.Capabilities
	if a.operation != Active || a.cell == NoCell {
		is = 0
	}
	if score := s.scoreOf(*a); is != a.was || score != a.score {
		s.stamp++
		a.stamp, a.was, a.score = s.stamp, is, score
	}
}

func (s *second) place(id AgentID, to CellID) {
	a := &s.agents[id]
	if a.cell == to {
		return
	}
	if (a.cell == NoCell || to == NoCell) && a.operation != Quarantined {
		a.report, a.operation, a.waiting = Report{Class: a.report.Class}, Offline, false
	}
	s.stamp++
	a.cell, a.order = to, s.stamp
	s.settle(id)
}

func (s *second) update(id AgentID, now time.Duration, r Report) {
	s.now = max(s.now, now)
	a := &s.agents[id]
	a.report, a.heard, a.waiting = r, s.now, true
	if a.operation != Quarantined {
		a.operation = r.Operation
	}
	s.settle(id)
}

func (s *second) sweep(now time.Duration) (changed []AgentID) {
	s.now = max(s.now, now)
	ids := make([]AgentID, len(s.agents))
	for i := range ids {
		ids[i] = AgentID(i)
	}
	slices.SortStableFunc(ids, func(a, b AgentID) int { return cmp.Compare(s.agents[a].heard, s.agents[b].heard) })
	for _, id := range ids {
		a := &s.agents[id]
		silence := s.now - a.heard
		was := a.operation
		switch {
		case !a.waiting || a.operation == Quarantined:
		case silence >= 33*time.Second:
			a.operation = Offline
		case silence >= 16500*time.Millisecond && a.operation == Active:
			a.operation = Degraded
		}
		if silence >= 33*time.Second {
			a.waiting = false
		}
		if a.operation != was {
			changed = append(changed, id)
			s.settle(id)
		}
	}
	return changed
}

func (s *second) findBest(c Capability, n int, maxScore uint16) []AgentID {
	var found []AgentID
	for id, a := range s.agents {
		if a.cell != NoCell && a.operation == Active && a.report.Capabilities.Has(c) && a.score <= maxScore {
			found = append(found, AgentID(id))
		}
	}
	slices.SortFunc(found, func(a, b AgentID) int {
		return cmp.Or(cmp.Compare(s.agents[a].score, s.agents[b].score), cmp.Compare(s.agents[a].stamp, s.agents[b].stamp))
	})
	return found[:max(min(n, len(found)), 0)]
}

// tally is the plain definition of a summary over the agents that match.
func (s *second) tally(match func(secondAgent) bool) (t Tally, asked []AgentID) {
	var scores []float64
	var members []AgentID
	for id, a := range s.agents {
		if a.cell != NoCell && match(a) {
			members = append(members, AgentID(id))
		}
	}
	slices.SortFunc(members, func(a, b AgentID) int { return cmp.Compare(s.agents[a].order, s.agents[b].order) })
	for _, id := range members {
		a := s.agents[id]
		if a.report.Class == ClassHuman {
			t.People++
			continue
		}
		t.Agents++
		if a.operation != Active && a.operation != Degraded {
			continue
		}
		t.Asked++
		t.Active += truth(a.operation == Active)
		t.Slow += truth(a.score > 800)
		t.Unstable += truth(a.report.Drift > 0.5)
		scores, asked = append(scores, float64(a.score)), append(asked, id)
	}
	slices.Sort(scores)
	switch {
	case len(scores) > 0:
		sum := 0.0
		for _, v := range scores {
			sum += v
		}
		t.Mean, t.P95, t.sum = sum/float64(len(scores)), uint16(scores[int(math.Ceil(0.95*float64(len(scores))-1e-9))-1]), uint64(sum)
	case t.Agents > 0:
		t.Mean, t.P95 = MaxScore, MaxScore
	}
	return t, asked
}

func randomReport(random *rand.Rand) Report {
	r := Report{
		Class: Class(random.IntN(int(ClassHuman) + 1)), Operation: Active + Operation(random.IntN(4)/3),
		Delay: time.Duration(random.IntN(40)) * 25 * time.Millisecond, Processing: time.Duration(random.IntN(4)) * 50 * time.Millisecond,
		Queue: uint32(random.IntN(3)), Drift: float64(random.IntN(4)) * 0.25, Reliability: float64(random.IntN(11)) / 10, Context: random.Uint64(),
	}
	if random.IntN(3) > 0 {
		r.Reliability = 1
	}
	for range random.IntN(MaxCapabilities + 1) {
		r.Capabilities |= SetOf(Capability(random.IntN(6) * 12))
	}
	return r
}

// TestRegistryAgainstSecond: over random reports, silences, quarantines and moves
// the index says what a search through everything says.
func TestRegistryAgainstSecond(t *testing.T) {
	seeds := uint64(40)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		random := rand.New(rand.NewPCG(seed, 3))
		agents, cells := 1+random.IntN(60), 1+random.IntN(6)
		r, s := pair(t, random, agents, cells)
		now := time.Duration(0)
		var m Map
		for step := range 600 {
			id := AgentID(random.IntN(agents))
			now += time.Duration(random.IntN(1200)) * time.Millisecond
			switch kind := random.IntN(20); {
			case kind < 14 && s.agents[id].cell != NoCell:
				report := randomReport(random)
				if _, err := r.Update(id, now, report); err != nil {
					t.Fatal(err)
				}
				s.update(id, now, report)
			case kind < 16:
				to := CellID(random.IntN(cells + 1))
				if int(to) == cells {
					to = NoCell
				}
				if err := r.Place(id, to); err != nil {
					t.Fatal(err)
				}
				s.place(id, to)
			case kind == 16 && s.agents[id].cell != NoCell:
				to, by := Operation(random.IntN(4)), ByLead+Authority(random.IntN(2))
				err := r.Set(id, to, by)
				if (err == nil) != permitted(by, s.agents[id].operation, to) {
					t.Fatalf("from %v to %v: %v", s.agents[id].operation, to, err)
				}
				if err == nil {
					s.agents[id].operation = to
					s.settle(id)
				}
			case kind < 19:
				have, want := r.Sweep(now, nil), s.sweep(now)
				slices.Sort(have)
				slices.Sort(want)
				if !slices.Equal(have, want) {
					t.Fatalf("seed %d step %d: sweep changed %v, want %v", seed, step, have, want)
				}
			}
			compare(t, random, r, s)
			if step%20 == 0 {
				r.Summarize(now, &m)
				compareMaps(t, &m, s)
			}
		}
		consistent(t, r)
	}
}

// consistent checks what no answer shows: that lists are linked both ways, that
// bits stand for lists, and that what is awaited is in order.
func consistent(t *testing.T, r *Registry) {
	t.Helper()
	nodes := 0
	for c := range Capability(MaxCapabilityKinds) {
		x := r.index[c].Load()
		if x == nil {
			continue
		}
		for score := range x.head {
			before := uint32(0)
			for n := x.head[score].Load(); n != 0; n = r.links.next[n].Load() {
				e := r.agents[(n-1)/MaxCapabilities].current()
				if r.links.last[n] != before || int(e.Score) != score || !e.ranked().Has(c) || node(AgentID((n-1)/MaxCapabilities), e.Capabilities, c) != n {
					t.Fatalf("node %d of capability %d, score %d: %+v", n, c, score, e)
				}
				before = n
				nodes++
			}
			if bit := x.present[score/64].Load() >> (score % 64) & 1; x.tail[score] != before || (bit == 1) != (before != 0) {
				t.Fatalf("capability %d, score %d: ends with %d, tail %d, bit %d", c, score, before, x.tail[score], bit)
			}
		}
	}
	want := 0
	for i := range r.agents {
		want += r.agents[i].current().ranked().Len()
	}
	if nodes != want {
		t.Fatalf("%d nodes, want %d", nodes, want)
	}
	heard, before := time.Duration(0), uint32(0)
	for n := r.oldest; n != 0; n = r.agents[n-1].newer {
		a := &r.agents[n-1]
		if e := a.current(); e.Heard < heard || a.older != before || !a.awaited {
			t.Fatalf("agent %d is awaited out of order", n-1)
		} else {
			heard, before = e.Heard, n
		}
	}
	if r.newest != before {
		t.Fatalf("the newest is %d, want %d", r.newest, before)
	}
}

func pair(t *testing.T, random *rand.Rand, agents, cells int) (*Registry, *second) {
	t.Helper()
	r, err := NewRegistry(agents)
	if err != nil {
		t.Fatal(err)
	}
	s := &second{}
	for i := range cells {
		region := RegionID(random.IntN(i/2 + 1))
		if next := RegionID(len(r.regions)); region > next {
			region = next
		}
		if _, err := r.AddCell(region); err != nil {
			t.Fatal(err)
		}
		s.regions = append(s.regions, region)
	}
	for id := range AgentID(agents) {
		s.agents = append(s.agents, secondAgent{cell: NoCell, score: MaxScore})
		to := CellID(random.IntN(cells))
		if err := r.Place(id, to); err != nil {
			t.Fatal(err)
		}
		s.place(id, to)
	}
	return r, s
}

func compare(t *testing.T, random *rand.Rand, r *Registry, s *second) {
	t.Helper()
	id := AgentID(random.IntN(len(s.agents)))
	e, known := r.Read(id)
	if a := s.agents[id]; known != (a.cell != NoCell) || e.Operation != a.operation || e.Score != a.score || e.Cell != a.cell ||
		e.Queue != a.report.Queue || e.Delay != a.report.Delay || e.Context != a.report.Context || e.Capabilities != a.report.Capabilities {
		t.Fatalf("agent %d: have %+v, want %+v", id, e, a)
	}
	c, n, maxScore := Capability(random.IntN(6)*12), random.IntN(20)-1, uint16(random.IntN(MaxScore+1))
	if random.IntN(3) == 0 {
		n, maxScore = 100, math.MaxUint16
	}
	have, want := r.FindBest([]AgentID{7}, c, n, maxScore), s.findBest(c, n, maxScore)
	if have[0] != 7 || !slices.Equal(have[1:], want) {
		t.Fatalf("best %d of capability %d up to %d: have %v, want %v", n, c, maxScore, have, want)
	}
	cell := CellID(random.IntN(len(s.regions)))
	least := NoAgent
	for _, id := range s.findBest(c, len(s.agents), maxScore) {
		if a := s.agents[id]; a.cell == cell && (least == NoAgent || a.score == s.agents[least].score && a.order < s.agents[least].order) {
			least = id
		}
	}
	if have := r.BestInCell(cell, c, maxScore); have != least {
		t.Fatalf("best of capability %d in cell %d up to %d: have %d, want %d", c, cell, maxScore, have, least)
	}
}

func compareMaps(t *testing.T, m *Map, s *second) {
	t.Helper()
	check := func(what string, have, want Tally) {
		t.Helper()
		counted := uint32(0)
		for _, n := range have.Spread {
			counted += n
		}
		if have.Spiking, have.Spread = 0, (Spread{}); have != want || int(counted) != want.Asked {
			t.Fatalf("%s: have %+v, want %+v", what, have, want)
		}
	}
	healthy, degraded := 0, 0
	global, _ := s.tally(func(secondAgent) bool { return true })
	check("all", m.Global, global)
	merged := Tally{}
	for id, region := range s.regions {
		want, asked := s.tally(func(a secondAgent) bool { return a.cell == CellID(id) })
		c := m.Cells[id]
		check(fmt.Sprint("cell ", id), c.Tally, want)
		slowest, fastest := NoAgent, NoAgent
		for _, id := range asked {
			if slowest == NoAgent || s.agents[id].score > s.agents[slowest].score {
				slowest = id
			}
			if fastest == NoAgent || s.agents[id].score < s.agents[fastest].score {
				fastest = id
			}
		}
		if c.Slowest != slowest || c.Fastest != fastest || c.Cell != CellID(id) || c.Region != region {
			t.Fatalf("cell %d: have %+v, slowest %d, fastest %d", id, c, slowest, fastest)
		}
	}
	for region, have := range m.Regions {
		want, _ := s.tally(func(a secondAgent) bool { return s.regions[a.cell] == RegionID(region) })
		check(fmt.Sprint("region ", region), have.Tally, want)
		alone := SummarizeRegion(RegionID(region), sent(t, slices.DeleteFunc(slices.Clone(m.Cells), func(c CellSummary) bool { return c.Region != RegionID(region) })))
		merged = sent(t, merged)
		merged.Merge(sent(t, alone.Tally))
		if p95 := alone.P95; p95 < have.P95 || p95 > have.P95+SpreadStep {
			t.Fatalf("region %d: percentile of summaries %d, of agents %d", region, p95, have.P95)
		}
		if alone.P95 = have.P95; alone != have {
			t.Fatalf("region %d: of summaries %+v, of agents %+v", region, alone, have)
		}
		cells := 0
		for id, of := range s.regions {
			if of != RegionID(region) || m.Cells[id].Agents == 0 {
				continue
			}
			cells++
			if m.Cells[id].Mean < m.Cells[have.Healthiest].Mean || m.Cells[id].Mean > m.Cells[have.Sickest].Mean {
				t.Fatalf("region %d: %+v, cell %d has %v", region, have, id, m.Cells[id].Mean)
			}
		}
		if have.Cells != cells {
			t.Fatalf("region %d: %d cells, want %d", region, have.Cells, cells)
		}
		healthy += truth(want.Agents > 0 && float64(want.Active) >= 0.95*float64(want.Agents))
		degraded += truth(want.Agents > 0 && float64(want.Active) < 0.95*float64(want.Agents))
	}
	if merged.P95 < global.P95 || merged.P95 > global.P95+SpreadStep {
		t.Fatalf("percentile of regions %d, of agents %d", merged.P95, global.P95)
	}
	if merged.P95 = global.P95; global.Asked > 0 && math.Abs(merged.Mean-global.Mean) > 1e-9 {
		t.Fatalf("mean of regions %v, of agents %v", merged.Mean, global.Mean)
	}
	check("regions together", merged, global)
	if m.RegionsHealthy != healthy || m.RegionsDegraded != degraded {
		t.Fatalf("%d healthy, %d degraded, want %d and %d", m.RegionsHealthy, m.RegionsDegraded, healthy, degraded)
	}
}

// sent is what arrives of a summary elsewhere.
func sent[T any](t *testing.T, v T) (arrived T) {
	t.Helper()
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, &arrived)
	}
	if err != nil {
		t.Fatal(err)
	}
	return arrived
}

// oneCell has agents 0 to n-1 in cell 0, all heard at 0 and active.
func oneCell(t testing.TB, n int, report func(i int) Report) *Registry {
	t.Helper()
	r, err := NewRegistry(n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddCell(0); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := r.Place(AgentID(i), 0); err != nil {
			t.Fatal(err)
		}
		if _, err := r.Update(AgentID(i), 0, report(i)); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

func waitOf(ms time.Duration) Report {
	return Report{Class: ClassLocal, Operation: Active, Delay: (ms - 1) * time.Millisecond, Processing: time.Millisecond, Reliability: 1}
}

// TestMarks: 800 is not over 800, half is not over half, 95 of 100 is healthy.
func TestMarks(t *testing.T) {
	for _, c := range []struct {
		ms    time.Duration
		drift float64
		want  Flags
	}{
		{100, 0, 0}, {800, 0, 0}, {820, 0, FlagSlow}, {100, 0.5, 0}, {100, 0.501, FlagUnstable}, {2000, 2, FlagSlow | FlagUnstable}, {100, math.NaN(), FlagUnstable},
	} {
		r := oneCell(t, 1, func(int) Report { return waitOf(1) })
		report := waitOf(c.ms)
		report.Drift = c.drift
		have, err := r.Update(0, 0, report)
		if e, _ := r.Read(0); err != nil || have != c.want || e.Flags != c.want {
			t.Errorf("%d ms, drift %v: %v and %v, want %v, %v", c.ms, c.drift, have, e.Flags, c.want, err)
		}
	}
	for _, c := range []struct{ agents, lost, healthy, degraded int }{{100, 5, 1, 0}, {100, 6, 0, 1}, {20, 1, 1, 0}, {19, 1, 0, 1}, {1, 0, 1, 0}, {1, 1, 0, 1}, {0, 0, 0, 0}} {
		r := oneCell(t, c.agents, func(int) Report { return waitOf(50) })
		for i := range c.lost {
			if err := r.Set(AgentID(i), Offline, ByLead); err != nil {
				t.Fatal(err)
			}
		}
		var m Map
		r.Summarize(0, &m)
		if m.RegionsHealthy != c.healthy || m.RegionsDegraded != c.degraded {
			t.Errorf("%d of %d lost: %+v", c.lost, c.agents, m)
		}
		if want := float64(c.agents-c.lost) / max(float64(c.agents), 1); m.Global.ActiveRate() != want {
			t.Errorf("active rate %v, want %v", m.Global.ActiveRate(), want)
		}
	}
}

// TestSpikeIsFlagged: in the registry, the map, and over when the score is back.
func TestSpikeIsFlagged(t *testing.T) {
	r := oneCell(t, 3, func(int) Report { return waitOf(50) })
	now := time.Duration(0)
	beat := func(ms time.Duration) Flags {
		now += HeartbeatPeriod
		flags, err := r.Update(1, now, waitOf(ms))
		if err != nil {
			t.Fatal(err)
		}
		return flags
	}
	for range 100 {
		if f := beat(50); f != 0 {
			t.Fatalf("flags %v", f)
		}
	}
	if f := beat(400); f != FlagSpike {
		t.Errorf("flags %v", f)
	}
	var m Map
	if r.Summarize(now, &m); m.Global.Spiking != 1 || m.Cells[0].Spiking != 1 || m.Cells[0].Slowest != 1 {
		t.Errorf("map %+v", m)
	}
	if f := beat(50); f != 0 {
		t.Errorf("flags %v after it", f)
	}
}

// TestSilence: three heartbeats missed for sure, then six; the next brings the
// agent back; who is quarantined stays it.
func TestSilence(t *testing.T) {
	r := oneCell(t, 3, func(int) Report { return waitOf(50) })
	if err := r.Set(2, Quarantined, ByOperator); err != nil {
		t.Fatal(err)
	}
	state := func(now time.Duration, changed []AgentID, want ...Operation) {
		t.Helper()
		if have := r.Sweep(now, nil); !slices.Equal(have, changed) {
			t.Errorf("%v: changed %v, want %v", now, have, changed)
		}
		for id, want := range want {
			if e, _ := r.Read(AgentID(id)); e.Operation != want {
				t.Errorf("%v: agent %d is %v, want %v", now, id, e.Operation, want)
			}
		}
	}
	state(16499*time.Millisecond, nil, Active, Active, Quarantined)
	if _, err := r.Update(1, 16499*time.Millisecond, waitOf(50)); err != nil {
		t.Fatal(err)
	}
	state(16500*time.Millisecond, []AgentID{0}, Degraded, Active, Quarantined)
	state(32999*time.Millisecond, []AgentID{1}, Degraded, Degraded, Quarantined)
	state(33*time.Second, []AgentID{0}, Offline, Degraded, Quarantined)
	state(time.Hour, []AgentID{1}, Offline, Offline, Quarantined)
	state(2*time.Hour, nil, Offline, Offline, Quarantined)
	if r.oldest != 0 || r.newest != 0 {
		t.Error("a sweep still goes through agents that are offline")
	}
	for id := range AgentID(3) {
		if _, err := r.Update(id, 2*time.Hour, waitOf(50)); err != nil {
			t.Fatal(err)
		}
	}
	state(2*time.Hour, nil, Active, Active, Quarantined)
	if e, _ := r.Read(2); e.Score != MaxScore || e.Heard != 2*time.Hour || e.Flags != 0 {
		t.Errorf("quarantined: %+v", e)
	}
	if err := r.Set(2, Offline, ByOperator); err != nil {
		t.Fatal(err)
	}
	state(2*time.Hour, nil, Active, Active, Offline)
	if _, err := r.Update(2, time.Hour, waitOf(50)); err != nil { // time does not go back
		t.Fatal(err)
	}
	state(2*time.Hour, nil, Active, Active, Active)
	if e, _ := r.Read(2); e.Heard != 2*time.Hour {
		t.Errorf("heard at %v", e.Heard)
	}
}

// TestPermitted holds every cell of the rule.
func TestPermitted(t *testing.T) {
	allowed := map[Authority]string{ // rows from, columns to: offline, active, degraded, quarantined
		0:          ".... .... .... ....",
		ByAgent:    ".xx. .xx. .xx. ....",
		ByLead:     "x..x x.xx x.xx ...x",
		ByOperator: "...x ...x ...x x..x",
		9:          ".... .... .... ....",
	}
	for by, rule := range allowed {
		for from := Offline; from <= Quarantined; from++ {
			for to := Offline; to <= Quarantined; to++ {
				want := rule[5*int(from)+int(to)] == 'x'
				if err := Permitted(by, from, to); (err == nil) != want || err != nil && !errors.Is(err, ErrAuthority) {
					t.Errorf("%d from %v to %v: %v", by, from, to, err)
				}
			}
		}
		if Permitted(by, Quarantined+1, Offline) == nil || Permitted(by, Active, Quarantined+1) == nil {
			t.Errorf("%d: a state that is none", by)
		}
	}
}

func TestRegistryRefuses(t *testing.T) {
	if _, err := NewRegistry(MaxAgents + 1); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, err := NewRegistry(-1); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	r := oneCell(t, 1, func(int) Report { return waitOf(50) })
	before, _ := r.Read(0)
	bad := waitOf(50)
	bad.Operation = Quarantined
	foreign := waitOf(50)
	foreign.Class = ClassHuman + 1
	many := waitOf(50)
	many.Capabilities = 1<<(MaxCapabilities+1) - 1
	for name, report := range map[string]Report{"state": bad, "class": foreign, "capabilities": many, "nothing": {}} {
		if _, err := r.Update(0, time.Second, report); !errors.Is(err, ErrReport) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if e, _ := r.Read(0); e != before {
		t.Errorf("a bad report left %+v", e)
	}
	for _, id := range []AgentID{1, NoAgent} {
		if _, err := r.Update(id, 0, waitOf(50)); !errors.Is(err, ErrAgent) {
			t.Errorf("update of %d: %v", id, err)
		}
		if err := r.Set(id, Offline, ByLead); !errors.Is(err, ErrAgent) {
			t.Errorf("state of %d: %v", id, err)
		}
		if err := r.Place(id, 0); !errors.Is(err, ErrAgent) {
			t.Errorf("place of %d: %v", id, err)
		}
		if _, known := r.Read(id); known {
			t.Errorf("agent %d is known", id)
		}
	}
	if err := r.Place(0, 1); !errors.Is(err, ErrAgent) {
		t.Errorf("cell 1: %v", err)
	}
	if _, err := r.AddCell(2); !errors.Is(err, ErrAgent) {
		t.Errorf("region 2: %v", err)
	}
	if err := r.Set(0, Active, ByAgent); !errors.Is(err, ErrAuthority) {
		t.Errorf("an agent by Set: %v", err)
	}
	if have := r.FindBest(nil, MaxCapabilityKinds, 1, MaxScore); have != nil || r.BestInCell(9, 0, MaxScore) != NoAgent {
		t.Errorf("a capability or cell that cannot be: %v", have)
	}
}

// TestUnfinishedChange: with the owner stopped in the middle of a change, readers
// still get an answer, and a true one.
func TestUnfinishedChange(t *testing.T) {
	r := oneCell(t, 50, func(i int) Report {
		report := waitOf(time.Duration(100 - i))
		report.Capabilities = SetOf(3)
		return report
	})
	want := r.FindBest(nil, 3, 10, 400)
	if len(want) != 10 {
		t.Fatalf("found %v", want)
	}
	x := r.index[3].Load()
	x.sequence.Add(1)
	if have := r.FindBest(nil, 3, 10, 400); !slices.Equal(have, want) {
		t.Errorf("have %v, want %v", have, want)
	}
	// Half moved: agent 49 out of its list, still standing in another's way; agent
	// 48 in two lists; agent 47 no longer what was asked for.
	x.remove(&r.links, node(49, SetOf(3), 3), r.agents[49].current().Score)
	x.head[0].Store(node(48, SetOf(3), 3))
	x.present[0].Store(x.present[0].Load() | 1)
	e := r.agents[47].current()
	e.Operation = Degraded
	e.judge()
	overwrite(&r.agents[47], e)
	e = r.agents[46].current()
	e.Delay = time.Second
	e.judge()
	overwrite(&r.agents[46], e)
	have := r.FindBest(nil, 3, 10, 400)
	for i, id := range have {
		e, _ := r.Read(id)
		if e.Operation != Active || e.Score > 400 || slices.Contains(have[:i], id) {
			t.Errorf("%d is %+v in %v", id, e, have)
		}
		if i > 0 {
			if before, _ := r.Read(have[i-1]); before.Score > e.Score {
				t.Errorf("%v is not by score", have)
			}
		}
	}
	if len(have) < 3 {
		t.Errorf("only %v", have)
	}
}

// overwrite changes an entry behind the rankings' back.
func overwrite(a *agent, e Entry) {
	for i, word := range e.pack() {
		a.holding(a.version.Load() + 1)[i].Store(word)
	}
	a.version.Add(1)
}

// TestReadersBesideOwner: with an owner that changes without a pause, no reader
// ever sees half of an entry, and what FindBest gives are agents that have the
// capability, once each. Few agents, so that readers meet the owner; one alone
// is changed twice while it is read. Run it under the race detector as well.
func TestReadersBesideOwner(t *testing.T) {
	updates := uint64(200_000)
	if testing.Short() {
		updates = 20_000
	}
	report := func(k uint64) Report {
		r := waitOf(time.Duration(1 + k%700))
		r.Queue, r.Context, r.Drift = uint32(k), k, float64(k%10_000)/1000
		r.Capabilities = SetOf(1, Capability(2+k%5))
		return r
	}
	for _, agents := range []int{1, 4} {
		r := oneCell(t, agents, func(i int) Report { return report(uint64(i)) })
		done := make(chan struct{})
		wrong := make(chan string, 2)
		for reader := range uint64(2) {
			go func() {
				random := rand.New(rand.NewPCG(reader, 1))
				if agents == 1 {
					wrong <- readOne(r, done)
				} else {
					wrong <- readAll(r, random, agents, done)
				}
			}()
		}
		random := rand.New(rand.NewPCG(9, 9))
		for k := range updates {
			if _, err := r.Update(AgentID(random.IntN(agents)), time.Duration(k), report(random.Uint64N(1<<31))); err != nil {
				t.Error(err)
			}
		}
		close(done)
		for range 2 {
			if problem := <-wrong; problem != "" {
				t.Error(problem)
			}
		}
		consistent(t, r)
	}
}

// half says whether an entry is of two reports.
func half(e Entry) bool {
	k := e.Context
	return uint64(e.Queue) != k || uint64(e.Drift) != k%10_000 || e.Capabilities != SetOf(1, Capability(2+k%5)) || e.Delay+e.Processing != time.Duration(1+k%700)*time.Millisecond
}

// readOne reads agent 0 until done, and says what it saw that cannot be.
func readOne(r *Registry, done <-chan struct{}) string {
	for {
		select {
		case <-done:
			return ""
		default:
		}
		for range 100 {
			if e, known := r.Read(0); !known || half(e) {
				return fmt.Sprintf("half of an entry: %+v", e)
			}
		}
	}
}

// readAll reads until done, and says what it saw that cannot be.
func readAll(r *Registry, random *rand.Rand, agents int, done <-chan struct{}) string {
	buffer := make([]AgentID, 0, 20)
	for {
		select {
		case <-done:
			return ""
		default:
		}
		e, known := r.Read(AgentID(random.IntN(agents)))
		if !known || half(e) {
			return fmt.Sprintf("half of an entry: %+v", e)
		}
		for range 20 {
			found := r.FindBest(buffer, 1, 20, MaxScore)
			for i, id := range found {
				if int(id) >= agents || slices.Contains(found[:i], id) {
					return fmt.Sprintf("found %v", found)
				}
			}
		}
	}
}

func TestRegistryAllocatesNothing(t *testing.T) {
	const agents = 1000
	random := rand.New(rand.NewPCG(1, 2))
	r := oneCell(t, agents, func(int) Report { return randomReport(random) })
	reports := make([]Report, 100)
	for i := range reports {
		reports[i] = randomReport(random)
	}
	for i := range agents {
		_, _ = r.Update(AgentID(i), 0, Report{Operation: Active, Capabilities: SetOf(0, 12, 24, 36, 48, 60)}) // all rankings are there
	}
	if err := r.Set(7, Quarantined, ByLead); err != nil {
		t.Fatal(err)
	}
	var m Map
	r.Summarize(0, &m)
	buffer, changed := make([]AgentID, 0, 10), make([]AgentID, 0, agents)
	now, i := time.Duration(0), 0
	if n := testing.AllocsPerRun(2000, func() {
		i++
		now += 50 * time.Millisecond
		_, _ = r.Update(AgentID(i%agents), now, reports[i%100])
		_, _ = r.Update(7, now, reports[0])
		changed = r.Sweep(now, changed[:0])
		_, _ = r.Read(AgentID(i % agents))
		_ = r.FindBest(buffer, 12, 10, 500)
		if i%100 == 0 {
			r.Summarize(now, &m)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if have := unsafe.Sizeof(agent{}) + MaxCapabilities*(unsafe.Sizeof(r.links.next[0])+unsafe.Sizeof(r.links.last[0])); have != 192 {
		t.Errorf("%d bytes an agent, 192 are written down", have)
	}
}

func TestNames(t *testing.T) {
	n := NewNames(2)
	for name, want := range map[string]uint32{"a": 0} {
		if have, err := n.Intern(name); have != want || err != nil {
			t.Errorf("%s: %d, %v", name, have, err)
		}
	}
	if set, err := n.Capabilities([]string{"b", "a", "b"}); set != SetOf(0, 1) || err != nil {
		t.Errorf("set %b, %v", set, err)
	}
	if _, err := n.Intern("c"); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if _, err := n.Capabilities([]string{"c"}); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if number, known := n.Number("b"); number != 1 || !known || n.Name(1) != "b" || n.Name(2) != "" || n.Len() != 2 {
		t.Errorf("%d %v %q", number, known, n.Name(1))
	}
	if _, known := n.Number("c"); known {
		t.Error("a name that was refused has a number")
	}
	large := NewNames(100)
	for i := range 65 {
		_, err := large.Capabilities([]string{fmt.Sprint(i)})
		if (err == nil) != (i < MaxCapabilityKinds) {
			t.Errorf("capability %d: %v", i, err)
		}
	}
}

// TestReady: the way, the payload by its weight, and those before it.
func TestReady(t *testing.T) {
	for _, c := range []struct {
		entry  Entry
		weight float64
		want   time.Duration
	}{
		{Entry{Delay: 5 * time.Millisecond, Processing: 15 * time.Millisecond}, 1, 20 * time.Millisecond},
		{Entry{Delay: 5 * time.Millisecond, Processing: 15 * time.Millisecond}, 0, 15 * time.Millisecond},
		{Entry{Delay: 5 * time.Millisecond, Processing: 15 * time.Millisecond, Queue: 3}, 4, (5 + 30 + 45) * time.Millisecond},
		{Entry{Class: ClassEdge}, 1, 35 * time.Millisecond},
		{Entry{Class: ClassGPU, Queue: 1}, 0, (500 + 100 + 150) * time.Millisecond},
	} {
		if have := c.entry.Ready(c.weight); have != c.want {
			t.Errorf("%+v, weight %v: %v, want %v", c.entry, c.weight, have, c.want)
		}
	}
}

// TestRecordReport: a record and its part in a registry have the same score.
func TestRecordReport(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	r := oneCell(t, 1, func(int) Report { return waitOf(1) })
	for range 1000 {
		record := Record{
			Class: Class(random.IntN(7)), Operation: Active + Operation(random.IntN(2)), RoundTripMS: float64(random.IntN(9000)) / 10, DelayMS: float64(random.IntN(500)) / 10 * float64(random.IntN(2)),
			ProcessingMS: float64(random.IntN(3000)) / 10, QueueDepth: uint32(random.IntN(9)), Drift: float64(random.IntN(2000)) / 1000, Reliability: float64(random.IntN(1001)) / 1000, Context: "0123456789abcdef",
		}
		if _, err := r.Update(0, 0, record.Report(SetOf(5))); err != nil {
			t.Fatal(err)
		}
		if e, _ := r.Read(0); e.Score != Score(record) || e.Context != ContextOf(record.Context) || e.Capabilities != SetOf(5) {
			t.Fatalf("%+v has score %d, its entry %+v", record, Score(record), e)
		}
	}
	if _, err := r.Update(0, 0, Report{Operation: Active, Reliability: 1, Delay: 1, Processing: 499}); err != nil {
		t.Fatal(err)
	}
	if e, _ := r.Read(0); e.Delay != time.Microsecond || e.Processing != time.Microsecond {
		t.Errorf("what is too short to keep counts as unmeasured: %+v", e)
	}
	if have := (Record{DelayMS: math.Inf(1)}).Report(0).Delay; have <= 0 {
		t.Errorf("an infinite delay is %v", have)
	}
}
