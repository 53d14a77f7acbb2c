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
	s := &p.back
	states := p.layout.Slots()
	for i := range p.options {
		for k := range s.each {
			s.put(i*s.each+k, p.reports[i].ends[k*states:(k+1)*states])
		}
	}
	s.stay()
	p.applyFallback(s)
	for i := range p.m.Model.Disturbance {
		d := &p.m.Model.Disturbance[i]
		fill(s.slot(p.layout.Disturbance(i)), d.Minimum+float64((d.Maximum-d.Minimum)*0.5))
	}
	p.loseBlind()
	s.model.batch.Prepare(s.rows, s.n)
	for range p.steps {
		s.advance(p)
		p.lose()
	}
}

func (p *Partner) endings() int { return min(p.plan.corners, endings) }

// put makes one state the state of lane l.
func (s *lanes) put(l int, state []float64) {
	for i, x := range state {
		s.rows[i*s.n+l] = x
	}
}

func (p *Partner) applyFallback(s *lanes) {
	if f := p.m.Fallback; f >= 0 && f < len(p.m.Actions) {
		for _, set := range p.m.Actions[f].Set {
			fill(s.target(p.layout.Output(set.Output)), set.Value)
		}
	}
}

// loseBlind marks every option when a value with a floor cannot be known.
func (p *Partner) loseBlind() {
	for _, v := range p.model.floored {
		if p.blind[v] && p.m.Values[v].Floor > 0 {
			for i := range p.options {
				p.reports[i].lost = true
			}
		}
	}
}

// lose marks the options of which a state is under a floor now.
func (p *Partner) lose() {
	s := &p.back
	s.evaluate(sectionWay)
	for i, v := range p.model.ways {
		value := &p.m.Values[v]
		if p.blind[v] || !(value.Floor > 0) {
			continue
		}
		for l, x := range s.result(sectionWay, i) {
			if !(x >= value.Floor) {
				p.reports[l/s.each].lost = true
			}
		}
	}
}
