package dancer_test

import (
	"math"
	"math/rand/v2"
	"reflect"
	"sort"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
)

// driftManual: x moves with the output; y is twice disturbed, in a scaled way; z
// has a rule and no disturbance.
var driftManual = []string{
	"signal x m -1000 1000", "signal y - -1000 1000", "signal z - 0 100",
	"output drive 0 1 safe 0",
	"value safety 5", "value task",
	"disturb x -0.01 0.01", "disturb y 1 3",
	"next x = x - 2 m/s * drive * dt + d.x",
	"next y = y + 0.5 * d.y",
	"next z = z * 0.99",
	"impact safety = 10 - x / 10 m", "impact task = 10 * drive",
	"action go drive=1", "action halt drive=0 fallback",
	"horizon 1s",
}

const step = 100 * time.Millisecond

// world makes readings of driftManual, one a step.
type world struct {
	now     time.Duration
	x, y, z float64
	drive   float64
}

func (w *world) slots() []float64 { return []float64{w.x, w.y, w.z, w.drive} }

// tick moves the true world by one step: x drifts by the given amount beside what
// the model says, y rises by 1 a step (a disturbance of 2, the middle).
func (w *world) tick(drift float64) {
	w.now += step
	w.x += drift - 0.2*w.drive
	w.y++
	w.z *= 0.98
}

func feed(e *dancer.ModelError, w *world, n int, drift func(int) float64) (told []dancer.ModelChange) {
	for i := range n {
		told = append(told, e.Feed(w.now, w.slots(), nil, 0)...)
		w.tick(drift(i))
	}
	return told
}

func constant(x float64) func(int) float64 { return func(int) float64 { return x } }

// TestModelErrorThatFits: a model that is right widens nothing.
func TestModelErrorThatFits(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	random := rand.New(rand.NewPCG(1, 1))
	if told := feed(e, w, 500, func(int) float64 { return 0.02*random.Float64() - 0.01 }); told != nil || e.Widening() != nil {
		t.Errorf("told %+v, widened %+v", told, e.Widening())
	}
	f := e.Figures()
	if x := f[0]; x.Residuals != 256 || x.Low < -0.01 || x.Low > -0.0095 || x.High > 0.01 || x.High < 0.0095 || x.Capped {
		t.Errorf("x: %+v, want nearly the noise", x)
	}
	if y := f[1]; math.Abs(y.Low-2) > 1e-9 || math.Abs(y.High-2) > 1e-9 {
		t.Errorf("y: %+v, want the disturbance that explains it, 2", y)
	}
}

// TestModelErrorWidens: a drift that the manual does not know of is in the
// effective range, on its side alone, from 32 residuals on.
func TestModelErrorWidens(t *testing.T) {
	m := parseManual(t, driftManual)
	e := dancer.NewModelError(m)
	w := &world{x: 50, z: 50}
	if told := feed(e, w, 33, constant(0.03)); told != nil || e.Widening() != nil {
		t.Fatalf("after 31 residuals: told %+v, widened %+v", told, e.Widening())
	}
	told := feed(e, w, 1, constant(0.03))
	want := dancer.DisturbanceRange{Signal: "x", Minimum: -0.01, Maximum: 0.03}
	v := e.Widening()
	if v == nil || v.Version != 1 || len(v.Ranges) != 1 || !near(v.Ranges[0], want) {
		t.Fatalf("widened %+v, want %+v", v, want)
	}
	if len(told) != 1 || told[0].Signal != "x" || told[0].Capped || !near(told[0].Widened, want) ||
		told[0].Declared != (dancer.DisturbanceRange{Signal: "x", Minimum: -0.01, Maximum: 0.01}) {
		t.Errorf("told %+v", told)
	}
	if again := feed(e, w, 100, constant(0.03)); again != nil || e.Widening() != v {
		t.Errorf("a steady drift: told %+v, another version %v", again, e.Widening() != v)
	}
	// A model that is better again: the range stays for a whole window.
	feed(e, w, 200, constant(0))
	if e.Widening() != v {
		t.Error("the range narrowed while the drift is in the window")
	}
	feed(e, w, 256, constant(0))
	if e.Widening() != nil {
		t.Errorf("widened %+v after 456 steps that fit", e.Widening())
	}
	if !near(dancer.DisturbanceRange{Signal: "x", Minimum: v.Ranges[0].Minimum, Maximum: v.Ranges[0].Maximum}, want) {
		t.Error("a widening that was handed out was changed")
	}
}

