package partner_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/dancer"
	"dancer/partner"
	"dancer/reflex/program"
)

func find(t testing.TB, as []dancer.Assessment, name string) *dancer.Assessment {
	t.Helper()
	for i := range as {
		if as[i].Is(name) {
			return &as[i]
		}
	}
	t.Fatalf("no assessment of %q", name)
	return nil
}

// TestWorstByHand holds the corners against figures worked out by hand: smoke
// grows by 1.02 a step and at worst 1 ppm more.
func TestWorstByHand(t *testing.T) {
	m := museum(t)
	slots := state(5, 90, 1)
	var p partner.Partner
	as := p.Forecast(m, slots, m.Options(slots[3:]), 30, 64, 1)

	smoke := 90.0
	for range 30 {
		smoke = smoke*1.02 + 1
	}
	tests := []struct {
		option        string
		human, things float64
		changes       int
		recoverable   bool
	}{
		{"halt", 10 - smoke/60, 10 - smoke/100, 0, false},
		{"patrol", 10 - smoke/60, 10 - smoke/100, 2, false},
		{"extinguish", 10 - (90*0.8+1)/60, 10 - (90*0.8+1)/100 - 3, 1, true},
	}
	for _, test := range tests {
		a := find(t, as, test.option)
		if math.Abs(a.Indices[0].Worst-test.human) > 1e-9 || math.Abs(a.Indices[1].Worst-test.things) > 1e-9 {
			t.Errorf("%s: worst %v and %v, want %v and %v", test.option, a.Indices[0].Worst, a.Indices[1].Worst, test.human, test.things)
		}
		if a.Changes != test.changes || a.Recoverable != test.recoverable || a.Rollouts != 64 {
			t.Errorf("%s: changes %d, recoverable %v, roll-outs %d", test.option, a.Changes, a.Recoverable, a.Rollouts)
		}
		if e := a.Indices[0].Expected; e <= a.Indices[0].Worst || e > 10 {
			t.Errorf("%s: expected %v is not above worst %v", test.option, e, a.Indices[0].Worst)
		}
	}
}

func TestFloorBreaksAtTheRightStep(t *testing.T) {
	m := museum(t)
	slots := state(1.5, 0, 0)
	slots[3], slots[4] = 0.5, 0 // patrolling
	var p partner.Partner
	a := find(t, p.Forecast(m, slots, m.Options(slots[3:]), 30, 64, 1), "patrol")
	// At worst 0.07 m a step: under 0.20 m after 19 steps.
	if a.FloorBreaksIn != 1900*time.Millisecond || a.CascadeRisk != 1 {
		t.Errorf("breaks in %v with risk %v, want 1.9s and 1", a.FloorBreaksIn, a.CascadeRisk)
	}
}

// TestCascadeRiskIsAShare puts the wall where some roll-outs reach it and some
// do not.
func TestCascadeRiskIsAShare(t *testing.T) {
	m := museum(t)
	slots := state(2.0, 0, 0)
	slots[3], slots[4] = 0.5, 0
	var p partner.Partner
	a := find(t, p.Forecast(m, slots, m.Options(slots[3:]), 30, 64, 1), "patrol")
	if a.CascadeRisk <= 0.2 || a.CascadeRisk >= 1 {
		t.Errorf("risk %v, want a share", a.CascadeRisk)
	}
	below := 0
	for r := 0; r < len(a.Samples); r += 4 {
		if a.Samples[r] < 5 {
			below++
		}
	}
	if below == 0 || below == len(a.Samples)/4 {
		t.Errorf("%d of %d paired roll-outs break the floor", below, len(a.Samples)/4)
	}
}

func TestInvalidSignals(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name  string
		slots []float64
		zero  []bool // per value
	}{
		{"all valid", state(5, 10, 1), []bool{false, false, false, false}},
		{"range", state(nan, 10, 1), []bool{true, false, false, false}},
		{"smoke", state(5, nan, 1), []bool{true, true, false, false}},
		{"people", state(5, 10, nan), []bool{true, false, false, false}},
	}
	for _, test := range tests {
		m := museum(t)
		var p partner.Partner
		test.slots[3] = 0.5 // so that task is not 0 by itself for every option
		for _, forecast := range []dancer.Forecast{p.Corners, p.Forecast} {
			for _, a := range forecast(m, test.slots, m.Options(test.slots[3:]), 30, 64, 1) {
				for v, zero := range test.zero {
					if a.Indices[v].Unknown != zero || zero && (a.Indices[v].Worst != 0 || a.Indices[v].Expected != 0) {
						t.Errorf("%s: %s of %s is %+v", test.name, m.Values[v].Name, a.Option, a.Indices[v])
					}
				}
			}
		}
	}
}

