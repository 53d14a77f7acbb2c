package brain

import (
	"testing"
	"time"

	"dancer/runtime/latency"
	"dancer/runtime/link"
)

// TestLastMinute counts one reflex a second for five minutes, of as many
// microseconds as seconds have passed, with a brain that looks every 0.2 s.
func TestLastMinute(t *testing.T) {
	segment, err := link.Create(link.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { segment.Close() })
	var spine latency.Histogram
	count := func(d time.Duration) { segment.StoreLatency(link.LatencyReflex, &spine, spine.Record(d)) }
	for range 7 {
		count(time.Second) // under the brain before this one
	}
	const start = time.Hour
	r := newReactions(segment, start)
	for tick := 1; tick <= 5*300; tick++ {
		now := start + time.Duration(tick)*200*time.Millisecond
		if tick%5 == 0 {
			count(time.Duration(tick/5) * 100 * time.Microsecond)
		}
		r.keep(now)
		if tick%7 != 0 {
			continue
		}
		got := r.latencies(now)
		seconds := uint64(tick / 5)
		if n := got.EdgeToOutput.SinceStart.Count(); n != 7+seconds {
			t.Fatalf("after %d s: %d since the start", seconds, n)
		}
		// No reading of the clock falls on a count but those of keep, after it.
		covered := uint64(got.LastMinute / time.Second)
		if minute := got.EdgeToOutput.LastMinute.Count(); minute < covered || minute > covered+1 {
			t.Fatalf("after %d s: %d in the last %v", seconds, minute, got.LastMinute)
		}
		passed := now - start
		if got.LastMinute > 70*time.Second+200*time.Millisecond || got.LastMinute < min(passed, time.Minute) {
			t.Fatalf("after %v the last minute covers %v", passed, got.LastMinute)
		}
		if most := got.EdgeToOutput.LastMinute.Max; most > time.Duration(float64(seconds+1)*100e3*(1+latency.RelativeError)) {
			t.Fatalf("after %d s the longest of the last minute is %v: from before", seconds, most)
		}
		if n := got.WakeUpLateness.SinceStart.Count(); n != 0 {
			t.Fatalf("%d wake-ups from nowhere", n)
		}
	}
	state := r.sinceStart()
	if state.EdgeToOutput.Count != 307 || state.EdgeToOutput.MaxUS != 1e6 || state.EdgeToOutput.P50US < 15_000 || state.EdgeToOutput.P50US > 16_000 {
		t.Errorf("state %+v", state)
	}
}

// TestLastMinuteAfterAPause: a brain that was stopped for long says how long its
// minute is.
func TestLastMinuteAfterAPause(t *testing.T) {
	segment, err := link.Create(link.Layout{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { segment.Close() })
	r := newReactions(segment, 0)
	for second := range 100 {
		r.keep(time.Duration(second) * time.Second)
	}
	if got := r.latencies(10 * time.Minute).LastMinute; got != 10*time.Minute-90*time.Second {
		t.Errorf("after a pause the last minute covers %v", got)
	}
}