func near(a, b dancer.DisturbanceRange) bool {
	return a.Signal == b.Signal && math.Abs(a.Minimum-b.Minimum) < 0.0003 && math.Abs(a.Maximum-b.Maximum) < 0.0003
}

// TestModelErrorIsCapped: ten times the declared width and no more, counted and
// told.
func TestModelErrorIsCapped(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	told := feed(e, w, 100, constant(-3))
	want := dancer.DisturbanceRange{Signal: "x", Minimum: -0.1, Maximum: 0.01}
	if v := e.Widening(); v == nil || !near(v.Ranges[0], want) {
		t.Fatalf("widened %+v, want %+v", v, want)
	}
	if len(told) != 1 || !told[0].Capped || !near(told[0].Widened, want) {
		t.Errorf("told %+v", told)
	}
	if f := e.Figures()[0]; !f.Capped || f.CappedSoFar != 1 || math.Abs(f.Low+3) > 1e-9 {
		t.Errorf("figures %+v", f)
	}
	feed(e, w, 600, constant(0))
	if f := e.Figures()[0]; f.Capped || f.CappedSoFar != 1 || e.Widening() != nil {
		t.Errorf("once it fits again: %+v", f)
	}
}

// TestModelErrorOfSaturatedSensors: at the end of its range a sensor does not show
// how much farther the world went; only a prediction inside the range is held
// against it.
func TestModelErrorOfSaturatedSensors(t *testing.T) {
	manual := append([]string(nil), driftManual...)
	for i, line := range manual {
		if strings.HasPrefix(line, "next x") {
			manual[i] = "next x = x + 1 m + d.x"
		}
	}
	e := dancer.NewModelError(parseManual(t, manual))
	w := &world{x: 1000, z: 50}
	still := func(int) float64 { return 0 }
	feed(e, w, 100, still)
	if f := e.Figures()[0]; f.Residuals != 0 || f.LeftOut < 90 || f.Capped || e.Widening() != nil {
		t.Errorf("at the end of the range: %+v, widened %+v", f, e.Widening())
	}
	w.x = 998.5
	feed(e, w, 100, still)
	if f := e.Figures()[0]; f.Residuals < 90 {
		t.Errorf("inside the range: %+v", f)
	}
}

// TestModelErrorScales: y is moved by half of its disturbance, so that a rise of
// 2.5 a step is a disturbance of 5; and z, which has none, is tracked alone.
func TestModelErrorScales(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	for range 100 {
		e.Feed(w.now, w.slots(), nil, 0)
		w.tick(0)
		w.y += 1.5
	}
	if v := e.Widening(); v == nil || v.Ranges[0].Signal != "y" || math.Abs(v.Ranges[0].Maximum-5) > 0.03 || v.Ranges[0].Minimum != 1 {
		t.Errorf("widened %+v, want y from 1 to 5", v)
	}
	z := e.Figures()[2]
	if z.HasDisturbance || z.Residuals == 0 || !(z.Low < -0.2) || z.Capped {
		t.Errorf("z: %+v, want tracked: it falls twice as fast as the model says", z)
	}
}

// TestModelErrorLeavesOut: what crosses a change of the outputs, an invalid
// reading or a clock that goes back is never a residual. The errors are small
// enough to be no jumps, and large enough to widen.
func TestModelErrorLeavesOut(t *testing.T) {
	tests := []struct {
		name string
		jump func(i int, w *world, since *time.Duration)
	}{
		{"a command", func(i int, w *world, _ *time.Duration) {
			w.drive = 1 - w.drive
			w.x += 0.05
		}},
		{"a reflex that came and went", func(i int, w *world, since *time.Duration) {
			*since = w.now - step/2
			w.x += 0.05
		}},
	}
	for _, test := range tests {
		e := dancer.NewModelError(parseManual(t, driftManual))
		w := &world{x: 50, z: 50}
		var since time.Duration
		for i := range 400 {
			if i%4 == 3 {
				test.jump(i, w, &since)
			}
			slots := w.slots()
			e.Feed(w.now, slots, nil, since)
			w.tick(0)
		}
		f := e.Figures()[0]
		if f.Residuals < 100 || f.Residuals > 256 || math.Abs(f.Low) > 1e-9 || math.Abs(f.High) > 1e-9 || e.Widening() != nil {
			t.Errorf("%s: %+v, widened %+v", test.name, f, e.Widening())
		}
	}
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	for i := range 400 {
		slots := w.slots()
		if i%3 == 2 {
			slots[0] = math.NaN()
			w.x += 0.05 // and the next valid one is somewhere else
		}
		e.Feed(w.now, slots, nil, 0)
		w.tick(0)
	}
	if f := e.Figures()[0]; f.Residuals < 100 || math.Abs(f.High) > 1e-9 {
		t.Errorf("invalid readings: %+v", f)
	}
	e = dancer.NewModelError(parseManual(t, driftManual))
	w = &world{x: 50, z: 50}
	for range 10 {
		feed(e, w, 10, constant(0))
		w.now, w.x = w.now-step*3/2, w.x+0.03
	}
	if f := e.Figures()[0]; f.Residuals == 0 || math.Abs(f.High) > 1e-9 {
		t.Errorf("a clock that went back: %+v", f)
	}
	if got := e.Feed(time.Hour, []float64{1}, nil, 0); got != nil {
		t.Errorf("too few slots: %+v", got)
	}
}

