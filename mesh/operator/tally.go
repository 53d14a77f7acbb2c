package operator

import (
	"slices"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/quorum"
)

// Bounds of what a desk remembers.
const (
	maxCascades = 1024 // that ended; percentiles are over these
	maxOpen     = 64   // that are under way
	hourMinutes = 60
)

// tally counts what coordinators say, whoever ordered it.
type tally struct {
	open      []cascade
	took      []time.Duration // of those that were decided, a ring
	turn      int
	started   uint64
	committed uint64
	degraded  uint64
	failed    uint64
	cancelled uint64
	last      cascade
	conflicts [hourMinutes]minute
	failures  [breaker.CascadeFailure + 1]uint64
}

// cascade is one command that a coordinator carries out with a quorum.
type cascade struct {
	command uint64
	began   time.Duration
	ended   time.Duration
	kind    coordination.EffectKind
	counts  quorum.Counts
	state   bool // seen
}

// minute is the conflicts of one minute, by priority.
type minute struct {
	number int64
	count  [conflict.Critical + 1]uint32
}

func (t *tally) observe(now time.Duration, e *coordination.Effect) {
	switch e.Kind {
	case coordination.PhaseOpened:
		t.opened(now, e.Command)
	case coordination.Committed, coordination.Degraded, coordination.Failed, coordination.Cancelled:
		t.ended(now, e)
	case coordination.Conflicting:
		number := int64(now / time.Minute)
		m := &t.conflicts[number%hourMinutes]
		if m.number != number {
			*m = minute{number: number}
		}
		m.count[conflict.Classify(e.Conflict.Detail)]++
	case coordination.Found:
		if int(e.Finding.Class) < len(t.failures) {
			t.failures[e.Finding.Class]++
		}
	}
}

func (t *tally) opened(now time.Duration, command uint64) {
	if slices.ContainsFunc(t.open, func(c cascade) bool { return c.command == command }) {
		return // its next phase
	}
	if len(t.open) == maxOpen { // of who died in the middle of it
		t.open = slices.Delete(t.open, 0, 1)
		t.failed++
	}
	t.started++
	t.open = append(t.open, cascade{command: command, began: now})
}

func (t *tally) ended(now time.Duration, e *coordination.Effect) {
	at := slices.IndexFunc(t.open, func(c cascade) bool { return c.command == e.Command })
	if at < 0 {
		if t.last.command == e.Command && t.last.kind != e.Kind && e.Kind == coordination.Failed { // its quorum was taken back before T
			t.count(t.last.kind, -1)
			t.count(e.Kind, 1)
			t.last.kind, t.last.counts = e.Kind, e.Verdict.Counts
		}
		return
	}
	c := t.open[at]
	t.open = slices.Delete(t.open, at, at+1)
	c.ended, c.kind, c.counts, c.state = now, e.Kind, e.Verdict.Counts, true
	t.last = c
	t.count(e.Kind, 1)
	if e.Kind != coordination.Committed && e.Kind != coordination.Degraded {
		return
	}
	if len(t.took) < maxCascades {
		t.took = append(t.took, now-c.began)
		return
	}
	t.took[t.turn] = now - c.began
	t.turn = (t.turn + 1) % maxCascades
}

func (t *tally) count(kind coordination.EffectKind, by int) {
	counter := &t.failed
	switch kind {
	case coordination.Committed:
		counter = &t.committed
	case coordination.Degraded:
		counter = &t.degraded
	case coordination.Cancelled:
		counter = &t.cancelled
	}
	*counter = uint64(int64(*counter) + int64(by))
}

// hour is the conflicts of the last hour, by priority: of the minute under way and
// the 59 before it.
func (t *tally) hour(now time.Duration) (sum [conflict.Critical + 1]int) {
	number := int64(now / time.Minute)
	for i := range t.conflicts {
		m := &t.conflicts[i]
		if m.number > number-hourMinutes && m.number <= number {
			for p, n := range m.count {
				sum[p] += int(n)
			}
		}
	}
	return sum
}
