package partner

import "dancer/dancer"

// adversaries runs the greedy roll-outs: one lane per option, all against the
// a-th value with a floor. Every step starts from the corner that was worst for
// that value and flips each disturbance to the other end of its range where that
// leaves the value lower one step on; where it makes no difference a slow drift
// is not given up for nothing.
func (p *Partner) adversaries(a int) {
	target := flooredValue(p.m, a)
	s := &p.duel
	s.first, s.n = 0, len(p.options)
	s.start(p)
	for l := range p.options {
		for i, x := range p.options[l].Outputs {
			s.row(s.slots, p.layout.Output(i))[l] = x
		}
	}
	for step := 1; step <= p.steps; step++ {
		p.choose(target)
		s.advance(p)
		p.suffer(step)
	}
	for l := range p.options {
		r := &p.reports[l]
		for v := range p.m.Values {
			r.worst[v] = min(r.worst[v], s.row(s.worst, v)[l])
		}
		r.close(s.broke[l])
	}
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

// choose sets the disturbances of the next step in every lane.
func (p *Partner) choose(target int) {
	s, ds := &p.duel, p.m.Model.Disturbance
	for i := range ds {
		drawn := s.row(s.slots, p.layout.Disturbance(i))
		for l := range drawn {
			drawn[l] = p.plan.corner(&ds[i], p.reports[l].corner[target], i, p.seed)
		}
	}
	if !p.changing[target] {
		return
	}
	lowest, tried := s.row(s.trial, 0), s.row(s.trial, 1)
	p.after(target, lowest)
	for i := range ds {
		drawn := s.row(s.slots, p.layout.Disturbance(i))
		flip(drawn, &ds[i])
		p.after(target, tried)
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

// after gives the impact on the target, not clamped, one step on. The states are
// left as they were.
func (p *Partner) after(target int, out []float64) {
	s := &p.duel
	signals := s.slots[:p.layout.Signals*s.n]
	saved := s.ahead[:len(signals)]
	copy(saved, signals)
	s.advance(p)
	s.evaluate(p.m.Impact[target], out)
	copy(signals, saved)
	for l, x := range out {
		if x != x {
			out[l] = ruin
		}
	}
}

// suffer takes the indices of the states just reached into each option's report.
func (p *Partner) suffer(step int) {
	s := &p.duel
	for l := range p.options {
		s.margin[l] = p.fixedMargin(&p.reports[l])
	}
	for v := range p.m.Values {
		if !p.changing[v] {
			continue
		}
		s.evaluate(p.m.Impact[v], s.out[:s.n])
		s.take(v, &p.m.Values[v])
		for l := range p.options {
			p.reports[l].unknown[v] = p.reports[l].unknown[v] || s.unknown[l]
		}
	}
	for l := range p.options {
		s.notice(&p.reports[l], l, step)
	}
}
