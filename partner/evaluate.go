package partner

import "dancer/reflex/program"

// laned is a program that can evaluate states side by side.
type laned interface {
	EvalLanes(out, slots, registers []float64, lanes int)
}

// evaluate gives the results of a program for the states of all lanes: slot s of
// state l is slots[s*n+l].
func (s *lanes) evaluate(p *program.Program, out []float64) {
	if fast, ok := any(p).(laned); ok {
		fast.EvalLanes(out, s.slots, s.registers, s.n)
		return
	}
	for l := range s.n {
		for _, slot := range p.Reads() {
			s.one[slot] = s.slots[slot*s.n+l]
		}
		out[l] = p.Eval(s.one, s.registers)
	}
}
