package proof_test

import (
	"strings"
	"testing"
	"time"

	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/reflex"
)

// alarms are two reflexes that each listen to the other's output.
func alarms() *sketch {
	s := stopper()
	s.signals = append(s.signals, signal("smoke", 0, 100))
	s.outputs = append(s.outputs, output("lamp", 0, 1, 0))
	s.rules = []ruleSketch{
		{name: "stop", when: "range < 0.3 || lamp > 0.5", set: []reflex.Setting{set(0, 0)}},
		{name: "warn", when: "smoke > 50 || drive < 0.1", set: []reflex.Setting{set(1, 1)}},
	}
	return s
}

func TestDeadlock(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sketch)
		want   proof.Answer
	}{
		"each keeps the other": {want: proof.Refuted},
		"one looks away":       {want: proof.Proved, change: func(s *sketch) { s.rules[1].when = "smoke > 50" }},
		"the merge releases it": {want: proof.Proved, change: func(s *sketch) {
			s.rules[0].set = append(s.rules[0].set, set(1, 0)) // nearer to safe
		}},
		"safe values release it": {want: proof.Proved, change: func(s *sketch) { s.rules[1].stop = reflex.Stop1 }},
		"until keeps it": {want: proof.Refuted, change: func(s *sketch) {
			s.rules[0].when, s.rules[0].until = "range < 0.3", "range > 0.4 && lamp < 0.5"
		}},
		"one never ends at all": {want: proof.Proved, change: func(s *sketch) { s.rules[0].when = "range < 9 || lamp > 0.5" }},
		"it takes divided boxes": {want: proof.Refuted, change: func(s *sketch) {
			s.rules[0].when = "range * (8 - range) < 17 && lamp > 0.5 || range < 0.3" // 17 > 16, the top of the parabola
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := alarms()
			if c.change != nil {
				c.change(s)
			}
			f := run(t, s, proof.Deadlock, proof.Options{Boxes: 4000})[0]
			if f.Answer != c.want {
				t.Errorf("%s: %s", f.Answer, f.Says)
			}
			if c.want == proof.Refuted && (len(f.Reflexes) != 2 || !strings.Contains(f.Says, "drive = 0") || !strings.Contains(f.Says, "lamp = 1")) {
				t.Errorf("it says %s", f.Says)
			}
			checkDeadlock(t, s, &f)
		})
	}
}

// checkDeadlock runs the very table of the reflexes: both fire, and then no
// signals that are tried end either, while each alone is ended by some.
func checkDeadlock(t *testing.T, s *sketch, f *proof.Finding) {
	t.Helper()
	if f.Answer != proof.Refuted {
		return
	}
	m := s.manual(t)
	if ended(t, m.Rules, m.Outputs) {
		t.Error("the table ends one of them")
	}
	for i := range m.Rules {
		if !ended(t, m.Rules[i:i+1], m.Outputs) {
			t.Errorf("%s alone is not ended either", m.Rules[i].Name)
		}
	}
}

// ended says whether some signals end one of the rules, once all have fired.
func ended(t *testing.T, rules []reflex.Rule, outputs []hal.Output) bool {
	t.Helper()
	for a := range 81 {
		for b := range 21 {
			table, err := reflex.NewTable(rules, outputs, 2)
			if err != nil {
				t.Fatal(err)
			}
			slots := []float64{0, 100, 0, 0}
			table.Evaluate(0, slots)
			slots[0], slots[1], slots[2], slots[3] = float64(a)/10, float64(5*b), 1, 0
			for o := range outputs {
				if v, _, ok := table.Merged(o); ok {
					slots[2+o] = v
				}
			}
			table.Evaluate(1, slots)
			for i := range rules {
				if !table.Active(i) {
					return true
				}
			}
		}
	}
	return false
}

func TestDeadlockUndecided(t *testing.T) {
	s := alarms()
	s.rules[0].when = "range * (8 - range) < 17 && lamp > 0.5 || range < 0.3"
	f := run(t, s, proof.Deadlock, proof.Options{Boxes: 1})[0]
	if f.Answer != proof.Undecided || f.Left == nil {
		t.Errorf("with one box: %s: %s", f.Answer, f.Says)
	}
}

func TestDeadlockOfMany(t *testing.T) {
	s := stopper()
	for range 300 {
		s.rules = append(s.rules, s.rules[0])
	}
	f := run(t, s, proof.Deadlock, proof.Options{})
	if len(f) != 1 || f[0].Answer != proof.Proved {
		t.Errorf("%+v", f)
	}
}

// TestDeadlockThroughWindows: two reflexes that keep each other only because they
// look back at what the other sets are not proved free of it. What a window makes
// of an output that is held is not modelled.
func TestDeadlockThroughWindows(t *testing.T) {
	s := alarms()
	s.signals = append(s.signals, signal("lamp_mean", 0, 1), signal("drive_mean", 0, 1))
	s.rules[0].when, s.rules[1].when = "range < 0.3 || lamp_mean > 0.5", "smoke > 50 || drive_mean < 0.1"
	m := s.manual(t)
	for i, source := range []string{"lamp", "drive"} {
		m.Windows = append(m.Windows, reflex.Window{
			Kind: reflex.MeanWindow, Length: time.Second, Slot: 2 + i, Argument: compile(t, source, s.scope(false), false),
		})
	}
	for _, task := range proof.Tasks(m, nil) {
		if task.Property != proof.Deadlock {
			continue
		}
		if f := task.Run(proof.Options{})[0]; f.Answer != proof.Undecided || len(f.Reflexes) != 2 || !strings.Contains(f.Says, "through a window") {
			t.Errorf("%s: %s", f.Answer, f.Says)
		}
		m.Rules[1].Set[0].Output = 0 // nobody looks back at that: the lamp stays as it is
		if f := task.Run(proof.Options{})[0]; f.Answer != proof.Proved {
			t.Errorf("%s: %s", f.Answer, f.Says)
		}
	}
}