// TestInvalidThroughTheModel: range is valid, but its rule reads a signal that
// is not, so what comes of it cannot be known.
func TestInvalidThroughTheModel(t *testing.T) {
	m := museum(t)
	m.Model.Next[0].Program = compile(t, "range - 0.1 m * people", "m")
	m.Impact[0] = compile(t, "range < 0.20 m ? 4 : 10", "")
	slots := state(5, 10, math.NaN())
	var p partner.Partner
	for _, a := range p.Forecast(m, slots, m.Options(slots[3:]), 30, 16, 1) {
		if x := a.Indices[0]; x.Worst != 0 || !x.Unknown {
			t.Errorf("%s: %+v, want unknown and 0", a.Option, x)
		}
	}
}

// TestInvalidStaysInvalid: a rule that does not read its own signal must not make
// it valid on the way, and with it what other rules read from it.
func TestInvalidStaysInvalid(t *testing.T) {
	m := museum(t)
	m.Model.Next[0].Program = compile(t, "3 m", "m")
	m.Model.Next[1].Program = compile(t, "range / 1 m * 10 ppm", "ppm")
	m.Impact[0] = compile(t, "10 - smoke / 60 ppm", "")
	slots := state(math.NaN(), 10, 0)
	var p partner.Partner
	for _, a := range p.Forecast(m, slots, m.Options(slots[3:]), 30, 16, 1) {
		if x := a.Indices[0]; x.Worst != 0 || x.Expected != 0 || !x.Unknown {
			t.Errorf("%s: %+v, want unknown and 0 in every step", a.Option, x)
		}
	}
}

// TestNextFromOldState: two rules that swap two signals must both read the old
// state.
func TestNextFromOldState(t *testing.T) {
	m := museum(t)
	m.Model.Disturbance = nil
	m.Model.Next[0].Program = compile(t, "smoke / 100 ppm * 1 m", "m")
	m.Model.Next[1].Program = compile(t, "range / 1 m * 100 ppm", "ppm")
	m.Impact[0] = compile(t, "range / 1 m", "")
	slots := state(3, 700, 0)
	var p partner.Partner
	a := find(t, p.Forecast(m, slots, m.Options(slots[3:]), 1, 64, 1), "halt")
	if a.Indices[0].Worst != 7 || a.Rollouts != 1 {
		t.Errorf("index %v after one step (want 7) in %d roll-outs (want 1: nothing is uncertain)", a.Indices[0].Worst, a.Rollouts)
	}
	a = find(t, p.Forecast(m, slots, m.Options(slots[3:]), 2, 64, 1), "halt")
	if a.Indices[0].Worst != 3 {
		t.Errorf("worst %v over two steps, want 3", a.Indices[0].Worst)
	}
}

// TestRolloutBudget: no more roll-outs than allowed, and more never look better.
func TestRolloutBudget(t *testing.T) {
	m := museum(t)
	slots := state(2.2, 70, 1)
	slots[3], slots[4] = 0.5, 0
	options := m.Options(slots[3:])
	var p partner.Partner // one for all: sizes go up and down
	for _, budget := range []int{-1, 0, 1, 2, 3, 7, 8, 16, 64, 65, 200, 500, 70, 1} {
		for _, a := range p.Forecast(m, slots, options, 30, budget, 3) {
			if a.Rollouts != max(budget, 1) {
				t.Errorf("budget %d: %d roll-outs", budget, a.Rollouts)
			}
			if a.CascadeRisk < 0 || a.CascadeRisk > 1 {
				t.Errorf("budget %d: risk %v", budget, a.CascadeRisk)
			}
		}
	}
}

// TestAdversary: a target that only an alternating disturbance can hit is out of
// reach of constant corners, and the adversary finds it.
func TestAdversary(t *testing.T) {
	m := museum(t)
	// The index falls when the distance leaves 5 m by 0.1 m in either direction
	// while smoke is pushed up; the distance is driven back by its own rule when
	// pushed the same way twice.
	m.Model.Next[0].Program = compile(t, "5 m - (range - 5 m) + d.range * 5", "m")
	m.Impact[0] = compile(t, "10 - 60 * abs(range / 1 m - 5)", "")
	slots := state(5, 0, 0)
	var p partner.Partner
	corners := find(t, p.Corners(m, slots, m.Options(slots[3:]), 30, 4, 1), "halt").Indices[0].Worst
	full := find(t, p.Forecast(m, slots, m.Options(slots[3:]), 30, 64, 1), "halt").Indices[0].Worst
	if full != 0 || corners < 5 {
		t.Errorf("worst %v with the adversary (want 0), %v in the corners (want 7)", full, corners)
	}
}

