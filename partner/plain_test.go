package partner_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/dancer"
	"dancer/partner"
	"dancer/reflex/program"
)

// plain is a second, slow version of the forecast of one option, written from the
// description: one roll-out and one state at a time, with Program.Eval, nothing
// shared between them and nothing computed ahead.
type plain struct {
	m         *dancer.Manual
	now       []float64 // signals and outputs
	steps     int
	corners   int
	unknown   []bool
	visits    []visit // every state that a roll-out reached
	rolls     []roll
	registers []float64
	aims      []float64 // what the outputs are on their way to
}

// visit is one state and the least distance of an index above its floor in it.
type visit struct {
	state                    []float64
	margin                   float64
	adversary, step, rollout int
}

// roll is what one roll-out came to.
type roll struct {
	adversary  bool
	worst, sum []float64
	end        []float64
	broke      int
}

// index of value v in a state, 0-10.
func (p *plain) index(v int, state []float64) float64 {
	x := math.NaN()
	if !p.blind(v) {
		x = p.m.Impact[v].Eval(state, p.registers)
	}
	if x != x {
		p.unknown[v] = true
		return 0
	}
	return min(max(x, 0), 10)
}

func (p *plain) blind(v int) bool { return p.m.Impact[v] == nil || p.m.Impact[v].AnyInvalid(p.now) }

// advance gives the state one step after.
func (p *plain) advance(state, disturbance []float64) []float64 {
	before := slices.Clone(state)
	copy(before[p.m.Layout().Disturbance(0):], disturbance)
	after := slices.Clone(before)
	for _, n := range p.m.Model.Next {
		if !math.IsNaN(p.now[n.Signal]) {
			after[n.Signal] = n.Program.Eval(before, p.registers)
		}
	}
	for i, o := range p.m.Outputs {
		at, most := p.m.Layout().Output(i), o.Rate*p.m.Model.Step.Seconds()
		switch left := p.aims[i] - before[at]; {
		case o.Rate == 0 || math.Abs(left) <= most:
			after[at] = p.aims[i]
		default:
			after[at] += math.Copysign(most, left)
		}
	}
	return after
}

// run makes one roll-out, which meets the given disturbances.
func (p *plain) run(start []float64, adversary, rollout int, disturbance func(step int, state []float64) []float64) {
	r := roll{adversary: adversary > 0, worst: make([]float64, len(p.m.Values)), sum: make([]float64, len(p.m.Values))}
	state := start
	for step := range p.steps {
		state = p.advance(state, disturbance(step, state))
		margin := math.Inf(1)
		for v := range p.m.Values {
			x := p.index(v, state)
			if step == 0 || x < r.worst[v] {
				r.worst[v] = x
			}
			r.sum[v] += x
			if p.m.Values[v].HasFloor {
				margin = min(margin, x-p.m.Values[v].Floor)
			}
		}
		if margin < 0 && r.broke == 0 {
			r.broke = step + 1
		}
		p.visits = append(p.visits, visit{state, margin, adversary, step, rollout})
	}
	r.end = state
	p.rolls = append(p.rolls, r)
}

// greedy gives the adversary's disturbances against a value: those of its worst
// corner, each flipped to the other end where that is worse one step on.
func (p *plain) greedy(target int, corner []float64) func(int, []float64) []float64 {
	after := func(state, disturbance []float64) float64 {
		x := p.m.Impact[target].Eval(p.advance(state, disturbance), p.registers)
		if x != x {
			return math.Inf(-1)
		}
		return x
	}
	return func(_ int, state []float64) []float64 {
		chosen := slices.Clone(corner)
		if p.blind(target) {
			return chosen
		}
		lowest := after(state, chosen)
		for i, d := range p.m.Model.Disturbance {
			tried := slices.Clone(chosen)
			if tried[i] == d.Minimum {
				tried[i] = d.Maximum
			} else {
				tried[i] = d.Minimum
			}
			if x := after(state, tried); x < lowest {
				lowest, chosen = x, tried
			}
		}
		return chosen
	}
}

// worstCorner of a value: the first of those in which it is worst.
func (p *plain) worstCorner(v int) int {
	worst := 0
	for r := range p.corners {
		if p.rolls[r].worst[v] < p.rolls[worst].worst[v] {
			worst = r
		}
	}
	return worst
}

