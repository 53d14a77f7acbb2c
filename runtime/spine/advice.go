package spine

import (
	"time"

	"dancer/runtime/config"
	"dancer/runtime/link"
)

// oldestAdvice is how long a reading may be on its way from the brain. One that is older
// says that the brain hangs behind, or that it lies.
const oldestAdvice = time.Second

// advisory says which signals the brain may give readings of: those that come from the
// network or from a post. No other signal can be touched by a brain, whatever it writes.
func advisory(r *config.Robot) []bool {
	list := make([]bool, len(r.Inputs))
	for i := range r.Inputs {
		list[i] = r.Inputs[i].Advisory()
	}
	return list
}

// advise takes a reading that the brain has from the network. It is as old as the brain
// says, and never newer than now; the signal's own stale_after does the rest, also when
// the brain ends.
func (c *core) advise(now time.Duration, r *link.Reading) {
	age := now - r.At
	switch {
	case c.gone, r.Epoch>>32 != c.generation,
		r.Signal < 0, int(r.Signal) >= len(c.advisory), !c.advisory[r.Signal],
		age > oldestAdvice, age < -oldestAdvice: // the loop's reading of the clock may be a little older
		c.status.Discarded++
		return
	}
	c.reading(int(r.Signal), r.Value, min(r.At, now))
}

// takeAdvice takes a bounded number of readings, each a frame, and says whether there
// may be more than this window allows.
func (l *loop) takeAdvice(now time.Duration) bool {
	var r link.Reading
	for l.advice < adviceLimit {
		if !l.core.segment.TakeReading(&r) {
			return false
		}
		l.advice++
		l.core.advise(now, &r)
		l.core.frame(now, now, 0)
	}
	return true
}
