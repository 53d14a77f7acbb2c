package reflex_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/hal"
	"dancer/reflex"
)

// ramped is a stop of category 1 of the outputs speed (-1 to 1, safe 0) and
// light (a switch, safe 1).
func ramped(tb testing.TB, speed float64, r reflex.Rule) *bench {
	tb.Helper()
	r.Name, r.Stop = "stop", reflex.Stop1
	r.Set = []reflex.Setting{{Output: 0, Value: speed}, {Output: 1, Value: 0}}
	table, err := reflex.NewTable([]reflex.Rule{rule(tb, scope(tb), r, "bumper", "")}, []hal.Output{
		{Name: "speed", Minimum: -1, Maximum: 1}, {Name: "light", Maximum: 1, Safe: 1, Switch: true},
	}, 3)
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{table: table, slots: []float64{2, 0, 10, 0.5, 0}}
	table.Evaluate(0, b.slots)
	return b
}

// drive puts what the rules ask of an output on the wire.
func (b *bench) drive(output int) float64 {
	value, _, ok := b.table.Merged(output)
	if !ok {
		return math.NaN()
	}
	b.table.Drive(output, value)
	return value
}

// tick lets time pass to the next deadline and gives what is on the wire then.
func (b *bench) tick() (at time.Duration, speed float64) {
	due, ok := b.table.NextDeadline()
	if !ok {
		return 0, math.NaN()
	}
	b.now = due
	b.table.Tick(due)
	return due, b.drive(0)
}

func TestRampGoesInAStraightLine(t *testing.T) {
	b := ramped(t, 0.2, reflex.Rule{Ramp: 40 * ms, Controlled: 100 * ms})
	b.table.Drive(0, 1)
	b.set(bumperSlot, 1) // at 10 ms
	if got := b.drive(0); got != 1 {
		t.Errorf("when it fires: %v, want 1, where it was", got)
	}
	if got := b.drive(1); got != 0 {
		t.Errorf("a switch: %v, want 0 at once", got)
	}
	for _, want := range []struct {
		at    time.Duration
		speed float64
	}{{20 * ms, 0.8}, {30 * ms, 0.6}, {40 * ms, 0.4}, {50 * ms, 0.2}, {110 * ms, 0}} {
		if at, speed := b.tick(); at != want.at || math.Abs(speed-want.speed) > 1e-12 {
			t.Errorf("at %v: %v, want %v at %v", at, speed, want.speed, want.at)
		}
	}
	if got := b.drive(1); got != 1 {
		t.Errorf("a switch at the end: %v, want safe", got)
	}
	if due, ok := b.table.NextDeadline(); ok {
		t.Errorf("a deadline at %v after the end", due)
	}
}

func TestRampLengthens(t *testing.T) {
	b := ramped(t, 0, reflex.Rule{Ramp: 3 * time.Second})
	b.table.Drive(0, 1)
	b.set(bumperSlot, 1)
	b.table.Tick(b.now + 1500*ms)
	if got := b.drive(0); got != 0.5 {
		t.Errorf("in the middle, behind the usual end of a controlled stop: %v", got)
	}
}

func TestRampNeverMovesAwayFromSafe(t *testing.T) {
	tests := []struct {
		name             string
		present, set     float64
		middle, end, off float64
	}{
		{"farther than now", 0.2, 0.6, 0.2, 0.2, 0},
		{"safe already", 0, 0.6, 0, 0, 0},
		{"on the other side", -0.4, 0.4, 0, 0, 0},
		{"on the other side, nearer", -0.6, 0.2, -0.2, 0, 0},
		{"from below", -0.6, -0.2, -0.4, -0.2, 0},
	}
	for _, test := range tests {
		b := ramped(t, test.set, reflex.Rule{Ramp: 100 * ms, Controlled: 200 * ms})
		b.table.Drive(0, test.present)
		b.set(bumperSlot, 1)
		if got := b.drive(0); got != test.present {
			t.Errorf("%s: at once %v, want %v", test.name, got, test.present)
		}
		for _, step := range []struct {
			after time.Duration
			want  float64
		}{{50 * ms, test.middle}, {100 * ms, test.end}, {199 * ms, test.end}, {200 * ms, test.off}} {
			b.table.Tick(b.now + step.after)
			if got := b.drive(0); math.Abs(got-step.want) > 1e-12 {
				t.Errorf("%s: after %v %v, want %v", test.name, step.after, got, step.want)
			}
		}
	}
}

// Something else has brought the output over to the other side of safe, or nearer,
// while the line goes on.
func TestRampFromWhatIsOnTheWire(t *testing.T) {
	for _, c := range []struct{ from, to, safe, present, want float64 }{
		{0.8, 0, 0, 0.8, 0.4},
		{0.8, 0, 0, 0.3, 0.3},
		{0.8, 0, 0, -0.6, 0},
		{0.8, 0, 0, -0.1, -0.1},
		{0.8, -0.8, 0, 0.8, 0},
		{-0.8, 0, 0, 0.6, 0},
		{0.2, 1, 1, 0.2, 0.6},
		{5, 2, 2, 5, 3.5},
	} {
		r := reflex.Ramp{From: c.from, To: c.to, Safe: c.safe}
		if got := r.At(50*ms, 100*ms, c.present); math.Abs(got-c.want) > 1e-12 {
			t.Errorf("half way of %+v with %v on the wire: %v, want %v", r, c.present, got, c.want)
		}
		if got := r.At(100*ms, 100*ms, c.present); c.to == c.safe && got != c.safe {
			t.Errorf("at the end of %+v: %v", r, got)
		}
	}
}

