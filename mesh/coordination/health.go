package coordination

import (
	"math/bits"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// run does what is due now and sets the deadline.
func (c *Coordinator) run(now time.Duration, out *Outbox) {
	// Who holds no seat is nobody's member by it, and its term stands still.
	if c.config.Parent != nil && c.leading && now >= c.link.deadline() {
		term := c.link.term
		beat := c.link.tick(now, &c.config.Timing, c.config.Random)
		if c.link.term != term {
			c.abandon(now, out)
		}
		if beat {
			c.beat(now, out)
		}
	}
	if c.leading && now >= c.leaseUntil {
		c.count(now, out)
	}
	if now >= c.sweepAt {
		c.sweep(now, out)
	}
	if now >= c.tellAt {
		c.retellFreezes(now, out)
	}
	if at, due := c.guard.Breakers.Deadline(); due && now >= at {
		c.note(c.guard.Breakers.Tick(now, c.events[:0]), out)
	}
	for i := range c.ops {
		if op := &c.ops[i]; op.command != 0 && now >= op.next {
			c.advance(now, op, out)
		}
	}
	c.requests.tick(now, c, out)
	c.schedule(now)
}

func (c *Coordinator) schedule(now time.Duration) {
	d := min(c.sweepAt, c.tellAt)
	if c.leading {
		d = min(d, c.leaseUntil)
	}
	if c.config.Parent != nil && c.leading {
		d = min(d, c.link.deadline())
	}
	if at, due := c.guard.Breakers.Deadline(); due {
		d = min(d, at)
	}
	for i := range c.ops {
		if op := &c.ops[i]; op.command != 0 {
			d = min(d, op.next)
		}
	}
	c.deadline = max(min(d, c.requests.deadline()), now+1)
}

// hears notes a term of the parent's seat that others are in.
func (c *Coordinator) hears(now time.Duration, term uint32) {
	c.link.hears(now, term)
	c.deadline = min(c.deadline, c.link.deadline())
}

// beat tells the parent how it is below.
func (c *Coordinator) beat(now time.Duration, out *Outbox) {
	m := out.next()
	c.link.beat(now, m, &c.config.Timing, out)
	m.Command = c.freezes.highest()
	m.Numbers[NumberNeed], m.Numbers[NumberFailures], m.Numbers[NumberActive] = micros(c.need), c.failures, uint32(c.active)
	m.Numbers[NumberTerm] = c.term
}

// sweep looks at what only time shows: silences, promises that ran out, the mode.
func (c *Coordinator) sweep(now time.Duration, out *Outbox) {
	c.sweepAt += c.config.Timing.Sweep
	if c.sweepAt <= now {
		c.sweepAt = now + c.config.Timing.Sweep
	}
	if now >= c.roundAt {
		c.roundAt = now + c.config.Timing.Heartbeat
		c.estimator.Round()
	}
	c.count(now, out)
	if c.Leading(now) { // whose members report to another is not told of their silence
		c.found = c.detector.Sweep(now, c.found[:0])
		c.findings(now, out)
	}
	c.census(now, out)
	c.need = c.slowest()
}

// census counts who is active below and asks for the mode.
func (c *Coordinator) census(now time.Duration, out *Outbox) {
	all := true
	if c.config.Tier == quorum.TierAgent {
		c.active = 0
		for i := range c.children {
			all = all && (c.children[i].known || c.size(i, quorum.TierAgent, 0) == 0)
			if c.size(i, quorum.TierAgent, 0) > 0 && c.detector.IsActive(int32(i)) {
				c.active++
			}
		}
	} else {
		c.active = 0
		for i := range c.children {
			all = all && c.children[i].known
			if c.detector.IsActive(int32(i)) {
				c.active += min(c.children[i].active, c.size(i, quorum.TierAgent, 0))
			}
		}
	}
	switch {
	case !c.Leading(now):
		c.active = 0 // who does not lead has nobody
	case c.started:
		c.guard.Modes.Observe(now, c.active, c.members)
	case all && c.active == c.members || now-c.ledSince >= c.settling():
		c.started = true
		c.guard.Modes.Start(c.active, c.members)
	}
	if mode := c.Mode(); mode != c.toldMode {
		c.toldMode = mode
		out.say(ModeChanged).Mode = mode
	}
}

// watch begins to look at silences with the lead: of who was heard long ago, or by an
// earlier lead of this node, nothing is known.
func (c *Coordinator) watch(now time.Duration) {
	for i := range c.children {
		if now-c.children[i].heard > c.config.Timing.Stand {
			c.detector.Unwatch(int32(i))
		}
	}
}

// settling is how long a coordinator that begins to lead waits for those who have not
// been counted yet before it says in which mode all is: two heartbeats of its
// children, and one more for each tier below them, whose counts come up with theirs.
func (c *Coordinator) settling() time.Duration {
	return time.Duration(2+quorum.TierAgent-c.config.Tier) * c.config.Timing.Heartbeat
}

// slowest is how long before T the slowest of the children that can be asked needs
// its copy, with the room of a bucket.
func (c *Coordinator) slowest() time.Duration {
	longest := time.Duration(0)
	for i := range c.children {
		if c.standing(i) == routable {
			longest = max(longest, c.lead(i))
		}
	}
	return longest + 10*time.Millisecond
}

// lead is how long before T a child needs its copy, for a payload of weight 1.
func (c *Coordinator) lead(i int) time.Duration {
	x := &c.children[i]
	lead := c.estimator.Lead(i, c.rate())
	if c.config.Tier == quorum.TierAgent {
		return lead + time.Duration(x.queue)*x.processing
	}
	return lead + x.processing
}

// findings are told, and counted where they are failures that isolate.
func (c *Coordinator) findings(now time.Duration, out *Outbox) {
	for _, f := range c.found {
		e := out.say(Found)
		e.Finding = f
		if f.Agent >= 0 {
			e.Reporter = uint32(f.Agent)
		}
		if f.Class == breaker.CascadeFailure && f.Sector >= 0 {
			c.note(c.guard.Breakers.Trip(now, breaker.ScopeSector, f.Sector, c.events[:0]), out)
		}
		if f.Class == breaker.AgentCrash {
			c.failed(now, int(f.Agent), out)
		}
	}
	c.found = c.found[:0]
}

// failed counts one failure of a child: what it was asked and did not answer, or a
// failure below that it tells of.
func (c *Coordinator) failed(now time.Duration, i int, out *Outbox) {
	c.failures++
	c.note(c.guard.Breakers.Failure(now, c.part(i), c.events[:0]), out)
}

// timedOut notes that a child did not answer.
func (c *Coordinator) timedOut(now time.Duration, i int, out *Outbox) {
	c.found = c.detector.TimedOut(now, int32(i), c.found[:0])
	c.findings(now, out)
	c.failed(now, i, out)
}

// note tells what happened to breakers and sends the probes they ask for.
func (c *Coordinator) note(events []breaker.Event, out *Outbox) {
	// What a probe of one's own answers comes back here: its events have a buffer of
	// their own.
	c.events = nil
	for _, e := range events {
		out.say(BreakerChanged).Breaker = e
		switch {
		case e.Cause == breaker.Probe && (c.config.Tier == quorum.TierAgent || c.config.Tier == quorum.TierCluster && e.Scope == breaker.ScopeSector):
			// The children of a lead are what its one breaker is about, and all that is
			// below a sector's coordinator what that of its sector is about: it leads and
			// most of them are heard, or the fault is not over.
			healthy := c.Leading(e.At) && c.active*2 > c.members
			c.note(c.guard.Breakers.Probed(e.At, e.Scope, e.Index, healthy, nil), out)
		case e.Cause == breaker.Probe && e.Scope != breaker.ScopeGlobal:
			c.probe(e, out)
		case e.Scope == breaker.ScopeCluster && c.config.Tier != quorum.TierAgent && e.Cause != breaker.ProbeFailed:
			m := out.next()
			c.head(e.At, m, Circuit, int(e.Index))
			m.Scope, m.Phase = e.Scope, uint8(e.State)
		}
	}
	c.events = events[:0]
}

// probe asks a child, or each child of a sector, whether it is well.
func (c *Coordinator) probe(e breaker.Event, out *Outbox) {
	for i := range c.children {
		if e.Scope == breaker.ScopeCluster && i != int(e.Index) || e.Scope == breaker.ScopeSector && c.config.Tier == quorum.TierSector && i != int(e.Index) {
			continue
		}
		m := out.next()
		c.head(e.At, m, Probe, i)
		m.Scope = e.Scope
	}
}

// resign ends what a coordinator had under way when it lost its seat: it cannot know
// any more who follows it. Cancelling is safe whoever leads: members that follow
// another refuse it and have dropped the command.
func (c *Coordinator) resign(now time.Duration, out *Outbox) {
	for i := range c.ops {
		if op := &c.ops[i]; op.command != 0 {
			c.giveUp(now, op, ReasonNotLeading, out)
		}
	}
	c.requests.clear(out)
}

// abandon drops what an old parent asked for.
func (c *Coordinator) abandon(now time.Duration, out *Outbox) {
	for i := range c.ops {
		if op := &c.ops[i]; op.command != 0 && op.cascade == nil {
			c.giveUp(now, op, ReasonFenced, out)
		}
	}
}

// Freeze freezes what is below this coordinator, or thaws it, at an operator's word.
// sequence must be over that of every freeze and thaw before, of whatever scope.
func (c *Coordinator) Freeze(now time.Duration, sequence uint64, frozen bool, out *Outbox) {
	m := Message{Kind: Thaw, Scope: c.scope(), Value: sequence}
	if frozen {
		m.Kind = Freeze
	}
	c.takeFreeze(now, &m, out)
	c.run(now, out)
}

// FreezeChild freezes or thaws what is below one child that is a coordinator.
func (c *Coordinator) FreezeChild(now time.Duration, i int, sequence uint64, frozen bool, out *Outbox) {
	if c.config.Tier == quorum.TierAgent || i < 0 || i >= len(c.children) || sequence <= c.children[i].order.sequence {
		return
	}
	c.children[i].order = freezeOrder{sequence, frozen}
	c.tellFreezes(now, i, out)
	c.run(now, out)
}

// scope is what this coordinator coordinates.
func (c *Coordinator) scope() breaker.Scope {
	switch {
	case c.config.Parent == nil:
		return breaker.ScopeGlobal
	case c.config.Tier == quorum.TierAgent:
		return breaker.ScopeCluster
	}
	return breaker.ScopeSector
}

// expects is the highest sequence that a child should know.
func (c *Coordinator) expects(i int) uint64 {
	return max(c.freezes.highest(), c.children[i].order.sequence)
}

// takeFreeze takes a freeze or thaw of what this coordinator is in.
func (c *Coordinator) takeFreeze(now time.Duration, m *Message, out *Outbox) {
	if !c.freezes.command(m) {
		return
	}
	if frozen := c.freezes.frozen(); frozen != c.guard.Freezes.Held(breaker.ScopeGlobal, 0) {
		c.freezeTurn++
		if frozen {
			c.guard.Freezes.Freeze(breaker.ScopeGlobal, 0, c.freezeTurn)
			out.say(Froze).Seat = c.config.Seat.ID
			for i := range c.ops {
				if op := &c.ops[i]; op.command != 0 {
					c.giveUp(now, op, ReasonFrozen, out)
				}
			}
		} else {
			c.guard.Freezes.Thaw(breaker.ScopeGlobal, 0, c.freezeTurn)
			out.say(Thawed).Seat = c.config.Seat.ID
		}
	}
	for i := range c.children {
		c.tellFreezes(now, i, out)
	}
}

// learnFreeze takes what a member knows and this coordinator, which is new, may not.
// One member can freeze its scope by that; to thaw it takes a strict majority that
// has heard an operator's word since.
func (c *Coordinator) learnFreeze(now time.Duration, m *Message, out *Outbox) {
	x := &c.children[m.Child]
	own := c.config.Tier == quorum.TierCluster && m.Scope == breaker.ScopeCluster || c.config.Tier == quorum.TierSector && m.Scope == breaker.ScopeSector
	switch {
	case own && m.Value > x.order.sequence && (m.Kind == Freeze || !x.order.frozen):
		x.order = freezeOrder{m.Value, m.Kind == Freeze}
	case !own && (m.Kind == Freeze || c.most(m.Value)):
		c.takeFreeze(now, m, out)
	}
}

// most says whether a strict majority of the members knows a sequence.
func (c *Coordinator) most(sequence uint64) bool {
	n := 0
	for i := range c.children {
		if c.children[i].knows >= sequence {
			n++
		}
	}
	return 2*n > len(c.children)
}

// tellFreezes gives a child all that it has to know, now and until it has answered.
func (c *Coordinator) tellFreezes(now time.Duration, i int, out *Outbox) {
	x := &c.children[i]
	for scope := range c.freezes {
		var m Message
		if c.freezes.write(scope, &m) {
			c.sendFreeze(now, i, &m, out)
		}
	}
	if x.order.sequence != 0 {
		m := Message{Kind: Thaw, Value: x.order.sequence, Scope: breaker.ScopeCluster}
		if x.order.frozen {
			m.Kind = Freeze
		}
		if c.config.Tier == quorum.TierSector {
			m.Scope = breaker.ScopeSector
		}
		c.sendFreeze(now, i, &m, out)
	}
	if x.orderDue == never {
		x.orderTries = 0
	}
	x.orderTries++
	x.orderDue = never
	if x.orderTries < c.config.Timing.Tries { // then its heartbeats tell whether it knows
		x.orderDue = now + spread(c.config.Timing.Retry<<x.orderTries, c.config.Random)
		c.tellAt = min(c.tellAt, x.orderDue)
	}
}

func (c *Coordinator) sendFreeze(now time.Duration, i int, m *Message, out *Outbox) {
	c.head(now, m, m.Kind, i)
	out.Messages = append(out.Messages, *m)
}

func (c *Coordinator) retellFreezes(now time.Duration, out *Outbox) {
	c.tellAt = never
	for i := range c.children {
		if x := &c.children[i]; x.orderDue <= now {
			c.tellFreezes(now, i, out)
		} else {
			c.tellAt = min(c.tellAt, x.orderDue)
		}
	}
}

// key spreads commands over the share of the traffic that a breaker admits.
func key(command uint64) uint64 { return bits.RotateLeft64(command, 32) }
