package spine

import (
	"math"
	"testing"
	"time"

	"dancer/runtime/link"
)

// TestOutputThatCannotBeDriven: the robot stops, says so once, tries again, and does
// not move by itself when the output is back.
func TestOutputThatCannotBeDriven(t *testing.T) {
	b := moving(t)
	b.want(0.5, link.WhoCommand)
	b.broken, b.wrote, b.notes = 1+outBrake, nil, nil
	b.post([]float64{0.5, 1}, 0, nil)
	if v, _, _, _ := b.brain.LoadOutput(outBrake); !math.IsNaN(v) {
		t.Errorf("the brain is told that the brake is at %v", v)
	}
	if due := b.deadline(); due > b.now {
		t.Errorf("the others are made safe after %v, want at once", due-b.now)
	}
	b.pass(0)
	b.want(0, link.WhoSafe)
	if b.status.Mode != link.ModeSafe || len(b.wrote) != 1 || b.wrote[0] != [2]float64{outDrive, 0} {
		t.Errorf("mode %v, wrote %v", b.status.Mode, b.wrote)
	}
	told := func(driven uint8) (n int) {
		for _, e := range b.notes {
			if e.Kind == link.EventOutput && e.Cause == int32(link.ReasonOutputFailed) && e.Flags == driven && (driven == 1 || e.Index == outBrake) {
				n++
			}
		}
		return n
	}
	for range 5 {
		b.pass(driveAgainAfter)
		b.calm()
	}
	if told(0) != 1 || told(1) != 0 {
		t.Errorf("told %d times that it fails and %d times that it is back, want once and never", told(0), told(1))
	}
	if due := b.deadline(); due > b.now+driveAgainAfter {
		t.Errorf("it is tried again in %v", due-b.now)
	}
	b.post([]float64{0.5, 0}, 0, nil) // a live lease
	if why := b.begin(b.now, link.ReasonOperator, []byte("me")); why != link.ReasonOutputFailed || b.status.Mode != link.ModeSafe {
		t.Errorf("a start is answered %q, mode %v", why, b.status.Mode)
	}
	b.broken, b.wrote = 0, nil
	b.pass(driveAgainAfter)
	if told(1) != 1 || len(b.wrote) != 1 || b.wrote[0] != [2]float64{outBrake, 1} {
		t.Errorf("told %d times that it is back, wrote %v; want once, and its safe value", told(1), b.wrote)
	}
	b.post([]float64{0.5, 0}, 0, nil)
	b.pass(time.Millisecond)
	b.want(0, link.WhoSafe)
	if b.status.Mode != link.ModeSafe || b.driveAgain != never {
		t.Errorf("mode %v by itself; tried again at %v", b.status.Mode, b.driveAgain)
	}
	if why := b.begin(b.now, link.ReasonOperator, []byte("me")); why != link.ReasonNone {
		t.Errorf("a start is refused though all are driven: %v", why)
	}
}
