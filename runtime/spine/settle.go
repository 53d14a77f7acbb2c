package spine

import (
	"time"

	"dancer/runtime/link"
)

// settle decides every output. The rules see each decided value before it is
// written: a command that would make a rule fire never reaches the wire. Rules
// that read outputs which other rules set take further passes; if they never
// agree, every output that moved in one of them goes to its safe value.
func (c *core) settle(now time.Duration) {
	c.dirty, c.now = false, now
	c.agree(now)
	c.slewOn()
}

// agree goes through the outputs until none changes any more.
func (c *core) agree(now time.Duration) {
	clear(c.disputed)
	for range maximumPasses {
		if !c.pass() {
			return
		}
		for i, slot := range c.touched {
			c.disputed[slot-len(c.signals)] = true
			c.reflex.Changed(now, slot, c.slots)
			c.trace(link.TraceOutput, now, slot-len(c.signals), c.slots[slot], last(i, c.touched))
		}
		c.takeMoves()
	}
	c.status.Overruns++
	c.tell(&link.Event{Kind: link.EventOverrun, At: now, Cause: -1, Frame: c.status.Overruns})
	for o, disputed := range c.disputed {
		if !disputed {
			continue
		}
		c.usable[o] = false
		c.want[o] = c.safe(o, link.WhoReflex)
		c.slots[len(c.signals)+o] = c.want[o].value
		c.trace(link.TraceSettled, now, o, c.want[o].value, 0)
	}
}

// pass decides all outputs once and says whether a value changed.
func (c *core) pass() bool {
	for _, slot := range c.touched {
		c.marked[slot] = false
	}
	c.touched = c.touched[:0]
	for o := range c.outputs {
		c.want[o] = c.decide(o)
		slot := len(c.signals) + o
		if c.slots[slot] != c.want[o].value {
			c.slots[slot] = c.want[o].value
			c.touched = append(c.touched, slot)
			c.marked[slot] = true
		}
	}
	return len(c.touched) > 0
}

// decide says what drives one output: the precedence of the package comment.
func (c *core) decide(o int) target {
	if value, by, ok := c.reflex.Merged(o); ok {
		c.usable[o] = false
		who := link.WhoLatch
		if c.reflex.Active(by) {
			who = link.WhoReflex
		}
		return target{c.clip(o, value), who, int32(by)}
	}
	switch {
	case c.unseen > 0:
		c.usable[o] = false
		return c.safe(o, link.WhoWaiting)
	case c.status.Mode != link.ModeRunning:
		c.usable[o] = false
		return c.stopped(o)
	case !c.usable[o]:
		return c.stopped(o)
	case c.command.HoldMask&(1<<o) != 0:
		return target{c.slewed(o, c.clip(o, c.command.Hold[o])), link.WhoHold, -1}
	}
	return target{c.slewed(o, c.clip(o, c.command.Values[o])), link.WhoCommand, -1}
}

func (c *core) safe(o int, who link.Who) target { return target{c.outputs[o].Safe, who, -1} }

func (c *core) clip(o int, value float64) float64 {
	return max(c.outputs[o].Minimum, min(c.outputs[o].Maximum, value))
}

// flush writes what changed, then tells what happened with its latency from the
// input's time stamp.
func (c *core) flush() {
	wrote, failed := false, false
	for o := range c.want {
		if c.want[o].value != c.written[o].value {
			wrote = true
			c.undriven[o] = !c.status.DryRun && !c.driver.write(o, c.want[o].value)
			failed = failed || c.undriven[o]
		}
	}
	if wrote && !c.status.DryRun {
		c.driver.commit()
	}
	if !wrote && len(c.pending) == 0 && !c.relabelled() {
		return
	}
	after := c.clock()
	c.tellPending(after, wrote)
	c.tellOutputs(after)
	c.driveOn(after, failed)
}

// relabelled says whether an output is driven by something else than before, at
// the same value.
func (c *core) relabelled() bool {
	for o := range c.want {
		if c.want[o] != c.written[o] {
			return true
		}
	}
	return false
}

func (c *core) tellPending(after time.Duration, wrote bool) {
	for i := range c.pending {
		e := &c.pending[i]
		if e.Kind == link.EventReflex && e.Flags == 1 {
			e.Latency = after - e.At
			c.status.LatencyLast = e.Latency
			c.status.LatencyMax = max(c.status.LatencyMax, e.Latency)
			c.measureReflex(e.Latency, wrote)
		}
		if e.Kind == link.EventLatch {
			c.notes.note(e, nil)
		}
		c.emit(e)
	}
	c.pending = c.pending[:0]
}

func (c *core) tellOutputs(after time.Duration) {
	for o := range c.want {
		w := c.want[o]
		if c.undriven[o] {
			c.notDriven(o, after)
			continue
		}
		if w == c.written[o] {
			continue
		}
		if w.value != c.written[o].value {
			c.reflex.Drive(o, w.value)
			c.windowsSee(o, after)
		}
		c.written[o] = w
		c.segment.StoreOutput(o, w.value, after, w.who, int(w.rule))
		c.emit(&link.Event{Kind: link.EventOutput, Index: int32(o), Flags: uint8(w.who), Value: w.value, At: after, Cause: w.rule})
	}
}

// rewrite sends every output again, after its port came back.
func (c *core) rewrite(output int) {
	if !c.status.DryRun {
		_ = c.driver.write(output, c.want[output].value) // a port: its descriptor tells
	}
}
