package proof_test

import (
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/reflex"
)

// stopper is a robot before a wall: braking is always right.
func stopper() *sketch {
	return &sketch{
		signals: []hal.Signal{signal("range", 0, 8)}, outputs: []hal.Output{output("drive", 0, 1, 0)},
		values: []dancer.Value{floored("safety", 5)}, impact: []string{"10 - (range < 0.2 ? 6 : 0)"},
		next:        [][2]string{{"range", "range - 0.12 * drive + d.range"}},
		disturbance: map[string][2]float64{"range": {-0.01, 0.01}},
		rules:       []ruleSketch{{name: "stop", when: "range < 0.3 && drive > 0", set: []reflex.Setting{set(0, 0)}}},
		actions: []dancer.Action{
			{Name: "patrol", Set: []reflex.Setting{set(0, 0.5)}},
			{Name: "halt", Set: []reflex.Setting{set(0, 0)}, Fallback: true},
		},
		fallback: 1,
	}
}

// convoy is a robot with another one behind it that does not brake: braking hard
// brings that one nearer.
func convoy() *sketch {
	return &sketch{
		signals: []hal.Signal{signal("front", 0, 20), signal("rear", 0, 20), signal("speed", 0, 5)},
		outputs: []hal.Output{output("brake", 0, 1, 1)},
		values:  []dancer.Value{floored("safety", 5)}, impact: []string{"10 - (min(front, rear) < 0.5 ? 8 : 0)"},
		next: [][2]string{
			{"speed", "max(speed - 0.6 * brake, 0)"},
			{"front", "front - speed * 0.1 + d.front"},
			{"rear", "rear + (speed - 2.5) * 0.1"},
		},
		disturbance: map[string][2]float64{"front": {-0.01, 0.01}},
		rules:       []ruleSketch{{name: "brake-hard", when: "front < 2", set: []reflex.Setting{set(0, 1)}}},
	}
}

func run(t *testing.T, s *sketch, p proof.Property, o proof.Options) []proof.Finding {
	t.Helper()
	var findings []proof.Finding
	for _, task := range proof.Tasks(s.manual(t), nil) {
		if task.Property == p {
			findings = append(findings, task.Run(o)...)
		}
	}
	if len(findings) == 0 {
		t.Fatalf("no finding about %s", p)
	}
	for i := range findings {
		if findings[i].Says == "" || strings.Contains(findings[i].Says, "%!") {
			t.Errorf("it says %q", findings[i].Says)
		}
	}
	return findings
}

func domination(t *testing.T, s *sketch, boxes int) proof.Finding {
	t.Helper()
	f := run(t, s, proof.Domination, proof.Options{Boxes: boxes})[0]
	if f.Answer == proof.Refuted {
		checkDomination(t, s, &f)
	}
	return f
}

// checkDomination evaluates a counter-example with the oracle, name by name.
func checkDomination(t *testing.T, s *sketch, f *proof.Finding) {
	t.Helper()
	e, rule := f.Example, s.rules[f.Reflexes[0]]
	without := &slow{t, s, map[string]float64{}, map[string]bool{}}
	for _, n := range append(append([]proof.Named(nil), e.Signals...), e.Outputs...) {
		without.now[n.Name], without.invalid[n.Name] = n.Value, n.Invalid
		if n.Invalid {
			without.now[n.Name] = math.NaN()
		}
		if x := without.now[n.Name]; !n.Invalid && !inRange(s, n.Name, x) {
			t.Errorf("%s = %v is out of its range", n.Name, x)
		}
	}
	fired := strings.Contains(rule.when, "/") // what that makes invalid fires; to the oracle it is false
	for name, invalid := range without.invalid {
		fired = fired || invalid && strings.Contains(rule.when, name)
	}
	if !fired && without.ask(rule.when, nil) != true {
		t.Errorf("%s does not fire from %s", rule.name, e.State())
	}
	with := &slow{t, s, maps.Clone(without.now), without.invalid}
	for step := range e.Step {
		for _, x := range s.drives(&rule, step, func(o int) float64 { return without.now[s.outputs[o].Name] }) {
			with.now[s.outputs[x.Output].Name] = x.Value
		}
		var row []float64
		if len(s.disturbance) > 0 {
			row = e.Disturbances[step]
		}
		with.step(row)
		without.step(row)
	}
	a, b := with.index(0), without.index(0)
	if !(a < b) || math.Abs(a-e.Index) > 1e-9 || math.Abs(b-e.Against) > 1e-9 {
		t.Errorf("the example says %v against %v; evaluated by hand it is %v against %v: %s", e.Index, e.Against, a, b, f.Says)
	}
}

