package operator_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/operator"
)

func TestBroadcast(t *testing.T) {
	b := newBench(t, nil)
	for _, c := range []struct {
		order   operator.Order
		members int32
		phases  int
	}{
		{operator.Order{}, 560, 3},
		{operator.Order{Pattern: operator.PatternParallel, In: 2 * time.Second}, 560, 1},
		{operator.Order{Pattern: operator.PatternPriorityFirst, In: 8 * time.Second}, 560, 5},
		{operator.Order{Pattern: operator.PatternPriorityFirst, Class: "d"}, 40, 1},
		{operator.Order{Scope: "SECTOR-1", Class: "CLASS_E_LOCAL"}, 30, 2},
		{operator.Order{Scope: "cluster 3", Confirm: true}, 28, 1},
		{operator.Order{Capability: "gpu", Pattern: operator.PatternParallel, Class: "gpu"}, 40, 1},
	} {
		c.order.Kind, c.order.Text = operator.Broadcast, "lights out"
		op := b.finish(c.order)
		r := op.Broadcast
		if op.State != operator.Done || r.Verdict != "PROCEED" || r.Counts.Total != c.members || len(r.Phases) != c.phases {
			t.Errorf("%+v: %s %s %s, %+v", c.order, op.State, op.Why, r.Verdict, r)
			continue
		}
		if r.DecidedMS <= 0 || r.DecidedMS > r.TargetMS-200 {
			t.Errorf("%+v: decided after %g ms, T after %g", c.order, r.DecidedMS, r.TargetMS)
		}
		// Who was READY when it was decided acts, and of the others who came in time.
		if r.Acted.Agents < int(r.Counts.Ready) || r.Acted.Agents > int(c.members) || r.Acted.BoundMS <= 0 {
			t.Errorf("%+v: %d READY and %+v", c.order, r.Counts.Ready, r.Acted)
		}
	}
	s := b.desk.Status()
	if s.Coordination.Committed != 7 || s.Coordination.Success != 1 || s.Last == nil || s.Last.Outcome != "committed" || s.Coordination.P95MS <= 0 {
		t.Errorf("%+v %+v", s.Coordination, s.Last)
	}
}

func TestBroadcastCancelled(t *testing.T) {
	b := newBench(t, nil)
	op := b.start(operator.Order{Kind: operator.Broadcast, Text: "go", In: 10 * time.Second})
	b.run(3 * time.Second)
	op, err := b.desk.Cancel(op.ID)
	if err != nil || op.State != operator.Cancelled {
		t.Fatalf("%v %+v", err, op)
	}
	b.run(10 * time.Second)
	if op, _ = b.desk.Operation(op.ID); op.Broadcast.Acted.Agents != 0 {
		t.Errorf("%d acted on what was called back 7 s before T", op.Broadcast.Acted.Agents)
	}
	if s := b.desk.Status(); s.Coordination.Cancelled != 1 || s.Coordination.Failed != 0 {
		t.Errorf("%+v", s.Coordination)
	}
}

func TestAsk(t *testing.T) {
	b := newBench(t, func(c *run.Config) {
		c.Conflict = 300
		for i := range int32(30) { // they say what is not so
			c.Faults = append(c.Faults, fleet.Fault{Kind: fleet.Byzantine, Lie: fleet.WrongAnswer, At: fleet.Place{Kind: fleet.AtAgent, Index: i * 20}})
		}
	})
	op := b.finish(operator.Order{Kind: operator.Ask, Text: "what is your context?", Sample: 560})
	a := op.Ask
	if op.State != operator.Done || a.Asked != 560 || a.Answered+a.Silent != 560 || a.Answered < 540 || a.Waiting != 0 {
		t.Fatalf("%s %+v", op.State, a)
	}
	sum, liars, conflicts := 0, 0, 0
	for i, g := range a.Groups {
		sum += g.Agents
		switch {
		case g.Conflict:
			conflicts += g.Agents
		case i > 0:
			liars += g.Agents
		}
	}
	if a.Groups[0].Conflict || a.Groups[0].Agents < 480 || sum != a.Answered || conflicts != a.Conflicts || conflicts < 5 || liars < 20 || liars > 30 {
		t.Errorf("%d agree, %d answered, %d conflicts, %d lie: %+v", a.Groups[0].Agents, sum, conflicts, liars, a.Groups[:3])
	}
	op = b.finish(operator.Order{Kind: operator.Ask, Text: "x", Sample: 5, Class: "E", Scope: "sector-1"})
	if op.Ask.Asked != 5 {
		t.Errorf("%+v", op.Ask)
	}
	for _, g := range op.Ask.Groups {
		for _, name := range g.Named {
			page, err := b.desk.Agents(operator.Filter{Scope: name})
			if err != nil || page.Total != 1 || page.Agents[0].Class != "E" || page.Agents[0].Sector != "sector-1" {
				t.Errorf("%s was asked: %v %+v", name, err, page)
			}
		}
	}
}

