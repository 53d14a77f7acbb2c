package spine

import "time"

// proveTicks bounds how often prove lets changes that are on their way arrive.
const proveTicks = 3

// prove goes once through what a reflex goes through, without a change: every
// rule is evaluated over the present slots, the outputs are decided anew and
// written if they differ. It says whether all of that agrees with what the core
// believes. Watchdogs hear of the loop only after it: a thread that wakes and can
// no longer decide is as dead as one that does not wake.
func (c *core) prove(now time.Duration) (sound bool) {
	for range proveTicks {
		if c.quiet() {
			break
		}
		c.tick(now)
	}
	// Rules that chase each other through a window are never quiet: they have just
	// been evaluated, and there is nothing to compare with.
	sound = !c.quiet() || c.reflex.Consistent(c.slots)
	c.eventAt, c.eventFrame = now, 0
	c.settle(now)
	c.flush()
	for o := range c.want {
		sound = sound && c.want[o].value == c.written[o].value // and no NaN
	}
	return sound
}

// quiet says that the rules have seen every change.
func (c *core) quiet() bool { return len(c.changed) == 0 && len(c.pending) == 0 && !c.dirty }
