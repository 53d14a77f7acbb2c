package breaker

import "time"

// Failure counts one failure in a cluster and in its sector, and appends what
// follows to events. Failures of a cluster whose breaker is open count nowhere:
// they are isolated already, and one dead cluster must not take its sector down.
// So the limits fit: ten clusters of a sector with five failures each are its 50.
func (b *Breakers) Failure(now time.Duration, cluster int32, events []Event) []Event {
	t := b.tier(ScopeCluster, cluster)
	if t == nil {
		return events
	}
	if t.records[cluster].state == Open {
		b.isolated++
		return events
	}
	events = b.failure(now, t, cluster, events)
	return b.FailureOfSector(now, b.sectorOf[cluster], events)
}

// FailureOfSector counts a failure that belongs to no cluster: of the sector's
// coordinator itself.
func (b *Breakers) FailureOfSector(now time.Duration, sector int32, events []Event) []Event {
	t := b.tier(ScopeSector, sector)
	if t == nil || t.records[sector].state == Open {
		return events
	}
	return b.failure(now, t, sector, events)
}

func (b *Breakers) failure(now time.Duration, t *tierOf, index int32, events []Event) []Event {
	r := &t.records[index]
	full := t.stamp(now, index)
	if r.state == HalfOpen {
		r.failures++
		if int(r.failures) >= t.limits.Reopen {
			return b.trip(now, t, index, FailedAgain, events)
		}
		return events
	}
	switch {
	case full && r.step > 0:
		return b.trip(now, t, index, FailedAgain, events)
	case full:
		return b.trip(now, t, index, TooMany, events)
	}
	return events
}

// Trip opens a breaker by order; one that is open stays as it is.
func (b *Breakers) Trip(now time.Duration, scope Scope, index int32, events []Event) []Event {
	t := b.tier(scope, index)
	if t == nil || t.records[index].state == Open {
		return events
	}
	return b.trip(now, t, index, Ordered, events)
}

// trip opens a breaker that is not open.
func (b *Breakers) trip(now time.Duration, t *tierOf, index int32, cause Cause, events []Event) []Event {
	r := &t.records[index]
	if r.state == HalfOpen || r.step > 0 {
		r.attempt = min(r.attempt+1, 250) // it came back too early
	}
	r.state, r.share, r.step, r.failures, r.probing = Open, 0, 0, 0, false
	t.forget(index)
	b.wait(now, t, r, t.backOff(r.attempt))
	b.refresh(t.scope, index)
	events = append(events, Event{now, t.scope, index, Open, cause})
	if t.scope != ScopeSector {
		return events
	}
	b.open++
	global := &b.tiers[2]
	if b.open >= global.limits.Failures && global.records[0].state != Open {
		cause := TooMany
		if global.records[0].state == HalfOpen || global.records[0].step > 0 {
			cause = FailedAgain
		}
		return b.trip(now, global, 0, cause, events)
	}
	return events
}

// backOff is the time to the next probe.
func (t *tierOf) backOff(attempt uint8) time.Duration {
	if attempt == 0 {
		return t.limits.FirstProbe
	}
	d := t.limits.BackOff
	for range attempt - 1 {
		if d >= t.limits.MaxBackOff {
			break
		}
		d *= 2
	}
	return min(d, t.limits.MaxBackOff)
}

// wait sets the breaker's timer, later by up to the jitter.
func (b *Breakers) wait(now time.Duration, t *tierOf, r *record, d time.Duration) {
	if spread := int64(t.limits.longer(d) - d); spread > 0 {
		d += time.Duration(b.random.Int64N(spread + 1))
	}
	b.alarm(r, now+d)
}

func (b *Breakers) alarm(r *record, due time.Duration) {
	r.due = (due + resolution - 1) / resolution * resolution
	b.next = min(b.next, r.due)
}

// Hasten makes the next probe of an open breaker due now, as an operator who has
// repaired something asks for. It reports whether that changed anything.
func (b *Breakers) Hasten(now time.Duration, scope Scope, index int32) bool {
	t := b.tier(scope, index)
	if t == nil || t.records[index].state != Open || t.records[index].probing {
		return false
	}
	b.alarm(&t.records[index], now)
	return true
}

