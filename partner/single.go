package partner

import "dancer/dancer"

// single is scratch memory for looking at one state.
type single struct {
	slots     []float64 // signals, outputs, disturbances
	registers []float64
}

func (s *single) size(m *dancer.Manual) {
	s.slots = sized(s.slots, m.Layout().Slots())
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
