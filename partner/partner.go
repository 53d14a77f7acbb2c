package partner

import (
	"math"
	"time"

	"dancer/dancer"
)

// Partner is a forecaster with its scratch memory. The zero value is ready. It
// belongs to one goroutine at a time; the Samples of the assessments it returns
// are valid until its next forecast.
type Partner struct {
	m      *dancer.Manual
	layout dancer.Layout
	seed   uint64
	steps  int
	plan   plan

	start     []float64 // the state now, outputs of the option under forecast
	slots     []float64 // the state being rolled: signals, outputs, disturbances
	ahead     []float64 // the adversary's look ahead
	next      []float64 // per Model.Next: the value to write
	registers []float64
	worst     []float64 // per value: worst index of the roll-out under way
	fixed     []float64 // per value: index of an impact that the model cannot move
	samples   []float64 // of all options
	tally     tally

	changing []bool // per value: its impact reads a signal that the model moves
	blind    []bool // per value: its impact reads an invalid signal
}

// tally gathers what one option's roll-outs say.
type tally struct {
	worst, sum []float64 // per value
	corner     []int     // per value: roll-out of the worst corner
	counted    int       // states in sum
	rollouts   int
	broken     int // roll-outs in which a floor broke
	firstBreak int // step, 0 when none
	margin     float64
	state      []float64 // the worst state reached, by the margin to the floors
}

// Corners is the forecast of tier 2: the corner cases alone.
func (p *Partner) Corners(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) []dancer.Assessment {
	return p.run(m, slots, options, steps, cornersOnly(m, rollouts), seed)
}

// Forecast is the forecast of tier 3: corner cases, seeded samples and a greedy
// adversary. It stops at the given number of roll-outs per option and is the
// better the more there are; fewer are run when the model has no disturbance.
func (p *Partner) Forecast(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) []dancer.Assessment {
	return p.run(m, slots, options, steps, schedule(m, steps, rollouts), seed)
}

func (p *Partner) run(m *dancer.Manual, slots []float64, options []dancer.Option, steps int, plan plan, seed uint64) []dancer.Assessment {
	p.prepare(m, slots, max(steps, 1), plan, seed)
	row := plan.paired() * len(m.Values)
	p.samples = sized(p.samples, row*len(options))
	assessments := make([]dancer.Assessment, len(options))
	for i := range options {
		samples := p.samples[i*row : (i+1)*row : (i+1)*row]
		p.option(&options[i], slots, samples)
		assessments[i] = p.assessment(&options[i], slots, samples)
	}
	return assessments
}

// prepare sizes the scratch memory and finds out what moves and what is blind.
func (p *Partner) prepare(m *dancer.Manual, slots []float64, steps int, plan plan, seed uint64) {
	p.m, p.layout, p.seed, p.steps, p.plan = m, m.Layout(), seed, steps, plan
	p.start = sized(p.start, p.layout.Slots())
	p.slots = sized(p.slots, p.layout.Slots())
	p.ahead = sized(p.ahead, p.layout.Slots())
	p.next = sized(p.next, len(m.Model.Next))
	p.tally.state = sized(p.tally.state, p.layout.Slots())
	n := len(m.Values)
	p.worst, p.fixed = sized(p.worst, n), sized(p.fixed, n)
	p.tally.worst, p.tally.sum = sized(p.tally.worst, n), sized(p.tally.sum, n)
	p.tally.corner = make([]int, n)
	copy(p.start, slots[:p.layout.Signals+p.layout.Outputs])
	p.registers = sized(p.registers, registers(m))
	p.changing, p.blind = make([]bool, n), make([]bool, n)
	for v, impact := range m.Impact {
		p.blind[v] = impact == nil || impact.AnyInvalid(p.start)
		p.changing[v] = !p.blind[v] && p.moves(impact.Reads())
	}
}