// Tick runs the timers that are due and appends what follows to events: probes to
// send, and changes of state. Without a timer that is due it is one comparison,
// with one it is a pass over all breakers, at most one each 100 ms.
func (b *Breakers) Tick(now time.Duration, events []Event) []Event {
	if now < b.next {
		return events
	}
	for i := range b.tiers {
		t := &b.tiers[i]
		for index := range t.records {
			if t.records[index].due <= now {
				events = b.fire(now, t, int32(index), events)
			}
		}
	}
	b.next = never
	for i := range b.tiers {
		for _, r := range b.tiers[i].records {
			b.next = min(b.next, r.due)
		}
	}
	return events
}

// fire runs the timer of one breaker.
func (b *Breakers) fire(now time.Duration, t *tierOf, index int32, events []Event) []Event {
	r := &t.records[index]
	r.due = never
	switch {
	case r.state == HalfOpen:
		r.state, r.step, r.failures = Closed, 1, 0
		t.forget(index)
		return b.ramp(now, t, index, append(events, b.event(now, t, index, Evaluated)))
	case r.state == Closed:
		return b.ramp(now, t, index, events)
	case t.scope == ScopeGlobal:
		// Nobody can be probed for the whole mesh: its sectors are, by themselves.
		if b.open < t.limits.Failures {
			return b.halfOpen(now, t, index, FewerSectors, events)
		}
		r.attempt = min(r.attempt+1, 250)
		b.wait(now, t, r, t.backOff(r.attempt))
		return events
	case r.probing:
		return b.probeFailed(now, t, index, events)
	}
	r.probing = true
	b.alarm(r, now+t.limits.ProbeWait)
	return append(events, b.event(now, t, index, Probe))
}

func (b *Breakers) event(now time.Duration, t *tierOf, index int32, cause Cause) Event {
	return Event{now, t.scope, index, t.records[index].state, cause}
}

func (b *Breakers) probeFailed(now time.Duration, t *tierOf, index int32, events []Event) []Event {
	r := &t.records[index]
	r.probing = false
	r.attempt = min(r.attempt+1, 250)
	b.wait(now, t, r, t.backOff(r.attempt))
	return append(events, b.event(now, t, index, ProbeFailed))
}

// Probed reports what a probe of a cluster or sector came to. A result that
// nobody waits for, late or repeated, changes nothing.
func (b *Breakers) Probed(now time.Duration, scope Scope, index int32, answered bool, events []Event) []Event {
	t := b.tier(scope, index)
	if t == nil || !t.records[index].probing {
		return events
	}
	if !answered {
		return b.probeFailed(now, t, index, events)
	}
	return b.halfOpen(now, t, index, ProbeAnswered, events)
}

func (b *Breakers) halfOpen(now time.Duration, t *tierOf, index int32, cause Cause, events []Event) []Event {
	r := &t.records[index]
	r.state, r.probing, r.failures = HalfOpen, false, 0
	r.share = t.limited()
	if t.scope == ScopeSector {
		b.open--
	}
	b.wait(now, t, r, t.limits.Evaluate)
	b.refresh(t.scope, index)
	return append(events, b.event(now, t, index, cause))
}

func (t *tierOf) limited() uint16 {
	return uint16((whole*t.limits.Limited + 99) / 100)
}

// ramp raises the share of a closed breaker by one step.
func (b *Breakers) ramp(now time.Duration, t *tierOf, index int32, events []Event) []Event {
	r := &t.records[index]
	limited := int(t.limited())
	r.share = uint16(limited + (whole-limited)*int(r.step)/rampSteps)
	b.refresh(t.scope, index)
	if r.step == rampSteps {
		r.step, r.attempt = 0, 0
		return append(events, b.event(now, t, index, FullyRecovered))
	}
	r.step++
	b.wait(now, t, r, t.limits.Ramp/rampSteps)
	return events
}
