package proof

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
	"dancer/reflex/program"
)

// TestDrivesAreThoseOfTheTable holds what a proof drives an output to, in every
// step of a stop, against the table of the robot, which is told what it drives as
// the spine tells it.
func TestDrivesAreThoseOfTheTable(t *testing.T) {
	var b program.Builder
	when, err := b.Program("x", b.Binary(program.Less, b.Constant(0), b.Slot(0)))
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(17, 18))
	for range 2000 {
		o := hal.Output{Name: "u", Minimum: -1, Maximum: 1, Safe: float64(r.IntN(5)-2) / 2, Switch: r.IntN(6) == 0}
		rule := reflex.Rule{
			Name: "stop", When: when, Stop: reflex.StopCategory(1 + r.IntN(3)),
			Set: []reflex.Setting{{Output: 0, Value: float64(r.IntN(9)-4) / 4}},
		}
		if rule.Stop == reflex.Stop1 {
			rule.Controlled, rule.Ramp = time.Duration(r.IntN(3))*150*time.Millisecond, time.Duration(r.IntN(70))*10*time.Millisecond
		}
		m := &dancer.Manual{
			Signals: []hal.Signal{{Name: "x", Boolean: true}}, Outputs: []hal.Output{o}, Rules: []reflex.Rule{rule},
			Model: dancer.Model{Step: time.Duration(1+r.IntN(20)) * 10 * time.Millisecond, Horizon: time.Second},
		}
		before := 2*r.Float64() - 1
		if o.Switch {
			before = math.Copysign(1, before)
		}
		got := driven(t, m, before)
		for step := 1; step <= m.Model.Steps(); step++ {
			if want := drivesAt(m, &rule, step)[0].from(before); got[step-1] != want {
				t.Fatalf("%+v from %v, safe %v, step %d of %v: the table drives %v, the proof %v", rule, before, o.Safe, step, m.Model.Step, got[step-1], want)
			}
		}
	}
}

// driven gives what the table has the output at in every step of the model.
func driven(t *testing.T, m *dancer.Manual, before float64) (out []float64) {
	t.Helper()
	table, err := reflex.NewTable(m.Rules, m.Outputs, 1)
	if err != nil {
		t.Fatal(err)
	}
	const fired = time.Hour
	table.Drive(0, before)
	table.Evaluate(fired, []float64{1, before})
	drive := func() float64 {
		value, _, ok := table.Merged(0)
		if !ok {
			t.Fatal("nothing sets the output")
		}
		table.Drive(0, value)
		return value
	}
	drive()
	for step := range m.Model.Steps() {
		now := fired + time.Duration(step)*m.Model.Step
		for due, ok := table.NextDeadline(); ok && due <= now; due, ok = table.NextDeadline() {
			table.Tick(due)
			drive()
		}
		out = append(out, drive())
	}
	return out
}
