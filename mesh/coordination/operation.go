package coordination

import (
	"time"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// leg is the way of one command to one child: 32 bytes.
type leg struct {
	due   time.Duration // when something is to be sent, or sent again; never
	sent  time.Duration // the first copy of this phase; 0: none
	lead  uint32        // us, as planned
	kind  Kind          // what is under way; 0 nothing
	tries uint8
	phase uint8
	asked bool // in any phase: a Cancel or Confirm is for it
	ready bool // in the phase of its own tier
	heard bool // in this phase
	done  bool // in this phase: nothing more is expected
	told  bool // its conflict has been
}

// collector is the membership of one phase and what is known of it: of the children
// themselves a Tally, of what is below them a Rollup.
type collector struct {
	tally    *quorum.Tally
	rollup   *quorum.Rollup
	room     *room
	reported quorum.Counts
	tier     quorum.Tier
	classes  uint8
	used     bool
}

// room is what a place for commands keeps from one to the next.
type room struct {
	tally  quorum.Tally
	rollup quorum.Rollup
}

func (k *collector) counts() quorum.Counts {
	if k.tally != nil {
		return k.tally.Counts()
	}
	if k.rollup != nil {
		return k.rollup.Counts()
	}
	return k.reported
}

// operation is one command under way.
type operation struct {
	command    uint64 // 0: the place is free
	requires   uint64
	target     time.Duration // T by this node's clock; 0 none
	until      time.Duration // what comes after is of no use
	next       time.Duration // when advance has something to do
	sendAt     time.Duration // before that no leg is due
	reportAt   time.Duration // when changed counts go up
	parentSent time.Duration // echo
	parentCame time.Duration
	parentGoal time.Duration // T by the parent's clock
	answer     uint64        // digest that the first child gave
	answerer   int32
	weight     uint32
	bound      uint32 // us
	margin     uint32 // us before T by which all are to be READY
	phase      uint8
	verb       uint8
	priority   uint8
	flags      Flags
	over       bool // given up or cancelled: nothing but Cancels is sent
	legs       []leg
	collectors [maxPhases]collector
	schedule   arrival.Schedule
	cascade    *cascade // at the root of the command
	home       *cascade // room for it
}

const maxPhases = 8

// standings of a child.
type standing uint8

const (
	unroutable standing = iota
	unmeasured
	routable
	person
)

// standing says whether a child can be asked at all.
func (c *Coordinator) standing(i int) standing {
	x, of := &c.children[i], &c.config.Children[i]
	if c.config.Tier == quorum.TierAgent && !of.Class.Counted() {
		return person
	}
	if !x.known || !c.detector.IsActive(int32(i)) {
		return unroutable
	}
	if c.estimator.Lead(i, c.rate()) <= 0 {
		return unmeasured
	}
	return routable
}

func (c *Coordinator) rate() arrival.Rate { return arrival.Rate99 }

// free gives a place for a command: an empty one, or that of the one that has been
// over for the longest.
func (c *Coordinator) free(now time.Duration) *operation {
	var best *operation
	for i := range c.ops {
		op := &c.ops[i]
		if op.command == 0 {
			return op
		}
		if now > op.until && (op.cascade == nil || op.cascade.ended()) && (best == nil || op.until < best.until) {
			best = op
		}
	}
	return best
}

func (c *Coordinator) operation(command uint64) *operation {
	for i := range c.ops {
		if c.ops[i].command == command {
			return &c.ops[i]
		}
	}
	return nil
}

// open makes an operation in a place.
func (op *operation) open(command uint64) {
	legs := op.legs
	clear(legs)
	for i := range legs {
		legs[i].due = never
	}
	rooms := op.collectors
	*op = operation{command: command, legs: legs, schedule: op.schedule, home: op.home, next: never, sendAt: never, reportAt: never, answerer: -1}
	for i := range rooms {
		op.collectors[i].room = rooms[i].room
	}
}

// begin starts a phase: who is in it, who can be asked, and when.
func (c *Coordinator) begin(now time.Duration, op *operation, phase uint8, tier quorum.Tier, classes uint8, out *Outbox) {
	op.phase = phase
	k := &op.collectors[phase]
	*k = collector{tier: tier, classes: classes, used: true, room: k.room}
	if k.room == nil {
		k.room = &room{}
	}
	c.enroll(op, k)
	c.plan(now, op, k, out)
	op.next = now
}

// enroll fixes the membership of a phase.
func (c *Coordinator) enroll(op *operation, k *collector) {
	sizes, exempt := c.sizes[:0], c.exempt[:0]
	for i := range c.children {
		size := c.size(i, k.tier, k.classes)
		if sizes = append(sizes, size); size == 0 {
			exempt = append(exempt, int32(i))
		}
	}
	c.sizes, c.exempt = sizes, exempt
	// Sizes were checked when the coordinator was made: neither can fail.
	if k.tier == c.config.Tier {
		k.tally = &k.room.tally
		_ = k.tally.Reset(len(sizes), exempt...)
	} else {
		k.rollup = &k.room.rollup
		_ = k.rollup.Reset(sizes)
	}
	for i := range op.legs {
		if l := &op.legs[i]; sizes[i] > 0 || c.addressed(i, k) {
			*l = leg{due: never, asked: l.asked, ready: l.ready, told: l.told, phase: op.phase, done: true}
		}
	}
}

// plan says when to send to whom, each copy with its own receiver's lead.
func (c *Coordinator) plan(now time.Duration, op *operation, k *collector, out *Outbox) {
	o := breaker.Operation{Kind: breaker.Cascade, Priority: op.priority, Size: 1, Members: c.members, Operator: true, Approved: true}
	targets := c.targets[:0]
	// T here may be later than T there by what the clocks may be wrong.
	goal := op.target - span(op.margin) - span(op.bound)
	for i := range c.children {
		if c.size(i, k.tier, k.classes) == 0 && !c.addressed(i, k) {
			continue
		}
		t := arrival.Target{Index: uint32(i), Heard: c.children[i].heard, Reliability: 1}
		if c.may(op, i, o) {
			t.Standing, t.Lead = c.ways(i)
			t.Queue, t.Service = c.children[i].queue, c.children[i].processing
			if c.config.Tier != quorum.TierAgent {
				t.Lead, t.Queue = t.Lead+t.Service, 0
			}
		}
		targets = append(targets, t)
	}
	if op.target == 0 { // at once, with what is needed for nothing
		for i := range targets {
			if s := targets[i].Standing; s != arrival.NotRoutable {
				c.start(op, int(targets[i].Index), now, 0)
			} else {
				c.skip(op, k, &arrival.Entry{Index: targets[i].Index, Reason: arrival.NotRoutableTarget}, out)
			}
		}
		return
	}
	op.schedule.Plan(now, max(goal, now), targets, float32(op.weight)/1000)
	for _, b := range op.schedule.Buckets {
		for _, at := range op.schedule.Members(b) {
			e := &op.schedule.Entries[at]
			c.start(op, int(e.Index), b.At, micros(e.Lead))
		}
	}
	for at := range op.schedule.Entries {
		e := &op.schedule.Entries[at]
		switch {
		case e.Reason == arrival.HumanTarget:
			c.start(op, int(e.Index), now, 0)
		case e.Reason == arrival.InsufficientLead && (e.Lead <= op.target-now || c.config.Tier != quorum.TierAgent && c.estimator.Lead(int(e.Index), c.rate()) < op.target-now):
			// Too late for the margin, not for T; or for the slowest below it, not for all.
			c.start(op, int(e.Index), now, micros(e.Lead))
		case e.Status == arrival.Skip:
			c.skip(op, k, e, out)
		}
	}
}

// addressed says whether a child that is not counted gets a copy: people do.
func (c *Coordinator) addressed(i int, k *collector) bool {
	return k.tier == quorum.TierAgent && c.config.Tier == quorum.TierAgent && selects(k.classes, c.config.Children[i].Class)
}

// may asks everything that has to be asked before a child gets a command.
func (c *Coordinator) may(op *operation, i int, o breaker.Operation) bool {
	switch {
	case c.standing(i) == unroutable:
		return false
	case c.children[i].order.frozen:
		return false
	case op.flags&FlagChained != 0 && c.config.Tier < op.collectors[op.phase].tier && !op.legs[i].ready:
		return false // it was not READY to pass anything on
	case c.config.Tier == quorum.TierAgent && op.requires&^c.config.Children[i].Capabilities != 0:
		return false
	}
	// The operation as such was asked for at its root, by its kind and size. Here
	// what belongs to the part: its freeze, its breaker, and the ailing sectors.
	ruling := c.guard.May(o, c.part(i), key(op.command))
	return ruling.Permission == breaker.Allowed || ruling.Why != breaker.Frozen && ruling.Why != breaker.Cut && ruling.Why != breaker.AilingSector
}

func (c *Coordinator) ways(i int) (arrival.Standing, time.Duration) {
	switch c.standing(i) {
	case person:
		return arrival.Human, 0
	case unmeasured:
		return arrival.Unmeasured, 0
	}
	return arrival.Measured, c.estimator.Lead(i, c.rate())
}

// start makes a copy due.
func (c *Coordinator) start(op *operation, i int, at time.Duration, lead uint32) {
	l := &op.legs[i]
	l.due, l.lead, l.kind, l.tries, l.done, l.heard, l.sent = at, lead, Coordinate, 0, false, false, 0
	op.sendAt = min(op.sendAt, at)
}

// skip leaves a child out, and says why.
func (c *Coordinator) skip(op *operation, k *collector, entry *arrival.Entry, out *Outbox) {
	c.absent(op, k, int(entry.Index))
	e := out.say(Skipped)
	e.Command, e.Phase, e.Reporter, e.Skip, e.Advice, e.At = op.command, op.phase, entry.Index, entry.Reason, entry.Lead, entry.Available
}

// absent notes that a child is not asked. It stays a member.
func (c *Coordinator) absent(op *operation, k *collector, i int) {
	op.legs[i].done = true
	if k.tally != nil {
		k.tally.Absent(int32(i))
	} else {
		k.rollup.Absent(int32(i))
	}
}

// advance sends what is due and moves a cascade on.
func (c *Coordinator) advance(now time.Duration, op *operation, out *Outbox) {
	op.next = never
	c.send(now, op, out)
	if op.cascade != nil {
		c.step(now, op, out)
	} else {
		c.report(now, op, false, out)
	}
	if !op.over && now > op.until {
		c.close(now, op, out)
	}
	if op.over || now > op.until {
		if now > op.until+c.config.Timing.Limits.Late && (op.cascade == nil || op.cascade.ended()) && c.quiet(op) {
			op.command, op.cascade = 0, nil
			return
		}
		op.next = min(op.next, max(op.until+c.config.Timing.Limits.Late, now)+c.config.Timing.Retry)
		return
	}
	op.next = min(op.next, op.until+1)
}

// quiet says whether nothing is to be sent any more.
func (c *Coordinator) quiet(op *operation) bool {
	for i := range op.legs {
		if op.legs[i].due != never {
			return false
		}
	}
	return true
}

// send gives out the copies that are due, and asks again for answers that are.
func (c *Coordinator) send(now time.Duration, op *operation, out *Outbox) {
	if now < op.sendAt {
		op.next = min(op.next, op.sendAt)
		return
	}
	leading := c.Leading(now)
	op.sendAt = never
	for i := range op.legs {
		l := &op.legs[i]
		if l.due > now {
			op.sendAt = min(op.sendAt, l.due)
			continue
		}
		if l.kind == Coordinate && (op.over || !leading || now > op.until) || l.kind == Confirm && !leading || l.tries >= c.config.Timing.Tries {
			l.due = never
			continue
		}
		c.copy(now, op, i, out)
		wait := c.config.Timing.Retry*time.Duration(c.guard.Modes.Mode().Duties().RetryFactor)<<l.tries + 2*span(l.lead)
		if l.kind != Coordinate {
			wait = c.config.Timing.Retry << l.tries
		}
		l.tries++
		l.due = now + spread(wait, c.config.Random)
		op.sendAt = min(op.sendAt, l.due)
	}
	op.next = min(op.next, op.sendAt)
}

// copy makes one message of a command.
func (c *Coordinator) copy(now time.Duration, op *operation, i int, out *Outbox) {
	l := &op.legs[i]
	m := out.next()
	c.head(now, m, l.kind, i)
	m.Command, m.Phase, m.Target = op.command, l.phase, op.target
	if l.kind != Coordinate {
		return
	}
	if l.sent == 0 {
		l.sent = now
	}
	l.asked = true
	k := &op.collectors[l.phase]
	m.Flags, m.Tier, m.Classes, m.Value = op.flags, k.tier, k.classes, op.requires
	if op.target == 0 && c.config.Tier == quorum.TierAgent { // nothing to act on at a moment
		m.Flags, m.Target = m.Flags|FlagIdle, op.until
	}
	window := uint32(max(op.until-now, 0) / time.Millisecond)
	m.Numbers = [6]uint32{op.margin, op.weight, window, op.bound, uint32(op.priority) | uint32(op.verb)<<8, uint32(c.Mode())}
}

// acknowledged takes a child's answer to a command.
func (c *Coordinator) acknowledged(now time.Duration, m *Message, out *Outbox) {
	op := c.operation(m.Command)
	if op == nil {
		c.requests.answered(now, m, c, out)
		return
	}
	if m.Command == 0 || m.Phase >= maxPhases || !op.collectors[m.Phase].used {
		return
	}
	c.refusals[min(m.Reason, reasons-1)]++
	i := int(m.Child)
	l := &op.legs[i]
	if m.Of != Coordinate {
		if l.kind == m.Of {
			l.due = never
		}
		return
	}
	c.learn(op, m)
	if m.State == mesh.Conflict {
		c.contradicted(now, op, m, out)
	}
	c.compare(now, op, m, out)
	c.collect(op, m)
	if m.Phase == l.phase {
		l.heard = true
	}
	if m.Phase == l.phase && l.kind == Coordinate {
		l.done = l.done || c.complete(op, m)
		if l.done {
			l.due = never
		}
	}
	op.next = now
	if op.reportAt == never {
		op.reportAt = now + c.config.Timing.Report
	}
}

// collect counts an answer.
func (c *Coordinator) collect(op *operation, m *Message) {
	k := &op.collectors[m.Phase]
	i := int32(m.Child)
	switch {
	case k.tally != nil:
		k.tally.Answer(i, m.State)
		op.legs[i].ready = k.tally.State(i) == mesh.Ready
	case m.Flags&FlagSummary != 0:
		k.rollup.Report(i, countsOf(m))
	}
}

// complete says whether nothing more is expected of a child in this phase.
func (c *Coordinator) complete(op *operation, m *Message) bool {
	k := &op.collectors[m.Phase]
	if k.tally != nil {
		return m.State != mesh.Transit || m.Reason == ReasonCapability || m.Reason == ReasonFrozen || m.Reason == ReasonCancelled
	}
	return k.rollup.Child(int32(m.Child)).Transit() == 0
}

// learn measures how long the command took until the child was READY.
func (c *Coordinator) learn(op *operation, m *Message) {
	l, x := &op.legs[m.Child], &c.children[m.Child]
	if m.State != mesh.Ready || l.heard || m.Received == 0 || m.Numbers[NumberPeerEpoch] != c.config.Epoch || m.Flags&FlagSummary != 0 {
		return
	}
	delay, _, known := x.clock.There(m.Sent, m.Received)
	if !known {
		return
	}
	smooth(&x.usualDelay, delay)
	if c.config.Tier == quorum.TierAgent {
		x.queue = m.Numbers[NumberDepth]
		served := span(m.Numbers[NumberServed])
		smooth(&x.usualWork, time.Duration(float64(served)/impedance.WeightFactor(float64(op.weight)/1000)*impedance.WeightFactor(1)))
		// The wait in the queue is left out: it is a term of its own (arrival.Lead).
		delay += span(m.Numbers[NumberServed])
	}
	c.estimator.Observe(int(m.Child), max(arrival.Residual(delay, 0, x.processing, float32(op.weight)/1000), time.Microsecond))
}

// contradicted hands a conflict on, once for each child and command.
func (c *Coordinator) contradicted(now time.Duration, op *operation, m *Message, out *Outbox) {
	l := &op.legs[m.Child]
	if l.told {
		return
	}
	l.told = true
	c.conflict(now, m, out)
}

func (c *Coordinator) conflict(now time.Duration, m *Message, out *Outbox) {
	kind := conflict.Type(m.Numbers[NumberConflict])
	if !kind.Valid() {
		kind = conflict.ContextDivergence
	}
	r := conflict.Report{Key: conflictKey(kind, m), Agent: m.From,
		Detail: conflict.Detail{Type: kind, Depth: int(m.Numbers[NumberConflict] >> 8), Affected: int(m.Numbers[NumberAffected])}}
	e := out.say(Conflicting)
	e.Conflict, e.Reporter, e.Command, e.Value, e.Reason, e.Log = r, m.Child, m.Command, m.Value, m.Reason, true
	if c.config.Conflicts != nil {
		if effect, err := c.config.Conflicts.Report(now, r); err == nil {
			e.Log, e.Escalate = effect.Log, effect.Escalate
		}
	}
}

// conflictKey is what a conflict is about: the type, what the agent's digest says,
// and without one the command.
func conflictKey(kind conflict.Type, m *Message) (k conflict.Key) {
	about := m.Value
	if about == 0 {
		about = m.Command
	}
	k[0] = byte(kind)
	for i := range 8 {
		k[8+i] = byte(about >> (56 - 8*i))
	}
	return k
}

// compare looks for answers that contradict each other: who contradicts several
// others within a minute is kept out of everything (BYZANTINE_BEHAVIOR).
func (c *Coordinator) compare(now time.Duration, op *operation, m *Message, out *Outbox) {
	if m.State != mesh.Ready || m.Value == 0 || op.legs[m.Child].heard || m.Flags&FlagSummary != 0 {
		return
	}
	if op.answerer < 0 {
		op.answer, op.answerer = m.Value, int32(m.Child)
		return
	}
	if m.Value != op.answer {
		c.found = c.detector.Contradict(now, int32(m.Child), op.answerer, c.found[:0])
		c.findings(now, out)
	}
}

// close ends an operation's time: who was asked and said nothing has failed.
func (c *Coordinator) close(now time.Duration, op *operation, out *Outbox) {
	op.over = true
	for i := range op.legs {
		l := &op.legs[i]
		if l.kind == Coordinate {
			l.due = never
			if l.sent != 0 && !l.heard && c.standing(i) != person {
				c.timedOut(now, i, out)
			}
		}
	}
	if op.cascade == nil {
		c.report(now, op, true, out)
	}
}

// giveUp calls a command back from whoever has it.
func (c *Coordinator) giveUp(now time.Duration, op *operation, why Reason, out *Outbox) {
	if op.over {
		return
	}
	if op.cascade != nil && !op.cascade.ended() {
		c.end(op, Failed, why, out)
	}
	c.callBack(now, op)
	c.advance(now, op, out)
}

// callBack makes the Cancels due.
func (c *Coordinator) callBack(now time.Duration, op *operation) {
	op.over = true
	for i := range op.legs {
		l := &op.legs[i]
		l.due = never
		if l.asked {
			l.kind, l.tries, l.due = Cancel, 0, now
		}
	}
	op.next, op.sendAt = now, now
}