func TestRampAfterARestart(t *testing.T) {
	b := ramped(t, 0.2, reflex.Rule{Ramp: 400 * ms, Latch: true})
	b.table.Drive(0, 1)
	b.table.Restore(0)
	if got := b.drive(0); got != 0 {
		t.Errorf("a latch from before: %v, want safe at once", got)
	}
	if due, ok := b.table.NextDeadline(); ok {
		t.Errorf("a deadline at %v", due)
	}
}

func TestClearingInARampReArmsIt(t *testing.T) {
	b := ramped(t, 0, reflex.Rule{Ramp: 400 * ms, Latch: true})
	b.table.Drive(0, 1)
	b.set(bumperSlot, 1)
	b.table.Tick(b.now + 200*ms)
	if got := b.drive(0); got != 0.5 {
		t.Errorf("half way: %v", got)
	}
	b.now += 200 * ms
	b.set(bumperSlot, 0)
	if got := b.drive(0); got > 0.5 {
		t.Errorf("the cause is over: %v, and the latch goes on", got)
	}
	if err := b.table.Clear(0); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := b.table.Merged(0); ok {
		t.Error("cleared, and it asks for something")
	}
	b.set(bumperSlot, 1)
	first := b.drive(0)
	b.table.Tick(b.now + 200*ms)
	if got := b.drive(0); math.Abs(got-first/2) > 1e-12 {
		t.Errorf("the second ramp is at %v half way from %v", got, first)
	}
}

// Whatever rules fire and end meanwhile: as long as a rule with a ramp is in the
// controlled part of its stop, no output of it moves away from safe; and the
// order of the rules does not matter.
func TestRampsMergeLikeAnyValue(t *testing.T) {
	outputs := []hal.Output{{Name: "speed", Minimum: -1, Maximum: 1}, {Name: "brake", Maximum: 1, Safe: 1}}
	levels := rapid.SampledFrom([]float64{-1, -0.5, 0, 0.25, 0.5, 1})
	conditions := []string{"bumper", "smoke > 1", "range < 1 m"}
	moved := 0
	rapid.Check(t, func(rt *rapid.T) {
		var rules []reflex.Rule
		for i := range rapid.IntRange(1, 4).Draw(rt, "rules") {
			r := reflex.Rule{
				Name: fmt.Sprint(i), Stop: rapid.SampledFrom([]reflex.StopCategory{reflex.Stop0, reflex.Stop1, reflex.Stop1, reflex.Stop1, reflex.Stop2}).Draw(rt, "stop"), Latch: rapid.Bool().Draw(rt, "latch"),
				Set: []reflex.Setting{{Output: 0, Value: levels.Draw(rt, "speed")}, {Output: 1, Value: math.Abs(levels.Draw(rt, "brake"))}},
			}
			if r.Stop == reflex.Stop1 {
				r.Ramp = time.Duration(rapid.IntRange(0, 700).Draw(rt, "ramp")) * ms
			}
			rules = append(rules, rule(t, scope(t), r, rapid.SampledFrom(conditions).Draw(rt, "when"), ""))
		}
		mirrored := make([]reflex.Rule, len(rules))
		for i := range rules {
			mirrored[len(rules)-1-i] = rules[i]
		}
		a, b := table(t, rules, outputs), table(t, mirrored, outputs)
		slots, now := []float64{2, 0, 0, 0, 0}, time.Duration(0)
		present := []float64{levels.Draw(rt, "speed now"), math.Abs(levels.Draw(rt, "brake now"))}
		until := make([]time.Duration, len(rules)) // end of a ramped stop
		for o, v := range present {
			a.Drive(o, v)
			b.Drive(o, v)
		}
		for range rapid.IntRange(20, 60).Draw(rt, "steps") {
			now += time.Duration(rapid.IntRange(0, 60).Draw(rt, "pause")) * ms
			before := make([]bool, len(rules))
			for i := range rules {
				before[i] = a.Active(i) || a.Latched(i)
			}
			if rapid.Bool().Draw(rt, "time alone") {
				a.Tick(now)
				b.Tick(now)
			} else {
				slot := rapid.IntRange(0, 2).Draw(rt, "slot")
				slots[slot] = rapid.SampledFrom([]float64{0, 2}).Draw(rt, "value")
				a.Changed(now, slot, slots)
				b.Changed(now, slot, slots)
			}
			stopping := false
			for i := range rules {
				switch on := a.Active(i) || a.Latched(i); {
				case !on || rules[i].Ramp == 0:
					until[i] = 0
				case !before[i]:
					until[i] = now + max(rules[i].Ramp, reflex.DefaultControlled)
				}
				stopping = stopping || now < until[i]
			}
			for o := range outputs {
				v, _, ok := a.Merged(o)
				w, _, same := b.Merged(o)
				if v != w || ok != same {
					rt.Fatalf("output %d is %v (%v), in another order of the rules %v (%v)", o, v, ok, w, same)
				}
				if !ok {
					if stopping {
						rt.Fatalf("output %d is free in a stop", o)
					}
					v = math.Abs(levels.Draw(rt, "command"))
				}
				safe := outputs[o].Safe
				if stopping && math.Abs(v-safe) > math.Abs(present[o]-safe) {
					rt.Fatalf("at %v output %d moves from %v to %v, away from safe", now, o, present[o], v)
				}
				if stopping && v != present[o] {
					moved++
				}
				present[o] = v
				a.Drive(o, v)
				b.Drive(o, v)
			}
		}
	})
	if moved == 0 { // in short mode there are 20 draws
		t.Errorf("outputs moved %d times in ramps", moved)
	}
}

func table(t *testing.T, rules []reflex.Rule, outputs []hal.Output) *reflex.Table {
	t.Helper()
	table, err := reflex.NewTable(rules, outputs, 3)
	if err != nil {
		t.Fatal(err)
	}
	return table
}
