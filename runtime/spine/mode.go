package spine

import (
	"time"

	"dancer/runtime/link"
)

// takeCommand takes what the brain put into the mailbox. Whatever it is, the
// worst it can do is not to renew the lease.
func (c *core) takeCommand(now time.Duration) {
	in := &c.incoming
	switch c.segment.TakeCommand(in) {
	case link.TookNothing, link.TookTorn: // torn: its writer wakes us when it is whole
		return
	case link.TookUnusable:
		c.status.Discarded++
		return
	}
	if in.Epoch>>32 != c.generation || in.Decision <= c.lastDecision {
		c.status.Discarded++
		return
	}
	epoch := c.status.Epoch
	c.lastDecision = in.Decision
	c.renewLease(now)
	if c.status.Mode != link.ModeRunning || in.Epoch != epoch || c.status.Epoch != epoch {
		c.status.Discarded++
		return
	}
	c.command, c.incoming = c.incoming, c.command
	for o := range c.usable {
		c.usable[o] = true // settle takes it from what meets a reflex, latch or hold
	}
	c.dirty = true
}

// dropCommand forgets the last command: what comes next is safe.
func (c *core) dropCommand() {
	for o := range c.usable {
		c.usable[o] = false
	}
	c.dirty = true
}

func (c *core) renewLease(now time.Duration) {
	c.leaseUntil = now + c.lease.ExpiresAfter
	if c.status.Lease != link.LeaseLive {
		c.setLease(now, link.LeaseLive, link.ReasonDecision)
	}
	if c.autostart && c.status.Mode == link.ModeSafe && !c.stopping {
		c.begin(now, link.ReasonAutostart, nil)
	}
}

// loseLease performs the lease stop: whatever category robot.yaml names, this
// version takes the outputs to their safe values at once.
func (c *core) loseLease(now time.Duration, why link.Reason) {
	c.setLease(now, link.LeaseExpired, why)
	if c.status.Mode == link.ModeRunning {
		c.leaseStopped = true
		c.setMode(now, link.ModeSafe, why, nil)
	}
}

func (c *core) setLease(now time.Duration, state link.LeaseState, why link.Reason) {
	c.status.Lease = state
	e := link.Event{Kind: link.EventLease, Flags: uint8(state), At: now, Cause: int32(why)}
	c.tell(&e)
	c.notes.note(&e, nil)
	c.dirty = true
}

// setMode is the only place where the mode changes. Every change makes commands
// that were decided before it worthless.
func (c *core) setMode(now time.Duration, mode link.Mode, why link.Reason, by []byte) {
	c.status.Mode = mode
	c.status.Started = mode == link.ModeRunning
	c.changes++
	c.setEpoch()
	c.dropCommand()
	e := link.Event{Kind: link.EventMode, Flags: uint8(mode), At: now, Cause: int32(why)}
	c.tell(&e)
	c.notes.note(&e, by)
}

func (c *core) setEpoch() { c.status.Epoch = c.generation<<32 | c.changes&0xffffffff }

// begin is an operator's start. It gives ReasonNone when the robot runs.
func (c *core) begin(now time.Duration, why link.Reason, by []byte) link.Reason {
	switch {
	case c.stopping:
		return link.ReasonShutdown
	case c.status.Mode == link.ModeReportOnly:
		return link.ReasonReportOnly
	case c.status.Lease != link.LeaseLive:
		return link.ReasonNoLease
	}
	c.autostart = false
	if c.status.Mode != link.ModeRunning {
		c.leaseStopped = false
		c.setMode(now, link.ModeRunning, why, by)
	}
	return link.ReasonNone
}

// halt is an operator's stop. It always works.
func (c *core) halt(now time.Duration, why link.Reason, by []byte) {
	c.autostart = false
	c.leaseStopped = false
	if c.status.Mode == link.ModeRunning || why == link.ReasonShutdown {
		c.setMode(now, link.ModeSafe, why, by)
	}
	c.dirty = true
}

// clear re-arms one latch, or all with -1. What was cleared stays safe: the
// robot stops running. ReasonNone when everything asked for was cleared.
func (c *core) clear(now time.Duration, rule int, by []byte) link.Reason {
	if rule < -1 || rule >= len(c.rules) || rule >= 0 && !c.reflex.Latched(rule) {
		return link.ReasonNoSuchLatch
	}
	answer, cleared := link.ReasonNone, false
	for i := range c.rules {
		if rule >= 0 && i != rule || !c.reflex.Latched(i) {
			continue
		}
		c.trace(link.TraceClear, now, i, 0, 0)
		if err := c.reflex.Clear(i); err != nil {
			answer = link.ReasonStillTrue
			continue
		}
		cleared = true
	}
	if cleared {
		c.halt(now, link.ReasonOperator, by)
		c.takeMoves()
	}
	return answer
}

// brainStarted makes everything of the brain before it worthless. Where nobody has
// said that that one is gone, its lease is lost now: nothing else would end it.
func (c *core) brainStarted(now time.Duration, generation uint64) {
	c.brainGone(now)
	c.generation, c.lastDecision = generation, 0
	c.status.BrainStarts = generation
	c.setEpoch()
	if c.status.Lease != link.LeaseNone {
		c.setLease(now, link.LeaseNone, link.ReasonBrainEnded)
	}
	e := link.Event{Kind: link.EventBrain, Flags: 1, Index: int32(generation), At: now, Cause: -1}
	c.tell(&e)
	c.dirty = true
}

// brainGone is the fast path of a lost lease: nobody is left to renew it.
func (c *core) brainGone(now time.Duration) {
	if c.status.Lease == link.LeaseLive {
		c.loseLease(now, link.ReasonBrainEnded)
	}
}

// reportOnly takes commands from the brain for good.
func (c *core) reportOnly(now time.Duration) {
	if c.status.Mode != link.ModeReportOnly && !c.stopping {
		c.setMode(now, link.ModeReportOnly, link.ReasonBrainLoop, nil)
	}
}

// shutdown drives safe and refuses every start from now on.
func (c *core) shutdown(now time.Duration) {
	if !c.stopping {
		c.stopping = true
		c.halt(now, link.ReasonShutdown, nil)
	}
}

// answer does a request of the brain and tells the outcome.
func (c *core) answer(now time.Duration, r *link.Request) {
	why := link.ReasonUnknownRequest
	switch r.Kind {
	case link.RequestStart:
		why = c.begin(now, link.ReasonOperator, nil)
	case link.RequestStop:
		c.halt(now, link.ReasonOperator, nil)
		why = link.ReasonNone
	case link.RequestClear:
		why = c.clear(now, int(r.Index), nil)
	}
	e := link.Event{Kind: link.EventAnswer, Index: int32(r.Kind), Frame: r.Sequence, At: now, Cause: int32(why)}
	if why == link.ReasonNone {
		e.Flags = 1
	}
	c.tell(&e)
}

// brainEnded tells how a brain ended.
func (c *core) brainEnded(now time.Duration, generation uint64, exit int64, starved bool) {
	e := link.Event{Kind: link.EventBrain, Index: int32(generation), Value: float64(exit), At: now, Cause: -1}
	if starved {
		e.Cause = int32(link.ReasonOutOfMemory)
	}
	c.tell(&e)
}

// overrun counts a deadline that was met late.
func (c *core) overrun(now, late time.Duration) {
	c.status.Overruns++
	e := link.Event{Kind: link.EventOverrun, At: now, Latency: late, Frame: c.status.Overruns, Cause: -1}
	c.tell(&e)
	c.notes.note(&e, nil)
}
