package quorum

import (
	"testing"
	"time"

	"dancer/mesh"
)

// TestPlanDoesNotAllocate: after NewPlan a cascade over 30,000 agents costs
// nothing, its targets and its end included.
func TestPlanDoesNotAllocate(t *testing.T) {
	topology := regular(100, 10, 30, ClassEdge, ClassLocal, ClassGPU)
	plans := make([]*Plan, 0, 64)
	for range cap(plans) {
		plans = append(plans, mustPlan(t, topology, Wave(9*time.Second), Options{}))
	}
	next, sent := 0, 0
	if n := testing.AllocsPerRun(20, func() {
		p := plans[next]
		next++
		p.Start(0)
		for tier := TierSector; tier < tiers; tier++ {
			for e, ok := p.Step(ms); ok; e, ok = p.Step(ms) {
				if e.Kind != PhaseOpened {
					continue
				}
				for range p.Targets(e.Phase) {
					sent++
				}
			}
			for i := range topology.Size(tier) {
				p.Answer(ms, tier, i, mesh.Ready)
			}
		}
		for _, ok := p.Step(ms); ok; _, ok = p.Step(ms) {
		}
		if p.State() != Committed {
			t.Fatal(p.State())
		}
	}); n > 12 { // the closures of the iterators, four a phase; nothing a node
		t.Errorf("%v allocations for %d nodes", n, sent/next)
	}
	p := mustPlan(t, topology, Parallel(0), Options{})
	p.Start(0)
	i := int32(0)
	if n := testing.AllocsPerRun(1000, func() {
		p.Answer(ms, TierAgent, i, mesh.Ready)
		p.Step(ms)
		i++
	}); n != 0 {
		t.Errorf("an answer allocates %v times", n)
	}
}
