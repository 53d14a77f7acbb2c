package coordination

import (
	"errors"
	"testing"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
)

// mutants break one thing each that an invariant stands on, in every node after each
// of its events: the random faults have to find every one.
var mutants = map[string]struct {
	at    int // a schedule that finds it: the first one tried
	rule  string
	spoil func(n *network, m *machine)
}{
	"promises two at once": {302, "two never coordinate one seat", func(_ *network, m *machine) {
		m.Agent.link.quietUntil = 0
	}},
	"forgets at a start that it has promised": {302, "two never coordinate one seat", func(_ *network, m *machine) {
		clear(m.terms)
	}},
	"counts promises for ever": {24, "two never coordinate one seat", func(_ *network, m *machine) {
		if c := m.Coordinators[0]; c.leading {
			c.leaseUntil = never
			for i := range c.children {
				c.children[i].lease = never
			}
		}
	}},
	"forgets what it has": {1098, "no message acted on twice", func(_ *network, m *machine) {
		if a := m.Agent; a.waiting == 0 {
			for i := range a.works {
				if a.works[i].processed && !pending(a.holds.Stage(a.hold(&a.works[i]))) {
					a.works[i] = work{}
					a.holds = *arrival.NewHolds(a.config.Places, a.config.Timing.Limits)
				}
			}
		}
	}},
	"acts without a confirmation": {7, "no act without the confirmation that it needs", func(_ *network, m *machine) {
		for i := range m.Agent.works {
			m.Agent.works[i].unsure = false
		}
	}},
	"thaws by itself": {4, "a frozen scope never acts", func(_ *network, m *machine) {
		m.Agent.frozen = false
		m.Agent.holds.Thaw()
		for _, c := range m.Coordinators {
			c.freezes = orders{}
			if c.guard.Freezes.Held(breaker.ScopeGlobal, 0) {
				c.freezeTurn++
				c.guard.Freezes.Thaw(breaker.ScopeGlobal, 0, c.freezeTurn)
			}
		}
	}},
	"counts who said nothing": {0, "no quorum from a minority", func(_ *network, m *machine) {
		for i := range m.Coordinators[0].ops {
			if k := &m.Coordinators[0].ops[i].collectors[0]; k.tally != nil {
				for child := range int32(len(m.Coordinators[0].children)) {
					k.tally.Answer(child, mesh.Ready)
				}
			}
		}
	}},
	"counts those alone who answer": {0, "no quorum from a minority", func(_ *network, m *machine) {
		for i := range m.Coordinators[0].ops {
			k := &m.Coordinators[0].ops[i].collectors[0]
			if k.tally == nil || k.tally.Counts().Ready == 0 {
				continue
			}
			var silent, ready []int32
			for child := range int32(len(m.Coordinators[0].children)) {
				if k.tally.State(child) == mesh.Ready {
					ready = append(ready, child)
				} else {
					silent = append(silent, child)
				}
			}
			_ = k.tally.Reset(len(silent)+len(ready), silent...)
			for _, child := range ready {
				k.tally.Answer(child, mesh.Ready)
			}
		}
	}},
	"takes its clock for better than it is": {2, "no act before T", func(_ *network, m *machine) {
		m.drift = 3e-3 // and says 15 parts per million
		if m.id%2 == 0 {
			m.drift = -3e-3
		}
	}},
}

// TestMutants: each mutant of a cell breaks the invariant that it should.
func TestMutants(t *testing.T) {
	const most = 4000
	for name, mutant := range mutants {
		t.Run(name, func(t *testing.T) {
			for i := range most {
				if i == 0 {
					i = mutant.at
				}
				err := example("cell", i).spoilt(t, mutant.spoil)
				var v *Violation
				if errors.As(err, &v) && v.Rule == mutant.rule {
					t.Logf("schedule %d: %v", i, v)
					return
				}
			}
			t.Errorf("%d random schedules have not found it", most)
		})
	}
}