func (p *Partner) moves(reads []int) bool {
	for _, slot := range reads {
		for i := range p.m.Model.Next {
			if p.m.Model.Next[i].Signal == slot {
				return true
			}
		}
	}
	return false
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

// option runs all roll-outs of one option into the tally.
func (p *Partner) option(o *dancer.Option, slots, samples []float64) {
	copy(p.start, slots[:p.layout.Signals])
	copy(p.start[p.layout.Signals:], o.Outputs)
	p.resetTally()
	for v := range p.m.Values {
		p.fixed[v] = p.index(v, p.start)
	}
	for r := range p.plan.paired() {
		p.rollout(r)
		copy(samples[r*len(p.worst):], p.worst)
	}
	for a := range p.plan.adversaries {
		p.adversary(a)
	}
}

func (p *Partner) resetTally() {
	t := &p.tally
	for v := range t.worst {
		t.worst[v], t.sum[v], t.corner[v] = 10, 0, 0
	}
	t.counted, t.rollouts, t.broken, t.firstBreak, t.margin = 0, 0, 0, 0, math.Inf(1)
}

// rollout runs roll-out r of the paired ones: a corner or a sample.
func (p *Partner) rollout(r int) {
	p.begin()
	corner := r < p.plan.corners
	source := stream(p.seed, r)
	// Every second sample keeps its draw: a drift instead of a noise.
	keeps := corner || r%2 == 0
	count := !corner || p.plan.samples == 0
	broke := 0
	for step := 1; step <= p.steps; step++ {
		if step == 1 || !keeps {
			p.disturb(r, corner, &source)
		}
		p.advance()
		if p.look(count) && broke == 0 {
			broke = step
		}
	}
	p.finish(r, corner, broke)
}

func (p *Partner) begin() {
	copy(p.slots, p.start)
	for v := range p.worst {
		p.worst[v] = 10
	}
}

func (p *Partner) finish(r int, corner bool, broke int) {
	t := &p.tally
	t.rollouts++
	for v, w := range p.worst {
		if w < t.worst[v] {
			t.worst[v] = w
			if corner {
				t.corner[v] = r
			}
		}
	}
	if broke > 0 {
		t.broken++
		if t.firstBreak == 0 || broke < t.firstBreak {
			t.firstBreak = broke
		}
	}
}

// disturb draws the disturbances of one step.
func (p *Partner) disturb(r int, corner bool, source *random) {
	at := p.layout.Disturbance(0)
	for i := range p.m.Model.Disturbance {
		d := &p.m.Model.Disturbance[i]
		if corner {
			p.slots[at+i] = p.plan.corner(d, r, i, p.seed)
			continue
		}
		p.slots[at+i] = source.between(d.Minimum, d.Maximum)
	}
}

// advance moves the model one step: all rules from the old state, then written.
func (p *Partner) advance() {
	rules := p.m.Model.Next
	for i := range rules {
		p.next[i] = rules[i].Program.Eval(p.slots, p.registers)
	}
	for i := range rules {
		// A signal that is invalid now stays so, whatever its rule says.
		if s := rules[i].Signal; p.slots[s] == p.slots[s] {
			p.slots[s] = p.next[i]
		}
	}
}

// look takes the indices of the state just reached and says whether a floor is
// broken in it.
func (p *Partner) look(count bool) (broken bool) {
	t := &p.tally
	margin := math.Inf(1)
	for v := range p.worst {
		x := p.fixed[v]
		if p.changing[v] {
			x = index(p.m.Impact[v].Eval(p.slots, p.registers))
		}
		p.worst[v] = min(p.worst[v], x)
		if count {
			t.sum[v] += x
		}
		if value := &p.m.Values[v]; value.HasFloor {
			margin = min(margin, x-value.Floor)
		}
	}
	if count {
		t.counted++
	}
	if margin < t.margin {
		t.margin = margin
		copy(t.state, p.slots)
	}
	return margin < 0
}

// index of value v in a state; 0 when it cannot be known.
func (p *Partner) index(v int, slots []float64) float64 {
	if p.blind[v] {
		return 0
	}
	return index(p.m.Impact[v].Eval(slots, p.registers))
}

// index brings an impact into 0-10; what is not a number is ruin.
func index(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}

func (p *Partner) assessment(o *dancer.Option, slots, samples []float64) dancer.Assessment {
	t := &p.tally
	a := dancer.Assessment{
		Option: o.Name, Aliases: o.Aliases, Inaction: o.Inaction, Outputs: o.Outputs,
		Disruption: o.Disruption, Reversibility: o.Reversibility,
		CascadeRisk: float64(t.broken) / float64(t.rollouts), Rollouts: t.rollouts,
		FloorBreaksIn: time.Duration(t.firstBreak) * p.m.Model.Step,
		Indices:       make([]dancer.Index, len(p.m.Values)), Samples: samples,
	}
	for v := range p.m.Values {
		a.Indices[v] = dancer.Index{
			Value: p.m.Values[v].Name, Worst: t.worst[v],
			Expected: t.sum[v] / float64(t.counted), Unknown: p.blind[v],
		}
	}
	for i, x := range o.Outputs {
		if x != slots[p.layout.Signals+i] {
			a.Changes++
		}
	}
	a.Recoverable = p.recoverable()
	return a
}

// recoverable rolls the fallback on from the worst state that the option
// reached, for the same number of steps and under the disturbance in the middle
// of its range, and says whether every floor is kept. (Under the worst corners
// again, a drift added up over twice the horizon would leave nothing
// recoverable.) Without floors everything is.
func (p *Partner) recoverable() bool {
	if math.IsInf(p.tally.margin, 1) {
		return true
	}
	copy(p.slots, p.tally.state)
	p.applyFallback()
	at := p.layout.Disturbance(0)
	for i := range p.m.Model.Disturbance {
		d := &p.m.Model.Disturbance[i]
		p.slots[at+i] = d.Minimum + float64((d.Maximum-d.Minimum)*0.5)
	}
	for range p.steps {
		p.advance()
		for v := range p.m.Values {
			value := &p.m.Values[v]
			if value.HasFloor && p.index(v, p.slots) < value.Floor {
				return false
			}
		}
	}
	return true
}

func (p *Partner) applyFallback() {
	if p.m.Fallback < 0 || p.m.Fallback >= len(p.m.Actions) {
		return
	}
	for _, s := range p.m.Actions[p.m.Fallback].Set {
		p.slots[p.layout.Output(s.Output)] = s.Value
	}
}

func sized(s []float64, n int) []float64 {
	if cap(s) < n {
		return make([]float64, n)
	}
	return s[:n]
}
