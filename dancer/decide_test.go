package dancer_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

func set(pairs ...float64) []reflex.Setting {
	var s []reflex.Setting
	for i := 0; i < len(pairs); i += 2 {
		s = append(s, reflex.Setting{Output: int(pairs[i]), Value: pairs[i+1]})
	}
	return s
}

func twoOutputs() *dancer.Manual {
	return &dancer.Manual{
		Signals: []hal.Signal{{Name: "s", Maximum: 10, StaleAfter: time.Second}},
		Outputs: []hal.Output{{Name: "x", Maximum: 1}, {Name: "y", Maximum: 1, Safe: 1}},
		Values:  []dancer.Value{{Name: "safety", HasFloor: true, Floor: 5, Enough: 7}},
		Actions: []dancer.Action{
			{Name: "halt", Set: set(0, 0, 1, 1), Fallback: true, Reversibility: 1},
			{Name: "go", Set: set(0, 1, 1, 0), Disruption: 1, Reversibility: 0.5},
			{Name: "gone", Set: set(0, 1, 1, 0), Disruption: 3, Reversibility: 0.9, Importance: dancer.Critical},
			{Name: "half", Set: set(0, 0.5), Reversibility: 1},
		},
	}
}

func TestOptions(t *testing.T) {
	type want struct {
		name     string
		inaction bool
		outputs  []float64
		aliases  []string
	}
	tests := []struct {
		name string
		now  []float64
		want []want
	}{
		{"between actions", []float64{0.2, 0.2}, []want{
			{"inaction", true, []float64{0.2, 0.2}, nil},
			{"halt", false, []float64{0, 1}, nil},
			{"go", false, []float64{1, 0}, []string{"gone"}},
			{"half", false, []float64{0.5, 0.2}, nil},
		}},
		{"halted", []float64{0, 1}, []want{
			{"halt", true, []float64{0, 1}, []string{"inaction"}},
			{"go", false, []float64{1, 0}, []string{"gone"}},
			{"half", false, []float64{0.5, 1}, nil},
		}},
		{"going", []float64{1, 0}, []want{
			{"go", true, []float64{1, 0}, []string{"inaction", "gone"}},
			{"halt", false, []float64{0, 1}, nil},
			{"half", false, []float64{0.5, 0}, nil},
		}},
	}
	for _, test := range tests {
		m := twoOutputs()
		before := append([]float64(nil), test.now...)
		got := m.Options(test.now)
		if len(got) != len(test.want) {
			t.Fatalf("%s: %d options %+v", test.name, len(got), got)
		}
		for i, w := range test.want {
			o := got[i]
			if o.Name != w.name || o.Inaction != w.inaction || !reflect.DeepEqual(o.Outputs, w.outputs) || !reflect.DeepEqual(o.Aliases, w.aliases) {
				t.Errorf("%s: %+v, want %+v", test.name, o, w)
			}
			if o.Name == "go" && (o.Disruption != 3 || o.Reversibility != 0.5) {
				t.Errorf("%s: merged figures %v and %v, want the more cautious 3 and 0.5", test.name, o.Disruption, o.Reversibility)
			}
		}
		if !reflect.DeepEqual(before, test.now) {
			t.Errorf("%s: the outputs were changed", test.name)
		}
	}
}

// TestOptionsNameTheBoldest: an action that leaves the dangerous output as it is
// must not hide the one that drives it.
func TestOptionsNameTheBoldest(t *testing.T) {
	m := twoOutputs()
	m.Actions = []dancer.Action{{Name: "halt", Set: set(1, 1), Fallback: true}, {Name: "spray", Set: set(0, 1)}}
	got := m.Options([]float64{1, 1})
	if len(got) != 1 || got[0].Name != "spray" || got[0].Action != 1 || !reflect.DeepEqual(got[0].Aliases, []string{"inaction", "halt"}) {
		t.Errorf("options %+v", got)
	}
}