// TestModelErrorOfDelayedOutputs: a reading that was taken before the outputs
// changed and comes after it is no start for a prediction.
func TestModelErrorOfDelayedOutputs(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	const tick = step / 10
	x, drive, changed := []float64{50}, 0.0, time.Duration(0) // x at every tick
	for i := range 6000 {
		now := time.Duration(i) * tick
		if i%50 == 1 { // commanded right after a cycle
			drive, changed = 0.4-drive, now
		}
		if i%10 == 0 { // the reading is 150 ms old
			e.Feed(now, []float64{x[max(0, i-15)], 2, 50, drive}, []time.Duration{15 * tick, 0, 0}, changed)
		}
		x = append(x, x[i]-0.02*drive)
	}
	if f := e.Figures()[0]; f.Residuals < 100 || math.Abs(f.Low) > 1e-9 || math.Abs(f.High) > 1e-9 {
		t.Errorf("%+v", f)
	}
}

// TestModelErrorOfCrowdedCycles: cycles 10 ms apart, after one that was late, do
// not blow up the noise of a sensor to ten times its size a step.
func TestModelErrorOfCrowdedCycles(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	random := rand.New(rand.NewPCG(6, 6))
	now := time.Duration(0)
	for range 500 {
		for _, pause := range []time.Duration{90 * time.Millisecond, 10 * time.Millisecond} {
			now += pause
			e.Feed(now, []float64{50 + 0.004*random.Float64(), 2, 50, 0}, nil, 0)
		}
	}
	if f := e.Figures()[0]; f.Residuals < 100 || f.Widened != f.Declared {
		t.Errorf("%+v", f)
	}
}

// TestModelErrorNarrowsSlowly: an error that falls bit by bit gives few versions.
func TestModelErrorNarrowsSlowly(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	var last *dancer.Widening
	versions := 0
	for i := range 2500 {
		e.Feed(w.now, w.slots(), nil, 0)
		if v := e.Widening(); v != last {
			last, versions = v, versions+1
		}
		w.tick(max(0, 0.08-0.00004*float64(i)))
	}
	if versions < 2 || versions > 12 {
		t.Errorf("%d versions", versions)
	}
}

// TestModelErrorAndJumps: a jump alone widens nothing, however often; what stays
// as far off is no jump.
func TestModelErrorAndJumps(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	told := feed(e, w, 500, func(i int) float64 {
		switch i % 10 {
		case 3:
			return 5
		case 4:
			return -5
		}
		return 0.005
	})
	f := e.Figures()[0]
	if told != nil || e.Widening() != nil || f.Capped || f.Jumps < 90 || f.High > 0.01 {
		t.Errorf("jumps to and fro: told %+v, widened %+v, %+v", told, e.Widening(), f)
	}
	if told = feed(e, w, 5, constant(5)); len(told) != 1 || !told[0].Capped {
		t.Errorf("as far off reading after reading: told %+v", told)
	}

	e = dancer.NewModelError(parseManual(t, driftManual))
	told = feed(e, w, 100, func(i int) float64 { return float64(5 - 10*(i%2)) })
	if f := e.Figures()[0]; len(told) != 1 || !told[0].Capped || e.Widening() == nil || f.Jumps > 16 {
		t.Errorf("to and fro at every reading: told %+v, widened %+v, %+v", told, e.Widening(), f)
	}
}

