package config

import (
	"path/filepath"
	"testing"
)

// exampleFiles are the robots that are shipped as examples.
func exampleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../examples/*/robot*.yaml")
	if err != nil || len(files) < 5 {
		t.Fatalf("found %d examples, %v", len(files), err)
	}
	return files
}

func TestExamplesAreSound(t *testing.T) {
	for _, file := range exampleFiles(t) {
		for _, board := range []string{"", "sim", "raspberry-pi-4", "raspberry-pi-5"} {
			r, problems := Load(file, Options{Board: board})
			if board != "" && board != "sim" && filepath.Base(file) == "robot-sim.yaml" {
				continue // its signals have no source on a real board
			}
			if err := problems.Err(); err != nil {
				t.Errorf("%s on board %q:\n%v", file, board, err)
				continue
			}
			checkRobot(t, r)
		}
	}
}

// checkRobot holds what the rest of the runtime takes for granted.
func checkRobot(t *testing.T, r *Robot) {
	t.Helper()
	m := r.Manual
	if len(r.Inputs) != len(m.Measured()) || len(r.Drives) != len(m.Outputs) || len(m.Impact) != len(m.Values) {
		t.Fatalf("%s: lists are not parallel", r.Path)
	}
	if m.Fallback < 0 || m.Fallback >= len(m.Actions) || !m.Actions[m.Fallback].Fallback {
		t.Fatalf("%s: fallback is %d", r.Path, m.Fallback)
	}
	for i, p := range m.Impact {
		if p == nil {
			t.Errorf("%s: impact %d is not compiled", r.Path, i)
		}
	}
	for _, rule := range m.Rules {
		if rule.When == nil || len(rule.Set) == 0 || rule.Stop == 0 {
			t.Errorf("%s: rule %s is not complete", r.Path, rule.Name)
		}
	}
	for _, o := range m.Outputs {
		if o.Safe < o.Minimum || o.Safe > o.Maximum {
			t.Errorf("%s: safe value of %s is outside its range", r.Path, o.Name)
		}
	}
}
