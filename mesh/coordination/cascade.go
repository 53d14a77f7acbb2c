package coordination

import (
	"errors"
	"fmt"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// Errors of Coordinate and Request.
var (
	// ErrNotLeading: the node does not hold its seat: ask who does, or wait.
	ErrNotLeading = errors.New("not leading")
	// ErrBusy: as many commands are under way as may be. Ask again later.
	ErrBusy = errors.New("too many commands under way")
	// ErrNobody: no agent that is heard and measured can do it. Ask for less, or wait.
	ErrNobody = errors.New("nobody can be asked")
	// ErrRuling: the guard does not allow it; the Ruling says why.
	ErrRuling = errors.New("not allowed now")
	// ErrTask: what is asked for makes no sense. Correct it.
	ErrTask = errors.New("bad task")
)

// Task is what is to be brought about. Phases come from quorum.Wave, Parallel or
// PriorityFirst, their At being T by this node's clock (0: nothing is held for a
// moment), or are the caller's own.
type Task struct {
	Phases []quorum.Phase
	// Overall is the quorum over all phases that may miss theirs; zero:
	// quorum.RuleParallel.
	Overall quorum.Rule
	// CancelLead is how long before T the decision is due; zero:
	// quorum.DefaultCancelLead.
	CancelLead time.Duration
	// Confirm: agents act with a confirmation alone, which is sent when the quorum is
	// there. For what must never happen without one.
	Confirm  bool
	Kind     breaker.Kind // Cascade, Scatter or Direct; zero: Cascade
	Priority uint8        // 0 to 3
	Operator bool         // a person asks for it
	Approved bool         // a person has approved this very task
	Weight   float64      // of the payload, 1 for a standard one; zero: 1
	Requires uint64       // capabilities that an agent must have, one bit each
	Verb     uint8        // packet.Verb; zero: Act
}

// cascade is the part of an operation that only its root has: the phases one after
// another with their windows. It decides as quorum.Plan does, on counts that come
// up through the tree for one phase at a time.
type cascade struct {
	phases   []quorum.Phase
	overall  quorum.Rule
	lead     time.Duration
	state    quorum.State
	current  int
	opened   time.Duration
	deadline time.Duration
	limit    time.Duration
	verdicts [maxPhases]quorum.Verdict
	closed   [maxPhases]bool
	arrivals quorum.Spread
	seen     int32 // READY that arrivals has
	confirm  bool
}

func (k *cascade) ended() bool { return k.state != quorum.Running }

// decided says that the quorum was there.
func (k *cascade) decided() bool { return k.state == quorum.Committed || k.state == quorum.Degraded }

// Coordinate starts a command. It is refused with ErrRuling and the guard's reason
// when the mode, a freeze or the global breaker does not allow it.
func (c *Coordinator) Coordinate(now time.Duration, task Task, out *Outbox) (command uint64, ruling breaker.Ruling, err error) {
	if err := c.check(&task); err != nil {
		return 0, ruling, err
	}
	if !c.Leading(now) {
		return 0, ruling, ErrNotLeading
	}
	if ruling = c.rule(&task); ruling.Permission != breaker.Allowed {
		return 0, ruling, fmt.Errorf("%w: %s", ErrRuling, ruling.Why)
	}
	op := c.free(now)
	if op == nil {
		return 0, ruling, ErrBusy
	}
	command = NewCommand(c.config.Node, c.first)
	c.first++
	op.open(command)
	op.requires, op.weight, op.priority, op.verb = task.Requires, uint32(task.Weight*1000), task.Priority, task.Verb
	if op.home == nil {
		op.home = &cascade{}
	}
	op.cascade = op.home
	*op.cascade = cascade{phases: append(op.home.phases[:0], task.Phases...), overall: task.Overall, lead: task.CancelLead, state: quorum.Running, confirm: task.Confirm}
	op.until = now
	for i := range task.Phases {
		op.until = max(op.until+task.Phases[i].Limit, task.Phases[i].At+c.config.Timing.Limits.Late)
	}
	if task.Confirm {
		op.flags |= FlagConfirm
	}
	if len(task.Phases) > 1 && task.Phases[0].Tier < task.Phases[len(task.Phases)-1].Tier {
		op.flags |= FlagChained
	}
	c.openPhase(now, op, out)
	c.run(now, out)
	return command, ruling, nil
}

// check fills in the defaults of a task.
func (c *Coordinator) check(t *Task) error {
	if t.Overall == (quorum.Rule{}) {
		t.Overall = quorum.RuleParallel
	}
	if t.CancelLead == 0 {
		t.CancelLead = quorum.DefaultCancelLead
	}
	if t.Kind == breaker.NoKind {
		t.Kind = breaker.Cascade
	}
	if t.Weight == 0 {
		t.Weight = 1
	}
	if t.Verb == 0 {
		t.Verb = 4
	}
	if err := t.Overall.Validate(); err != nil {
		return err
	}
	if len(t.Phases) == 0 || len(t.Phases) > maxPhases || !(t.Weight > 0 && t.Weight <= 1000) || t.CancelLead < 0 || t.Priority > maxPriority {
		return fmt.Errorf("%w: %d phases (1 to %d), weight %g (up to 1000), priority %d (0 to %d)", ErrTask, len(t.Phases), maxPhases, t.Weight, t.Priority, maxPriority)
	}
	at := time.Duration(0)
	for i := range t.Phases {
		p := &t.Phases[i]
		if err := p.Rule.Validate(); err != nil {
			return fmt.Errorf("phase %d: %w", i+1, err)
		}
		if p.Tier < c.config.Tier || p.Tier > quorum.TierAgent || p.Window <= 0 || p.Limit < p.Window || p.Limit > quorum.MaxLength || p.At < 0 || (p.Classes != 0 && p.Tier != quorum.TierAgent) {
			return fmt.Errorf("%w: phase %d asks tier %s for %s (limit %s); here the tiers begin with %s", ErrTask, i+1, p.Tier, p.Window, p.Limit, c.config.Tier)
		}
		if p.At != 0 && at != 0 && p.At != at {
			return fmt.Errorf("%w: two moments to act in one task", ErrTask)
		}
		at = max(at, p.At)
	}
	return nil
}

// rule asks the guard for the whole; each part is asked for when it is sent to.
func (c *Coordinator) rule(t *Task) breaker.Ruling {
	size := int32(0)
	for i := range t.Phases {
		if t.Phases[i].Tier == quorum.TierAgent {
			for child := range c.children {
				size += c.size(child, quorum.TierAgent, t.Phases[i].Classes)
			}
		}
	}
	o := breaker.Operation{Kind: t.Kind, Priority: t.Priority, Size: size, Members: c.members, Operator: t.Operator, Approved: t.Approved}
	if c.freezes.frozen() {
		return breaker.Ruling{Permission: breaker.Refused, Why: breaker.Frozen}
	}
	if c.guard.Breakers.State(breaker.ScopeGlobal, 0) == breaker.Open {
		return breaker.Ruling{Permission: breaker.Refused, Why: breaker.Cut}
	}
	if c.config.Tier == quorum.TierAgent {
		if ruling := c.guard.May(o, 0, key(c.first)); ruling.Permission != breaker.Allowed {
			return ruling
		}
	}
	return c.Mode().May(o)
}

// Cancel calls a command back; it reports whether there was anything to call back.
func (c *Coordinator) Cancel(now time.Duration, command uint64, out *Outbox) bool {
	op := c.operation(command)
	if op == nil || command == 0 || op.cascade == nil || op.over || (op.target != 0 && now >= op.target) {
		return false
	}
	c.end(op, Cancelled, ReasonCancelled, out)
	c.callBack(now, op)
	c.run(now, out)
	return true
}

// openPhase asks the current phase.
func (c *Coordinator) openPhase(now time.Duration, op *operation, out *Outbox) {
	k := op.cascade
	p := &k.phases[k.current]
	k.opened, k.deadline, k.limit = now, now+p.Window, now+p.Limit
	k.arrivals, k.seen = quorum.Spread{}, 0
	op.target = p.At
	if p.At > 0 {
		due := p.At - k.lead
		// Answers to what is sent just in time come at T: the window of what acts at T
		// is until the decision is due. Phases before the last have their share of the
		// time until then, or the first one's stragglers would take it from all others.
		if rest := len(k.phases) - k.current; rest > 1 {
			due = now + max(due-now, 0)/time.Duration(rest)
		}
		k.deadline, k.limit = due, due
		op.margin = c.margin(now, op, due+k.lead)
	}
	c.begin(now, op, uint8(k.current), p.Tier, p.Classes, out)
	e := c.tell(op, PhaseOpened, out)
	e.Phase = uint8(k.current)
}

// margin is how long before T all are to be READY: so that the decision is there
// CancelLead before T, with the time that answers need on their way up, which is less
// than what the slowest needs in all. Where that is not there to be had a third of the
// time is the answers': who is slower than what is left is asked at once, and the
// quorum is of the others. Without it the slowest of many would take the decision from
// all.
func (c *Coordinator) margin(now time.Duration, op *operation, by time.Duration) uint32 {
	need, left := c.slowest(), by-now
	want := op.cascade.lead + need
	return micros(op.target - by + max(min(want, left-need), min(op.cascade.lead+left/3, left/2), 0))
}

func (c *Coordinator) tell(op *operation, kind EffectKind, out *Outbox) *Effect {
	e := out.say(kind)
	e.Command, e.Term, e.Seat = op.command, c.term, c.config.Seat.ID
	return e
}

// step moves a cascade on.
func (c *Coordinator) step(now time.Duration, op *operation, out *Outbox) {
	for op.cascade.state == quorum.Running && !op.over {
		if !c.window(now, op, out) {
			op.next = min(op.next, op.cascade.deadline)
			return
		}
	}
	c.reconsider(now, op, out)
}

// window looks whether the current phase is decided and goes on to the next; it
// reports whether anything changed.
func (c *Coordinator) window(now time.Duration, op *operation, out *Outbox) bool {
	k := op.cascade
	rule, counts := k.phases[k.current].Rule, op.collectors[k.current].counts()
	for ; k.seen < counts.Ready; k.seen++ {
		k.arrivals.Add(now - k.opened)
	}
	if now < k.deadline && !rule.Settled(counts) {
		return false
	}
	if now >= k.deadline {
		if v := rule.Decide(counts, true); v.Decision == quorum.Wait && k.deadline < k.limit {
			k.deadline = min(k.limit, k.deadline+max(k.deadline-k.opened, time.Millisecond))
			return true
		}
	}
	v := rule.Decide(counts, true)
	k.verdicts[k.current], k.closed[k.current] = v, true
	e := c.tell(op, PhaseClosed, out)
	e.Phase, e.Verdict = uint8(k.current), v
	switch {
	case !v.Achieved() && !k.phases[k.current].Continue:
		c.fail(now, op, v, out)
	case k.current+1 < len(k.phases):
		k.current++
		c.openPhase(now, op, out)
		c.send(now, op, out)
	default:
		c.judge(now, op, out)
	}
	return true
}

// judge decides on the whole when every phase is closed.
func (c *Coordinator) judge(now time.Duration, op *operation, out *Outbox) {
	k := op.cascade
	missed, held, sum := false, false, quorum.Counts{}
	var last quorum.Verdict
	for i := range k.phases {
		counts := op.collectors[i].counts()
		last = k.phases[i].Rule.Decide(counts, true)
		holds := k.verdicts[i].Achieved() && last.Achieved()
		held = held || holds
		if !k.phases[i].Continue && !holds {
			c.fail(now, op, last, out)
			return
		}
		if k.phases[i].Continue {
			sum = sum.Add(counts)
			missed = missed || (!holds && counts.Total > 0)
		}
	}
	state, kind := quorum.Committed, Committed
	if missed || !held {
		state, kind = quorum.Degraded, Degraded
		if last = k.overall.Decide(sum, true); !last.Achieved() {
			c.fail(now, op, last, out)
			return
		}
	}
	if k.confirm && op.target > 0 && now >= op.target {
		last.Decision, last.Reason = quorum.Retry, quorum.NoTime
		c.fail(now, op, last, out)
		return
	}
	if k.state == quorum.Running {
		k.state = state
		c.tell(op, kind, out).Verdict = last
		if k.confirm {
			c.confirm(now, op)
			c.send(now, op, out)
		}
	}
}

// reconsider judges again while answers are taken back before T.
func (c *Coordinator) reconsider(now time.Duration, op *operation, out *Outbox) {
	if op.cascade.decided() && !op.over && now < op.target {
		c.judge(now, op, out)
	}
}

func (c *Coordinator) fail(now time.Duration, op *operation, v quorum.Verdict, out *Outbox) {
	k := op.cascade
	k.state = quorum.Failed
	e := c.tell(op, Failed, out)
	e.Phase, e.Verdict, e.Advice = uint8(k.current), v, k.advice(v.Need)
	if op.target == 0 || now < op.target {
		c.callBack(now, op)
		c.send(now, op, out)
	}
}

// advice is the window for another attempt: the time of the answer that would have
// completed the quorum, otherwise twice the old one.
func (k *cascade) advice(need int32) time.Duration {
	length := max(k.deadline-k.opened, time.Millisecond)
	if d, ok := k.arrivals.Rank(int(need)); ok {
		return min(max(d, length), quorum.MaxLength)
	}
	return min(2*length, quorum.MaxLength)
}

// end ends a cascade that nobody decided.
func (c *Coordinator) end(op *operation, kind EffectKind, why Reason, out *Outbox) {
	k := op.cascade
	k.state = quorum.Cancelled
	if kind == Failed {
		k.state = quorum.Failed
	}
	e := c.tell(op, kind, out)
	e.Phase, e.Reason = uint8(k.current), why
	counts := op.collectors[k.current].counts()
	e.Verdict = k.phases[k.current].Rule.Decide(counts, false)
	e.Advice = k.advice(e.Verdict.Need)
}
