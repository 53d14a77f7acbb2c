package partner

// adversary runs one greedy roll-out against the a-th value with a floor: in
// every step each disturbance takes the end of its range that leaves that value
// lower. Where an end makes no difference the adversary keeps to the corner that
// was worst for the value, so a slow drift is not given up for nothing.
func (p *Partner) adversary(a int) {
	target := p.flooredValue(a)
	p.begin()
	for i := range p.m.Model.Disturbance {
		p.slots[p.layout.Disturbance(i)] = p.cornerOf(target, i)
	}
	broke := 0
	for step := 1; step <= p.steps; step++ {
		for i := range p.m.Model.Disturbance {
			p.slots[p.layout.Disturbance(i)] = p.meaner(target, i)
		}
		p.advance()
		if p.look(false) && broke == 0 {
			broke = step
		}
	}
	p.finish(0, false, broke)
}

func (p *Partner) flooredValue(a int) int {
	for v := range p.m.Values {
		if !p.m.Values[v].HasFloor {
			continue
		}
		if a == 0 {
			return v
		}
		a--
	}
	return 0
}

func (p *Partner) cornerOf(target, i int) float64 {
	return p.plan.corner(&p.m.Model.Disturbance[i], p.tally.corner[target], i, p.seed)
}

// meaner tries both ends of disturbance i, the others as they stand.
func (p *Partner) meaner(target, i int) float64 {
	d := &p.m.Model.Disturbance[i]
	low, high := p.after(target, i, d.Minimum), p.after(target, i, d.Maximum)
	switch {
	case low < high:
		return d.Minimum
	case high < low:
		return d.Maximum
	}
	return p.cornerOf(target, i)
}

// after is the impact on the target, not clamped, one step on with disturbance i
// at x. The state is left as it was.
func (p *Partner) after(target, i int, x float64) float64 {
	if p.blind[target] {
		return 0
	}
	p.slots[p.layout.Disturbance(i)] = x
	copy(p.ahead, p.slots)
	p.advance()
	p.slots, p.ahead = p.ahead, p.slots
	impact := p.m.Impact[target].Eval(p.ahead, p.registers)
	if impact != impact {
		return -1e308 // ruin
	}
	return impact
}