// scripted is a forecast that gives fixed worst indices per option and counts.
func scripted(calls *[]int, worst map[string]float64) dancer.Forecast {
	return func(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) []dancer.Assessment {
		*calls = append(*calls, steps)
		var as []dancer.Assessment
		for _, o := range options {
			x := worst[o.Name]
			as = append(as, dancer.Assessment{Option: o.Name, Aliases: o.Aliases, Inaction: o.Inaction, Outputs: o.Outputs,
				Recoverable: true, Indices: []dancer.Index{{Value: "safety", Worst: x, Expected: x}}, Samples: []float64{x}})
		}
		return as
	}
}

func TestTiers(t *testing.T) {
	tests := []struct {
		name   string
		now    []float64
		tier2  map[string]float64
		tier   int
		option string
	}{
		{"calm", []float64{1, 0}, map[string]float64{"go": 8, "halt": 8, "half": 8}, 3, "half"},
		{"a step breaks the floor and the fallback keeps it", []float64{1, 0}, map[string]float64{"go": 4, "halt": 8, "half": 5}, 2, "halt"},
		{"towards safe without being the fallback", []float64{1, 0}, map[string]float64{"go": 4, "halt": 4, "half": 8}, 2, "half"},
		{"away from safe is not for tier 2", []float64{0, 1}, map[string]float64{"halt": 4, "go": 8, "half": 4}, 3, "half"},
		{"all under the floor", []float64{1, 0}, map[string]float64{"go": 1, "halt": 4, "half": 1}, 3, "half"},
	}
	for _, test := range tests {
		m := twoOutputs()
		m.Model.Step, m.Model.Horizon = 100*time.Millisecond, time.Second
		var calls []int
		in := dancer.Input{Values: append([]float64{1}, test.now...), Validity: []hal.Validity{hal.Valid}}
		d := dancer.Decide(m, in, scripted(&calls, test.tier2), scripted(&calls, map[string]float64{"half": 9, "halt": 6, "go": 6}))
		want := []int{1, 10}[:test.tier-1]
		if d.Tier != test.tier || d.Verdict.Option != test.option || !reflect.DeepEqual(calls, want) {
			t.Errorf("%s: tier %d, %s, forecasts of %v steps", test.name, d.Tier, d.Verdict.Option, calls)
		}
		for _, a := range d.Assessments {
			if a.Samples != nil {
				t.Errorf("%s: the forecaster's samples are in the record", test.name)
			}
		}
		if d.Budget != dancer.DefaultRollouts || d.Who != dancer.WhoNone || d.Version != 1 {
			t.Errorf("%s: budget %d, who %q", test.name, d.Budget, d.Who)
		}
	}
}

// TestInputIsDistrusted: too short, infinite or out of its validity, and never a
// value that could be taken for a reading.
func TestInputIsDistrusted(t *testing.T) {
	m := twoOutputs()
	tests := []struct {
		name     string
		in       dancer.Input
		validity string
		value    float64
		outputs  []float64
	}{
		{"nothing", dancer.Input{}, "never seen", 0, []float64{0, 1}},
		{"fine", dancer.Input{Values: []float64{3, 1, 0}, Validity: []hal.Validity{hal.Valid}}, "valid", 3, []float64{1, 0}},
		{"stale", dancer.Input{Values: []float64{3, 1, 0}, Validity: []hal.Validity{hal.Stale}}, "stale", 0, []float64{1, 0}},
		{"infinite", dancer.Input{Values: []float64{math.Inf(1), 1, 0}, Validity: []hal.Validity{hal.Valid}}, "not a number", 0, []float64{1, 0}},
		{"an output that is no number", dancer.Input{Values: []float64{3, math.NaN(), math.Inf(-1)}, Validity: []hal.Validity{hal.Valid}}, "valid", 3, []float64{0, 1}},
	}
	for _, test := range tests {
		var seen []float64
		forecast := func(_ *dancer.Manual, slots []float64, _ []dancer.Option, _, _ int, _ uint64) []dancer.Assessment {
			seen = append([]float64(nil), slots...)
			return nil
		}
		d := dancer.Decide(m, test.in, forecast, forecast)
		if d.Signals[0].Validity != test.validity || d.Signals[0].Value != test.value || math.IsNaN(seen[0]) != (test.validity != "valid") {
			t.Errorf("%s: %+v, forecast saw %v", test.name, d.Signals[0], seen)
		}
		if got := []float64{d.Outputs[0].Value, d.Outputs[1].Value}; !reflect.DeepEqual(got, test.outputs) || !reflect.DeepEqual(seen[1:], test.outputs) {
			t.Errorf("%s: outputs %v, want %v", test.name, got, test.outputs)
		}
	}
}

