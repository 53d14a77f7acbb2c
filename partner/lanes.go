package partner

import (
	"math"

	"dancer/dancer"
	"dancer/reflex/program"
)

// width is how many roll-outs run side by side: each instruction of a program is
// then decoded once for all of them, which is worth a factor of three.
const width = 64

// lanes is scratch memory for rolling many states of one option side by side.
// Rows have n elements, one per roll-out: slot s of roll-out l is slots[s*n+l].
type lanes struct {
	n           int
	first       int       // number of the first roll-out
	states      int       // slots of one state
	slots       []float64 // signals, outputs, disturbances
	next        []float64 // a row per Model.Next
	out         []float64 // a row: indices of one value
	worst, sum  []float64 // a row per value
	margin      []float64 // a row
	unknown     []bool    // a row: an index of the value just taken is not a number
	trial       []float64 // two rows, and ahead a row per signal: the adversary's looks ahead
	ahead       []float64
	broke       []int // a row: the step in which a floor broke, 0 for none
	registers   []float64
	disturbance []float64 // a row per step and disturbance, the same for all options
}

// size makes room for n lanes, and for the disturbances of the given steps.
func (s *lanes) size(m *dancer.Manual, steps, n int) {
	s.states = m.Layout().Slots()
	s.slots = sized(s.slots, s.states*n)
	s.next = sized(s.next, len(m.Model.Next)*n)
	s.worst, s.sum = sized(s.worst, len(m.Values)*n), sized(s.sum, len(m.Values)*n)
	s.out, s.margin, s.broke = sized(s.out, n), sized(s.margin, n), sized(s.broke, n)
	s.unknown, s.trial, s.ahead = sized(s.unknown, n), sized(s.trial, 2*n), sized(s.ahead, len(m.Signals)*n)
	s.registers = sized(s.registers, registers(m)*n)
	s.disturbance = sized(s.disturbance, steps*len(m.Model.Disturbance)*n)
}

// evaluate gives the results of a program for the states of all lanes.
func (s *lanes) evaluate(p *program.Program, out []float64) {
	p.EvalLanes(out, s.slots, s.registers, s.n)
}

func (s *lanes) row(values []float64, i int) []float64 { return values[i*s.n : (i+1)*s.n] }

// disturbances draws what the n roll-outs from the given one on will meet in
// every step. Every second sample keeps its first draw: a drift, not a noise.
func (p *Partner) disturbances(first, n int) {
	s, ds := &p.lanes, p.m.Model.Disturbance
	s.first, s.n = first, n
	for l := range n {
		r := first + l
		source := stream(p.seed, r)
		for step := range p.steps {
			for i := range ds {
				at := (step*len(ds)+i)*n + l
				switch {
				case r < p.plan.corners:
					s.disturbance[at] = p.plan.corner(&ds[i], r, i, p.seed)
				case step > 0 && r%2 == 0:
					s.disturbance[at] = s.disturbance[at-len(ds)*n]
				default:
					s.disturbance[at] = source.between(ds[i].Minimum, ds[i].Maximum)
				}
			}
		}
	}
}

// rollouts runs the drawn roll-outs of one option into its report.
func (p *Partner) rollouts(o *dancer.Option, r *report) {
	s := &p.lanes
	s.start(p)
	for i, x := range o.Outputs {
		fill(s.row(s.slots, p.layout.Output(i)), x)
	}
	drawn := len(p.m.Model.Disturbance) * s.n
	for step := 1; step <= p.steps; step++ {
		copy(s.slots[p.layout.Disturbance(0)*s.n:], s.disturbance[(step-1)*drawn:step*drawn])
		s.advance(p)
		s.look(p, r, step)
	}
	s.finish(p, r)
}

// start puts the signals of now into every lane; the outputs are the caller's.
func (s *lanes) start(p *Partner) {
	for i := range p.layout.Signals {
		fill(s.row(s.slots, i), p.now[i])
	}
	fill(s.worst[:len(p.m.Values)*s.n], 10)
	clear(s.sum[:len(p.m.Values)*s.n])
	clear(s.broke[:s.n])
}

// advance moves every state one step, as single.advance does.
func (s *lanes) advance(p *Partner) {
	rules := p.m.Model.Next
	for i := range rules {
		s.evaluate(rules[i].Program, s.row(s.next, i))
	}
	for i := range rules {
		if at := rules[i].Signal; p.now[at] == p.now[at] {
			copy(s.row(s.slots, at), s.row(s.next, i))
		}
	}
}