// TestModelErrorOfSlowSensors: readings every 250 ms, decisions every 100 ms with
// a jitter; the drift is found at its size per step, not per reading.
func TestModelErrorOfSlowSensors(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 4))
	for name, every := range map[string]time.Duration{"slow": 250 * time.Millisecond, "fast": 7 * time.Millisecond, "eight steps": 800 * time.Millisecond} {
		e := dancer.NewModelError(parseManual(t, driftManual))
		for i := range 2000 {
			now := time.Duration(i)*step + time.Duration(random.Int64N(int64(step/4)))
			read := now - now%every
			steps := float64(read) / float64(step)
			slots := []float64{50 + 0.03*steps - 0.2*0.5*steps, 2, 50, 0.5}
			e.Feed(now, slots, []time.Duration{now - read, 0, 0}, 0)
		}
		f := e.Figures()[0]
		if f.Residuals < 200 || math.Abs(f.Low-0.03) > 1e-6 || math.Abs(f.High-0.03) > 1e-6 {
			t.Errorf("%s: %+v, want 0.03 a step", name, f)
		}
	}
	e := dancer.NewModelError(parseManual(t, driftManual))
	for i := range 1000 {
		now := time.Duration(i) * step
		read := now - now%(2*time.Second)
		e.Feed(now, []float64{50, 2, 50, 0}, []time.Duration{now - read, 0, 0}, 0)
	}
	if f := e.Figures()[0]; f.Residuals != 0 || f.LeftOut < 40 {
		t.Errorf("20 steps between readings: %+v, want them left out and counted", f)
	}
}

// TestConformalQuantiles holds the quantiles against a sort, and the promise: of
// readings that follow, no more than some 2 in 100 are outside.
func TestConformalQuantiles(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	e := dancer.NewModelError(parseManual(t, replaced(driftManual, map[string]string{"disturb x -0.01 0.01": "disturb x -1 1"})))
	w := &world{x: 50, z: 50}
	var kept []float64
	outside, seen := 0, 0
	for i := range 6000 {
		drift := random.NormFloat64()
		e.Feed(w.now, w.slots(), nil, 0)
		f := e.Figures()[0]
		if f.Jumps > 0 {
			t.Fatal("the disturbance is too narrow for this test")
		}
		if n := len(kept); n > 0 && i > 1 && n == f.Residuals {
			sorted := append([]float64(nil), kept...)
			sort.Float64s(sorted)
			rank := min(n, int(math.Ceil(0.99*float64(n+1)-1e-9)))
			if n >= 32 && (math.Abs(f.High-sorted[rank-1]) > 1e-9 || math.Abs(f.Low-sorted[n-rank]) > 1e-9) {
				t.Fatalf("of %d residuals: %v to %v, want %v to %v", n, f.Low, f.High, sorted[n-rank], sorted[rank-1])
			}
			if n == 256 {
				seen++
				if drift < f.Low || drift > f.High {
					outside++
				}
			}
		}
		if i > 0 { // the residual of this step comes with the next reading
			kept = append(kept, drift)
			kept = kept[max(0, len(kept)-256):]
		}
		w.tick(drift)
	}
	if seen < 5000 || float64(outside)/float64(seen) > 0.025 {
		t.Errorf("%d of %d readings are outside", outside, seen)
	}
}

// TestWideningActs: both tiers forecast under the widened disturbances, the
// record has them, and the replay is the same to the last byte.
func TestWideningActs(t *testing.T) {
	m := museumFromTable(t)
	state := []string{"range=5 smoke=60 people=1 | drive=0.5 brake=0 extinguisher=0"}
	plain := decideAndReplay(t, m, parseInput(t, m, state))
	in := parseInput(t, m, state)
	in.Widening = &dancer.Widening{Version: 3, Ranges: []dancer.DisturbanceRange{{Signal: "smoke", Minimum: 0, Maximum: 5}}}
	wide := decideAndReplay(t, m, in)
	if !reflect.DeepEqual(wide.Widening, in.Widening) {
		t.Errorf("the record has %+v", wide.Widening)
	}
	if a, b := plain.Find("patrol").Indices[0].Worst, wide.Find("patrol").Indices[0].Worst; b > a-1 {
		t.Errorf("worst index %v, and %v under a widened disturbance", a, b)
	}
	if plain.Verdict.Option != "patrol" || wide.Verdict.Option != "extinguish" {
		t.Errorf("%s, and %s under a widened disturbance", plain.Verdict.Option, wide.Verdict.Option)
	}
	if m.Model.Disturbance[1].Maximum != 1 {
		t.Error("the manual was changed")
	}
	// One step: tier 2 sees it as well.
	in = parseInput(t, m, []string{"range=0.29 smoke=0 people=1 | drive=0.5 brake=0 extinguisher=0"})
	if d := decideAndReplay(t, m, in); d.Tier != 3 {
		t.Errorf("tier %d with the manual's disturbance", d.Tier)
	}
	in.Widening = &dancer.Widening{Version: 1, Ranges: []dancer.DisturbanceRange{{Signal: "range", Minimum: -0.06, Maximum: 0.01}}}
	if d := decideAndReplay(t, m, in); d.Tier != 2 || d.Assessments[0].Indices[0].Worst >= 4 {
		t.Errorf("tier %d, %+v", d.Tier, d.Assessments[0].Indices[0])
	}
}

