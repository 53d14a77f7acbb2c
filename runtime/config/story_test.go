package config

import (
	"math"
	"slices"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
)

// decideExample makes one decision of an example robot in a given state.
// Outputs are at their safe values unless the state names them.
func decideExample(t *testing.T, file string, state map[string]float64) dancer.Decision {
	t.Helper()
	r, problems := Load("../../examples/"+file, Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	m := r.Manual
	in := dancer.Input{Robot: r.Name, Seed: 1}
	for i, s := range m.Signals {
		v, ok := state[s.Name]
		if i >= len(m.Measured()) { // only reflexes of the examples look back
			in.Values, in.Validity = append(in.Values, math.NaN()), append(in.Validity, hal.NeverSeen)
			continue
		}
		if !ok {
			t.Fatalf("no value for %s", s.Name)
		}
		in.Values = append(in.Values, v)
		in.Validity = append(in.Validity, hal.Valid)
		in.Age = append(in.Age, time.Duration(0))
	}
	for _, o := range m.Outputs {
		v, ok := state[o.Name]
		if !ok {
			v = o.Safe
		}
		in.Values = append(in.Values, v)
	}
	var p partner.Partner
	return dancer.Decide(m, in, p.Corners, p.Forecast)
}

// TestMuseumTellsItsStory holds what design part 3 says of the museum: patrol
// in clean air, extinguish in a fire, nothing above its floor in a blaze.
func TestMuseumTellsItsStory(t *testing.T) {
	for _, file := range []string{"museum/robot.yaml", "museum/robot-sim.yaml"} {
		for _, c := range []struct {
			smoke   float64
			option  string
			outcome string
		}{
			{0, "patrol", dancer.OutcomeAct},
			{40, "patrol", dancer.OutcomeAct},
			{150, "extinguish", dancer.OutcomeAct},
			{300, "extinguish", dancer.OutcomeAct},
			{450, "", dancer.OutcomeUnderFloor},
		} {
			d := decideExample(t, file, map[string]float64{"range": 7, "smoke": c.smoke, "people": 1, "bumper": 0, "estop": 0})
			if d.Verdict.Outcome != c.outcome || c.option != "" && d.Verdict.Option != c.option {
				t.Errorf("%s at %v ppm: %s %s, want %s %s\n%v", file, c.smoke, d.Verdict.Outcome, d.Verdict.Option, c.outcome, c.option, d.Verdict.Why)
			}
		}
	}
}

// TestGasLeakLeavesAChoice: under the floor halt runs, and ventilate is near
// enough for a human to choose it; once the gas is gone nobody is asked.
func TestGasLeakLeavesAChoice(t *testing.T) {
	leak := decideExample(t, "museum-gas/robot-sim.yaml", map[string]float64{"gas": 700, "people": 2, "estop": 0})
	v := leak.Verdict
	slices.Sort(v.Survivors)
	if v.Outcome != dancer.OutcomeUnderFloor || v.Option != "halt" || !v.Escalate || !slices.Equal(v.Survivors, []string{"halt", "ventilate"}) {
		t.Errorf("at 700 ppm: %+v", v)
	}
	for _, fan := range []float64{0, 1} {
		clean := decideExample(t, "museum-gas/robot-sim.yaml", map[string]float64{"gas": 5, "people": 2, "estop": 0, "ventilation": fan})
		if clean.Verdict.Option != "patrol" || clean.Verdict.Escalate {
			t.Errorf("at 5 ppm, fan %v: %+v", fan, clean.Verdict)
		}
	}
}

func TestQuietRobotsStayQuiet(t *testing.T) {
	for _, distance := range []float64{7, 4, 2.6} {
		d := decideExample(t, "gallery-patrol/robot-sim.yaml", map[string]float64{"range": distance, "people": 3, "bumper": 0, "estop": 0})
		if d.Verdict.Option != "patrol" || d.Verdict.Escalate {
			t.Errorf("at %v m: %+v", distance, d.Verdict)
		}
	}
	ring := map[string]float64{}
	r, problems := Load("../../examples/wall-follower/robot.yaml", Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	for _, s := range r.Manual.Signals {
		ring[s.Name] = 2
	}
	if d := decideExample(t, "wall-follower/robot.yaml", ring); d.Verdict.Option != "follow" || d.Verdict.Escalate {
		t.Errorf("wall follower: %+v", d.Verdict)
	}
	ring["s1"] = 0.4
	if d := decideExample(t, "wall-follower/robot.yaml", ring); d.Verdict.Option == "follow" {
		t.Errorf("wall follower before a wall: %+v", d.Verdict)
	}
}

// TestSimulatedWorldsAreAlive runs the plant of every simulated example for a
// minute with patrol's outputs: values stay finite and inside their ranges.
func TestSimulatedWorldsAreAlive(t *testing.T) {
	for _, file := range []string{"museum/robot-sim.yaml", "museum-gas/robot-sim.yaml", "gallery-patrol/robot-sim.yaml"} {
		r, problems := Load("../../examples/"+file, Options{})
		if err := problems.Err(); err != nil {
			t.Fatal(err)
		}
		m := r.Manual
		slots := make([]float64, len(m.Signals)+len(m.Outputs))
		for i := range slots[:len(m.Signals)] {
			slots[i] = math.NaN() // the derived ones: no plant reads them
		}
		for i := range m.Measured() {
			slots[i] = r.Inputs[i].Start
		}
		for _, s := range m.Actions[0].Set {
			slots[len(m.Signals)+s.Output] = s.Value
		}
		moved := false
		for range int(time.Minute / r.Plant.Step) {
			next := slices.Clone(slots)
			for _, n := range r.Plant.Next {
				next[n.Signal] = n.Program.Eval(slots, make([]float64, n.Program.Registers()))
				moved = moved || next[n.Signal] != slots[n.Signal]
				if s := m.Signals[n.Signal]; math.IsNaN(next[n.Signal]) || next[n.Signal] < s.Minimum || next[n.Signal] > s.Maximum {
					t.Fatalf("%s: %s becomes %v", file, s.Name, next[n.Signal])
				}
			}
			slots = next
		}
		if file != "museum-gas/robot-sim.yaml" && !moved {
			t.Errorf("%s: nothing moves", file)
		}
	}
}
