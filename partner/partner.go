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
	// Cut is asked by Forecast, between two blocks of roll-outs, whether to stop
	// with what is complete; nil never stops it. It decides how many roll-outs
	// there are and nothing else.
	Cut func() bool

	m       *dancer.Manual
	model   model
	layout  dancer.Layout
	now     []float64 // signals then outputs, as they are
	options []dancer.Option
	seed    uint64
	steps   int
	plan    plan
	done    plan // what is complete

	reports  []report // per option
	changing []bool   // per value: its impact reads a signal that the model moves
	blind    []bool   // per value: its impact reads an invalid signal
	samples  []float64
	drawn    []float64 // disturbances of a block: a row per step and disturbance, repeated for each option of a chunk
	single   single    // scratch for one state
	lanes    lanes     // scratch for the paired roll-outs
	duel     lanes     // scratch for the adversary: a lane per option
	back     lanes     // scratch for recoverability: lanes of all options
}

// report gathers what the roll-outs of one option say.
type report struct {
	worst, sum []float64 // per value, over all states; over the counted states
	fixed      []float64 // per value: index of an impact that the model cannot move
	still      float64   // least distance above its floor of those
	corner     []int     // per value: roll-out of its worst corner
	unknown    []bool    // per value: blind, or not a number in some state
	counted    int       // states in sum
	rollouts   int
	broken     int       // roll-outs in which a floor broke
	firstBreak int       // step, 0 when none
	margin     float64   // least distance of an index above its floor; +Inf without floors
	kept       moment    // of that margin, the earliest
	ends       []float64 // states: the one of that margin, then those in which corners end
	lost       bool      // no way back, see recover
	samples    []float64 // worst index per paired roll-out and value
}

// moment says when a state was reached. Of states that are equally bad the
// earliest is kept, in whatever order they are computed.
type moment struct{ adversary, step, rollout int }

func (a moment) before(b moment) bool {
	switch {
	case a.adversary != b.adversary:
		return a.adversary < b.adversary
	case a.step != b.step:
		return a.step < b.step
	}
	return a.rollout < b.rollout
}

// Corners is the forecast of tier 2: the corner cases alone.
func (p *Partner) Corners(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) []dancer.Assessment {
	p.run(m, slots, options, steps, cornersOnly(m, rollouts), seed)
	return p.assessments()
}

// Forecast is the forecast of tier 3: corner cases, a greedy adversary and seeded
// samples. It stops at the given number of roll-outs per option and is the
// better the longer it runs; fewer are run when the model has no disturbance, and
// when Cut says so.
//
// A forecast can be cut once it has completed twice as many roll-outs as it has
// corners and eight times as many as it has adversaries. Then it is, to the last
// bit, the forecast with the budget that it completed (Assessment.Rollouts, the
// same for every option), and no worst index of it is lower than that of a
// forecast which runs on.
func (p *Partner) Forecast(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) []dancer.Assessment {
	p.run(m, slots, options, steps, schedule(m, steps, rollouts), seed)
	return p.assessments()
}

// run makes the reports. With warm scratch memory it allocates nothing.
func (p *Partner) run(m *dancer.Manual, slots []float64, options []dancer.Option, steps int, plan plan, seed uint64) {
	p.prepare(m, slots, options, max(steps, 1), plan, seed)
	if len(options) == 0 {
		return
	}
	for first := 0; first < plan.paired(); first += block {
		p.block(first, min(block, plan.paired()-first))
		if p.done.corners == plan.corners {
			p.adversaries()
		}
		if p.cut() {
			break
		}
	}
	p.recover()
}

// cut says whether to stop with what is complete.
func (p *Partner) cut() bool {
	n := p.done.rollouts()
	return p.Cut != nil && n >= p.plan.least() && n < p.plan.rollouts() && p.Cut()
}

