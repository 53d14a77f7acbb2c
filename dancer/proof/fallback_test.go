package proof_test

import (
	"math"
	"strings"
	"testing"

	"dancer/dancer"
	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/reflex"
)

// fire is a room in which extinguishing helps and costs an index point at once.
func fire() *sketch {
	return &sketch{
		signals: []hal.Signal{signal("smoke", 0, 100)}, outputs: []hal.Output{output("water", 0, 1, 0)},
		values: []dancer.Value{floored("safety", 5)}, impact: []string{"10 - smoke * 0.1 - water"},
		next:        [][2]string{{"smoke", "smoke * (water > 0.5 ? 0.5 : 1.1) + d.smoke"}},
		disturbance: map[string][2]float64{"smoke": {0, 0.1}},
		actions: []dancer.Action{
			{Name: "wait", Set: []reflex.Setting{set(0, 0)}, Fallback: true},
			{Name: "spray", Set: []reflex.Setting{set(0, 1)}},
		},
	}
}

func fallback(t *testing.T, s *sketch, boxes int) proof.Finding {
	t.Helper()
	f := run(t, s, proof.Fallback, proof.Options{Boxes: boxes})[0]
	if f.Answer == proof.Refuted {
		checkFallback(t, s, &f)
	}
	return f
}

// checkFallback evaluates a counter-example with the oracle: the fallback breaks
// the floor that it says, and the other option keeps all floors in that future.
func checkFallback(t *testing.T, s *sketch, f *proof.Finding) {
	t.Helper()
	e := f.Example
	follow := func(set []reflex.Setting) (last []float64, kept bool) {
		w := &slow{t, s, map[string]float64{}, map[string]bool{}}
		for _, n := range append(append([]proof.Named(nil), e.Signals...), e.Outputs...) {
			w.now[n.Name] = n.Value
		}
		for _, x := range set {
			w.now[s.outputs[x.Output].Name] = x.Value
		}
		kept = true
		for step := range e.Step {
			var row []float64
			if len(s.disturbance) > 0 {
				row = e.Disturbances[step]
			}
			w.step(row)
			last = last[:0]
			for v := range s.values {
				last = append(last, w.index(v))
				kept = kept && (!s.values[v].HasFloor || last[v] >= s.values[v].Floor)
			}
		}
		return last, kept
	}
	indices, _ := follow(s.actions[s.fallback].Set)
	for v := range s.values {
		if s.values[v].Name == e.Value && (math.Abs(indices[v]-e.Index) > 1e-9 || indices[v] >= s.values[v].Floor) {
			t.Errorf("%s is %v by hand, and the example says %v: %s", e.Value, indices[v], e.Index, f.Says)
		}
	}
	var other []reflex.Setting
	for _, a := range s.actions {
		if a.Name == e.Instead {
			other = a.Set
		}
	}
	if _, kept := follow(other); !kept {
		t.Errorf("%s breaks a floor as well: %s", e.Instead, f.Says)
	}
}

func TestFallback(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*sketch)
		of     func() *sketch
		want   proof.Answer
		under  bool
	}{
		"waiting while spraying helps": {of: fire, want: proof.Refuted, under: true},
		"spraying":                     {of: fire, want: proof.Proved, under: true, change: func(s *sketch) { s.impact[0] = "10 - smoke * 0.1"; s.fallback = 1 }},
		"halting before a wall":        {of: stopper, want: proof.Proved, under: true},
		"driving on before a wall":     {of: stopper, want: proof.Refuted, under: true, change: func(s *sketch) { s.fallback = 0 }},
		"nothing can break":            {of: stopper, want: proof.Proved, change: func(s *sketch) { s.impact[0] = "10 - drive" }},
		"no floor":                     {of: stopper, want: proof.Proved, change: func(s *sketch) { s.values[0].HasFloor = false }},
		"it is invalid at one point": {of: fire, want: proof.Refuted, change: func(s *sketch) {
			s.impact[0], s.disturbance = "water > 0.5 ? 10.0 : 8.0 + 0.0 / smoke", nil
			s.next = [][2]string{{"smoke", "smoke * 1.0"}}
		}},
		"going on is better than it": {of: fire, want: proof.Refuted, under: true, change: func(s *sketch) {
			s.actions = s.actions[:1]
			s.signals[0].Maximum = 60
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.of()
			if c.change != nil {
				c.change(s)
			}
			f := fallback(t, s, 4000)
			if f.Answer != c.want {
				t.Errorf("%s after %d boxes: %s", f.Answer, f.Boxes, f.Says)
			}
			if (f.Under != nil) != c.under || c.under != (f.SaysUnder() != "") {
				t.Errorf("every option under: %s", f.SaysUnder())
			}
		})
	}
}

// TestUnderIsWhereItIs: one step, one signal, and a sum that anyone can do. With
// the water w on, going on breaks the floor of 5 where 10 - 0.1 (smoke / 2 + 0.1) - w
// is under it; with w at most a half the option that counts is spraying, w = 1.
func TestUnderIsWhereItIs(t *testing.T) {
	s := fire()
	s.horizon = 1 // one step
	f := fallback(t, s, 4000)
	if f.Under == nil {
		t.Fatal("no state in which every option is under")
	}
	const least, all = (5 - 0.01 - 1) / 0.05, 100
	if r := f.Under.Ranges[0]; r.Minimum < least || r.Minimum > least+1 || r.Maximum != all {
		t.Errorf("from %v to %v, want from %v to %v", r.Minimum, r.Maximum, least, all)
	}
	const half = (5 - 0.01 - 0.5) / 0.05 // of w = 1/2; in between it falls in a straight line
	if share := 1 - (least+(least+half)/2)/2/all; f.Under.Share > share || f.Under.Share < share-0.01 {
		t.Errorf("share %v, want %v", f.Under.Share, share)
	}
}

func TestFallbackUndecided(t *testing.T) {
	s := fire()
	// The fallback keeps the floor below 50, the other from 60 on and below 30:
	// it takes divided boxes to see that it is never needed.
	s.next, s.disturbance = nil, nil
	s.impact[0] = "water > 0.5 ? (smoke > 60 && smoke < 40 ? 10 : 0) : (smoke < 50 ? 10 : 0)"
	if f := fallback(t, s, 1); f.Answer != proof.Undecided || f.Left == nil || !strings.Contains(f.Says, "undecided") {
		t.Errorf("with one box: %s: %s", f.Answer, f.Says)
	}
	if f := fallback(t, s, 1000); f.Answer != proof.Proved {
		t.Errorf("with a thousand: %s: %s", f.Answer, f.Says)
	}
}

// TestFallbackWithABaseline: to let the outputs go on is no option of a robot that
// has a baseline, so it refutes nothing.
func TestFallbackWithABaseline(t *testing.T) {
	s := fire()
	s.actions, s.signals[0].Maximum = s.actions[:1], 60
	m := s.manual(t)
	for baseline, want := range map[string]proof.Answer{"": proof.Refuted, "wait": proof.Proved} {
		m.Baseline = baseline
		for _, task := range proof.Tasks(m, nil) {
			if task.Property != proof.Fallback {
				continue
			}
			if f := task.Run(proof.Options{Boxes: 4000})[0]; f.Answer != want {
				t.Errorf("baseline %q: %s: %s", baseline, f.Answer, f.Says)
			}
		}
	}
}
