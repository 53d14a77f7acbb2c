package partner_test

import (
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// museum is the manual of the design's part 3: signals range, smoke, people;
// outputs drive, brake, extinguisher; actions patrol, halt, extinguish.
func museum(t testing.TB) *dancer.Manual {
	t.Helper()
	set := func(drive, brake, extinguisher float64) []reflex.Setting {
		return []reflex.Setting{{Output: 0, Value: drive}, {Output: 1, Value: brake}, {Output: 2, Value: extinguisher}}
	}
	return &dancer.Manual{
		Hash: "sha256:museum",
		Signals: []hal.Signal{
			{Name: "range", Unit: "m", Maximum: 8}, {Name: "smoke", Unit: "ppm", Maximum: 1000}, {Name: "people", Maximum: 50},
		},
		Outputs: []hal.Output{{Name: "drive", Maximum: 1}, {Name: "brake", Maximum: 1, Safe: 1}, {Name: "extinguisher", Maximum: 1}},
		Values: []dancer.Value{
			{Name: "human_safety", HasFloor: true, Floor: 5, Enough: 7},
			{Name: "irreplaceable", HasFloor: true, Floor: 3, Enough: 5},
			{Name: "resources"}, {Name: "task"},
		},
		Impact: []*program.Program{
			compile(t, "10 - smoke / 60 ppm * min(people, 1) - (range < 0.20 m ? 6 : 0)", ""),
			compile(t, "10 - smoke / 100 ppm - 3 * extinguisher", ""),
			compile(t, "10 - 4 * extinguisher", ""),
			compile(t, "10 * drive", ""),
		},
		Model: dancer.Model{
			Step: 100 * time.Millisecond, Horizon: 3 * time.Second,
			Next: []dancer.Next{
				{Signal: 0, Program: compile(t, "range - 1.2 m/s * drive * dt + d.range", "m")},
				{Signal: 1, Program: compile(t, "smoke * (extinguisher > 0 ? 0.8 : 1.02) + d.smoke", "ppm")},
			},
			Disturbance: []dancer.Disturbance{{Signal: 0, Minimum: -0.01, Maximum: 0.01}, {Signal: 1, Minimum: 0, Maximum: 1}},
		},
		Actions: []dancer.Action{
			{Name: "patrol", Set: set(0.5, 0, 0), Reversibility: 1},
			{Name: "halt", Set: set(0, 1, 0)[:2], Fallback: true, Reversibility: 1},
			{Name: "extinguish", Set: []reflex.Setting{{Output: 2, Value: 1}, {Output: 0, Value: 0}}, Disruption: 6, Reversibility: 0.2},
		},
		Fallback:   1,
		Escalation: dancer.EscalationPolicy{Hold: 1, OnTimeout: 1},
	}
}

func compile(t testing.TB, source, unit string) *program.Program {
	t.Helper()
	p, err := expr.Compile(source, expr.Scope{
		"range": {Slot: 0, Unit: mustUnit(t, "m")}, "smoke": {Slot: 1, Unit: mustUnit(t, "ppm")}, "people": {Slot: 2},
		"drive": {Slot: 3}, "brake": {Slot: 4}, "extinguisher": {Slot: 5},
		"d.range": {Slot: 6, Unit: mustUnit(t, "m")}, "d.smoke": {Slot: 7, Unit: mustUnit(t, "ppm")},
		"dt": {Constant: true, Value: 0.1, Unit: mustUnit(t, "s")},
	}, expr.Want{Unit: mustUnit(t, unit)})
	if err != nil {
		t.Fatalf("compile %q: %v", source, err)
	}
	return p
}

func mustUnit(t testing.TB, text string) expr.Unit {
	t.Helper()
	u, err := expr.ParseUnit(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// state is calm with the given distance (m), smoke (ppm) and people.
func state(distance, smoke, people float64) []float64 {
	return []float64{distance, smoke, people, 0, 1, 0}
}
