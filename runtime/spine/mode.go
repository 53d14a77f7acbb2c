package spine

import (
	"time"

	"dancer/runtime/link"
)

// takeCommand takes what the brain put into the mailbox. Whatever it is, the
// worst it can do is not to renew the lease.
func (c *core) takeCommand(now time.Duration) {
	c.expireLease(now) // what comes too late does not keep it
	in := &c.incoming
	switch c.segment.TakeCommand(in) {
	case link.TookNothing, link.TookTorn: // torn: its writer wakes us when it is whole
		return
	case link.TookUnusable:
		c.status.Discarded++
		return
	}
	if c.gone || in.Epoch>>32 != c.generation || in.Decision <= c.lastDecision {
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

// expireLease ends a lease whose time is over. The lease stop counts from then,
// however late it is now.
func (c *core) expireLease(now time.Duration) {
	if c.status.Lease == link.LeaseLive && now >= c.leaseUntil {
		c.loseLease(now, c.leaseUntil, link.ReasonLeaseExpired)
	}
}

// loseLease performs the lease stop of robot.yaml, which counts from the given
// time: category 0 is safe at once, 1 and 2 are safe at the end of a ramp.
func (c *core) loseLease(now, from time.Duration, why link.Reason) {
	c.setLease(now, link.LeaseExpired, why)
	if c.status.Mode == link.ModeRunning {
		c.leaseStopped = true
		c.beginLeaseStop(from)
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
	c.expireLease(now)
	switch {
	case c.stopping:
		return link.ReasonShutdown
	case c.status.Mode == link.ModeReportOnly:
		return link.ReasonReportOnly
	case c.status.Lease != link.LeaseLive:
		return link.ReasonNoLease
	case c.anyUndriven():
		return link.ReasonOutputFailed
	}
	c.autostart = false
	if c.status.Mode != link.ModeRunning {
		c.leaseStopped = false
		c.setMode(now, link.ModeRunning, why, by)
	}
	return link.ReasonNone
}

// halt is an operator's stop: safe at once. It always works.
func (c *core) halt(now time.Duration, why link.Reason, by []byte) {
	c.autostart = false
	c.leaseStopped = false
	if why != link.ReasonShutdown {
		c.endLeaseStop()
	}
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
	c.generation, c.lastDecision, c.gone = generation, 0, false
	c.status.BrainStarts = generation
	c.setEpoch()
	if c.status.Lease != link.LeaseNone {
		c.setLease(now, link.LeaseNone, link.ReasonBrainEnded)
	}
	e := link.Event{Kind: link.EventBrain, Flags: 1, Index: int32(generation), At: now, Cause: -1}
	c.tell(&e)
	c.dirty = true
}

// brainGone is the fast path of a lost lease: nobody is left to renew it. What the
// brain left in the mailbox renews nothing any more.
func (c *core) brainGone(now time.Duration) {
	if !c.gone {
		c.segment.MendTails()
	}
	c.gone = true
	if c.status.Lease == link.LeaseLive {
		c.loseLease(now, min(now, c.leaseUntil), link.ReasonBrainEnded)
	}
}

// reportOnly takes commands from the brain for good.
func (c *core) reportOnly(now time.Duration) {
	if c.status.Mode != link.ModeReportOnly && !c.stopping {
		c.setMode(now, link.ModeReportOnly, link.ReasonBrainLoop, nil)
	}
}

// shutdown drives safe, as a lost lease does, and refuses every start from now on.
func (c *core) shutdown(now time.Duration) {
	if !c.stopping {
		c.stopping = true
		c.expireLease(now)
		if c.status.Mode == link.ModeRunning {
			c.beginLeaseStop(now)
		}
		c.halt(now, link.ReasonShutdown, nil)
	}
}

// answer does a request of the brain and tells the outcome.
func (c *core) answer(now time.Duration, r *link.Request) {
	var why link.Reason
	switch {
	case r.Kind == link.RequestNone: // damaged: from nobody
		c.status.Discarded++
		return
	case r.Kind != link.RequestStop && !c.timely(now, r):
		why = link.ReasonStaleRequest
	default:
		why = c.request(now, r)
	}
	e := link.Event{Kind: link.EventAnswer, Index: int32(r.Kind), Frame: r.Sequence, At: now, Cause: int32(why)}
	if why == link.ReasonNone {
		e.Flags = 1
	}
	c.tell(&e)
}

// timely says that the present brain asked, and not longer ago than a decision
// would hold. The loop's reading of the clock may be a little older than the brain's.
func (c *core) timely(now time.Duration, r *link.Request) bool {
	age := now - r.At
	return !c.gone && r.Epoch>>32 == c.generation && age <= c.lease.ExpiresAfter && age >= -c.lease.ExpiresAfter
}

func (c *core) request(now time.Duration, r *link.Request) link.Reason {
	switch r.Kind {
	case link.RequestStart:
		return c.begin(now, link.ReasonOperator, nil)
	case link.RequestStop:
		c.halt(now, link.ReasonOperator, nil)
		return link.ReasonNone
	case link.RequestClear:
		if c.status.Mode == link.ModeReportOnly { // such a brain reports and does nothing else
			return link.ReasonReportOnly
		}
		return c.clear(now, int(r.Index), nil)
	}
	return link.ReasonUnknownRequest
}

// death is how a brain ended.
type death struct {
	exit    int32 // exit code, negative: the signal that ended it
	why     link.Reason
	strikes uint32 // how many in a row ended soon and without a decision
}

// brainEnded tells how a brain ended, and keeps it for the next one to show.
func (c *core) brainEnded(now time.Duration, generation uint64, d death) {
	c.status.Deaths++
	if c.status.Mode != link.ModeReportOnly { // what made it report-only stays to be seen
		c.status.Strikes, c.status.LastExit, c.status.LastDeath = d.strikes, d.exit, d.why
	}
	e := link.Event{Kind: link.EventBrain, Index: int32(generation), Value: float64(d.exit), At: now, Cause: int32(d.why)}
	c.tell(&e)
}

// overrun counts a deadline that was met late.
func (c *core) overrun(now, late time.Duration) {
	c.status.Overruns++
	e := link.Event{Kind: link.EventOverrun, At: now, Latency: late, Frame: c.status.Overruns, Cause: -1}
	c.tell(&e)
	c.notes.note(&e, nil)
}
