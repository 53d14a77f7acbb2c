package mqtt

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestScheduleBacksOff(t *testing.T) {
	s := newSchedule()
	s.add("a", 0)
	var at time.Duration
	for attempt, want := range []time.Duration{0, 2 * time.Second, 6 * time.Second, 14 * time.Second, 30 * time.Second, 60 * time.Second, 90 * time.Second} {
		id, wait, ok := s.next(at)
		for !ok {
			at += wait
			id, wait, ok = s.next(at)
		}
		if id != "a" || at != want {
			t.Fatalf("attempt %d: %q at %s, want a at %s", attempt, id, at, want)
		}
		s.mark(id, at, 0)
	}
	s.restart(at)
	if _, _, ok := s.next(at); !ok {
		t.Error("not due after a new connection")
	}
	s.remove("a")
	if _, _, ok := s.next(at + time.Hour); ok {
		t.Error("sent after its acknowledgement")
	}
}

// TestScheduleWindow: a burst is cut to the window, new items come before
// repeated ones, and each is sent without any acknowledgement.
func TestScheduleWindow(t *testing.T) {
	s := newSchedule()
	const items = 100
	for i := range items {
		s.add(fmt.Sprintf("%03d", i), 0)
	}
	sent, at := []string{}, time.Duration(0)
	for len(sent) < items {
		id, wait, ok := s.next(at)
		if !ok {
			at += wait
			continue
		}
		if at == 0 && len(sent) >= window {
			t.Fatalf("%d sent at once, the window is %d", len(sent)+1, window)
		}
		s.mark(id, at, 0)
		sent = append(sent, id)
	}
	for i, id := range sent {
		if want := fmt.Sprintf("%03d", i); id != want {
			t.Fatalf("number %d is %s, want %s", i, id, want)
		}
	}
}

// TestScheduleProperties: next never gives an item before it is due, never more
// than the window, and never stops for ever.
func TestScheduleProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, at := newSchedule(), time.Duration(0)
		due := map[string]time.Duration{}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			id := fmt.Sprint(rapid.IntRange(0, 60).Draw(t, "id"))
			switch rapid.IntRange(0, 3).Draw(t, "what") {
			case 0:
				if _, known := due[id]; !known {
					due[id] = at
				}
				s.add(id, at)
			case 1:
				s.remove(id)
				delete(due, id)
			default:
				id, wait, ok := s.next(at)
				if !ok {
					if wait <= 0 || wait > resendLast {
						t.Fatalf("wait %s", wait)
					}
					at += wait
					continue
				}
				if due[id] > at {
					t.Fatalf("%s given at %s, due at %s", id, at, due[id])
				}
				s.mark(id, at, rapid.Float64Range(0, 0.999).Draw(t, "jitter"))
				due[id] = s.entries[id].due
			}
		}
	})
}
