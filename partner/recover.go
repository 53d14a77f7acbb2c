package partner

// endings is how many corners are followed to their end for recoverability.
const endings = 8

// recover says for every option whether there is a way back from it: from the
// state of the least margin that it reached, and from the states in which its
// corners end, the fallback is rolled on for as many steps again, with the
// disturbances in the middle of their ranges, and has to keep every floor. (Under
// the worst corners once more, a drift added up over twice the horizon would
// leave nothing recoverable.) One lane is one such state.
func (p *Partner) recover() {
	each := 1 + p.endings()
	s := &p.back
	s.first, s.n = 0, each*len(p.options)
	for i := range p.options {
		p.reports[i].lost = false
		for k := range each {
			s.put(i*each+k, p.reports[i].ends[k*s.states:(k+1)*s.states])
		}
	}
	p.applyFallback(s)
	for i := range p.m.Model.Disturbance {
		d := &p.m.Model.Disturbance[i]
		fill(s.row(s.slots, p.layout.Disturbance(i)), d.Minimum+float64((d.Maximum-d.Minimum)*0.5))
	}
	for range p.steps {
		s.advance(p)
		p.lose(each)
	}
}

func (p *Partner) endings() int { return min(p.plan.corners, endings, width) }

// put makes one state the state of lane l.
func (s *lanes) put(l int, state []float64) {
	for i, x := range state {
		s.slots[i*s.n+l] = x
	}
}

func (p *Partner) applyFallback(s *lanes) {
	if f := p.m.Fallback; f >= 0 && f < len(p.m.Actions) {
		for _, set := range p.m.Actions[f].Set {
			fill(s.row(s.slots, p.layout.Output(set.Output)), set.Value)
		}
	}
}

// lose marks the options of which a state is under a floor now.
func (p *Partner) lose(each int) {
	s := &p.back
	out := s.out[:s.n]
	for v := range p.m.Values {
		value := &p.m.Values[v]
		if !value.HasFloor {
			continue
		}
		if p.blind[v] {
			fill(out, 0)
		} else {
			s.evaluate(p.m.Impact[v], out)
		}
		for l, x := range out {
			if !(x >= value.Floor) && value.Floor > 0 {
				p.reports[l/each].lost = true
			}
		}
	}
}
