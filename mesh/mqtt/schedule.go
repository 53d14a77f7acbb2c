package mqtt

import "time"

// Resending of what is not acknowledged.
const (
	resendFirst = 2 * time.Second
	resendLast  = 30 * time.Second
	// window bounds the items sent within the last resendFirst and not yet
	// acknowledged: brokers drop parts of a burst past their queues.
	window = 32
)

// schedule says which item is sent next. It calls no clock.
type schedule struct {
	entries map[string]*entry
}

type entry struct {
	attempts int
	sent     time.Duration // of the newest attempt
	due      time.Duration
}

func newSchedule() *schedule { return &schedule{entries: map[string]*entry{}} }

// add makes an item due now, unless it is known.
func (s *schedule) add(id string, now time.Duration) {
	if s.entries[id] == nil {
		s.entries[id] = &entry{due: now}
	}
}

func (s *schedule) remove(id string) { delete(s.entries, id) }

// restart makes everything due: there is a new connection.
func (s *schedule) restart(now time.Duration) {
	for _, e := range s.entries {
		*e = entry{due: now}
	}
}

// next gives the due item with the fewest attempts, then the lowest id. With
// nothing to send it gives how long to wait; ok is false then.
func (s *schedule) next(now time.Duration) (id string, wait time.Duration, ok bool) {
	flying, wait := 0, resendLast
	var best *entry
	for i, e := range s.entries {
		if e.attempts > 0 && now-e.sent < resendFirst {
			flying++
			wait = min(wait, e.sent+resendFirst-now)
		}
		if e.due > now {
			wait = min(wait, e.due-now)
			continue
		}
		if best == nil || e.attempts < best.attempts || e.attempts == best.attempts && i < id {
			best, id = e, i
		}
	}
	if best == nil || flying >= window {
		return "", max(wait, time.Millisecond), false
	}
	return id, 0, true
}

// mark records an attempt; jitter in [0, 1) spreads the next one by 20 %.
func (s *schedule) mark(id string, now time.Duration, jitter float64) {
	e := s.entries[id]
	if e == nil {
		return
	}
	delay := min(resendFirst<<min(e.attempts, 8), resendLast)
	e.attempts++
	e.sent = now
	e.due = now + delay + time.Duration(jitter*0.2*float64(delay))
}
