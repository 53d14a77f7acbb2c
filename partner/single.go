package partner

import (
	"math"

	"dancer/dancer"
)

// single is scratch memory for rolling one state forward.
type single struct {
	slots     []float64 // signals, outputs, disturbances
	next      []float64 // per Model.Next: the value to write
	registers []float64
}

func (s *single) size(m *dancer.Manual) {
	s.slots, s.next = sized(s.slots, m.Layout().Slots()), sized(s.next, len(m.Model.Next))
	s.registers = sized(s.registers, registers(m))
}

func registers(m *dancer.Manual) int {
	n := 0
	for _, impact := range m.Impact {
		if impact != nil {
			n = max(n, impact.Registers())
		}
	}
	for i := range m.Model.Next {
		n = max(n, m.Model.Next[i].Program.Registers())
	}
	return n
}

// start puts the state of now with the option's outputs.
func (s *single) start(p *Partner, o *dancer.Option) {
	copy(s.slots, p.now[:p.layout.Signals])
	copy(s.slots[p.layout.Signals:], o.Outputs)
}

// advance moves the model one step: all rules from the old state, then written.
// A signal that is invalid at the start stays so, whatever its rule says.
func (s *single) advance(p *Partner) {
	rules := p.m.Model.Next
	for i := range rules {
		s.next[i] = rules[i].Program.Eval(s.slots, s.registers)
	}
	for i := range rules {
		if at := rules[i].Signal; p.now[at] == p.now[at] {
			s.slots[at] = s.next[i]
		}
	}
}

// index of value v in the state, 0-10; 0 when it cannot be known, and that is
// noted in the report.
func (s *single) index(p *Partner, r *report, v int) float64 {
	if p.blind[v] {
		return 0
	}
	x := p.m.Impact[v].Eval(s.slots, s.registers)
	if x != x {
		r.unknown[v] = true
	}
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}

// recoverable rolls the fallback on from the worst state that the option
// reached, for the same number of steps and under the disturbances in the middle
// of their ranges, and says whether every floor is kept. (Under the worst
// corners again, a drift added up over twice the horizon would leave nothing
// recoverable.) Without floors everything is.
func (p *Partner) recoverable(r *report) bool {
	if math.IsInf(r.margin, 1) {
		return true
	}
	s := &p.single
	copy(s.slots, r.state)
	if f := p.m.Fallback; f >= 0 && f < len(p.m.Actions) {
		for _, set := range p.m.Actions[f].Set {
			s.slots[p.layout.Output(set.Output)] = set.Value
		}
	}
	for i := range p.m.Model.Disturbance {
		d := &p.m.Model.Disturbance[i]
		s.slots[p.layout.Disturbance(i)] = d.Minimum + float64((d.Maximum-d.Minimum)*0.5)
	}
	for range p.steps {
		s.advance(p)
		for v := range p.m.Values {
			if value := &p.m.Values[v]; value.HasFloor && s.index(p, r, v) < value.Floor {
				return false
			}
		}
	}
	return true
}