// drives gives what a rule sets in a step from 0 on, where the outputs were as
// given when it fired. A ramp is followed in its steps of 10 ms.
func (s *sketch) drives(r *ruleSketch, step int, before func(output int) float64) []reflex.Setting {
	controlled := r.controlled
	if controlled == 0 {
		controlled = 500 * time.Millisecond
	}
	since := time.Duration(step) * 100 * time.Millisecond
	over := r.stop == reflex.Stop0 || r.stop == reflex.Stop1 && since >= max(controlled, r.ramp)
	var out []reflex.Setting
	for _, x := range r.set {
		o := &s.outputs[x.Output]
		switch {
		case over:
			x.Value = o.Safe
		case r.stop == reflex.Stop1 && r.ramp > 0 && !o.Switch:
			x.Value = ramped(before(x.Output), x.Value, o.Safe, since, r.ramp)
		}
		out = append(out, x)
	}
	return out
}

// ramped follows a ramp: it never moves away from safe, and stays at safe when it
// would cross it.
func ramped(from, to, safe float64, since, length time.Duration) float64 {
	present := from
	for at := time.Duration(0); at <= since; at += 10 * time.Millisecond {
		value := to
		if at < length {
			value = from + (to-from)*(float64(at)/float64(length))
		}
		if (from-safe)*(value-safe) < 0 {
			value = safe
		}
		if math.Abs(value-safe) < math.Abs(present-safe) {
			present = value
		}
	}
	return present
}

func inRange(s *sketch, name string, x float64) bool {
	for _, one := range s.signals {
		if one.Name == name && one.Minimum < one.Maximum {
			return x >= one.Minimum && x <= one.Maximum
		}
	}
	for _, one := range s.outputs {
		if one.Name == name {
			return x >= one.Minimum && x <= one.Maximum
		}
	}
	return true
}

func TestDomination(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sketch)
		of     func() *sketch
		want   proof.Answer
	}{
		"braking before a wall": {of: stopper, want: proof.Proved},
		"speeding up before a wall": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.rules[0].set[0].Value = 1
		}},
		"braking before a follower": {of: convoy, want: proof.Refuted},
		"braking while the follower is far": {of: convoy, want: proof.Proved, change: func(s *sketch) {
			s.rules[0].when = "front < 2 && rear > 4"
			s.signals[1].Minimum = 4 // an invalid signal fires as well
		}},
		"one that never fires while its signal is valid": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.rules[0] = ruleSketch{name: "blind", when: "range < 0", set: []reflex.Setting{set(0, 1)}}
			s.impact[0] = "10 - 5 * drive"
		}},
		"one that never fires at all": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.rules[0] = ruleSketch{name: "never", when: "drive > 2", set: []reflex.Setting{set(0, 1)}}
			s.impact[0] = "10 - 5 * drive"
		}},
		"an invalid signal hides the harm": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.rules[0] = ruleSketch{name: "blind", when: "range < 0", set: []reflex.Setting{set(0, 1)}}
		}},
		"a stop of category 0 drives to safe": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.outputs[0].Safe, s.rules[0].stop = 1, reflex.Stop0
		}},
		"the end of a controlled stop": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.outputs[0].Safe, s.rules[0].stop = 1, reflex.Stop1
		}},
		"a controlled stop within the horizon": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.outputs[0].Safe, s.rules[0].stop, s.rules[0].controlled = 1, reflex.Stop1, 2*time.Second
		}},
		"a ramp to safe": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.rules[0].stop, s.rules[0].ramp = reflex.Stop1, 400*time.Millisecond
		}},
		"a ramp to a value beside safe": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.outputs[0] = output("drive", -1, 1, 0.1)
			s.rules[0] = ruleSketch{name: "slow", when: "range < 0.3 && drive > 0.1", stop: reflex.Stop1, ramp: 700 * time.Millisecond, set: []reflex.Setting{set(0, 0.3)}}
		}},
		"a ramp that has not got there yet": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.rules[0].stop, s.rules[0].ramp = reflex.Stop1, 400*time.Millisecond
			s.impact[0] = "10 - (drive > 0.05 && drive < 0.3 ? 6 : 0)"
		}},
		"the same at once": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.impact[0] = "10 - (drive > 0.05 && drive < 0.3 ? 6 : 0)"
		}},
		"a ramp does not cross safe": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.outputs[0] = output("drive", -1, 1, 0)
			s.rules[0] = ruleSketch{name: "slow", when: "range < 0.3 && drive > 0", stop: reflex.Stop1, ramp: 400 * time.Millisecond, set: []reflex.Setting{set(0, -1)}}
			s.impact[0] = "10 - (range < 0.2 ? 6 : 0) - (drive < 0 ? 6 : 0)"
		}},
		"no model, and safe values after the stop": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.outputs[0].Safe, s.rules[0].stop, s.next, s.disturbance = 1, reflex.Stop1, nil, nil
			s.impact[0] = "10 - 5 * drive"
			s.rules[0].when = "range < 0.3"
		}},
		"worse in a corner alone": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.impact[0] = "10 - (range > 0.28 && drive < 0.01 ? 1 : 0)"
		}},
		"only divided boxes show it": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.signals = append(s.signals, signal("other", 0, 8))
			s.rules[0].when = "min(range, other) < 1"
			s.impact[0] = "5 - drive * (4 - min(range, other))"
			s.next, s.disturbance = nil, nil
		}},
		"no range": {of: stopper, want: proof.Proved, change: func(s *sketch) { s.signals[0].Minimum, s.signals[0].Maximum = 0, 0 }},
		"any of two": {of: stopper, want: proof.Proved, change: func(s *sketch) {
			s.signals = append(s.signals, hal.Signal{Name: "bumper", Boolean: true})
			s.rules[0].when = "bumper || range < 0.3 || drive > 0.9"
		}},
		"an overflow that the reflex brings about": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.rules[0].set[0].Value = 1
			s.next = [][2]string{{"range", "range * (drive > 0.5 ? 1e200 : 1.0) + d.range"}}
			s.impact[0] = "5 + range * 0.0"
		}},
		"a signal invalid from the start stays so": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			late(s)
		}},
		"and so does one that fires it": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			late(s)
			s.rules[0].when = "range < 0 - 1"
		}},
		"a condition that is invalid at one point": {of: stopper, want: proof.Refuted, change: func(s *sketch) {
			s.rules[0] = ruleSketch{name: "edge", when: "0.0 * (1 / range) > 1", set: []reflex.Setting{set(0, 1)}}
			s.impact[0] = "10 - 5 * drive + range * 0.0"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.of()
			if c.change != nil {
				c.change(s)
			}
			f := domination(t, s, 5000)
			if f.Answer != c.want {
				t.Errorf("%s after %d boxes: %s", f.Answer, f.Boxes, f.Says)
			}
		})
	}
}