// worstState is the state of the least margin, of equal ones the earliest.
func (p *plain) worstState(start []float64) []float64 {
	slices.SortStableFunc(p.visits, func(a, b visit) int {
		switch {
		case a.margin != b.margin:
			if a.margin < b.margin {
				return -1
			}
			return 1
		case a.adversary != b.adversary:
			return a.adversary - b.adversary
		case a.step != b.step:
			return a.step - b.step
		}
		return a.rollout - b.rollout
	})
	if math.IsInf(p.visits[0].margin, 1) {
		return start
	}
	return p.visits[0].state
}

// recoverable says whether the fallback keeps every floor from a state on. What
// cannot be known there is not an index of the option.
func (p *plain) recoverable(state []float64) bool {
	unknown := p.unknown
	p.unknown = slices.Clone(unknown)
	defer func() { p.unknown = unknown }()
	state = slices.Clone(state)
	aims := p.aims
	defer func() { p.aims = aims }()
	p.aims = slices.Clone(state[p.m.Layout().Output(0):][:len(p.m.Outputs)])
	for _, set := range p.m.Actions[p.m.Fallback].Set {
		if p.aims[set.Output] = set.Value; p.m.Outputs[set.Output].Rate == 0 {
			state[p.m.Layout().Output(set.Output)] = set.Value
		}
	}
	var middle []float64
	for _, d := range p.m.Model.Disturbance {
		middle = append(middle, d.Minimum+float64((d.Maximum-d.Minimum)*0.5))
	}
	for range p.steps {
		state = p.advance(state, middle)
		for v := range p.m.Values {
			if value := &p.m.Values[v]; value.HasFloor && p.index(v, state) < value.Floor {
				return false
			}
		}
	}
	return true
}

func plainForecast(m *dancer.Manual, slots []float64, o *dancer.Option, steps, budget int, seed uint64) dancer.Assessment {
	draws, corners, adversaries := partner.Draws(m, steps, budget, seed)
	p := plain{m: m, now: slots, steps: steps, corners: corners, unknown: make([]bool, len(m.Values)), registers: make([]float64, program.Registers)}
	layout := m.Layout()
	start := make([]float64, layout.Slots())
	copy(start, slots[:layout.Signals])
	copy(start[layout.Signals:], o.Outputs)
	p.aims = o.Outputs
	for i := range m.Outputs {
		if m.Outputs[i].Rate > 0 {
			start[layout.Output(i)] = slots[layout.Output(i)]
		}
	}

	for v := range m.Values {
		p.index(v, start) // for unknown alone: the state of now counts for that
	}
	for r, roll := range draws {
		p.run(start, 0, r, func(step int, _ []float64) []float64 { return roll[step] })
	}
	target := -1
	for a := range adversaries {
		for target++; !m.Values[target].HasFloor; target++ {
		}
		p.run(start, a+1, 0, p.greedy(target, draws[p.worstCorner(target)][0]))
	}
	return p.sum(o, start)
}

// sum puts the roll-outs together.
func (p *plain) sum(o *dancer.Option, start []float64) dancer.Assessment {
	a := dancer.Assessment{Option: o.Name, Rollouts: len(p.rolls), Recoverable: p.recoverable(p.worstState(start))}
	for _, r := range p.rolls[:min(p.corners, 8)] {
		a.Recoverable = a.Recoverable && p.recoverable(r.end)
	}
	counted := p.rolls
	if paired := slices.IndexFunc(p.rolls, func(r roll) bool { return r.adversary }); paired >= 0 {
		counted = counted[:paired]
	}
	for _, r := range counted {
		a.Samples = append(a.Samples, r.worst...)
	}
	if len(counted) > p.corners {
		counted = counted[p.corners:]
	}
	for v := range p.m.Values {
		x := dancer.Index{Value: p.m.Values[v].Name, Worst: 10, Unknown: p.unknown[v]}
		for _, r := range p.rolls {
			x.Worst = min(x.Worst, r.worst[v])
		}
		for _, r := range counted {
			x.Expected += r.sum[v] / float64(len(counted)*p.steps)
		}
		a.Indices = append(a.Indices, x)
	}
	first := 0
	for _, r := range p.rolls {
		if r.broke > 0 {
			a.CascadeRisk += 1 / float64(len(p.rolls))
			if first == 0 || r.broke < first {
				first = r.broke
			}
		}
	}
	a.FloorBreaksIn = time.Duration(first) * p.m.Model.Step
	return a
}