// look takes the indices of the states just reached.
func (s *lanes) look(p *Partner, r *report, step int) {
	fill(s.margin[:s.n], p.fixedMargin(r))
	for v := range p.m.Values {
		if !p.changing[v] {
			continue
		}
		s.evaluate(p.m.Impact[v], s.out[:s.n])
		if s.take(v, &p.m.Values[v]) {
			r.unknown[v] = true
		}
	}
	for l := range s.n {
		s.notice(r, l, step)
	}
}

// take clamps the indices of value v in the row out to 0-10, takes them into
// the worst ones, the sums and the margins, and says whether one was not a
// number; which, is in the row unknown.
func (s *lanes) take(v int, value *dancer.Value) (unknown bool) {
	clear(s.unknown[:s.n])
	worst, sum, margin, out := s.row(s.worst, v), s.row(s.sum, v), s.margin[:s.n], s.out[:s.n]
	floor := value.Floor
	if !value.HasFloor {
		floor = math.Inf(-1)
	}
	for l, x := range out {
		if !(x > 0) {
			if x != x {
				unknown, s.unknown[l] = true, true
			}
			x = 0
		} else if x > 10 {
			x = 10
		}
		sum[l] += x
		if x < worst[l] {
			worst[l] = x
		}
		if x-floor < margin[l] {
			margin[l] = x - floor
		}
	}
	return unknown
}

// fixedMargin is the margin that the values allow which the model cannot move.
func (p *Partner) fixedMargin(r *report) float64 {
	margin := math.Inf(1)
	for v := range p.m.Values {
		if value := &p.m.Values[v]; value.HasFloor && !p.changing[v] {
			margin = min(margin, r.fixed[v]-value.Floor)
		}
	}
	return margin
}

// notice keeps the worst state and the step in which a floor breaks, of lane l.
func (s *lanes) notice(r *report, l, step int) {
	margin := s.margin[l]
	if margin < 0 && s.broke[l] == 0 {
		s.broke[l] = step
	}
	if margin < r.margin {
		s.keep(r, l)
	}
}

// keep makes the state of lane l the worst one of the report.
func (s *lanes) keep(r *report, l int) {
	r.margin = s.margin[l]
	s.get(l, r.ends[:s.states])
}

// get copies the state of lane l.
func (s *lanes) get(l int, state []float64) {
	for i := range state {
		state[i] = s.slots[i*s.n+l]
	}
}

// finish takes the roll-outs into the report.
func (s *lanes) finish(p *Partner, r *report) {
	n := len(p.m.Values)
	for v := range n {
		worst, sum := s.row(s.worst, v), s.row(s.sum, v)
		if !p.changing[v] {
			fill(worst, r.fixed[v])
			fill(sum, r.fixed[v]*float64(p.steps))
		}
		for _, x := range sum[s.counted(p):] {
			r.sum[v] += x
		}
		for l, w := range worst {
			r.samples[(s.first+l)*n+v] = w
			if w < r.worst[v] {
				r.worst[v] = w
				if s.first+l < p.plan.corners {
					r.corner[v] = s.first + l
				}
			}
		}
	}
	r.counted += (s.n - s.counted(p)) * p.steps
	for k := s.first; k < min(s.first+s.n, p.endings()); k++ {
		s.get(k-s.first, r.ends[(1+k)*s.states:(2+k)*s.states])
	}
	for _, step := range s.broke[:s.n] {
		r.close(step)
	}
}

// counted is the first roll-out of the row that counts for the expected index:
// the samples do, and the corners only where there are no samples.
func (s *lanes) counted(p *Partner) int {
	if p.plan.samples == 0 {
		return 0
	}
	return min(max(p.plan.corners-s.first, 0), s.n)
}

// close counts one roll-out, in which a floor broke in the given step or not.
func (r *report) close(broke int) {
	r.rollouts++
	if broke == 0 {
		return
	}
	r.broken++
	if r.firstBreak == 0 || broke < r.firstBreak {
		r.firstBreak = broke
	}
}

func fill(row []float64, x float64) {
	for i := range row {
		row[i] = x
	}
}
