package dancer_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/dancer"
)

// bins makes a calibration of {raw confidence: {outcomes, successes}}, lowest
// first.
func bins(figures ...[3]float64) *dancer.Calibration {
	c := &dancer.Calibration{Version: 1}
	for _, f := range figures {
		bin := min(int(f[0]*dancer.CalibrationBins), dancer.CalibrationBins-1)
		c.Bins = append(c.Bins, dancer.CalibrationBin{Bin: bin, Outcomes: int(f[1]), Successes: int(f[2]), Score: f[0] * f[1]})
	}
	return c
}

// TestCalibrate: figures by hand. The prior is 20 outcomes at the raw confidence.
func TestCalibrate(t *testing.T) {
	tests := []struct {
		name   string
		c      *dancer.Calibration
		score  float64
		want   float64
		within float64
	}{
		{"none", nil, 0.37, 0.37, 0},
		{"empty", &dancer.Calibration{Version: 4}, 0.37, 0.37, 0},
		{"not a number", nil, math.NaN(), 0, 0},
		{"three failures of three lower a little", bins([3]float64{0.95, 3, 0}), 0.95, 20 * 0.95 / 23, 1e-12},
		{"many failures lower much", bins([3]float64{0.95, 380, 0}), 0.95, 20 * 0.95 / 400, 1e-12},
		{"three successes of three raise nothing", bins([3]float64{0.55, 3, 3}), 0.55, 0.55, 1e-12},
		{"what is borne out stays", bins([3]float64{0.8, 100, 80}), 0.8, 0.8, 1e-12},
		// 200 of 200: (200+20*0.55)/220 = 0.959, but the bins above have no
		// outcomes, and no confidence gets more than a higher one.
		{"no higher than what nobody has seen", bins([3]float64{0.55, 200, 200}), 0.55, 0.65, 1e-12},
		// The same with evidence above: the lower bound of 200 of 200 is 0.987,
		// so the shrunk share of 0.955 stands.
		{"raised where the successes bear it", bins([3]float64{0.55, 200, 200}, [3]float64{0.65, 200, 200}, [3]float64{0.75, 200, 200},
			[3]float64{0.85, 200, 200}, [3]float64{0.95, 200, 200}), 0.55, (200 + 20*0.55) / 220, 1e-12},
		// 0.85 comes out at 0.9 and 0.95 at 0.5: violators, pooled to 0.7 by
		// their counts (prior included in each share).
		{"pooled", bins([3]float64{0.85, 1000, 900}, [3]float64{0.95, 1000, 500}), 0.85, (917.0/1020 + 519.0/1020) / 2, 1e-12},
		{"pooled, the other", bins([3]float64{0.85, 1000, 900}, [3]float64{0.95, 1000, 500}), 0.95, (917.0/1020 + 519.0/1020) / 2, 1e-12},
		{"beyond the last mean the shift stays", bins([3]float64{0.95, 380, 0}), 1, 20*0.95/400 + 0.05, 1e-12},
		{"between the means it is interpolated", bins([3]float64{0.8, 100, 80}, [3]float64{0.9, 100, 90}), 0.85, 0.85, 1e-12},
		{"a bin that cannot be is left out", bins([3]float64{0.95, 10, 400}), 0.95, 0.95, 1e-12},
	}
	for _, test := range tests {
		if got := test.c.Calibrate(test.score); !(math.Abs(got-test.want) <= test.within) {
			t.Errorf("%s: %v becomes %v, want %v", test.name, test.score, got, test.want)
		}
	}
}

// TestCalibrateIsSafe: whatever was counted, a calibrated confidence is a share,
// rises with the raw one, and is raised no farther than the lower bound of some
// bin's successes is above that bin's raw confidence.
func TestCalibrateIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := drawCalibration(t)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		last, allowed := 0.0, 0.0
		for _, b := range c.Bins {
			allowed = max(allowed, lowerBound(b.Successes, b.Outcomes)-b.Score/float64(b.Outcomes))
		}
		for i := range 201 {
			raw := float64(i) / 200
			got := c.Calibrate(raw)
			if !(got >= last-1e-12 && got <= 1) {
				t.Fatalf("%v becomes %v after %v", raw, got, last)
			}
			if got > raw+allowed+1e-9 {
				t.Fatalf("%v is raised to %v, and no bin bears more than %v above", raw, got, allowed)
			}
			last = got
		}
	})
}

