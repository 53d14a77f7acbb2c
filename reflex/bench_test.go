package reflex_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
)

// hundred builds 100 rules over 24 signals and 4 outputs, in the mixture that
// robots have: limits joined by && and ||, single limits, truth values. None of
// them is true for the values of calm.
func hundred(tb testing.TB) *reflex.Table {
	tb.Helper()
	scope, outputs := expr.Scope{}, make([]hal.Output, 4)
	for i := range 24 {
		scope[fmt.Sprintf("s%d", i)] = expr.Symbol{Slot: i, Boolean: i >= 20}
	}
	for i := range outputs {
		outputs[i] = hal.Output{Name: fmt.Sprintf("o%d", i), Maximum: 1}
		scope[outputs[i].Name] = expr.Symbol{Slot: 24 + i}
	}
	var rules []reflex.Rule
	for i := range 100 {
		a, b := i%20, (i*7+3)%20
		source := fmt.Sprintf("s%d < 0.3 && o%d > 0", a, i%4)
		switch i % 10 {
		case 0:
			source = fmt.Sprintf("s%d", 20+i%4)
		case 1, 2:
			source = fmt.Sprintf("s%d > %d", a, 5+i)
		case 3, 4:
			source = fmt.Sprintf("s%d < 0.2 || s%d > 90", a, b)
		case 5:
			source = fmt.Sprintf("s%d < 0.3 && s%d < 0.4 && o%d >= 0.5", a, b, i%4)
		}
		rules = append(rules, rule(tb, scope, reflex.Rule{
			Name: fmt.Sprintf("r%d", i), Stop: reflex.Stop2, Set: []reflex.Setting{{Output: i % 4}},
		}, source, ""))
	}
	t, err := reflex.NewTable(rules, outputs, 24)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func rule(tb testing.TB, scope expr.Scope, r reflex.Rule, when, until string) reflex.Rule {
	tb.Helper()
	var err error
	if r.When, err = expr.Compile(when, scope, expr.Want{Boolean: true}); err != nil {
		tb.Fatalf("%s: %v", when, err)
	}
	if until == "" {
		return r
	}
	if r.Until, err = expr.Compile(until, scope, expr.Want{Boolean: true}); err != nil {
		tb.Fatalf("%s: %v", until, err)
	}
	return r
}

func calm() []float64 {
	slots := make([]float64, 28)
	for i := range slots {
		slots[i] = 1 + float64(i)/100
		if i >= 20 {
			slots[i] = 0
		}
	}
	return slots
}

func BenchmarkHundredRulesAll(b *testing.B) {
	t, slots := hundred(b), calm()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		slots[i%20] = 1 + float64(i&7)/100
		t.Evaluate(time.Duration(i), slots)
	}
}

func BenchmarkHundredRulesOneChanged(b *testing.B) {
	t, slots := hundred(b), calm()
	t.Evaluate(0, slots)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		slots[i%20] = 1 + float64(i&7)/100
		t.Changed(time.Duration(i), i%20, slots)
	}
}

// All values jump from one side of most limits to the other, so that rules fire
// and end in every evaluation: the worst case, not the usual one.
func BenchmarkHundredRulesAllCrossing(b *testing.B) {
	t, slots := hundred(b), calm()
	moves := make([]reflex.Transition, 200)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for s := range slots {
			slots[s] = float64(i & 1 * 60)
		}
		t.Evaluate(time.Duration(i), slots)
		t.TakeTransitions(moves)
	}
}

func TestEvaluationDoesNotAllocate(t *testing.T) {
	table, slots := hundred(t), calm()
	moves := make([]reflex.Transition, 8)
	now := time.Duration(0)
	allocs := testing.AllocsPerRun(200, func() {
		now += time.Millisecond
		slots[int(now/time.Millisecond)%24] = float64(now/time.Millisecond%7) * 40
		slots[5] = math.NaN()
		table.Evaluate(now, slots)
		table.Lost(now, 5, slots)
		slots[5] = 1
		table.Changed(now, 5, slots)
		table.Tick(now)
		table.NextDeadline()
		table.Merged(0)
		_ = table.Clear(0)
		table.TakeTransitions(moves)
	})
	if allocs != 0 {
		t.Errorf("an evaluation allocates %v times, want 0", allocs)
	}
}
