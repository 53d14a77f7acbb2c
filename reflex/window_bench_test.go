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

// The slots of hundredWindowed: 24 signals, 20 windows, 4 outputs.
const (
	benchSignals = 24
	benchWindows = 20
)

// hundredWindowed is 100 rules of which 20 look back in time, five with each
// function, all over signals of their own.
func hundredWindowed(tb testing.TB) (*reflex.Windows, *reflex.Table, []float64) {
	tb.Helper()
	scope, outputs := expr.Scope{}, make([]hal.Output, 4)
	for i := range benchSignals {
		scope[fmt.Sprintf("s%d", i)] = expr.Symbol{Slot: i, Boolean: i >= 20}
	}
	for i := range outputs {
		outputs[i] = hal.Output{Name: fmt.Sprintf("o%d", i), Maximum: 1}
		scope[outputs[i].Name] = expr.Symbol{Slot: benchSignals + benchWindows + i}
	}
	found := &expr.Windows{First: benchSignals}
	var rules []reflex.Rule
	for i := range 100 {
		source := fmt.Sprintf("s%d < 0.3 && o%d > 0", i%20, i%4)
		switch {
		case i >= benchWindows:
		case i%4 == 0:
			source = fmt.Sprintf("rate(s%d, 2s) > 1e6 / 1 s", i)
		case i%4 == 1:
			source = fmt.Sprintf("mean(s%d, 2s) > 100", i)
		case i%4 == 2:
			source = fmt.Sprintf("held(s%d > 100, 300ms)", i)
		case i%4 == 3:
			source = fmt.Sprintf("since(s%d > 0) > 5 s", i)
		}
		p, err := expr.CompileWindowed(source, scope, expr.Want{Boolean: true}, found)
		if err != nil {
			tb.Fatalf("%s: %v", source, err)
		}
		rules = append(rules, reflex.Rule{Name: fmt.Sprintf("r%d", i), Stop: reflex.Stop2, Set: []reflex.Setting{{Output: i % 4}}, When: p})
	}
	kinds := map[string]reflex.WindowKind{"rate": reflex.RateWindow, "mean": reflex.MeanWindow, "held": reflex.HeldWindow, "since": reflex.SinceWindow}
	var list []reflex.Window
	for _, w := range found.List() {
		list = append(list, reflex.Window{Kind: kinds[w.Function], Slot: w.Slot, Argument: w.Argument, Length: w.Length})
	}
	slots := make([]float64, benchSignals+benchWindows+len(outputs))
	windows, err := reflex.NewWindows(list, len(slots))
	if err != nil {
		tb.Fatal(err)
	}
	table, err := reflex.NewTable(rules, outputs, benchSignals+benchWindows)
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 20 {
		slots[i] = 1
	}
	windows.Start(0, slots)
	table.Evaluate(0, slots)
	return windows, table, slots
}

// A reading of a signal that a window looks back at: the window, then the rules.
func BenchmarkWindowedRulesOneChanged(b *testing.B) {
	for kind, name := range []string{"rate", "mean", "held", "since"} {
		b.Run(name, func(b *testing.B) {
			windows, table, slots := hundredWindowed(b)
			changed := make([]int, 1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				now, slot := time.Duration(i)*10*time.Millisecond, kind+4*(i%5)
				slots[slot], changed[0] = 1+float64(i&7)/100, slot
				windows.Update(now, changed, slots)
				table.Changed(now, slot, slots)
				table.Changed(now, benchSignals+slot, slots)
			}
		})
	}
}

// One output that moves with every step, as a read-back looks at it.
func BenchmarkLowestAndHighest(b *testing.B) {
	p := newPast(b, "lowest(drive, 200ms)", "highest(drive, 200ms)")
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		p.read(10*time.Millisecond, driveSlot, float64(i&63))
	}
}

func TestLowestAndHighestDoNotAllocate(t *testing.T) {
	p := newPast(t, "lowest(drive, 200ms)", "highest(drive, 200ms)")
	i := 0
	if n := testing.AllocsPerRun(200, func() { i++; p.read(7*time.Millisecond, driveSlot, float64(i&31)) }); n != 0 {
		t.Errorf("%v allocations a reading", n)
	}
}

// Every signal has a new reading, and all 20 windows and 100 rules are looked at.
func BenchmarkWindowedRulesAll(b *testing.B) {
	windows, table, slots := hundredWindowed(b)
	changed := make([]int, 20)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now := time.Duration(i) * 10 * time.Millisecond
		for s := range changed {
			slots[s], changed[s] = 1+float64((i+s)&7)/100, s
		}
		windows.Update(now, changed, slots)
		table.Evaluate(now, slots)
	}
}

// Time alone: what is due every 20 ms, of 20 windows.
func BenchmarkWindowsTick(b *testing.B) {
	windows, _, slots := hundredWindowed(b)
	changed := make([]int, 20)
	b.ReportAllocs()
	now := time.Duration(0)
	for i := 0; b.Loop(); i++ {
		now += 20 * time.Millisecond
		if i%8 == 0 {
			for s := range changed {
				slots[s], changed[s] = -float64(i&15), s
			}
			windows.Update(now, changed, slots)
		}
		windows.NextDeadline()
		windows.Tick(now, slots)
	}
}

func TestWindowsDoNotAllocate(t *testing.T) {
	windows, table, slots := hundredWindowed(t)
	changed := make([]int, 1)
	moves := make([]reflex.Transition, 8)
	now, n := time.Duration(0), 0
	allocs := testing.AllocsPerRun(300, func() {
		n++
		now += 7 * time.Millisecond
		slot := n % 20
		slots[slot], changed[0] = float64(n%5)*60-100, slot
		if n%17 == 0 {
			slots[slot] = math.NaN()
		}
		windows.Update(now, changed, slots)
		table.Changed(now, slot, slots)
		table.Changed(now, benchSignals+slot, slots)
		if due, ok := windows.NextDeadline(); ok && due <= now+5*time.Millisecond {
			windows.Tick(due, slots)
		}
		table.Drive(0, 1)
		table.TakeTransitions(moves)
	})
	if allocs != 0 {
		t.Errorf("windows allocate %v times, want 0", allocs)
	}
}