// drawManual gives the museum other rules, impacts, floors and disturbances.
func drawManual(t *rapid.T, tb testing.TB) *dancer.Manual {
	m := museum(tb)
	m.Model.Next[0].Program = compile(tb, rapid.SampledFrom([]string{
		"range - 1.2 m/s * drive * dt + d.range", "smoke / 100 ppm * 1 m", "3 m", "max(range - 0.1 m * people, 0 m) + d.range",
		"5 m - (range - 5 m) + d.range * 5",
	}).Draw(t, "range"), "m")
	m.Model.Next[1].Program = compile(tb, rapid.SampledFrom([]string{
		"smoke * (extinguisher > 0 ? 0.8 : 1.02) + d.smoke", "range / 1 m * 100 ppm", "smoke + 1000 ppm / range * 1 m",
		"max(smoke + (drive > 0 ? 10 ppm : -10 ppm) + d.smoke, 0 ppm)",
	}).Draw(t, "smoke"), "ppm")
	impacts := []string{
		"10 - smoke / 60 ppm * min(people, 1) - (range < 0.20 m ? 6 : 0)", "10 - smoke / 100 ppm - 3 * extinguisher", "10 - 4 * extinguisher",
		"10 * drive", "range / 1 m", "sqrt(range / 1 m - 3)", "10 - 60 * abs(range / 1 m - 5)", "10 - 0 * brake", "range < 0.20 m ? 0 : 10",
	}
	for v := range m.Impact {
		m.Impact[v] = compile(tb, rapid.SampledFrom(impacts).Draw(t, "impact"), "")
		m.Values[v].HasFloor, m.Values[v].Floor = rapid.Bool().Draw(t, "has floor"), float64(rapid.IntRange(0, 8).Draw(t, "floor"))
	}
	if rapid.IntRange(0, 5).Draw(t, "no impact") == 0 {
		m.Impact[1] = nil
	}
	for i := range m.Outputs {
		m.Outputs[i].Rate = rapid.SampledFrom([]float64{0, 0, 0.3, 2, 50}).Draw(t, "rate")
	}
	for range rapid.IntRange(0, 5).Draw(t, "more disturbances") {
		m.Model.Disturbance = append(m.Model.Disturbance, dancer.Disturbance{Signal: 0, Minimum: -1, Maximum: 1})
	}
	return m
}

// TestAgainstThePlainVersion: the fast forecast is that of the plain version, in
// every figure to the last bit but for the means, which are added up in another
// order.
func TestAgainstThePlainVersion(t *testing.T) {
	var p partner.Partner // one for all, whose memory remembers other manuals
	rapid.Check(t, func(rt *rapid.T) {
		m := drawManual(rt, t)
		maybe := func(x float64) float64 {
			if rapid.IntRange(0, 9).Draw(rt, "invalid") == 0 {
				return math.NaN()
			}
			return x
		}
		slots := state(maybe(rapid.Float64Range(0, 8).Draw(rt, "range")), maybe(rapid.Float64Range(0, 1000).Draw(rt, "smoke")),
			maybe(float64(rapid.IntRange(0, 3).Draw(rt, "people"))))
		slots[3] = rapid.SampledFrom([]float64{0, 0.5, 0.1}).Draw(rt, "drive")
		steps, budget := rapid.IntRange(1, 12).Draw(rt, "steps"), rapid.IntRange(1, 100).Draw(rt, "budget")
		seed := rapid.Uint64().Draw(rt, "seed")
		options := m.Options(slots[3:])
		for i, got := range p.Forecast(m, slots, options, steps, budget, seed) {
			checkSame(rt, got, plainForecast(m, slots, &options[i], steps, budget, seed))
		}
	})
}

func checkSame(t *rapid.T, got, want dancer.Assessment) {
	if got.Rollouts != want.Rollouts || got.Recoverable != want.Recoverable || got.FloorBreaksIn != want.FloorBreaksIn ||
		math.Abs(got.CascadeRisk-want.CascadeRisk) > 1e-12 || !slices.Equal(got.Samples, want.Samples) {
		t.Fatalf("%s:\n%+v\nwant\n%+v", got.Option, got, want)
	}
	for v, x := range got.Indices {
		if y := want.Indices[v]; x.Worst != y.Worst || x.Unknown != y.Unknown || math.Abs(x.Expected-y.Expected) > 1e-9 {
			t.Fatalf("%s: %+v, want %+v", got.Option, x, y)
		}
	}
}
