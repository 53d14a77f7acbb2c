package proof_test

import (
	"math"
	"testing"
	"time"

	oracle "github.com/expr-lang/expr"

	"dancer/dancer"
	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// sketch is a small manual in source text, in the subset that our language and
// the oracle share. It is compiled for the proof, and evaluated by names and maps
// with the oracle to hold the proof's examples against.
type sketch struct {
	signals     []hal.Signal
	outputs     []hal.Output
	values      []dancer.Value
	impact      []string
	rules       []ruleSketch
	next        [][2]string // signal, source
	disturbance map[string][2]float64
	actions     []dancer.Action
	fallback    int
	horizon     time.Duration // default 1 s, of steps of 100 ms
}

type ruleSketch struct {
	name, when, until string
	set               []reflex.Setting
	stop              reflex.StopCategory
	latch             bool
	controlled, ramp  time.Duration
}

func signal(name string, low, high float64) hal.Signal {
	return hal.Signal{Name: name, Minimum: low, Maximum: high}
}

func output(name string, low, high, safe float64) hal.Output {
	return hal.Output{Name: name, Minimum: low, Maximum: high, Safe: safe}
}

func floored(name string, floor float64) dancer.Value {
	return dancer.Value{Name: name, Floor: floor, HasFloor: true, Enough: min(floor+2, 10)}
}

func set(output int, value float64) reflex.Setting {
	return reflex.Setting{Output: output, Value: value}
}

func (s *sketch) scope(model bool) expr.Scope {
	scope := expr.Scope{}
	for i, x := range s.signals {
		scope[x.Name] = expr.Symbol{Slot: i, Boolean: x.Boolean}
	}
	for i, o := range s.outputs {
		scope[o.Name] = expr.Symbol{Slot: len(s.signals) + i}
	}
	if model {
		n := 0
		for i, x := range s.signals {
			if _, ok := s.disturbance[x.Name]; ok {
				scope["d."+s.signals[i].Name] = expr.Symbol{Slot: len(s.signals) + len(s.outputs) + n}
				n++
			}
		}
	}
	return scope
}

func compile(t testing.TB, source string, scope expr.Scope, boolean bool) *program.Program {
	t.Helper()
	if source == "" {
		return nil
	}
	p, err := expr.Compile(source, scope, expr.Want{Boolean: boolean})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p
}

func (s *sketch) manual(t testing.TB) *dancer.Manual {
	t.Helper()
	m := &dancer.Manual{
		Hash: "sha256:test", Signals: s.signals, Outputs: s.outputs, Values: s.values, Actions: s.actions, Fallback: s.fallback,
		Model:      dancer.Model{Step: 100 * time.Millisecond, Horizon: max(s.horizon, 100*time.Millisecond)},
		Escalation: dancer.EscalationPolicy{Hold: s.fallback, OnTimeout: s.fallback, Band: 0.5},
	}
	if s.horizon == 0 {
		m.Model.Horizon = time.Second
	}
	if len(s.actions) == 0 {
		m.Fallback = -1
	}
	for _, source := range s.impact {
		m.Impact = append(m.Impact, compile(t, source, s.scope(false), false))
	}
	for _, r := range s.rules {
		m.Rules = append(m.Rules, reflex.Rule{
			Name: r.name, When: compile(t, r.when, s.scope(false), true), Until: compile(t, r.until, s.scope(false), true),
			Set: r.set, Stop: max(r.stop, reflex.Stop0), Latch: r.latch, Controlled: r.controlled, Ramp: r.ramp,
		})
		if r.stop == 0 {
			m.Rules[len(m.Rules)-1].Stop = reflex.Stop2
		}
	}
	for i, x := range s.signals {
		if d, ok := s.disturbance[x.Name]; ok {
			m.Model.Disturbance = append(m.Model.Disturbance, dancer.Disturbance{Signal: i, Minimum: d[0], Maximum: d[1]})
		}
	}
	for _, n := range s.next {
		for i := range s.signals {
			if s.signals[i].Name == n[0] {
				m.Model.Next = append(m.Model.Next, dancer.Next{Signal: i, Program: compile(t, n[1], s.scope(true), false)})
			}
		}
	}
	return m
}

// slow is a state by names, moved on by the oracle.
type slow struct {
	t       testing.TB
	s       *sketch
	now     map[string]float64
	invalid map[string]bool
}

func (w *slow) ask(source string, disturbance map[string]float64) any {
	w.t.Helper()
	environment := map[string]any{}
	d := map[string]any{}
	for name, x := range disturbance {
		d[name] = x
	}
	environment["d"] = d
	for name, x := range w.now {
		environment[name] = x
	}
	for _, x := range w.s.signals {
		if x.Boolean {
			environment[x.Name] = w.now[x.Name] != 0
		}
	}
	compiled, err := oracle.Compile(source, oracle.Env(environment))
	if err != nil {
		w.t.Fatalf("the oracle does not read %s: %v", source, err)
	}
	result, err := oracle.Run(compiled, environment)
	if err != nil {
		w.t.Fatalf("the oracle on %s: %v", source, err)
	}
	return result
}

func (w *slow) number(source string, disturbance map[string]float64) float64 {
	w.t.Helper()
	switch x := w.ask(source, disturbance).(type) {
	case float64:
		if math.IsInf(x, 0) {
			return math.NaN()
		}
		return x
	case int:
		return float64(x)
	default:
		w.t.Fatalf("%s gives %v", source, x)
		return 0
	}
}

// step moves the state on by one row of disturbances, in the order of signals.
func (w *slow) step(row []float64) {
	disturbance := map[string]float64{}
	n := 0
	for _, x := range w.s.signals {
		if _, ok := w.s.disturbance[x.Name]; ok {
			disturbance[x.Name] = row[n]
			n++
		}
	}
	after := map[string]float64{}
	for _, next := range w.s.next {
		if !w.invalid[next[0]] {
			after[next[0]] = w.number(next[1], disturbance)
		}
	}
	for name, x := range after {
		w.now[name] = x
	}
}

func (w *slow) index(value int) float64 {
	x := w.number(w.s.impact[value], nil)
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}