func lowerBound(successes, outcomes int) float64 {
	n, p := float64(outcomes), float64(successes)/float64(outcomes)
	z := 1.645
	return (p + z*z/(2*n) - z*math.Sqrt(p*(1-p)/n+z*z/(4*n*n))) / (1 + z*z/n)
}

func drawCalibration(t *rapid.T) *dancer.Calibration {
	c := &dancer.Calibration{}
	for bin := range dancer.CalibrationBins {
		n := rapid.SampledFrom([]int{0, 0, 1, 5, 50, 1000}).Draw(t, "outcomes")
		if n == 0 {
			continue
		}
		raw := (float64(bin) + rapid.Float64Range(0.01, 0.99).Draw(t, "raw")) / dancer.CalibrationBins
		c.Bins = append(c.Bins, dancer.CalibrationBin{Bin: bin, Outcomes: n, Score: raw * float64(n),
			Successes: rapid.IntRange(0, n).Draw(t, "successes")})
	}
	return c
}

// TestPoolingAgainstSlow holds the isotonic regression against its min-max
// formula (Barlow et al. 1972): the greatest, over starts, of the least mean over
// ends. Successes are few enough that nothing is raised above the raw value.
func TestPoolingAgainstSlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := &dancer.Calibration{}
		var raw, share, weight []float64
		for bin := range dancer.CalibrationBins {
			n := rapid.IntRange(1, 400).Draw(t, "outcomes")
			x := (float64(bin) + 0.5) / dancer.CalibrationBins
			s := rapid.IntRange(0, int(x*float64(n)*0.6)).Draw(t, "successes")
			c.Bins = append(c.Bins, dancer.CalibrationBin{Bin: bin, Outcomes: n, Successes: s, Score: x * float64(n)})
			raw, weight = append(raw, x), append(weight, float64(n))
			share = append(share, (float64(s)+20*x)/float64(n+20))
		}
		slow := make([]float64, len(raw))
		for i := range raw {
			slow[i] = math.Inf(-1)
			for from := 0; from <= i; from++ {
				least := math.Inf(1)
				for to := i; to < len(raw); to++ {
					sum, n := 0.0, 0.0
					for k := from; k <= to; k++ {
						sum, n = sum+share[k]*weight[k], n+weight[k]
					}
					least = min(least, sum/n)
				}
				slow[i] = max(slow[i], least)
			}
		}
		above := 1.0
		for i := len(raw) - 1; i >= 0; i-- { // and nothing is raised
			above = min(above, slow[i], max(raw[i], lowerBound(c.Bins[i].Successes, c.Bins[i].Outcomes)))
			if got := c.Calibrate(raw[i]); math.Abs(got-above) > 1e-9 {
				t.Fatalf("bin %d: %v, want %v of shares %v", i, got, above, share)
			}
		}
	})
}

// TestCalibrationLearns: decisions of confidence x come out well with chance x^2.
// After 4,000 outcomes the calibrated confidence is within 0.06 of that chance on
// average, where the raw one is 0.17 off.
func TestCalibrationLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	k := dancer.NewCalibrator(nil)
	for i := range 4000 {
		score := random.Float64()
		o := dancer.Outcome{At: time.Duration(i) * time.Second, Horizon: time.Second, Score: score}
		if random.Float64() > score*score {
			o.Broken = []string{"safety"}
		}
		if !k.Add(&o, 0.5) {
			t.Fatalf("outcome %d does not count", i)
		}
	}
	rawError, calibratedError := 0.0, 0.0
	for i := range 100 {
		x := (float64(i) + 0.5) / 100
		rawError += math.Abs(x-x*x) / 100
		calibratedError += math.Abs(k.Calibration().Calibrate(x)-x*x) / 100
	}
	t.Logf("mean distance from the true chance: raw %.3f, calibrated %.3f", rawError, calibratedError)
	if rawError < 0.16 || calibratedError > 0.06 {
		t.Errorf("calibrated confidences are %.3f off, raw ones %.3f", calibratedError, rawError)
	}
}

