package spine

import (
	"testing"
	"time"
)

// TestGivesWayInTime: a loop in real time gives way before Go asks it to, which is
// after 10 ms, and wakes for that; one without has nothing to lose.
func TestGivesWayInTime(t *testing.T) {
	const begin = time.Hour
	for _, real := range []bool{true, false} {
		b := moving(t)
		b.status.RealTime = real
		l := &loop{core: b.core, gaveWay: begin}
		for _, c := range []struct {
			now, deadline, gave, wake time.Duration
		}{
			{begin + time.Millisecond, never, begin, begin + giveWayWithin},
			{begin + time.Millisecond, begin + 2*time.Millisecond, begin, begin + 2*time.Millisecond},
			{begin + giveWayAfter - 1, never, begin, begin + giveWayWithin},
			{begin + giveWayAfter, never, begin + giveWayAfter, begin + giveWayAfter + giveWayWithin},
			{begin + time.Second, begin + 2*time.Second, begin + time.Second, begin + time.Second + giveWayWithin},
		} {
			if !real {
				c.gave, c.wake = begin, c.deadline
			}
			l.core.status.Now = c.now
			l.giveWay()
			if wake := l.wakeBy(c.deadline); l.gaveWay != c.gave || wake != c.wake {
				t.Errorf("real time %v, at %v: gave way at %v and wakes at %v, want %v and %v", real, c.now, l.gaveWay, wake, c.gave, c.wake)
			}
		}
	}
	if giveWayWithin >= 10*time.Millisecond || giveWayWithin-giveWayAfter <= leastWait {
		t.Error("Go asks before, or the next deadline would be earlier than a wait may be")
	}
}
