package partner

import "dancer/dancer"

// adversary runs one greedy roll-out against the a-th value with a floor. Every
// step starts from the corner that was worst for that value and flips each
// disturbance to the other end of its range where that leaves the value lower one
// step on; where it makes no difference a slow drift is not given up for nothing.
func (p *Partner) adversary(o *dancer.Option, r *report, a int) {
	target := flooredValue(p.m, a)
	s := &p.single
	s.start(p, o)
	for v := range s.worst {
		s.worst[v] = 10
	}
	broke := 0
	for step := 1; step <= p.steps; step++ {
		p.choose(r, target)
		s.advance(p)
		if s.look(p, r) && broke == 0 {
			broke = step
		}
	}
	for v, w := range s.worst {
		r.worst[v] = min(r.worst[v], w)
	}
	r.close(broke)
}

func flooredValue(m *dancer.Manual, a int) int {
	for v := range m.Values {
		if !m.Values[v].HasFloor {
			continue
		}
		if a == 0 {
			return v
		}
		a--
	}
	return 0
}

// choose sets the disturbances of the next step.
func (p *Partner) choose(r *report, target int) {
	ds := p.m.Model.Disturbance
	drawn := p.single.slots[p.layout.Disturbance(0):]
	for i := range ds {
		drawn[i] = p.plan.corner(&ds[i], r.corner[target], i, p.seed)
	}
	if p.blind[target] || !p.changing[target] {
		return
	}
	lowest := p.after(target)
	for i := range ds {
		kept := drawn[i]
		drawn[i] = ds[i].Minimum
		if kept == ds[i].Minimum {
			drawn[i] = ds[i].Maximum
		}
		if x := p.after(target); x < lowest {
			lowest = x
		} else {
			drawn[i] = kept
		}
	}
}

// ruin is lower than any impact, for one that is not a number.
const ruin = -1e308

// after is the impact on the target, not clamped, one step on. The state is left
// as it was.
func (p *Partner) after(target int) float64 {
	s := &p.single
	copy(s.ahead, s.slots)
	s.advance(p)
	impact := p.m.Impact[target].Eval(s.slots, s.registers)
	copy(s.slots, s.ahead)
	if impact != impact {
		return ruin
	}
	return impact
}
