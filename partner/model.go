package partner

import (
	"slices"

	"dancer/dancer"
	"dancer/reflex/program"
)

// model is a manual's rules and impacts as one batch: what they have in common is
// computed once a step, and what depends only on outputs and on signals that no
// rule moves is computed once a roll-out. It is made again only when the manual
// is another one.
type model struct {
	layout  dancer.Layout
	next    []dancer.Next
	rated   []rated            // outputs that move in the forecast
	impact  []*program.Program // per value, nil where there is none
	floored []int              // values with a floor, in the order of the ladder
	looked  []int              // values with an impact that the rules or rates move, as in sectionLook
	ways    []int              // values with a floor and an impact, as in sectionWay
	hits    []target           // as floored
	batch   *program.Batch
}

// target is a value with a floor as the adversary sees it.
type target struct {
	rules        []int // that move a signal which the impact reads, as in rulesOf
	disturbances []int // that one of these rules reads: the others make no difference
}

// Sections of the batch. Two for each value with a floor follow: the rules of its
// target, and its impact.
const (
	sectionNext = iota // every rule
	sectionLook
	sectionWay
	sectionTargets
)

func rulesOf(floored int) (section int)  { return sectionTargets + 2*floored }
func impactOf(floored int) (section int) { return sectionTargets + 2*floored + 1 }

// fit makes the model that of the manual, unless it is already.
func (c *model) fit(m *dancer.Manual) {
	if c.batch != nil && c.isOf(m) {
		return
	}
	*c = model{layout: m.Layout(), next: slices.Clone(m.Model.Next), rated: ratedOf(m)}
	for v := range m.Values {
		c.impact = append(c.impact, impact(m, v))
		if m.Values[v].HasFloor {
			c.floored = append(c.floored, v)
		}
	}
	sections := [][]*program.Program{c.programs(c.rules()), nil, nil}
	for v, p := range c.impact {
		if p != nil && c.moved(p.Reads()) {
			c.looked = append(c.looked, v)
			sections[sectionLook] = append(sections[sectionLook], p)
		}
	}
	for _, v := range c.floored {
		t := c.target(v)
		c.hits = append(c.hits, t)
		var aim []*program.Program
		if p := c.impact[v]; p != nil {
			c.ways = append(c.ways, v)
			sections[sectionWay] = append(sections[sectionWay], p)
			aim = append(aim, p)
		}
		sections = append(sections, c.programs(t.rules), aim)
	}
	c.batch = program.NewBatch(c.layout.Slots(), c.moves, sections...)
}

// isOf says whether the model was made of a manual like this one.
func (c *model) isOf(m *dancer.Manual) bool {
	if c.layout != m.Layout() || !slices.Equal(c.next, m.Model.Next) || !c.sameRates(m) || len(c.impact) != len(m.Values) {
		return false
	}
	floors := 0
	for v := range m.Values {
		if c.impact[v] != impact(m, v) {
			return false
		}
		if m.Values[v].HasFloor {
			if floors == len(c.floored) || c.floored[floors] != v {
				return false
			}
			floors++
		}
	}
	return floors == len(c.floored)
}

// sameRates says whether the outputs have the rates that the model was made with.
func (c *model) sameRates(m *dancer.Manual) bool {
	n := 0
	for i := range m.Outputs {
		rate := m.Outputs[i].Rate
		if !(rate > 0) {
			continue
		}
		if n == len(c.rated) || c.rated[n].output != i || c.rated[n].most != float64(rate*m.Model.Step.Seconds()) {
			return false
		}
		n++
	}
	return n == len(c.rated)
}

// impact of value v; nil if the manual has none.
func impact(m *dancer.Manual, v int) *program.Program {
	if v >= len(m.Impact) {
		return nil
	}
	return m.Impact[v]
}

// target finds what the adversary has to know of value v.
func (c *model) target(v int) target {
	var t target
	if c.impact[v] == nil {
		return t
	}
	for i := range c.next {
		if slices.Contains(c.impact[v].Reads(), c.next[i].Signal) {
			t.rules = append(t.rules, i)
		}
	}
	for d := range c.layout.Disturbances {
		for _, i := range t.rules {
			if slices.Contains(c.next[i].Program.Reads(), c.layout.Disturbance(d)) {
				t.disturbances = append(t.disturbances, d)
				break
			}
		}
	}
	return t
}

// moves says whether a slot changes from step to step.
func (c *model) moves(slot int) bool {
	return slot >= c.layout.Disturbance(0) || c.moved([]int{slot})
}

// moved says whether a rule, or the rate of an output, moves one of the slots.
func (c *model) moved(slots []int) bool {
	return c.isRated(slots) || slices.ContainsFunc(c.next, func(n dancer.Next) bool { return slices.Contains(slots, n.Signal) })
}

func (c *model) rules() []int {
	rules := make([]int, len(c.next))
	for i := range rules {
		rules[i] = i
	}
	return rules
}

func (c *model) programs(rules []int) []*program.Program {
	programs := make([]*program.Program, len(rules))
	for i, r := range rules {
		programs[i] = c.next[r].Program
	}
	return programs
}
