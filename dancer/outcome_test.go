package dancer_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"dancer/dancer"
)

var trackedManual = []string{
	"signal smoke ppm 0 1000",
	"output vent 0 1 safe 0",
	"value safety 5",
	"value task",
	"horizon 300ms",
	"impact safety = 10 - smoke / 100 ppm",
	"impact task = 10 * vent",
	"action halt vent=0 fallback",
	"action vent vent=1",
}

func tracked(id, running string, at time.Duration) *dancer.Decision {
	predicted := []dancer.Index{{Value: "safety", Worst: 6, Expected: 7}, {Value: "task"}}
	return &dancer.Decision{ID: id, Running: running, Who: dancer.WhoCommand, Monotonic: at, Assessments: []dancer.Assessment{
		{Option: "halt", Aliases: []string{dancer.InactionName}, Outputs: []float64{0}, Indices: predicted},
		{Option: "vent", Outputs: []float64{1}, Indices: predicted},
	}}
}

func TestTracker(t *testing.T) {
	m := parseManual(t, trackedManual)
	tracker := dancer.NewTracker(m)
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	if got := tracker.Start(tracked("d1", dancer.InactionName, 0)); got != nil {
		t.Fatalf("start: %+v", got)
	}
	var done []dancer.Outcome
	for i, smoke := range []float64{999, 200, 600, 400} { // the first is the state decided on
		done = append(done, tracker.Feed(ms(100*i), []float64{smoke, 0})...)
	}
	if len(done) != 1 {
		t.Fatalf("%d outcomes, want 1", len(done))
	}
	o := done[0]
	if o.Decision != "d1" || o.Option != "halt" || o.Horizon != ms(300) || o.Cut || o.States != 3 {
		t.Errorf("outcome %+v", o)
	}
	if f := o.Followed[0]; f.Worst != 4 || f.Expected != 6 || f.Unknown || f.Value != "safety" {
		t.Errorf("followed %+v, want worst 4, mean 6", f)
	}
	if fmt.Sprint(o.Broken) != "[safety]" || o.Success(0.5) {
		t.Errorf("broken %v, success %v", o.Broken, o.Success(0.5))
	}
	if o.Predicted[0].Worst != 6 {
		t.Errorf("predicted %+v", o.Predicted)
	}
}

func TestTrackerCutsAnotherOption(t *testing.T) {
	m := parseManual(t, trackedManual)
	tracker := dancer.NewTracker(m)
	tracker.Start(tracked("d1", "halt", 0))
	tracker.Feed(100*time.Millisecond, []float64{100, 0})
	if got := tracker.Start(tracked("d2", "halt", 100*time.Millisecond)); got != nil {
		t.Fatalf("the same option was cut: %+v", got)
	}
	done := tracker.Start(tracked("d3", "vent", 100*time.Millisecond))
	if len(done) != 1 || done[0].Decision != "d1" || !done[0].Cut || !done[0].Success(0.5) {
		t.Fatalf("cut %+v, want d1 alone: nothing of d2 was seen", done)
	}
	none := tracked("d4", "vent", 200*time.Millisecond)
	none.Who = dancer.WhoNone
	tracker.Feed(150*time.Millisecond, []float64{math.NaN(), 1})
	done = tracker.Start(none)
	if len(done) != 1 || done[0].Followed[0].Worst != 0 || !done[0].Followed[0].Unknown {
		t.Fatalf("an invalid signal: %+v", done)
	}
	if got := tracker.Feed(time.Hour, []float64{0, 0}); got != nil {
		t.Errorf("something is still followed: %+v", got)
	}
}

func TestTrackerIsBounded(t *testing.T) {
	m := parseManual(t, trackedManual)
	tracker := dancer.NewTracker(m)
	for i := range 100 {
		tracker.Start(tracked(fmt.Sprint(i), "halt", time.Duration(i)))
	}
	if got := tracker.Feed(time.Hour, []float64{0, 0}); len(got) != 64 || got[0].Decision != "36" || tracker.Dropped() != 36 {
		t.Errorf("%d outcomes from %s on, %d dropped", len(got), got[0].Decision, tracker.Dropped())
	}
}

// TestTrackerOfADisplacedOption: a robot under a latch does not learn from what
// it would have done, however long it stands there; only what the option did
// before it was displaced speaks for or against it.
func TestTrackerOfADisplacedOption(t *testing.T) {
	m := parseManual(t, trackedManual)
	const step = 100 * time.Millisecond
	decision := func(i int) *dancer.Decision {
		d := tracked(fmt.Sprint(i), "vent", time.Duration(i)*step)
		d.Verdict = dancer.Verdict{Outcome: dancer.OutcomeAct, Option: "vent", Parts: &dancer.ConfidenceParts{Score: 0.65}}
		return d
	}
	calibrator := dancer.NewCalibrator(nil)
	tracker := dancer.NewTracker(m)
	for i := range 3000 {
		outcomes := append(tracker.Start(decision(i)), tracker.Feed(time.Duration(i)*step, []float64{100, 0})...)
		if len(outcomes) > 0 {
			t.Fatalf("outcomes of what never ran: %+v", outcomes)
		}
	}

	tracker = dancer.NewTracker(m)
	tracker.Start(decision(0))
	tracker.Feed(step, []float64{100, 1})
	done := tracker.Feed(2*step, []float64{100, 0})
	if len(done) != 1 || !done[0].Cut || done[0].States != 2 || calibrator.Add(&done[0], m.Band()) {
		t.Fatalf("displaced in its second step, and well: %+v", done)
	}
	tracker.Start(decision(2))
	tracker.Feed(3*step, []float64{100, 1})
	done = tracker.Feed(4*step, []float64{900, 0})
	if len(done) != 1 || fmt.Sprint(done[0].Broken) != "[safety]" || !calibrator.Add(&done[0], m.Band()) {
		t.Fatalf("displaced when a floor broke: %+v", done)
	}
}
