package partner

import (
	"dancer/dancer"
	"dancer/reflex/program"
)

// single is scratch memory for looking at one state.
type single struct {
	slots     []float64 // signals, outputs, disturbances
	registers [program.Registers]float64
}

// start puts the state of now with the option's outputs; those with a rate are still
// where they are.
func (s *single) start(p *Partner, o *dancer.Option) {
	s.slots = sized(s.slots, p.layout.Slots())
	copy(s.slots, p.now[:p.layout.Signals])
	copy(s.slots[p.layout.Signals:], o.Outputs)
	for _, r := range p.model.rated {
		s.slots[r.slot] = p.now[r.slot]
	}
	clear(s.slots[p.layout.Disturbance(0):])
}

// index of value v in the state, 0-10; 0 when it cannot be known, and that is
// noted in the report.
func (s *single) index(p *Partner, r *report, v int) float64 {
	if p.blind[v] {
		return 0
	}
	x := p.m.Impact[v].Eval(s.slots, s.registers[:])
	if x != x {
		r.unknown[v] = true
	}
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}
