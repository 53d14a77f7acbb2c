package run

import (
	"bytes"
	"sync"
	"testing"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/report"
)

// made is a fleet that has run to its end.
func made(t testing.TB, c Config, until time.Duration) *Fleet {
	t.Helper()
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Run(until); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestIndicators: over seeds, a fleet in default conditions meets every target that
// can be measured in it.
func TestIndicators(t *testing.T) {
	for seed := range fleet.Seed(5) {
		f := made(t, Config{Agents: 1000, Seed: seed, Conditions: fleet.DefaultConditions(), Cascades: 10, Conflict: 20}, 10*time.Minute)
		r := f.Report()
		for _, k := range r.KPIs {
			if k.Name != fleet.KPIClusterRepair && k.Name != fleet.KPISectorRepair && !(k.Measured && k.Met) {
				t.Errorf("seed %d: %s is %v (measured %v, unbounded %v), target %v", seed, k.Name, k.Value, k.Measured, k.Unbounded, k.Target)
			}
		}
		for _, o := range r.Operations {
			if o.Acted < o.Members*95/100 || o.Decision != "PROCEED" {
				t.Errorf("seed %d: %+v", seed, o)
			}
		}
		if len(r.Conflicts.Types) == 0 || r.Conflicts.Logged == 0 {
			t.Errorf("seed %d: %+v", seed, r.Conflicts)
		}
	}
}

// TestSame: the same configuration gives the same report byte for byte, whether it is
// run at once or in steps; another seed gives another one.
func TestSame(t *testing.T) {
	config := func(seed fleet.Seed) Config {
		top, err := fleet.NewTopology(700)
		if err != nil {
			t.Fatal(err)
		}
		return Config{Agents: 700, Seed: seed, Conditions: fleet.DefaultConditions(), Cascades: 4, Every: 40 * time.Second, Conflict: 20,
			Faults: fleet.RandomFaults(seed, top, 200*time.Second, 20)}
	}
	text := func(f *Fleet) []byte {
		b, err := report.JSON(f.Report())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	once := text(made(t, config(3), 200*time.Second))
	f := made(t, config(3), 0)
	for now := time.Duration(0); now < 200*time.Second; now += 137 * time.Millisecond {
		if err := f.Run(min(now, 200*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Run(200 * time.Second); err != nil {
		t.Fatal(err)
	}
	if steps := text(f); !bytes.Equal(once, steps) {
		t.Error("in steps the report is another one")
	}
	if bytes.Equal(once, text(made(t, config(4), 200*time.Second))) {
		t.Error("another seed gives the same report")
	}
}

// TestShares: shares that go on at the same time give what they give one after the
// other, and two shares a fleet that does as well as one. (Run it with -race.)
func TestShares(t *testing.T) {
	result := func(shares int, each func(int, func(int))) (*fleet.Report, []byte) {
		faults, err := fleet.ParseFaults("from 60s for 60s crash coordinator 4\nfrom 60s crash lead 2\nfrom 90s for 30s partition sector 1\nfrom 100s for 40s loss all 5%\nfrom 80s for 20s slow class D 3x")
		if err != nil {
			t.Fatal(err)
		}
		f := made(t, Config{Agents: 1700, Seed: 5, Conditions: fleet.DefaultConditions(), Cascades: 6, Every: 40 * time.Second, Conflict: 20, Faults: faults, Shares: shares, Each: each}, 5*time.Minute)
		b, err := report.JSON(f.Report())
		if err != nil {
			t.Fatal(err)
		}
		return f.Report(), b
	}
	together := func(n int, do func(int)) {
		var all sync.WaitGroup
		for i := range n {
			all.Go(func() { do(i) })
		}
		all.Wait()
	}
	for _, shares := range []int{2, 3} {
		r, one := result(shares, nil)
		if _, other := result(shares, together); !bytes.Equal(one, other) {
			t.Errorf("%d shares at once give another report", shares)
		}
		if last := r.Operations[5]; last.Decision != "PROCEED" || last.Acted < last.Members*95/100 {
			t.Errorf("%d shares: %+v", shares, last)
		}
		for _, i := range r.Incidents {
			if !i.Restored {
				t.Errorf("%d shares: %+v", shares, i)
			}
		}
	}
}

// TestFailOver: a killed coordinator's seat goes to the next in line, cascades reach
// everybody again, and the report says how long it took.
func TestFailOver(t *testing.T) {
	faults, err := fleet.ParseFaults("from 60s crash coordinator 1\nfrom 60s crash lead 25\nfrom 100s for 60s crash lead 3")
	if err != nil {
		t.Fatal(err)
	}
	f := made(t, Config{Agents: 900, Seed: 1, Conditions: fleet.DefaultConditions(), Cascades: 5, Every: 70 * time.Second, Faults: faults}, 6*time.Minute)
	r := f.Report()
	for seat, where := range map[int32]string{f.Topology().Sector(1): "sector 1", f.Topology().Cluster(25): "cluster 25"} {
		if c, node, err := f.Holder(seat); err != nil || node == seat || c.Term() < 2 {
			t.Errorf("%s is held by node %d: %v", where, node, err)
		}
	}
	if last := r.Operations[4]; last.Decision != "PROCEED" || last.Ready < last.Members*97/100 {
		t.Errorf("after it all: %+v", last)
	}
	incidents := 0
	for _, i := range r.Incidents {
		if !i.Restored || time.Duration(float64(i.Took)*1e6) > 3*time.Minute {
			t.Errorf("%+v", i)
		}
		incidents++
	}
	if incidents < 3 {
		t.Errorf("%d incidents, want the sector and the two clusters at least", incidents)
	}
}

// TestByHand: what an operator does between two steps happens.
func TestByHand(t *testing.T) {
	f := made(t, Config{Agents: 300, Seed: 2, Conditions: fleet.DefaultConditions()}, 30*time.Second)
	order := func(now time.Duration) coordination.Task {
		return coordination.Task{Phases: Parallel.phases(now + 2*time.Second), Operator: true, Approved: true, Priority: 2}
	}
	if err := f.Freeze(fleet.Orchestrator, true); err != nil {
		t.Fatal(err)
	}
	if err := f.Run(40 * time.Second); err != nil {
		t.Fatal(err)
	}
	for i := range f.Topology().Agents() {
		if !f.Agent(i).Frozen() {
			t.Fatalf("agent %d is not frozen", i)
		}
	}
	if _, err := f.Coordinate(order); err == nil {
		t.Error("a frozen mesh takes a command")
	}
	if err := f.Freeze(fleet.Orchestrator, false); err != nil {
		t.Fatal(err)
	}
	if err := f.Run(50 * time.Second); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Coordinate(order); err != nil {
		t.Errorf("after the thaw: %v", err)
	}
	if _, _, err := f.Request(3, coordination.Request{Requires: 1, Window: 5 * time.Second, Operator: true}); err != nil {
		t.Error(err)
	}
	if err := f.Run(60 * time.Second); err != nil {
		t.Fatal(err)
	}
	r := f.Report()
	if len(r.Operations) != 2 || r.Operations[0].Acted != 0 || r.Operations[1].Acted < r.Operations[1].Members*95/100 {
		t.Errorf("%+v", r.Operations)
	}
}
