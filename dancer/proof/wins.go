package proof

import (
	"math/rand/v2"
	"time"

	"dancer/dancer"
	"dancer/hal"
)

// contest tries decisions until every action has won one.
type contest struct {
	m        *dancer.Manual
	bears    []bool
	states   *states
	source   *rand.Rand
	findings []Finding
	open     int
}

// winners looks for a state in which the verdict picks each action.
func winners(q *questions, o Options) []Finding {
	m := q.m
	values := make([]int, len(m.Values))
	for v := range values {
		values[v] = v
	}
	w := newWorld(q, values)
	c := &contest{m: m, bears: w.bears, states: newStates(m, newSpace(w), newSource(2<<32)), source: newSource(2 << 32), open: len(m.Actions)}
	for i := range m.Actions {
		c.findings = append(c.findings, Finding{Property: Wins, Subject: m.Actions[i].Name, Answer: Undecided, Action: i})
		c.twin(i)
	}
	tried := 0
	if o.Tier2 != nil && o.Tier3 != nil {
		for ; tried < o.states() && c.open > 0 && !o.cut(); tried++ {
			c.try(tried, o)
		}
	}
	for i := range c.findings {
		f := &c.findings[i]
		if f.Answer == Undecided {
			f.States = tried
		}
		f.Says = c.says(f)
	}
	return c.findings
}

// twin refutes an action that sets the same as another one: an option that is
// both goes by the name that comes first in the alphabet.
func (c *contest) twin(i int) {
	for j := range c.m.Actions {
		if c.m.Actions[j].Name < c.m.Actions[i].Name && sameSettings(c.m, i, j) {
			c.findings[i].Answer = Refuted
			c.findings[i].Example = &Example{Option: c.m.Actions[j].Name}
			c.open--
			return
		}
	}
}

func sameSettings(m *dancer.Manual, i, j int) bool {
	a, b := m.Actions[i].Set, m.Actions[j].Set
	if len(a) != len(b) {
		return false
	}
	for _, s := range a {
		found := false
		for _, t := range b {
			found = found || s == t
		}
		if !found {
			return false
		}
	}
	return true
}

// rollouts of one decision that is tried; as a robot's.
const rollouts = dancer.DefaultRollouts

// try makes one decision.
func (c *contest) try(n int, o Options) {
	state := c.draw(n)
	i := c.m.Action(c.decide(state, o))
	if i < 0 || c.findings[i].Answer != Undecided {
		return
	}
	state = c.states.simplify(state, func(simpler []float64) bool { return c.m.Action(c.decide(simpler, o)) == i })
	f := &c.findings[i]
	f.Answer, f.States = Proved, n+1
	f.Example = newExample(c.m, state, c.bears)
	f.Example.Option = f.Subject
	c.open--
}

// decide gives the option that the verdict picks.
func (c *contest) decide(state []float64, o Options) string {
	in := dancer.Input{Robot: "proof", Monotonic: time.Minute, Values: state, Rollouts: rollouts}
	for i := range c.m.Signals {
		validity := hal.Valid
		if state[i] != state[i] {
			validity = hal.Stale
		}
		in.Validity = append(in.Validity, validity)
		in.Age = append(in.Age, 0)
	}
	d := dancer.Decide(c.m, in, o.Tier2, o.Tier3)
	return d.Verdict.Option
}

// draw gives the n-th state: the outputs of the actions in turn, and signals
// spread over their ranges, half of them near an end, because what decides is
// often there. Only late states have invalid signals.
func (c *contest) draw(n int) []float64 {
	state := make([]float64, len(c.m.Signals)+len(c.m.Outputs))
	for slot := range c.m.Signals {
		state[slot] = c.signal(slot, n)
	}
	for o := range c.m.Outputs {
		state[len(c.m.Signals)+o] = c.m.Outputs[o].Safe
	}
	if k := n % (len(c.m.Actions) + 1); k > 0 {
		for _, s := range c.m.Actions[k-1].Set {
			state[len(c.m.Signals)+s.Output] = s.Value
		}
	}
	return state
}

const onlyValid = 400 // states tried before signals may be invalid

func (c *contest) signal(slot, n int) float64 {
	x := rangeOf(c.m, slot)
	if n > onlyValid && c.source.IntN(8) == 0 {
		return notANumber
	}
	if c.m.Signals[slot].Boolean {
		return float64(c.source.IntN(2))
	}
	share := c.source.Float64()
	switch c.source.IntN(6) {
	case 0:
		share = 0
	case 1:
		share = near(c.source)
	case 2:
		share = 1 - near(c.source)
	}
	return within(x, x.Low+float64(share*(x.High-x.Low)))
}

// near is close to 0, by a factor of up to a thousand.
func near(source *rand.Rand) float64 {
	return source.Float64() / float64(uint(1)<<source.UintN(11))
}