// TestWideningIsDistrusted: it can never narrow a range, exceed the limit, or
// bring in what is not a number; what changes nothing is not recorded.
func TestWideningIsDistrusted(t *testing.T) {
	m := museumFromTable(t)
	nan, inf := math.NaN(), math.Inf(1)
	for name, test := range map[string]struct {
		ranges []dancer.DisturbanceRange
		want   []dancer.DisturbanceRange
	}{
		"narrower":              {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: 0.4, Maximum: 0.5}}, nil},
		"turned round":          {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: 1, Maximum: 0}}, nil},
		"not a number":          {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: nan, Maximum: nan}}, nil},
		"no such signal":        {[]dancer.DisturbanceRange{{Signal: "gas", Minimum: -9, Maximum: 9}}, nil},
		"without one":           {[]dancer.DisturbanceRange{{Signal: "people", Minimum: -9, Maximum: 9}}, nil},
		"beyond the limit":      {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: -100, Maximum: 100}}, []dancer.DisturbanceRange{{Signal: "smoke", Minimum: -4.5, Maximum: 5.5}}},
		"without end":           {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: -inf, Maximum: inf}}, []dancer.DisturbanceRange{{Signal: "smoke", Minimum: -4.5, Maximum: 5.5}}},
		"on one side":           {[]dancer.DisturbanceRange{{Signal: "smoke", Minimum: nan, Maximum: 2}}, []dancer.DisturbanceRange{{Signal: "smoke", Minimum: 0, Maximum: 2}}},
		"in another order":      {[]dancer.DisturbanceRange{{Signal: "smoke", Maximum: 2}, {Signal: "range", Minimum: -0.02}}, []dancer.DisturbanceRange{{Signal: "range", Minimum: -0.02, Maximum: 0.01}, {Signal: "smoke", Minimum: 0, Maximum: 2}}},
		"nothing in it":         {nil, nil},
		"said twice: the first": {[]dancer.DisturbanceRange{{Signal: "smoke", Maximum: 2}, {Signal: "smoke", Maximum: 5}}, []dancer.DisturbanceRange{{Signal: "smoke", Minimum: 0, Maximum: 2}}},
	} {
		in := parseInput(t, m, []string{"range=5 smoke=10 people=1 | drive=0.5 brake=0 extinguisher=0"})
		in.Widening = &dancer.Widening{Version: 9, Ranges: test.ranges}
		d := decideAndReplay(t, m, in)
		switch {
		case test.want == nil && d.Widening != nil:
			t.Errorf("%s: recorded %+v", name, d.Widening)
		case test.want != nil && (d.Widening == nil || !reflect.DeepEqual(d.Widening.Ranges, test.want) || d.Widening.Version != 9):
			t.Errorf("%s: recorded %+v, want %+v", name, d.Widening, test.want)
		}
	}
}

// TestModelErrorFeedAllocatesNothing: it runs in every cycle.
func TestModelErrorFeedAllocatesNothing(t *testing.T) {
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	feed(e, w, 600, constant(0.03))
	age := make([]time.Duration, 3)
	slots := w.slots()
	if n := testing.AllocsPerRun(500, func() {
		w.tick(0.03)
		slots[0], slots[1], slots[2] = w.x, w.y, w.z
		e.Feed(w.now, slots, age, 0)
	}); n != 0 {
		t.Errorf("%v allocations a cycle", n)
	}
}

func BenchmarkModelErrorFeed(b *testing.B) {
	t := &testing.T{}
	e := dancer.NewModelError(parseManual(t, driftManual))
	w := &world{x: 50, z: 50}
	slots := w.slots()
	b.ReportAllocs()
	for b.Loop() {
		w.tick(0.03)
		slots[0], slots[1], slots[2] = w.x, w.y, w.z
		e.Feed(w.now, slots, nil, 0)
	}
}