// TestSameSeedSameForecast: equal to the last bit, also from a partner that has
// just forecast something else, and different for another seed.
func TestSameSeedSameForecast(t *testing.T) {
	m := museum(t)
	slots := state(4, 80, 2)
	options := m.Options(slots[3:])
	var used, fresh partner.Partner
	other := copyOf(used.Forecast(m, slots, options, 30, 64, 2))
	used.Forecast(m, state(1, 500, 9), options[:2], 7, 200, 5)
	first := copyOf(used.Forecast(m, slots, options, 30, 64, 1))
	second := copyOf(fresh.Forecast(m, slots, options, 30, 64, 1))
	if !reflect.DeepEqual(first, second) {
		t.Errorf("forecasts differ:\n%+v\n%+v", first, second)
	}
	if reflect.DeepEqual(first, other) {
		t.Error("another seed gives the same samples")
	}
}

func copyOf(as []dancer.Assessment) []dancer.Assessment {
	for i := range as {
		as[i].Samples = append([]float64(nil), as[i].Samples...)
	}
	return as
}

// TestRolloutsDoNotAllocate: all the roll-outs of a decision are made in memory
// that is there already, and the assessments are two lists.
func TestRolloutsDoNotAllocate(t *testing.T) {
	m := eight(t)
	slots := state(5, 60, 1)
	options := m.Options(slots[3:])
	for i, rollouts := range []int{1, 64, 640, 64} {
		var p partner.Partner
		m.Outputs[0].Rate = float64(i / 3) // the last with an output on its way
		p.Roll(m, slots, options, 30, rollouts, 1)
		if n := testing.AllocsPerRun(20, func() { p.Roll(m, slots, options, 30, rollouts, 1) }); n != 0 {
			t.Errorf("%v allocations in %d roll-outs", n, rollouts)
		}
		if n := testing.AllocsPerRun(20, func() { p.Forecast(m, slots, options, 30, rollouts, 1) }); n != 2 {
			t.Errorf("%v allocations in a forecast of %d roll-outs, want 2", n, rollouts)
		}
	}
}

// TestRateInTheForecast: an output with a rate is where it is at the first step of the
// world, and gets to the option's value in the time that it needs.
func TestRateInTheForecast(t *testing.T) {
	m := museum(t)
	m.Model.Disturbance = nil
	m.Model.Next[0].Program = compile(t, "range - 1.2 m/s * drive * dt", "m")
	m.Impact[3] = compile(t, "range / 1 m", "")
	m.Impact[2] = compile(t, "10 * drive", "")
	m.Outputs[0].Rate = 0.2 // per second: to 0.5 in 25 steps
	slots := state(8, 0, 1)
	slots[3] = 0
	var p partner.Partner
	for _, a := range p.Forecast(m, slots, m.Options(slots[3:]), 30, 8, 1) {
		if a.Option != "patrol" {
			continue
		}
		distance, drive, sum := 8.0, 0.0, 0.0
		for range 30 {
			distance -= 0.12 * drive
			drive = min(drive+0.02, 0.5)
			sum += 10 * drive
		}
		if got := a.Indices[3].Worst; math.Abs(got-distance) > 1e-9 {
			t.Errorf("it gets as near as %v, want %v", got, distance)
		}
		if got := a.Indices[2].Worst; math.Abs(got-0.2) > 1e-9 {
			t.Errorf("worst of the drive is %v, want 0.2, its first step", got)
		}
		if got := a.Indices[2].Expected; math.Abs(got-sum/30) > 1e-9 {
			t.Errorf("expected of the drive is %v, want %v", got, sum/30)
		}
		return
	}
	t.Error("no patrol")
}