// late makes the outcome depend, at the end of a controlled stop, on whether the
// range was invalid when the rule fired.
func late(s *sketch) {
	s.signals = append(s.signals, signal("far", 0, 1))
	s.next = [][2]string{{"range", "8 * drive"}, {"far", "drive > 0.5 ? 1.0 + range * 0.0 : 1.0"}}
	s.disturbance = nil
	s.outputs[0].Safe = 1
	s.rules[0] = ruleSketch{name: "late", when: "far < 2 && drive < 0.1", stop: reflex.Stop1, set: []reflex.Setting{set(0, 0)}}
	s.impact[0] = "10 - far"
}

func TestDominationUndecided(t *testing.T) {
	s := stopper()
	s.signals = append(s.signals, signal("other", 0, 8))
	s.rules[0].when = "min(range, other) < 1"
	s.impact[0] = "5 - drive * (4 - min(range, other))"
	s.next, s.disturbance = nil, nil
	f := domination(t, s, 1)
	if f.Answer != proof.Undecided || f.Left == nil || f.Left.Share <= 0 || len(f.Left.Ranges) != 3 {
		t.Fatalf("with one box: %+v", f)
	}
	if !strings.Contains(f.Says, "undecided") {
		t.Errorf("it says %s", f.Says)
	}
	calls := 0
	f = run(t, s, proof.Domination, proof.Options{Cut: func() bool { calls++; return true }})[0]
	if f.Answer != proof.Undecided || calls == 0 {
		t.Errorf("cut at once: %s", f.Answer)
	}
}

func TestEmergencyStopIsMarked(t *testing.T) {
	s := stopper()
	s.outputs[0].Safe, s.rules[0].stop, s.rules[0].latch = 1, reflex.Stop0, true
	if f := domination(t, s, 100); f.Answer != proof.Refuted || !f.EmergencyStop {
		t.Errorf("%s, emergency stop %v", f.Answer, f.EmergencyStop)
	}
	s.rules[0].latch = false
	if f := domination(t, s, 100); f.EmergencyStop {
		t.Error("a stop that ends by itself is no emergency stop")
	}
}

// TestSwitchesHaveTwoValues: what only a half-open valve could do is no example.
func TestSwitchesHaveTwoValues(t *testing.T) {
	s := stopper()
	s.rules[0].when = "range < 0.3"
	s.impact[0], s.next, s.disturbance = "10 - drive * (1 - drive)", nil, nil
	s.rules[0].set[0].Value = 0.5
	m := s.manual(t)
	if f := proof.Tasks(m, nil)[0].Run(proof.Options{})[0]; f.Answer != proof.Refuted {
		t.Errorf("a half-open valve is worse, and it is %s", f.Answer)
	}
	s.rules[0].set[0].Value = 0
	s.impact[0] = "5 + drive * (1 - drive)"
	m = s.manual(t)
	if f := proof.Tasks(m, nil)[0].Run(proof.Options{})[0]; f.Answer != proof.Refuted {
		t.Errorf("closing a half-open valve is worse, and it is %s", f.Answer)
	}
	if f := proof.Tasks(m, []bool{true})[0].Run(proof.Options{})[0]; f.Answer != proof.Proved {
		t.Errorf("a valve that is open or closed: %s: %s", f.Answer, f.Says)
	}
}
