package spine

import (
	"math"
	"time"

	"dancer/runtime/link"
)

// slewStep is how often an output with a rate moves on towards what is commanded.
const slewStep = 10 * time.Millisecond

// mostSteps is how many steps one that comes late may make up for: the output
// never jumps after the loop was held up, it arrives later.
const mostSteps = 2

// slew is the way of one output to what the brain commands, under its rate.
// Reflexes, latches, stops and safe values do not come here: they are at once.
type slew struct {
	rate float64       // in the output's unit per second; 0: none
	aim  float64       // what the command or hold in hand asks for
	from time.Duration // when the value on the wire was as it is; it may have moved on since
	due  time.Duration // the next step; never: at its aim, or something else drives it
}

func (c *core) newSlews() {
	c.slews, c.slewDue = make([]slew, len(c.outputs)), never
	for o := range c.slews {
		c.slews[o] = slew{rate: c.outputs[o].Rate, due: never}
	}
}

// slewed gives the value for the wire on the way to what is commanded. It begins
// at what is on the wire, whoever put it there, and the first step is due slewStep
// after the command.
func (c *core) slewed(o int, aim float64) float64 {
	s := &c.slews[o]
	if s.rate == 0 {
		return aim
	}
	s.aim = aim
	present := c.written[o].value
	if present != present { // nothing was written yet
		present = c.outputs[o].Safe
	}
	if c.now < s.due {
		return present
	}
	elapsed := min(max(c.now-s.from, 0), mostSteps*slewStep)
	most := float64(s.rate * elapsed.Seconds())
	switch {
	case math.Abs(aim-present) <= most:
		return aim
	case aim < present:
		return present - most
	}
	return present + most
}

// slewOn notes, after outputs were decided, which of them are on their way.
func (c *core) slewOn() {
	c.slewDue = never
	for o := range c.slews {
		s, w := &c.slews[o], &c.want[o]
		switch commanded := w.who == link.WhoCommand || w.who == link.WhoHold; {
		case s.rate == 0:
			continue
		case !commanded || w.value == s.aim:
			s.due = never
		case s.due == never:
			s.from, s.due = c.now, c.now+slewStep
		case c.now >= s.due: // on the grid: a step that comes late makes none after it late
			s.from, s.due = c.now, s.due+((c.now-s.due)/slewStep+1)*slewStep
		}
		c.slewDue = min(c.slewDue, s.due)
	}
}
