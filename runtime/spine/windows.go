package spine

import (
	"math/bits"
	"time"

	"dancer/hal"
	"dancer/reflex"
	"dancer/runtime/link"
)

// derived is what the core keeps of a derived signal, which has no readings and
// so no place in the signal table.
type derived struct {
	validity hal.Validity
	at       time.Duration // of the oldest of the newest readings that it looks back at
}

// showWindows publishes the given windows, one bit each, and marks their slots
// for the rules.
func (c *core) showWindows(windows uint64, at time.Duration) {
	for windows &= 1<<c.windows.Len() - 1; windows != 0; windows &= windows - 1 {
		c.showWindow(bits.TrailingZeros64(windows), at)
	}
}

func (c *core) showWindow(i int, at time.Duration) {
	d, slot := &c.derived[i], c.windows.Slot(i)
	before := d.validity
	d.validity, d.at = c.judgeWindow(i), c.windowAge(i, at)
	c.segment.StoreSignal(slot, c.slots[slot], d.at, d.validity)
	if d.validity != before {
		c.tell(&link.Event{Kind: link.EventSignal, Index: int32(slot), Flags: uint8(d.validity), Value: c.slots[slot], At: at, Cause: -1})
		if before == hal.NeverSeen {
			c.seen(slot)
		}
	}
	c.mark(slot)
}

// judgeWindow says what a derived signal is: valid, or as bad as what it looks
// back at. It is awaited as long as one of these is, and until a rate has its
// second reading; both end by stale_after of the signals at the latest.
func (c *core) judgeWindow(i int) hal.Validity {
	state := c.windows.State(i)
	if state == reflex.WindowValid {
		return hal.Valid
	}
	worst := hal.Valid
	for _, slot := range c.windows.Reads(i) {
		switch v := c.validity(slot); {
		case v == hal.NeverSeen:
			return hal.NeverSeen
		case worst == hal.Valid:
			worst = v
		}
	}
	switch {
	case worst != hal.Valid:
		return worst
	case state == reflex.WindowWaiting && c.derived[i].validity == hal.NeverSeen:
		return hal.NeverSeen
	}
	return hal.NotANumber
}

// validity of a slot; outputs are always valid.
func (c *core) validity(slot int) hal.Validity {
	switch own := c.table.Len(); {
	case slot < own:
		return c.table.Validity(slot)
	case slot < len(c.signals):
		return c.derived[slot-own].validity
	}
	return hal.Valid
}

// windowAge gives the time stamp of a derived signal: that of the stalest signal
// that it looks back at, or now if that is only outputs.
func (c *core) windowAge(i int, now time.Duration) time.Duration {
	oldest := now
	for _, slot := range c.windows.Reads(i) {
		if slot < len(c.signals) {
			oldest = min(oldest, c.stamp(slot))
		}
	}
	return oldest
}

// stamp is the time stamp of a signal, measured or derived.
func (c *core) stamp(signal int) time.Duration {
	if own := c.table.Len(); signal >= own {
		return c.derived[signal-own].at
	}
	return c.table.At(signal)
}

// windowsSee tells the windows of a value that has been written. They look back
// at what was on the wire, never at what rules have kept from it; so the rules
// that read them are asked in the next cycle.
func (c *core) windowsSee(output int, at time.Duration) {
	c.one[0] = len(c.signals) + output
	c.showWindows(c.windows.Update(at, c.one[:], c.slots), at)
}
