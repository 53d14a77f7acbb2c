package operator_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/impedance"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
)

// bench is a simulated fleet with a desk on it.
type bench struct {
	t     *testing.T
	fleet *run.Fleet
	desk  *operator.Desk
	asked map[uint64]uint64
}

func (b *bench) Now() time.Duration { return b.fleet.Now() }

func (b *bench) With(p operator.Place, call func(time.Duration, *coordination.Coordinator, *coordination.Outbox)) bool {
	seat := fleet.Orchestrator
	switch p.Level {
	case operator.InSector:
		seat = b.fleet.Topology().Sector(p.Index)
	case operator.InCluster:
		seat = b.fleet.Topology().Cluster(p.Index)
	}
	return b.fleet.Do(seat, call) == nil
}

func (b *bench) Carry(command uint64, kind operator.Kind, text string) {
	if kind == operator.Ask {
		b.asked[command] = impedance.ContextOf(text)
	}
}

// newBench runs a fleet until it is well: 600 agents in two sectors.
func newBench(t *testing.T, tune func(*run.Config)) *bench {
	t.Helper()
	b := &bench{t: t, asked: map[uint64]uint64{}}
	config := run.Config{Agents: 600, Seed: 7, Conditions: fleet.DefaultConditions(),
		Answer: func(command uint64) uint64 { return b.asked[command] },
		Effects: func(e *run.Told) {
			if b.desk != nil && (e.Effect.Kind >= coordination.LeadingChanged || e.Effect.Kind == coordination.Act && b.fleet.Topology().ClassOf(e.Node) != impedance.ClassHuman) {
				b.desk.Observe(e.Effect)
			}
		}}
	if tune != nil {
		tune(&config)
	}
	var err error
	if b.fleet, err = run.New(config); err != nil {
		t.Fatal(err)
	}
	b.desk, err = operator.NewDesk(operator.Config{Shape: &operator.Shape{Name: "test fleet", Simulated: true, Topology: &b.fleet.Topology().Topology, Root: quorum.TierSector, Capabilities: run.Capabilities},
		Cores: b, Random: rand.New(rand.NewPCG(1, 2)), Acts: true})
	if err != nil {
		t.Fatal(err)
	}
	b.run(time.Minute)
	return b
}

// run lets the fleet's time pass, with the desk beside it.
func (b *bench) run(d time.Duration) {
	b.t.Helper()
	for until := b.fleet.Now() + d; b.fleet.Now() < until; {
		if err := b.fleet.Run(min(until, b.fleet.Now()+20*time.Millisecond)); err != nil {
			b.t.Fatal(err)
		}
		b.desk.Tick()
	}
}

func (b *bench) start(o operator.Order) operator.Operation {
	b.t.Helper()
	o.By = "tester"
	op, err := b.desk.Start(o)
	if err != nil {
		b.t.Fatal(err)
	}
	return op
}

// finish waits for the end of an order.
func (b *bench) finish(o operator.Order) operator.Operation {
	b.t.Helper()
	op := b.start(o)
	for range 70 * 10 {
		if op.Ended() {
			return op
		}
		b.run(100 * time.Millisecond)
		var err error
		if op, err = b.desk.Operation(op.ID); err != nil {
			b.t.Fatal(err)
		}
	}
	b.t.Fatalf("%s has no end: %+v", o.Kind, op)
	return op
}
