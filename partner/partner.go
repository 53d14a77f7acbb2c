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
	m       *dancer.Manual
	layout  dancer.Layout
	now     []float64 // signals then outputs, as they are
	options []dancer.Option
	seed    uint64
	steps   int
	plan    plan

	reports  []report // per option
	changing []bool   // per value: its impact reads a signal that the model moves
	blind    []bool   // per value: its impact reads an invalid signal
	samples  []float64
	single   single // scratch for one state
	lanes    lanes  // scratch for many states of one option side by side
	duel     lanes  // scratch for the adversary: a lane per option
	back     lanes  // scratch for recoverability: lanes of all options
}

// report gathers what the roll-outs of one option say.
type report struct {
	worst, sum []float64 // per value, over all states; over the counted states
	fixed      []float64 // per value: index of an impact that the model cannot move
	corner     []int     // per value: roll-out of its worst corner
	unknown    []bool    // per value: blind, or not a number in some state
	counted    int       // states in sum
	rollouts   int
	broken     int       // roll-outs in which a floor broke
	firstBreak int       // step, 0 when none
	margin     float64   // least distance of an index above its floor; +Inf without floors
	ends       []float64 // states: the one of that margin, then those in which corners end
	lost       bool      // no way back, see recover
	samples    []float64 // worst index per paired roll-out and value
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
	p.prepare(m, slots, options, max(steps, 1), plan, seed)
	for from := 0; from < plan.paired(); from += width {
		p.disturbances(from, min(width, plan.paired()-from))
		for i := range options {
			p.rollouts(&options[i], &p.reports[i])
		}
	}
	for a := range plan.adversaries {
		p.adversaries(a)
	}
	p.recover()
	assessments := make([]dancer.Assessment, len(options))
	for i := range options {
		assessments[i] = p.assessment(&options[i], &p.reports[i])
	}
	return assessments
}

// prepare sizes the scratch memory and finds out what moves and what is blind.
func (p *Partner) prepare(m *dancer.Manual, slots []float64, options []dancer.Option, steps int, plan plan, seed uint64) {
	p.m, p.layout, p.options, p.seed, p.steps, p.plan = m, m.Layout(), options, seed, steps, plan
	p.now = append(p.now[:0], slots[:p.layout.Signals+p.layout.Outputs]...)
	p.single.size(m)
	p.lanes.size(m, steps, min(plan.paired(), width))
	p.duel.size(m, 0, len(options))
	p.back.size(m, 0, (1+p.endings())*len(options))
	n := len(m.Values)
	p.changing, p.blind = sized(p.changing, n), sized(p.blind, n)
	for v := range n {
		p.blind[v] = v >= len(m.Impact) || m.Impact[v] == nil || m.Impact[v].AnyInvalid(p.now)
		p.changing[v] = !p.blind[v] && p.moves(m.Impact[v].Reads())
	}
	row := plan.paired() * n
	p.samples = sized(p.samples, row*len(options))
	for len(p.reports) < len(options) {
		p.reports = append(p.reports, report{})
	}
	for i := range options {
		r := &p.reports[i]
		r.samples = p.samples[i*row : (i+1)*row : (i+1)*row]
		p.open(&options[i], r)
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

// open starts the report of an option.
func (p *Partner) open(o *dancer.Option, r *report) {
	n := len(p.m.Values)
	r.worst, r.sum, r.fixed = sized(r.worst, n), sized(r.sum, n), sized(r.fixed, n)
	r.corner, r.unknown = sized(r.corner, n), sized(r.unknown, n)
	r.ends = sized(r.ends, (1+p.endings())*p.layout.Slots())
	r.counted, r.rollouts, r.broken, r.firstBreak, r.margin = 0, 0, 0, 0, math.Inf(1)
	p.single.start(p, o)
	copy(r.ends, p.single.slots)
	for v := range n {
		r.worst[v], r.sum[v], r.corner[v], r.unknown[v] = 10, 0, 0, p.blind[v]
		r.fixed[v] = p.single.index(p, r, v)
	}
}

func (p *Partner) assessment(o *dancer.Option, r *report) dancer.Assessment {
	a := dancer.Assessment{
		Option: o.Name, Aliases: o.Aliases, Inaction: o.Inaction, Outputs: o.Outputs,
		Disruption: o.Disruption, Reversibility: o.Reversibility,
		CascadeRisk: float64(r.broken) / float64(r.rollouts), Rollouts: r.rollouts,
		FloorBreaksIn: time.Duration(r.firstBreak) * p.m.Model.Step,
		Indices:       make([]dancer.Index, len(p.m.Values)), Samples: r.samples,
		Recoverable: !r.lost,
	}
	for v := range p.m.Values {
		a.Indices[v] = dancer.Index{
			Value: p.m.Values[v].Name, Worst: r.worst[v],
			Expected: r.sum[v] / float64(r.counted), Unknown: r.unknown[v],
		}
	}
	for i, x := range o.Outputs {
		if x != p.now[p.layout.Signals+i] {
			a.Changes++
		}
	}
	return a
}

// sized gives a slice of length n, in the memory of s where that suffices.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
