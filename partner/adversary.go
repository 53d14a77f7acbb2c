package partner

import "dancer/dancer"

// adversaries runs the greedy roll-outs, once, when the corners are complete.
func (p *Partner) adversaries() {
	for p.done.adversaries < p.plan.adversaries {
		p.adversary(p.done.adversaries)
		p.done.adversaries++
	}
}

// adversary runs the greedy roll-outs against the a-th value with a floor: one
// lane per option. Every step starts from the corner that was worst for that
// value and flips each disturbance to the other end of its range where that
// leaves the value lower one step on; where it makes no difference a slow drift
// is not given up for nothing.
func (p *Partner) adversary(a int) {
	s := &p.duel
	s.first = moment{adversary: a + 1}
	s.start(p, p.options)
	p.corner(a)
	for step := 1; step <= p.steps; step++ {
		p.choose(a)
		s.advance(p)
		s.look(p, p.reports[:len(p.options)], step)
	}
	for l := range p.options {
		r := &p.reports[l]
		for _, v := range p.model.looked {
			r.worst[v] = min(r.worst[v], s.row(s.worst, v)[l])
		}
		r.close(s.broke[l])
	}
}

// corner keeps the disturbances that were worst for the a-th value with a floor.
func (p *Partner) corner(a int) {
	s, ds := &p.duel, p.m.Model.Disturbance
	target := p.model.floored[a]
	for i := range ds {
		for l := range s.n {
			s.row(s.worstCorner, i)[l] = p.plan.corner(&ds[i], p.reports[l].corner[target], i, p.seed)
		}
	}
}

// choose sets the disturbances of the next step in every lane.
func (p *Partner) choose(a int) {
	s, ds := &p.duel, p.m.Model.Disturbance
	for i := range ds {
		copy(s.slot(p.layout.Disturbance(i)), s.row(s.worstCorner, i))
	}
	if !p.changing[p.model.floored[a]] {
		return
	}
	lowest, tried := s.row(s.trial, 0), s.row(s.trial, 1)
	p.after(a, lowest)
	for _, i := range p.model.hits[a].disturbances {
		drawn := s.slot(p.layout.Disturbance(i))
		flip(drawn, &ds[i])
		p.after(a, tried)
		for l := range drawn {
			if tried[l] < lowest[l] {
				lowest[l] = tried[l]
			} else {
				drawn[l] = other(drawn[l], &ds[i])
			}
		}
	}
}

func flip(drawn []float64, d *dancer.Disturbance) {
	for l, x := range drawn {
		drawn[l] = other(x, d)
	}
}

// other end of a disturbance's range.
func other(x float64, d *dancer.Disturbance) float64 {
	if x == d.Minimum {
		return d.Maximum
	}
	return d.Minimum
}

// ruin is lower than any impact, for one that is not a number.
const ruin = -1e308

// after gives the impact on the a-th value with a floor, not clamped, one step
// on. The states are left as they were.
func (p *Partner) after(a int, out []float64) {
	s, rules := &p.duel, p.model.hits[a].rules
	s.evaluate(rulesOf(a))
	for i, r := range rules {
		at := p.model.next[r].Signal
		copy(s.row(s.save, i), s.slot(at))
	}
	for i, r := range rules {
		if at := p.model.next[r].Signal; p.now[at] == p.now[at] {
			copy(s.slot(at), s.result(rulesOf(a), i))
		}
	}
	s.keep()
	s.slew()
	s.evaluate(impactOf(a))
	s.giveBack()
	for i, r := range rules {
		copy(s.slot(p.model.next[r].Signal), s.row(s.save, i))
	}
	for l, x := range s.result(impactOf(a), 0) {
		if x != x {
			x = ruin
		}
		out[l] = x
	}
}