func TestFreshness(t *testing.T) {
	m := museumFromTable(t)
	valid := []hal.Validity{hal.Valid, hal.Valid, hal.Valid}
	tests := []struct {
		name     string
		validity []hal.Validity
		age      []time.Duration // range stale after 300 ms, the others after 2 s
		want     float64
	}{
		{"new", valid, make([]time.Duration, 3), 1},
		{"half of stale_after", valid, []time.Duration{150 * time.Millisecond, time.Second, 0}, 1},
		{"three quarters", valid, []time.Duration{225 * time.Millisecond, 0, 0}, 0.5},
		{"the lowest counts", valid, []time.Duration{225 * time.Millisecond, 1900 * time.Millisecond, 0}, 0.1},
		{"past it", valid, []time.Duration{time.Second, 0, 0}, 0},
		{"invalid", []hal.Validity{hal.Valid, hal.Stuck, hal.Valid}, make([]time.Duration, 3), 0},
		{"nothing known", nil, nil, 0},
		{"no ages", valid, nil, 1},
	}
	for _, test := range tests {
		if got := m.Freshness(test.validity, test.age); math.Abs(got-test.want) > 1e-9 {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
	m.Impact = m.Impact[3:] // task reads outputs alone
	if got := m.Freshness([]hal.Validity{hal.Stale, hal.Stale, hal.Stale}, nil); got != 1 {
		t.Errorf("freshness %v of signals that nothing reads, want 1", got)
	}
}

func TestSignalsReadThroughTheModel(t *testing.T) {
	m := parseManual(t, []string{
		"signal a - 0 1", "signal b - 0 1", "signal c - 0 1", "output x 0 1 safe 0", "value v 5",
		"next a = b", "next c = a", "impact v = a", "action halt x=0 fallback",
	})
	if got := m.SignalsRead(); !reflect.DeepEqual(got, []bool{true, true, false}) {
		t.Errorf("signals read %v, want a and b", got)
	}
}

// A derived signal never goes stale by itself: it is as fresh as what it looks
// back at.
func TestFreshnessThroughWindows(t *testing.T) {
	slot := func(i int) *program.Program {
		var b program.Builder
		p, err := b.Program("", b.Slot(i))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	m := &dancer.Manual{
		Signals: []hal.Signal{{Name: "a", StaleAfter: time.Second}, {Name: "b", StaleAfter: time.Second}, {Name: "rate(a, 1s)"}, {Name: "mean(rate(a, 1s), 1s)"}},
		Windows: []reflex.Window{{Kind: reflex.RateWindow, Slot: 2, Argument: slot(0)}, {Kind: reflex.MeanWindow, Slot: 3, Argument: slot(2)}},
		Values:  []dancer.Value{{Name: "v"}},
		Impact:  []*program.Program{slot(3)},
	}
	if got := m.SignalsRead(); !reflect.DeepEqual(got, []bool{true, false, true, true}) {
		t.Errorf("signals read %v, want all but b", got)
	}
	if got := len(m.Measured()); got != 2 {
		t.Errorf("%d measured signals, want 2", got)
	}
	valid := []hal.Validity{hal.Valid, hal.Stale, hal.Valid, hal.Valid}
	if got := m.Freshness(valid, []time.Duration{750 * time.Millisecond, 0, 0, 0}); got != 0.5 {
		t.Errorf("freshness %v, want that of a", got)
	}
	valid[2] = hal.NotANumber
	if got := m.Freshness(valid, nil); got != 0 {
		t.Errorf("freshness %v with an invalid window", got)
	}
}