func TestDelegate(t *testing.T) {
	b := newBench(t, nil)
	best, err := b.desk.Agents(operator.Filter{Class: "D", Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	least := 1000
	for _, a := range best.Agents {
		least = min(least, a.Score)
	}
	for _, o := range []operator.Order{{Class: "D"}, {Capability: "gpu"}, {Class: "D", Idempotent: true}} {
		o.Kind, o.Text = operator.Delegate, "figures"
		op := b.finish(o)
		if d := op.Delegation; op.State != operator.Done || d.Class != "D" || d.TookMS <= 0 || d.Score > least+100 {
			t.Errorf("%+v: %s %s %+v, the best has %d", o, op.State, op.Why, d, least)
		}
	}
	op := b.finish(operator.Order{Kind: operator.Delegate, Text: "you", Scope: "agent-33"})
	if op.State != operator.Done || op.Delegation.Agent != "agent-33" {
		t.Errorf("%+v", op.Delegation)
	}
	if _, err := b.desk.Start(operator.Order{Kind: operator.Delegate, Text: "x", By: "t", Class: "E", Scope: "agent-0"}); !errors.Is(err, operator.ErrNobody) {
		t.Errorf("agent-0 is no E: %v", err)
	}
}

func TestFreeze(t *testing.T) {
	b := newBench(t, nil)
	order := func(kind operator.Kind, scope string) operator.Operation {
		t.Helper()
		op := b.finish(operator.Order{Kind: kind, Scope: scope})
		if op.State != operator.Done || op.Freeze.Agents == 0 || op.Freeze.Confirmed != op.Freeze.Agents {
			t.Fatalf("%s %s: %+v %s %+v", kind, scope, op.State, op.Why, op.Freeze)
		}
		return op
	}
	refusal := func(scope string) error {
		_, err := b.desk.Start(operator.Order{Kind: operator.Broadcast, Text: "x", By: "t", Scope: scope})
		return err
	}
	order(operator.Freeze, "cluster-7")
	order(operator.Freeze, "sector-0")
	if op := order(operator.Freeze, "all"); fmt.Sprint(op.Freeze.Frozen) != "[all sector-0 cluster-7]" {
		t.Errorf("%v", op.Freeze.Frozen)
	}
	if err := refusal("all"); !errors.Is(err, operator.ErrRefused) || !strings.Contains(err.Error(), "frozen") || !strings.Contains(err.Error(), "dancer thaw") {
		t.Errorf("%v", err)
	}
	if s := b.desk.Status(); s.Agents.Frozen != 560 || len(s.Frozen) != 3 {
		t.Errorf("%d frozen, %v", s.Agents.Frozen, s.Frozen)
	}
	if op := order(operator.Thaw, "all"); fmt.Sprint(op.Freeze.Frozen) != "[sector-0 cluster-7]" {
		t.Errorf("%v", op.Freeze.Frozen)
	}
	if err := refusal("sector-0"); !errors.Is(err, operator.ErrRefused) {
		t.Errorf("%v", err)
	}
	if op := b.finish(operator.Order{Kind: operator.Broadcast, Text: "x"}); op.State != operator.Failed || !strings.Contains(op.Hint, "frozen: sector-0, cluster-7") || op.Broadcast.Acted.Agents != 0 {
		t.Errorf("%+v", op)
	}
	order(operator.Thaw, "sector-0")
	order(operator.Thaw, "cluster-7")
	if op := b.finish(operator.Order{Kind: operator.Broadcast, Text: "x"}); op.State != operator.Done {
		t.Errorf("%+v", op)
	}
	if _, err := b.desk.Cancel("9999"); !errors.Is(err, operator.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// TestHeal: a cluster whose agents die opens its breaker; healing has it probed at once.
func TestHeal(t *testing.T) {
	heal := func(healed bool) time.Duration {
		b := newBench(t, func(c *run.Config) {
			for i := range int32(13) {
				c.Faults = append(c.Faults, fleet.Fault{Kind: fleet.Crash, At: fleet.Place{Kind: fleet.AtAgent, Index: 90 + i}, From: 65 * time.Second, For: 100 * time.Second})
			}
		})
		b.run(45 * time.Second) // their silence has been found
		if s := b.desk.Status(); s.Breakers.ClustersOpen == 0 {
			t.Fatalf("no breaker is open: %+v %+v", s.Breakers, s.Agents)
		}
		from := b.fleet.Now()
		for range 600 {
			s := b.desk.Status()
			if s.Breakers.ClustersOpen+s.Breakers.ClustersHalfOpen == 0 {
				break
			}
			if healed {
				if op := b.finish(operator.Order{Kind: operator.Heal, Scope: "cluster-3"}); len(op.Heal.Actions) > 0 && op.Heal.Actions[0].What != "probe" {
					t.Errorf("%+v", op.Heal)
				}
			}
			b.run(time.Second)
		}
		return b.fleet.Now() - from
	}
	alone, healed := heal(false), heal(true)
	if healed > alone || alone > 5*time.Minute {
		t.Errorf("closed after %s alone, %s healed", alone, healed)
	}
	t.Logf("closed after %s alone, %s healed", alone, healed)
}

func TestHealReleases(t *testing.T) {
	b := newBench(t, nil)
	if op := b.finish(operator.Order{Kind: operator.Heal}); op.State != operator.Done || len(op.Heal.Actions) != 0 || op.Why == "" {
		t.Errorf("there was something to heal: %+v", op.Heal)
	}
	c, _, err := b.fleet.Holder(b.fleet.Topology().Cluster(4))
	if err != nil {
		t.Fatal(err)
	}
	c.Detector().Quarantine(6)
	c.Detector().Quarantine(8)
	b.run(2 * time.Second)
	page, err := b.desk.Agents(operator.Filter{State: "quarantined"})
	if err != nil || page.Total != 2 || page.Agents[0].Name != "agent-126" {
		t.Fatalf("%v %+v", err, page)
	}
	if op := b.finish(operator.Order{Kind: operator.Heal, Scope: "agent-126"}); len(op.Heal.Actions) != 1 || op.Heal.Actions[0].Place != "agent-126" || op.Heal.Actions[0].What != "release" {
		t.Errorf("%+v", op.Heal)
	}
	if op := b.finish(operator.Order{Kind: operator.Heal, Scope: "sector-0"}); len(op.Heal.Actions) != 1 || op.Heal.Actions[0].Place != "agent-128" {
		t.Errorf("%+v", op.Heal)
	}
	b.run(10 * time.Second)
	if s := b.desk.Status(); s.Agents.Quarantined != 0 || s.Agents.Active != 560 {
		t.Errorf("%+v", s.Agents)
	}
}

func TestAgentsPages(t *testing.T) {
	b := newBench(t, nil)
	seen, pages := map[string]bool{}, 0
	f := operator.Filter{Class: "A", Limit: 37, After: -1}
	for {
		page, err := b.desk.Agents(f)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, a := range page.Agents {
			if seen[a.Name] || a.Class != "A" || a.ReadyMS <= 0 || a.SilentMS <= 0 {
				t.Errorf("%+v", a)
			}
			seen[a.Name] = true
		}
		if page.Total != 200 {
			t.Errorf("%d of class A", page.Total)
		}
		if page.Next < 0 {
			break
		}
		f.After = page.Next
	}
	if len(seen) != 200 || pages != 6 {
		t.Errorf("%d agents on %d pages", len(seen), pages)
	}
	for _, bad := range []operator.Filter{{Class: "Z"}, {State: "tired"}, {Capability: "fly"}, {Scope: "sector-2"}, {Limit: -1}, {Limit: 1001}, {Scope: "agent-600"}} {
		if _, err := b.desk.Agents(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

// TestUnled: whoever is dead is said to be, and what needs it is refused.
func TestUnled(t *testing.T) {
	b := newBench(t, func(c *run.Config) {
		c.Faults = []fleet.Fault{{Kind: fleet.Partition, At: fleet.Place{Kind: fleet.InSector, Index: 1}, From: 61 * time.Second, For: 10 * time.Minute}}
	})
	b.run(2 * time.Minute)
	s := b.desk.Status()
	if s.Mode == "FULL" || s.Agents.Members != 560 {
		t.Errorf("half of it is cut off: %s %+v", s.Mode, s.Agents)
	}
	_, err := b.desk.Start(operator.Order{Kind: operator.Broadcast, Text: "x", By: "t"})
	var f *operator.Fault
	if !errors.As(err, &f) || f.Hint == "" {
		t.Errorf("%v", err)
	}
}
