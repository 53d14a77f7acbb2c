package partner_test

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"dancer/dancer"
	"dancer/partner"
)

// cutAt gives a Cut that says yes when it is asked for the n-th time, and counts.
func cutAt(n int, asked *int) func() bool {
	*asked = 0
	return func() bool {
		*asked++
		return *asked == n
	}
}

// many is the museum with so many more disturbances, which nothing reads.
func many(t *testing.T, more int) *dancer.Manual {
	m := museum(t)
	for range more {
		m.Model.Disturbance = append(m.Model.Disturbance, dancer.Disturbance{Signal: 0, Minimum: -1, Maximum: 1})
	}
	return m
}

// TestCutAtEveryPoint: wherever a forecast is cut, it is the forecast with the
// budget that it completed, the same for every option and to the last bit, and no
// worst index is lower than in one that was cut later.
func TestCutAtEveryPoint(t *testing.T) {
	tests := []struct {
		name          string
		m             *dancer.Manual
		budget, first int // the first point
	}{
		{"museum", museum(t), 64, 18}, {"eight options", eight(t), 64, 18}, {"long", museum(t), 300, 18},
		{"sixteen corners", many(t, 2), 100, 34}, {"all 64 corners", many(t, 4), 200, 130}, {"drawn corners", many(t, 4), 127, 66},
	}
	for _, test := range tests {
		slots := state(2.2, 70, 1)
		slots[3], slots[4] = 0.5, 0
		options := test.m.Options(slots[3:])
		var p, fresh partner.Partner
		var asked int
		p.Cut = cutAt(0, &asked)
		whole := copyOf(p.Forecast(test.m, slots, options, 30, test.budget, 3))
		points, done := asked, 0
		if points == 0 {
			t.Errorf("%s: never asked", test.name)
		}
		var before []dancer.Assessment
		for n := 1; n <= points; n++ {
			p.Cut = cutAt(n, &asked)
			cut := p.Forecast(test.m, slots, options, 30, test.budget, 3)
			completed := cut[0].Rollouts
			if completed <= done || completed >= test.budget || n == 1 && completed != test.first {
				t.Fatalf("%s: cut for the %d. time after %d roll-outs", test.name, n, completed)
			}
			done = completed
			if want := fresh.Forecast(test.m, slots, options, 30, completed, 3); !reflect.DeepEqual(cut, want) {
				t.Fatalf("%s: cut after %d:\n%+v\na budget of as many:\n%+v", test.name, completed, cut, want)
			}
			checkValid(t, cut, completed)
			checkNotBetter(t, before, cut)
			before = copyOf(cut)
		}
		checkNotBetter(t, before, whole)
	}
}

// checkValid: every figure is in its range, and all options have met the same.
func checkValid(t testing.TB, as []dancer.Assessment, rollouts int) {
	t.Helper()
	for _, a := range as {
		paired := len(a.Samples) / len(a.Indices)
		if a.Rollouts != rollouts || paired > rollouts || paired == 0 || !(a.CascadeRisk >= 0 && a.CascadeRisk <= 1) {
			t.Fatalf("%s: %d roll-outs, %d of them paired, risk %v; want %d", a.Option, a.Rollouts, paired, a.CascadeRisk, rollouts)
		}
		for _, x := range a.Indices {
			if !(x.Worst >= 0 && x.Worst <= x.Expected && x.Expected <= 10) {
				t.Fatalf("%s: %+v", a.Option, x)
			}
		}
	}
}

// checkNotBetter: no worst index of later is above that of before.
func checkNotBetter(t testing.TB, before, later []dancer.Assessment) {
	t.Helper()
	for i := range before {
		for v, x := range before[i].Indices {
			if y := later[i].Indices[v]; y.Worst > x.Worst {
				t.Fatalf("%s: %s was at worst %v with %d roll-outs, and is %v with %d", before[i].Option, x.Value, x.Worst, before[i].Rollouts, y.Worst, later[i].Rollouts)
			}
		}
	}
}

// TestMoreRolloutsNeverRaiseAWorstIndex, whatever the state and the budgets, from
// the least budget that has all corners and adversaries.
func TestMoreRolloutsNeverRaiseAWorstIndex(t *testing.T) {
	m := museum(t)
	rapid.Check(t, func(rt *rapid.T) {
		slots := state(rapid.Float64Range(0, 8).Draw(rt, "range"), rapid.Float64Range(0, 1000).Draw(rt, "smoke"), float64(rapid.IntRange(0, 3).Draw(rt, "people")))
		options, seed := m.Options(slots[3:]), rapid.Uint64().Draw(rt, "seed")
		few := rapid.IntRange(16, 100).Draw(rt, "few")
		var p partner.Partner
		before := copyOf(p.Forecast(m, slots, options, 20, few, seed))
		checkNotBetter(t, before, p.Forecast(m, slots, options, 20, rapid.IntRange(few, 150).Draw(rt, "more"), seed))
	})
}

// TestNotCut: the corners of tier 2 are always complete, and so are the corners
// and adversaries of tier 3.
func TestNotCut(t *testing.T) {
	m := museum(t)
	slots := state(2.2, 70, 1)
	options := m.Options(slots[3:])
	p := partner.Partner{Cut: func() bool { return true }}
	if a := p.Corners(m, slots, options, 1, 64, 1); a[0].Rollouts != 4 {
		t.Errorf("%d corners, want 4", a[0].Rollouts)
	}
	if a := p.Forecast(m, slots, options, 30, 17, 1); a[0].Rollouts != 17 {
		t.Errorf("%d roll-outs, want 17: there is no point between", a[0].Rollouts)
	}
	m.Model.Disturbance = nil
	m.Model.Next[0].Program, m.Model.Next[1].Program = compile(t, "range", "m"), compile(t, "smoke", "ppm")
	if a := p.Forecast(m, slots, options, 30, 64, 1); a[0].Rollouts != 1 {
		t.Errorf("%d roll-outs, want the only future", a[0].Rollouts)
	}
}

func TestNoOptions(t *testing.T) {
	var p partner.Partner
	if as := p.Forecast(museum(t), state(1, 2, 3), nil, 30, 64, 1); len(as) != 0 {
		t.Errorf("%+v", as)
	}
}

// TestReplayOfACutDecision: what is recorded of a decision that was cut is enough
// to make it again, byte by byte, with a partner that nobody cuts.
func TestReplayOfACutDecision(t *testing.T) {
	m := eight(t)
	in := input()
	in.Rollouts = 200
	for n := range 13 {
		var asked int
		p := partner.Partner{Cut: cutAt(n, &asked)}
		d := dancer.Decide(m, in, p.Corners, p.Forecast)
		if cut := n > 0; cut != (d.Completed > 0) || cut && d.Completed != d.Assessments[0].Rollouts || d.Budget != 200 {
			t.Fatalf("cut for the %d. time: completed %d of %d, %d roll-outs", n, d.Completed, d.Budget, d.Assessments[0].Rollouts)
		}
		first, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		var stored dancer.Decision
		if err := json.Unmarshal(first, &stored); err != nil {
			t.Fatal(err)
		}
		var fresh partner.Partner
		again, err := json.Marshal(dancer.Decide(m, stored.Input(), fresh.Corners, fresh.Forecast))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, again) {
			t.Errorf("cut after %d:\n%s\n%s", d.Completed, first, again)
		}
	}
}
