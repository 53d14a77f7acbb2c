package config

import (
	"strings"
	"testing"
)

func TestPlaces(t *testing.T) {
	r, problems := Load("../../examples/museum/robot.yaml", Options{Board: "raspberry-pi-4"})
	if r == nil {
		t.Fatal(problems)
	}
	places, lines := r.Places(), strings.Split(string(r.ManualBytes), "\n")
	if len(places.Reflexes) != len(r.Manual.Rules) || len(places.Actions) != len(r.Manual.Actions) {
		t.Fatalf("%d reflexes and %d actions have places", len(places.Reflexes), len(places.Actions))
	}
	for i, p := range places.Reflexes {
		at := lines[p.Line-1][p.Column-1:]
		if p.File != r.ManualPath || !strings.HasPrefix(at, "{name: "+r.Manual.Rules[i].Name+",") {
			t.Errorf("%s is said to be at %+v: %s", r.Manual.Rules[i].Name, p, at)
		}
	}
	for i, p := range places.Actions {
		if at := lines[p.Line-1][p.Column-1:]; !strings.HasPrefix(at, "{name: "+r.Manual.Actions[i].Name+",") {
			t.Errorf("%s is said to be at %+v: %s", r.Manual.Actions[i].Name, p, at)
		}
	}
	switches := r.Switches()
	for i, want := range map[string]bool{"drive": false, "brake": true, "extinguisher": true} {
		for o := range r.Manual.Outputs {
			if r.Manual.Outputs[o].Name == i && switches[o] != want {
				t.Errorf("%s is a switch: %v", i, switches[o])
			}
		}
	}
	if found := RobotsOf("../../examples/museum/manual.yaml"); len(found) != 2 {
		t.Errorf("robots of the museum's manual: %v", found)
	}
}