func TestCalibratorCounts(t *testing.T) {
	second := time.Second
	o := func(at time.Duration, score float64) *dancer.Outcome {
		return &dancer.Outcome{At: at, Horizon: 3 * second, Score: score}
	}
	cut := func(o *dancer.Outcome, after time.Duration, broken ...string) *dancer.Outcome {
		o.Cut, o.Horizon, o.Broken = true, after, broken
		return o
	}
	k := dancer.NewCalibrator(nil)
	if k.Calibration() != nil {
		t.Fatal("something is known before the first outcome")
	}
	steps := []struct {
		name    string
		o       *dancer.Outcome
		counts  bool
		version uint64
	}{
		{"the first", o(0, 0.95), true, 1},
		{"its horizon overlaps", o(2900*time.Millisecond, 0.95), false, 1},
		{"the next", o(3*second, 1), true, 2},
		{"another option ran", o(6*second, 0), false, 2},
		{"not a number", o(6*second, math.NaN()), false, 2},
		{"beyond 1", o(6*second, 2), false, 2},
		{"cut short", cut(o(6*second, 0.9), second), false, 2},
		{"cut short and a floor broke", cut(o(6100*time.Millisecond, 0.42), second, "safety"), true, 3},
		{"of the same moments", cut(o(6200*time.Millisecond, 0.42), second, "safety"), false, 3},
		{"after the cut", o(7100*time.Millisecond, 0.95), true, 4},
	}
	for _, step := range steps {
		before := k.Calibration()
		was, _ := json.Marshal(before)
		if got := k.Add(step.o, 0.5); got != step.counts {
			t.Errorf("%s: counts %v", step.name, got)
		}
		if k.Calibration().Version != step.version {
			t.Errorf("%s: version %d, want %d", step.name, k.Calibration().Version, step.version)
		}
		if now, _ := json.Marshal(before); string(now) != string(was) {
			t.Errorf("%s: a calibration that was handed out was changed", step.name)
		}
	}
	want := []dancer.CalibrationBin{{Bin: 4, Outcomes: 1, Score: 0.42}, {Bin: 9, Outcomes: 3, Successes: 3, Score: 2.9}}
	if c := k.Calibration(); !reflect.DeepEqual(c.Bins, want) || c.Outcomes() != 4 {
		t.Errorf("bins %+v, want %+v", c.Bins, want)
	}
}

// TestCalibrationForgets: a bin is bounded, and what was long ago weighs less.
func TestCalibrationForgets(t *testing.T) {
	k := dancer.NewCalibrator(nil)
	add := func(n int, broken ...string) {
		for range n {
			at := time.Duration(0)
			if c := k.Calibration(); c != nil {
				at = time.Duration(c.Version)
			}
			k.Add(&dancer.Outcome{At: at, Horizon: 1, Score: 0.9, Broken: broken}, 0.5)
		}
	}
	add(100000)
	if n := k.Calibration().Outcomes(); n > 1024 {
		t.Fatalf("%d outcomes in one bin", n)
	}
	add(600, "safety")
	if got := k.Calibration().Calibrate(0.9); got > 0.7 {
		t.Errorf("600 failures after 100,000 successes: still %v", got)
	}
	if err := k.Calibration().Check(); err != nil {
		t.Error(err)
	}
}

