package spine

import (
	"math"
	"time"

	"dancer/runtime/link"
)

// driveAgainAfter is the time between two tries to drive an output that could not be
// driven.
const driveAgainAfter = time.Second

// notDriven: nobody knows what is on the wire of this output. The next flush writes it
// again, whatever it shall be then.
func (c *core) notDriven(o int, now time.Duration) {
	c.written[o].value = math.NaN()
	c.segment.StoreOutput(o, math.NaN(), now, c.want[o].who, int(c.want[o].rule))
}

// driveOn stops a robot of which an output cannot be driven, because the others must
// not go on as if it could, and tries again. It is told when the outputs begin to fail
// and when they are driven again; until then every start is refused, and after that nothing
// moves by itself.
func (c *core) driveOn(now time.Duration, failed bool) {
	was := c.driveAgain != never
	switch {
	case failed && !was:
		c.driveAgain = now // what this makes safe is written at once
		c.tellDriven(now, 0)
		c.halt(now, link.ReasonOutputFailed, nil)
	case failed:
		c.driveAgain = now + driveAgainAfter
	case was && !c.anyUndriven():
		c.driveAgain = never
		c.tellDriven(now, 1)
	}
}

func (c *core) anyUndriven() bool {
	for _, undriven := range c.undriven {
		if undriven {
			return true
		}
	}
	return false
}

// tellDriven puts the first output concerned into the log. The brain is told of the
// mode.
func (c *core) tellDriven(now time.Duration, driven uint8) {
	e := link.Event{Kind: link.EventOutput, Flags: driven, At: now, Cause: int32(link.ReasonOutputFailed)}
	for o, undriven := range c.undriven {
		if undriven {
			e.Index = int32(o)
			break
		}
	}
	c.notes.note(&e, nil)
}
