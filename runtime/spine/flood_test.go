package spine

import (
	"testing"
	"time"
)

// TestFloodGate: whoever takes all the time is left out until the window is over,
// and whoever takes little never is.
func TestFloodGate(t *testing.T) {
	g := floodGate{ports: make([]source, 3)}
	now := time.Hour
	g.turn(now)
	muted := [3]int{}
	for range 1000 { // ports 0 and 1 flood, port 2 brings an edge now and then
		for i, took := range []time.Duration{100 * time.Microsecond, 90 * time.Microsecond, 5 * time.Microsecond} {
			if g.ports[i].muted {
				continue
			}
			now += took
			if g.over(now) {
				g.turn(now)
			}
			if g.take(&g.ports[i], took) {
				g.ports[i].muted = true
				muted[i]++
			}
		}
		now += 10 * time.Microsecond
		if g.spent > floodBudget+100*time.Microsecond+90*time.Microsecond+time.Millisecond {
			t.Fatalf("%v of a window went to reading, want about %v", g.spent, floodBudget)
		}
	}
	if muted[0] == 0 || muted[1] == 0 || muted[2] != 0 {
		t.Errorf("left out %v times, want the floods alone", muted)
	}
	g.turn(now)
	for i := range g.ports {
		if g.ports[i].muted || g.ports[i].spent != 0 {
			t.Errorf("port %d is still left out in the next window", i)
		}
	}
}

// TestStallIsNoFlood: when something else had the processor while a port was read,
// the port is read on.
func TestStallIsNoFlood(t *testing.T) {
	g := floodGate{ports: make([]source, 1)}
	g.turn(time.Hour)
	for _, took := range []time.Duration{25 * time.Millisecond, 10 * time.Microsecond, 12 * time.Millisecond} {
		if g.take(&g.ports[0], took) {
			t.Errorf("left out after a reading that took %v", took)
		}
	}
	readings := 2
	for !g.take(&g.ports[0], 25*time.Millisecond) { // a processor this slow exists nowhere, but then the rest must run too
		readings++
	}
	if want := int(floodBudget / floodMost); readings > want {
		t.Errorf("left out after %d long readings, want at most %d", readings, want)
	}
}