// TestAgainstPlainRollouts holds the forecast against a slow and obvious one:
// every state visited by plain corners must not be below the worst index, and
// with one step and no adversary the worst is that of the corners.
func TestAgainstPlainRollouts(t *testing.T) {
	m := museum(t)
	registers := make([]float64, program.Registers)
	rapid.Check(t, func(t *rapid.T) {
		slots := state(rapid.Float64Range(0, 8).Draw(t, "range"), rapid.Float64Range(0, 1000).Draw(t, "smoke"),
			float64(rapid.IntRange(0, 3).Draw(t, "people")))
		steps := rapid.IntRange(1, 30).Draw(t, "steps")
		seed := rapid.Uint64().Draw(t, "seed")
		options := m.Options(slots[3:])
		var p partner.Partner
		full := p.Forecast(m, slots, options, steps, 64, seed)
		for i, o := range options {
			worst := plainCorners(m, slots, o.Outputs, steps, registers)
			for v, w := range worst {
				if full[i].Indices[v].Worst > w {
					t.Fatalf("%s of %s: worst %v, but a corner gives %v", m.Values[v].Name, o.Name, full[i].Indices[v].Worst, w)
				}
			}
		}
		corners := p.Corners(m, slots, options, steps, 64, seed)
		for i, o := range options {
			if got := fmt.Sprint(worsts(&corners[i])); got != fmt.Sprint(plainCorners(m, slots, o.Outputs, steps, registers)) {
				t.Fatalf("corners of %s: %v, want %v", o.Name, got, plainCorners(m, slots, o.Outputs, steps, registers))
			}
		}
	})
}

func worsts(a *dancer.Assessment) []float64 {
	out := make([]float64, len(a.Indices))
	for i, x := range a.Indices {
		out[i] = x.Worst
	}
	return out
}

func plainCorners(m *dancer.Manual, slots, outputs []float64, steps int, registers []float64) []float64 {
	worst := []float64{10, 10, 10, 10}
	for _, range1 := range []float64{-0.01, 0.01} {
		for _, smoke := range []float64{0, 1} {
			s := append(append(append([]float64(nil), slots[:3]...), outputs...), range1, smoke)
			for range steps {
				a, b := m.Model.Next[0].Program.Eval(s, registers), m.Model.Next[1].Program.Eval(s, registers)
				s[0], s[1] = a, b
				for v, impact := range m.Impact {
					worst[v] = math.Min(worst[v], math.Max(0, math.Min(10, impact.Eval(s, registers))))
				}
			}
		}
	}
	return worst
}

// TestManyDisturbances: with more corners than budget it still runs, and the two
// extreme corners come first.
func TestManyDisturbances(t *testing.T) {
	m := museum(t)
	for range 22 {
		m.Model.Disturbance = append(m.Model.Disturbance, dancer.Disturbance{Signal: 0, Minimum: -1, Maximum: 1})
	}
	slots := state(5, 90, 1)
	var p partner.Partner
	a := find(t, p.Corners(m, slots, m.Options(slots[3:]), 30, 2, 1), "halt")
	smoke := 90.0
	for range 30 {
		smoke = smoke*1.02 + 1
	}
	if want := 10 - smoke/60; math.Abs(a.Indices[0].Worst-want) > 1e-9 || a.Rollouts != 2 {
		t.Errorf("worst %v in %d roll-outs, want %v in 2", a.Indices[0].Worst, a.Rollouts, want)
	}
}

// TestRecoverableBeyondTheHorizon: the index says nothing until it is too late, so
// that the worst state is any; what counts is where the roll-outs end.
func TestRecoverableBeyondTheHorizon(t *testing.T) {
	m := museum(t)
	// smoke is the speed in cm/s here: it grows while driving, falls while not.
	m.Model.Next[0].Program = compile(t, "range - smoke / 100 ppm * 1 m/s * dt", "m")
	m.Model.Next[1].Program = compile(t, "max(smoke + (drive > 0 ? 10 ppm : -10 ppm) + d.smoke, 0 ppm)", "ppm")
	m.Impact[0] = compile(t, "range < 0.20 m ? 0 : 10", "")
	m.Impact[1] = compile(t, "10 - 0 * brake", "")
	tests := []struct {
		distance float64
		want     bool // patrol for 10 steps, then halt for 10
	}{{5, true}, {1.4, true}, {1.34, false}, {0.8, false}}
	for _, test := range tests {
		slots := state(test.distance, 0, 0)
		var p partner.Partner
		a := find(t, p.Forecast(m, slots, m.Options(slots[3:]), 10, 64, 1), "patrol")
		if a.Indices[0].Worst != 10 || a.Recoverable != test.want {
			t.Errorf("%v m: worst %v, recoverable %v, want 10 and %v", test.distance, a.Indices[0].Worst, a.Recoverable, test.want)
		}
	}
}

func TestWithoutFloorsAllIsRecoverable(t *testing.T) {
	m := museum(t)
	for i := range m.Values {
		m.Values[i].HasFloor = false
	}
	slots := state(0.1, 900, 5)
	var p partner.Partner
	for _, a := range p.Forecast(m, slots, m.Options(slots[3:]), 30, 64, 1) {
		if !a.Recoverable || a.CascadeRisk != 0 || a.FloorBreaksIn != 0 {
			t.Errorf("%s: %+v", a.Option, a)
		}
	}
}