func TestCalibrationCheck(t *testing.T) {
	good := dancer.CalibrationBin{Bin: 3, Outcomes: 4, Successes: 2, Score: 1.5}
	change := func(f func(*dancer.CalibrationBin)) []dancer.CalibrationBin {
		b := good
		f(&b)
		return []dancer.CalibrationBin{b}
	}
	for name, bins := range map[string][]dancer.CalibrationBin{
		"twice the same":        {good, good},
		"no such bin":           change(func(b *dancer.CalibrationBin) { b.Bin = 10 }),
		"negative bin":          change(func(b *dancer.CalibrationBin) { b.Bin = -1 }),
		"no outcome":            change(func(b *dancer.CalibrationBin) { b.Outcomes = 0 }),
		"more successes":        change(func(b *dancer.CalibrationBin) { b.Successes = 5 }),
		"negative successes":    change(func(b *dancer.CalibrationBin) { b.Successes = -1 }),
		"confidence too high":   change(func(b *dancer.CalibrationBin) { b.Score = 4.1 }),
		"confidence no number":  change(func(b *dancer.CalibrationBin) { b.Score = math.NaN() }),
		"confidence under zero": change(func(b *dancer.CalibrationBin) { b.Score = -1 }),
	} {
		c := dancer.Calibration{Bins: bins}
		if err := c.Check(); !errors.Is(err, dancer.ErrCalibration) {
			t.Errorf("%s: %v", name, err)
		}
		if got := c.Calibrate(0.5); got != 0.5 && name != "twice the same" {
			t.Errorf("%s: it moves a confidence to %v", name, got)
		}
	}
	if err := (&dancer.Calibration{Bins: []dancer.CalibrationBin{good}}).Check(); err != nil {
		t.Error(err)
	}
}

// TestCalibrationIsPartOfTheDecision: it moves the confidence and with it whether
// somebody is asked, never above the freshness, and it is in the record.
func TestCalibrationIsPartOfTheDecision(t *testing.T) {
	m := museumFromTable(t)
	m.Actions[m.Fallback].Importance = dancer.Normal
	in := parseInput(t, m, []string{"range=5 smoke=94 people=1 | drive=0 brake=1 extinguisher=0", "age range 180ms"})
	plain := decideAndReplay(t, m, in)
	if p := plain.Verdict.Parts; p.Freshness != 0.8 || p.Score != p.Separation*p.Freshness || p.Calibrated != p.Score || plain.Calibration != nil {
		t.Errorf("parts %+v", p)
	}
	in.Calibration = bins([3]float64{0.72, 900, 90})
	failing := decideAndReplay(t, m, in)
	if got := failing.Verdict.Confidence; got > 0.4 || !failing.Verdict.Escalate {
		t.Errorf("confidence %v after outcomes that failed 9 times in 10, asks %v", got, failing.Verdict.Because)
	}
	if failing.Verdict.Option != plain.Verdict.Option {
		t.Errorf("the calibration chose %s", failing.Verdict.Option)
	}
	in.Calibration = bins([3]float64{0.72, 900, 900}, [3]float64{0.85, 900, 900}, [3]float64{0.95, 900, 900})
	if got := decideAndReplay(t, m, in).Verdict.Parts; got.Calibrated != got.Freshness {
		t.Errorf("parts %+v: want no more than the freshness", got)
	}
	in.Calibration = &dancer.Calibration{Version: 3}
	if d := decideAndReplay(t, m, in); d.Calibration != nil {
		t.Errorf("an empty calibration is in the record: %+v", d.Calibration)
	}
}

// TestScoreOfAnOutcome: it speaks for the verdict's winner alone.
func TestScoreOfAnOutcome(t *testing.T) {
	m := parseManual(t, trackedManual)
	follow := func(change func(*dancer.Decision)) float64 {
		d := tracked("d", "halt", 0)
		d.Verdict = dancer.Verdict{Outcome: dancer.OutcomeHold, Option: "halt", Parts: &dancer.ConfidenceParts{Score: 0.6}}
		change(d)
		tracker := dancer.NewTracker(m)
		tracker.Start(d)
		return tracker.Feed(time.Hour, []float64{100, 0})[0].Score
	}
	for name, test := range map[string]struct {
		change func(*dancer.Decision)
		want   float64
	}{
		"the winner":       {func(*dancer.Decision) {}, 0.6},
		"a hold ran":       {func(d *dancer.Decision) { d.Verdict.Option = "vent" }, 0},
		"its alias":        {func(d *dancer.Decision) { d.Verdict.Option = dancer.InactionName }, 0.6},
		"under the floor":  {func(d *dancer.Decision) { d.Verdict.Outcome = dancer.OutcomeUnderFloor }, 0},
		"an older record":  {func(d *dancer.Decision) { d.Verdict.Parts = nil }, 0},
		"a score too high": {func(d *dancer.Decision) { d.Verdict.Parts.Score = 3 }, 1},
	} {
		if got := follow(test.change); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
