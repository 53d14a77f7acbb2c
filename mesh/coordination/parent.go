package coordination

import (
	"time"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// instructed takes a message of the parent.
func (c *Coordinator) instructed(now time.Duration, m *Message, out *Outbox) {
	switch {
	case m.Kind == Ack && m.Of == Heartbeat:
		c.heard(now, m, out)
	case m.Kind == Ack:
	case !c.link.trusts(m):
		if m.Kind == Freeze && m.From == c.link.seat.Holder(m.Term) {
			c.frozenByParent(now, m, out)
			return
		}
		c.reply(now, m, mesh.Transit, ReasonFenced, out)
	case m.Kind == Coordinate:
		c.passOn(now, m, out)
	case m.Kind == Confirm:
		c.passConfirm(now, m, out)
	case m.Kind == Cancel:
		c.passCancel(now, m, out)
	case m.Kind == Freeze || m.Kind == Thaw:
		c.frozenByParent(now, m, out)
	case m.Kind == Circuit:
		e := out.say(CircuitHeard)
		e.Breaker = breaker.Event{At: now, Scope: m.Scope, State: breaker.State(m.Phase)}
	case m.Kind == Probe && c.Leading(now) && c.active*2 > c.members:
		c.reply(now, m, mesh.Ready, ReasonNone, out)
	}
}

// heard takes the parent's answer to a heartbeat.
func (c *Coordinator) heard(now time.Duration, m *Message, out *Outbox) {
	if c.link.answered(now, m, &c.config.Timing) {
		c.abandon(now, out)
	}
	if !c.link.trusts(m) {
		return
	}
	c.parentMode = min(breaker.Mode(m.Numbers[NumberMode]), breaker.Full)
	if c.freezes.highest() > m.Command {
		c.freezes.tell(now, &c.link, out)
	}
}

// reply acknowledges a message of the parent.
func (c *Coordinator) reply(now time.Duration, m *Message, state mesh.Trinary, why Reason, out *Outbox) {
	r := out.next()
	c.link.head(now, r, Ack, m.From)
	r.Of, r.State, r.Reason, r.Command, r.Phase, r.Value = m.Kind, state, why, m.Command, m.Phase, m.Value
	r.Sent, r.Received, r.Numbers[NumberPeerEpoch] = m.At, now, m.Epoch
	if m.Kind == Coordinate {
		r.Value = 0
	}
}

func (c *Coordinator) frozenByParent(now time.Duration, m *Message, out *Outbox) {
	c.takeFreeze(now, m, out)
	c.reply(now, m, mesh.Ready, ReasonNone, out)
}

// passOn takes a command from above: this coordinator is asked itself, or it is to
// ask those below.
func (c *Coordinator) passOn(now time.Duration, m *Message, out *Outbox) {
	if m.Phase >= maxPhases || m.Tier > quorum.TierAgent || m.Tier < c.config.Tier-1 {
		return
	}
	if c.link.stale(m) {
		c.reply(now, m, mesh.Transit, ReasonFenced, out)
		return
	}
	op := c.operation(m.Command)
	if op == nil {
		var why Reason
		if op, why = c.accept(now, m); op == nil {
			c.reply(now, m, mesh.Transit, why, out)
			return
		}
	}
	switch {
	case op.over:
		c.reply(now, m, mesh.Transit, ReasonCancelled, out)
		return
	case m.Target != 0 && op.parentGoal != 0 && m.Target != op.parentGoal:
		c.reply(now, m, mesh.Conflict, ReasonContradicts, out)
		return
	}
	op.parentSent, op.parentCame = m.At, now
	if m.Tier == c.config.Tier-1 {
		op.collectors[m.Phase] = collector{tier: m.Tier, room: op.collectors[m.Phase].room}
		c.reply(now, m, mesh.Ready, ReasonNone, out)
		return
	}
	if k := &op.collectors[m.Phase]; k.used {
		c.summarize(now, op, int(m.Phase), out) // again: what is known is said again
		return
	}
	if !c.aim(now, op, m) {
		c.reply(now, m, mesh.Transit, ReasonNoClock, out)
		return
	}
	c.begin(now, op, m.Phase, m.Tier, m.Classes, out)
}

// accept makes an operation of a command that is new here.
func (c *Coordinator) accept(now time.Duration, m *Message) (*operation, Reason) {
	switch {
	case !c.Leading(now):
		return nil, ReasonNotLeading
	case c.freezes.frozen():
		return nil, ReasonFrozen
	case c.cancelled.has(m.Command):
		return nil, ReasonCancelled
	case m.Flags&FlagChained != 0 && m.Tier > c.config.Tier-1 && c.config.Tier > quorum.TierSector:
		return nil, ReasonUnknown // it took no part in the phase before
	}
	op := c.free(now)
	if op == nil {
		return nil, ReasonBusy
	}
	op.open(m.Command)
	op.flags, op.requires, op.weight = m.Flags&(FlagConfirm|FlagChained|FlagIdle), m.Value, m.Numbers[NumberWeight]
	op.priority, op.verb = uint8(m.Numbers[NumberUrgency]), uint8(m.Numbers[NumberUrgency]>>8)
	c.parentMode = min(breaker.Mode(m.Numbers[NumberRules]), breaker.Full)
	op.until = now + time.Duration(m.Numbers[NumberWindow])*time.Millisecond
	op.next = op.until + 1
	return op, ReasonNone
}

// aim takes T over into this node's clock.
func (c *Coordinator) aim(now time.Duration, op *operation, m *Message) bool {
	op.margin = m.Numbers[NumberMargin]
	if m.Target == 0 || op.target != 0 && op.parentGoal == m.Target {
		// What this node has told those below as T stands for all phases: its clock may be
		// known better by now, but another T for one command is a contradiction.
		return true
	}
	at, bound, known := c.link.local(m.Target)
	if !known || bound+span(m.Numbers[NumberBound]) > c.config.Timing.MaxBound {
		return false
	}
	op.target, op.parentGoal, op.bound = at, m.Target, m.Numbers[NumberBound]+micros(bound)+1
	op.until = at + c.config.Timing.Limits.Late
	return at-now <= c.config.Timing.Limits.Future
}

// passConfirm lets a command be acted on below.
func (c *Coordinator) passConfirm(now time.Duration, m *Message, out *Outbox) {
	op := c.operation(m.Command)
	if op == nil || op.over || op.parentGoal != m.Target {
		c.reply(now, m, mesh.Transit, ReasonUnknown, out)
		return
	}
	c.reply(now, m, mesh.Ready, ReasonNone, out)
	c.confirm(now, op)
}

// confirm makes the Confirms due, once. Who is asked only from now on needs none: it
// is decided.
func (c *Coordinator) confirm(now time.Duration, op *operation) {
	op.flags &^= FlagConfirm
	for i := range op.legs {
		if l := &op.legs[i]; l.asked && l.kind != Confirm {
			l.kind, l.tries, l.due = Confirm, 0, now
		}
	}
	op.next, op.sendAt = now, now
}

// passCancel calls a command back below.
func (c *Coordinator) passCancel(now time.Duration, m *Message, out *Outbox) {
	c.reply(now, m, mesh.Ready, ReasonNone, out)
	op := c.operation(m.Command)
	if op == nil {
		c.cancelled.add(m.Command)
		return
	}
	if !op.over && op.cascade == nil {
		c.callBack(now, op)
	}
}

// report gives counts that have changed to the parent: at once when nothing more is
// expected, else now and then.
func (c *Coordinator) report(now time.Duration, op *operation, last bool, out *Outbox) {
	if c.config.Parent == nil || op.over && !last {
		return
	}
	for phase := range op.collectors {
		k := &op.collectors[phase]
		if !k.used {
			continue
		}
		counts := k.counts()
		if counts != k.reported && (last || now >= op.reportAt || counts.Transit() == 0) {
			c.summarize(now, op, phase, out)
		}
	}
	switch {
	case now >= op.reportAt:
		op.reportAt = never
	default:
		op.next = min(op.next, op.reportAt)
	}
}

// summarize tells the parent the counts of a phase.
func (c *Coordinator) summarize(now time.Duration, op *operation, phase int, out *Outbox) {
	k := &op.collectors[phase]
	k.reported = k.counts()
	r := out.next()
	c.link.head(now, r, Ack, c.link.seat.Holder(c.link.term))
	r.Flags |= FlagSummary
	r.Of, r.Command, r.Phase, r.Sent, r.Received = Coordinate, op.command, uint8(phase), op.parentSent, op.parentCame
	r.setCounts(k.reported)
	r.Numbers[NumberPeerEpoch] = c.link.peerEpoch
}

// forget drops what was measured of a child that another node, or another start of
// it, has become.
func (c *Coordinator) forget(i int) {
	if e, ok := c.estimator.(interface{ Reset(int) }); ok {
		e.Reset(i)
	}
	c.dropped(i)
}

// dropped notes that a child has none of what was sent to it: it started anew, or
// has not followed for a while. It must not get any of it a second time.
func (c *Coordinator) dropped(i int) {
	for o := range c.ops {
		if op := &c.ops[o]; op.command != 0 {
			op.legs[i].due = never
		}
	}
}

var _ arrival.Estimator = (*arrival.Adaptive)(nil)
