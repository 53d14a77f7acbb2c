package dancer_test

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
)

func TestBaselineOptions(t *testing.T) {
	type want struct {
		name     string
		inaction bool
		outputs  []float64
		aliases  []string
	}
	tests := []struct {
		name     string
		baseline string
		now      []float64
		want     []want
	}{
		{"stepwise", "", []float64{0.2, 0.2}, []want{
			{"inaction", true, []float64{0.2, 0.2}, nil}, {"halt", false, []float64{0, 1}, nil},
			{"go", false, []float64{1, 0}, []string{"gone"}}, {"half", false, []float64{0.5, 0.2}, nil},
		}},
		{"an action", "halt", []float64{0.2, 0.2}, []want{
			{"halt", true, []float64{0, 1}, []string{"inaction"}},
			{"go", false, []float64{1, 0}, []string{"gone"}}, {"half", false, []float64{0.5, 0.2}, nil},
		}},
		{"an action, and another runs", "halt", []float64{1, 0}, []want{
			{"halt", true, []float64{0, 1}, []string{"inaction"}},
			{"go", false, []float64{1, 0}, []string{"gone"}}, {"half", false, []float64{0.5, 0}, nil},
		}},
		{"one that sets a part", "half", []float64{0, 1}, []want{
			{"half", true, []float64{0.5, 1}, []string{"inaction"}},
			{"halt", false, []float64{0, 1}, nil}, {"go", false, []float64{1, 0}, []string{"gone"}},
		}},
		{"nobody of that name", "sleep", []float64{0, 1}, []want{
			{"halt", true, []float64{0, 1}, []string{"inaction"}},
			{"go", false, []float64{1, 0}, []string{"gone"}}, {"half", false, []float64{0.5, 1}, nil},
		}},
	}
	for _, test := range tests {
		m := twoOutputs()
		m.Baseline = test.baseline
		got := m.Options(test.now)
		if len(got) != len(test.want) {
			t.Fatalf("%s: %d options %+v", test.name, len(got), got)
		}
		for i, w := range test.want {
			o := got[i]
			if o.Name != w.name || o.Inaction != w.inaction || !reflect.DeepEqual(o.Outputs, w.outputs) || !reflect.DeepEqual(o.Aliases, w.aliases) {
				t.Errorf("%s: %+v, want %+v", test.name, o, w)
			}
		}
	}
}

// TestBaselineInWords: "go on as now" would be wrong of a robot whose baseline is
// something else.
func TestBaselineInWords(t *testing.T) {
	m := museumFromTable(t)
	m.Baseline = "halt"
	state := func(line string) dancer.Decision {
		return decideAndReplay(t, m, parseInput(t, m, []string{line}))
	}
	d := state("range=5 smoke=50 people=1 | drive=0.5 brake=0 extinguisher=0")
	if d.Baseline != "halt" || d.Verdict.Outcome != dancer.OutcomeAct || d.Verdict.Option != "patrol" {
		t.Errorf("baseline %q, %s %s: to go on patrolling is an act", d.Baseline, d.Verdict.Outcome, d.Verdict.Option)
	}
	wall := state("range=1.5 smoke=0 people=1 | drive=0.5 brake=0 extinguisher=0")
	if wall.Verdict.Outcome != dancer.OutcomeHold || wall.Verdict.Option != "halt" {
		t.Errorf("%s %s before a wall, want not to act", wall.Verdict.Outcome, wall.Verdict.Option)
	}
	for _, text := range []string{strings.Join(d.Explain(), "\n"), strings.Join(wall.Explain(), "\n")} {
		if strings.Contains(text, "as now") || !strings.Contains(text, "not act") {
			t.Errorf("words:\n%s", text)
		}
	}
}

// TestRepair: a value with floor 3 (enough 9), whose index is 5 as the robot
// finds it and one less under a pressing arm. Options are tied at worst.
func TestRepair(t *testing.T) {
	m := parseManual(t, []string{
		"signal tilt - 0 20", "output arm 0 1 safe 0", "output press 0 1 safe 0",
		"value exhibit 3", "value order",
		"impact exhibit = 10 - tilt - press", "impact order = 5",
		"action wait arm=0 press=0 fallback", "action right disruption=3 arm=1 press=0", "action hold disruption=5 arm=0.5 press=1",
	})
	m.Values[0].Enough = 9
	type figures struct{ worst, expected float64 }
	tests := []struct {
		name    string
		tilt    float64
		exhibit map[string]figures
		want    string
		by      string
		repair  map[string]float64
	}{
		{"what was found is not put right", 5, map[string]figures{"wait": {4.8, 5}, "right": {5, 8}, "hold": {4.5, 4.5}},
			"wait", "disruption", map[string]float64{"wait": 0, "right": 3, "hold": 0.5}},
		{"harm that is to come is prevented", 5, map[string]figures{"wait": {3.8, 4.1}, "right": {4, 5}, "hold": {3.6, 3.7}},
			"right", "expected exhibit", map[string]float64{"wait": 0, "right": 0, "hold": 0}},
		{"and repair beyond that is not counted", 5, map[string]figures{"wait": {3.8, 4.1}, "right": {4, 9}, "hold": {3.6, 3.7}},
			"right", "expected exhibit", map[string]float64{"wait": 0, "right": 4, "hold": 0}},
		{"the end of harm of its own counts", 5, map[string]figures{"wait": {4.2, 5}, "right": {4.2, 5}, "hold": {4, 4}},
			"wait", "disruption", map[string]float64{"wait": 0, "right": 0, "hold": 0}},
		{"up to the floor it is put right, whoever did it", 9, map[string]figures{"wait": {1, 1}, "right": {1.3, 6}, "hold": {0.8, 0.8}},
			"right", "expected exhibit", map[string]float64{"wait": 0, "right": 3, "hold": 0}},
		{"above enough nothing is left out", 0.5, map[string]figures{"wait": {9.5, 9.5}, "right": {9.5, 10}, "hold": {9.2, 9.2}},
			"wait", "disruption", map[string]float64{"wait": 0, "right": 0, "hold": 0.7}},
	}
	for _, test := range tests {
		forecast := func(_ *dancer.Manual, _ []float64, options []dancer.Option, _, _ int, _ uint64) (as []dancer.Assessment) {
			for _, o := range options {
				f := test.exhibit[o.Name]
				as = append(as, dancer.Assessment{Option: o.Name, Aliases: o.Aliases, Inaction: o.Inaction, Outputs: o.Outputs,
					Disruption: o.Disruption, Reversibility: 1, Recoverable: true,
					Indices: []dancer.Index{{Value: "exhibit", Worst: f.worst, Expected: f.expected}, {Value: "order", Worst: 5, Expected: 5}}})
			}
			return as
		}
		in := dancer.Input{Values: []float64{test.tilt, 0.5, 1}, Validity: []hal.Validity{hal.Valid}, Age: make([]time.Duration, 1)}
		d := dancer.Decide(m, in, forecast, forecast)
		if d.Verdict.Option != test.want || d.Verdict.DecidedBy != test.by {
			t.Errorf("%s: %s by %s, want %s by %s", test.name, d.Verdict.Option, d.Verdict.DecidedBy, test.want, test.by)
		}
		for name, want := range test.repair {
			if got := d.Find(name).Indices[0].Repair; math.Abs(got-want) > 1e-9 {
				t.Errorf("%s: %v of %s is left out, want %v", test.name, got, name, want)
			}
			if got := d.Find(name).Indices[1].Repair; got != 0 {
				t.Errorf("%s: a value without a floor has %v left out", test.name, got)
			}
		}
	}
}