// prepare sizes the scratch memory and finds out what moves and what is blind.
func (p *Partner) prepare(m *dancer.Manual, slots []float64, options []dancer.Option, steps int, plan plan, seed uint64) {
	p.model.fit(m)
	p.m, p.layout, p.options, p.seed, p.steps, p.plan = m, m.Layout(), options, seed, steps, plan
	p.done = plan
	p.done.corners, p.done.samples, p.done.adversaries = 0, 0, 0
	p.now = append(p.now[:0], slots[:p.layout.Signals+p.layout.Outputs]...)
	each := min(plan.paired(), block)
	p.lanes.size(&p.model, len(options), each*min(len(options), chunk(each)))
	p.drawn = sized(p.drawn, steps*p.layout.Disturbances*p.lanes.n)
	p.duel.size(&p.model, len(options), len(options))
	p.duel.shape(len(options), 1)
	p.back.size(&p.model, len(options), (1+p.endings())*len(options))
	p.back.shape(len(options), 1+p.endings())
	n := len(m.Values)
	p.changing, p.blind = sized(p.changing, n), sized(p.blind, n)
	for v := range n {
		p.blind[v] = p.model.impact[v] == nil || p.model.impact[v].AnyInvalid(p.now)
		p.changing[v] = false
	}
	for _, v := range p.model.looked {
		p.changing[v] = !p.blind[v]
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

// open starts the report of an option.
func (p *Partner) open(o *dancer.Option, r *report) {
	n := len(p.m.Values)
	r.worst, r.sum, r.fixed = sized(r.worst, n), sized(r.sum, n), sized(r.fixed, n)
	r.corner, r.unknown = sized(r.corner, n), sized(r.unknown, n)
	r.ends = sized(r.ends, (1+p.endings())*p.layout.Slots())
	r.counted, r.rollouts, r.broken, r.firstBreak = 0, 0, 0, 0
	r.margin, r.still, r.kept, r.lost = math.Inf(1), math.Inf(1), moment{}, false
	p.single.start(p, o)
	copy(r.ends, p.single.slots)
	for v := range n {
		r.worst[v], r.sum[v], r.corner[v], r.unknown[v] = 10, 0, 0, p.blind[v]
		r.fixed[v] = p.single.index(p, r, v)
		if value := &p.m.Values[v]; value.HasFloor && !p.changing[v] {
			r.still = min(r.still, r.fixed[v]-value.Floor)
		}
	}
}

// assessments copies the reports out. One list holds the indices of all.
func (p *Partner) assessments() []dancer.Assessment {
	n := len(p.m.Values)
	assessments := make([]dancer.Assessment, len(p.options))
	indices := make([]dancer.Index, n*len(p.options))
	for i := range p.options {
		p.assessment(&assessments[i], indices[i*n:(i+1)*n:(i+1)*n], &p.options[i], &p.reports[i])
	}
	return assessments
}

func (p *Partner) assessment(a *dancer.Assessment, indices []dancer.Index, o *dancer.Option, r *report) {
	*a = dancer.Assessment{
		Option: o.Name, Aliases: o.Aliases, Inaction: o.Inaction, Outputs: o.Outputs,
		Disruption: o.Disruption, Reversibility: o.Reversibility,
		CascadeRisk: float64(r.broken) / float64(r.rollouts), Rollouts: r.rollouts,
		FloorBreaksIn: time.Duration(r.firstBreak) * p.m.Model.Step,
		Indices:       indices, Samples: r.samples[:p.done.paired()*len(indices)],
		Recoverable: !r.lost,
	}
	for v := range p.m.Values {
		indices[v] = dancer.Index{
			Value: p.m.Values[v].Name, Worst: r.worst[v],
			Expected: r.sum[v] / float64(r.counted), Unknown: r.unknown[v],
		}
	}
	for i, x := range o.Outputs {
		if x != p.now[p.layout.Signals+i] {
			a.Changes++
		}
	}
}

// sized gives a slice of length n, in the memory of s where that suffices.
func sized[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
