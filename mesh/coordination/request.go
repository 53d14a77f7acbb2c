package coordination

import (
	"fmt"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// Request is one operation for whichever agent can do it best.
type Request struct {
	Requires   uint64        // capabilities, one bit each
	Classes    uint8         // bit c selects agents of class c; 0: any
	One        int32         // child, counted from 1, that alone is asked; 0: whoever is best
	Idempotent bool          // doing it twice does no harm: it may be hedged
	Priority   uint8         // 0 to 3
	Weight     float64       // of the payload; zero: 1
	Window     time.Duration // until when an answer is of use
	Operator   bool
	Approved   bool
	Verb       uint8 // packet.Verb; zero: Act
}

// request is one that is under way: a slot of the hedger.
type request struct {
	command  uint64
	requires uint64
	until    time.Duration
	weight   uint32
	first    int32 // child
	second   int32 // child that got the hedge; -1
	priority uint8
	verb     uint8
	classes  uint8
	alone    bool // nobody but first is asked
	refused  bool // by one of two
}

// requests are the single requests of a lead.
type requests struct {
	slots  []request
	hedger *quorum.Hedger
	next   time.Duration
}

func (r *requests) init(c *CoordinatorConfig) (err error) {
	r.next = never
	r.slots = make([]request, c.Requests)
	r.hedger, err = quorum.NewHedger(c.Requests, c.Hedge, quorum.HedgeBurst)
	return err
}

func (r *requests) deadline() time.Duration {
	d := r.next
	if at, ok := r.hedger.Deadline(); ok {
		d = min(d, at)
	}
	return d
}

// Request sends one request to the agent that is expected to answer first. Answered
// or Unanswered tells what became of it.
func (c *Coordinator) Request(now time.Duration, q Request, out *Outbox) (command uint64, ruling breaker.Ruling, err error) {
	if c.config.Tier != quorum.TierAgent || q.Window <= 0 || q.Window > quorum.MaxLength || q.Priority > maxPriority {
		return 0, ruling, fmt.Errorf("%w: requests go to agents, with a window up to %s and a priority up to %d", ErrTask, quorum.MaxLength, maxPriority)
	}
	if !c.Leading(now) {
		return 0, ruling, ErrNotLeading
	}
	o := breaker.Operation{Kind: breaker.Direct, Priority: q.Priority, Size: 1, Members: c.members, Operator: q.Operator, Approved: q.Approved}
	if ruling = c.guard.May(o, 0, key(c.first)); ruling.Permission == breaker.Allowed {
		ruling = c.Mode().May(o)
	}
	if ruling.Permission != breaker.Allowed {
		return 0, ruling, fmt.Errorf("%w: %s", ErrRuling, ruling.Why)
	}
	slot := c.requests.free()
	child := c.choose(&q)
	switch {
	case child < 0:
		return 0, ruling, ErrNobody
	case slot < 0:
		return 0, ruling, ErrBusy
	}
	command = NewCommand(c.config.Node, c.first)
	c.first++
	weight := uint32(1000)
	if q.Weight > 0 {
		weight = uint32(min(q.Weight, 1000) * 1000)
	}
	verb := q.Verb
	if verb == 0 {
		verb = 4
	}
	c.requests.slots[slot] = request{command: command, requires: q.Requires, until: now + q.Window, weight: weight, first: child, second: -1, priority: q.Priority, verb: verb,
		classes: q.Classes, alone: q.One != 0}
	c.requests.next = min(c.requests.next, now+q.Window)
	c.requests.hedger.Sent(now, int32(slot), q.Idempotent, 2*c.lead(int(child)))
	c.ask(now, &c.requests.slots[slot], child, out)
	c.run(now, out)
	return command, ruling, nil
}

func (r *requests) free() int {
	for i := range r.slots {
		if r.slots[i].command == 0 {
			return i
		}
	}
	return -1
}

// choose is the child that a request goes to; -1 when there is none.
func (c *Coordinator) choose(q *Request) int32 {
	if q.One == 0 {
		return c.best(q.Requires, q.Classes, -1)
	}
	i := q.One - 1
	if i < 0 || int(i) >= len(c.children) || c.standing(int(i)) != routable || q.Requires&^c.config.Children[i].Capabilities != 0 {
		return -1
	}
	return i
}

// best is the child that can do it and is expected to be through first; the first of
// equal ones.
func (c *Coordinator) best(requires uint64, classes uint8, but int32) int32 {
	best, least := int32(-1), never
	for i := range c.children {
		of := &c.config.Children[i]
		if int32(i) == but || c.standing(i) != routable || requires&^of.Capabilities != 0 || !selects(classes, of.Class) || c.detector.Spiking(int32(i)) {
			continue
		}
		if lead := c.lead(i); lead < least {
			best, least = int32(i), lead
		}
	}
	return best
}

// ask sends a request's copy.
func (c *Coordinator) ask(now time.Duration, q *request, child int32, out *Outbox) {
	m := out.next()
	c.head(now, m, Coordinate, int(child))
	m.Command, m.Flags, m.Tier, m.Value, m.Target, m.Phase = q.command, FlagIdle, quorum.TierAgent, q.requires, q.until, phaseRequest
	window := uint32((q.until - now) / time.Millisecond)
	m.Numbers = [6]uint32{0, q.weight, window, 0, uint32(q.priority) | uint32(q.verb)<<8, uint32(c.Mode())}
}

// tick hedges what is slow and gives up what is late.
func (r *requests) tick(now time.Duration, c *Coordinator, out *Outbox) {
	if now < r.deadline() {
		return
	}
	for {
		slot, child, ok := r.hedger.Next(now, func(slot int32) (int32, bool) {
			q := &r.slots[slot]
			other := q.first // again: the first copy may be lost
			if !q.alone {
				other = c.best(q.requires, q.classes, q.first)
			}
			return other, other >= 0 && q.command != 0 && q.second < 0
		})
		if !ok {
			break
		}
		r.slots[slot].second = child
		c.ask(now, &r.slots[slot], child, out)
	}
	r.next = never
	for i := range r.slots {
		switch q := &r.slots[i]; {
		case q.command == 0:
		case now >= q.until:
			out.say(Unanswered).Command = q.command
			c.timedOut(now, int(q.first), out)
			r.hedger.Done(int32(i))
			*q = request{}
		default:
			r.next = min(r.next, q.until)
		}
	}
}

// answered takes an answer to a request; the other copy is called back.
func (r *requests) answered(now time.Duration, m *Message, c *Coordinator, out *Outbox) {
	for i := range r.slots {
		q := &r.slots[i]
		if q.command != m.Command || m.Command == 0 || m.Of != Coordinate || (int32(m.Child) != q.first && int32(m.Child) != q.second) {
			continue
		}
		if m.State == mesh.Transit {
			r.turnedAway(now, i, m, c, out)
			return
		}
		if m.State == mesh.Conflict {
			c.conflict(now, m, out)
		}
		e := out.say(Answered)
		e.Command, e.Reporter, e.Value, e.Reason = m.Command, m.Child, m.Value, m.Reason
		r.hedger.Done(int32(i))
		if other := q.first + q.second - int32(m.Child); q.second >= 0 && q.second != q.first {
			n := out.next()
			c.head(now, n, Cancel, int(other))
			n.Command = q.command
		}
		*q = request{}
		return
	}
}

// turnedAway goes on to another agent where one has not taken a request, and gives it
// up when there is none. Whatever else an agent says in TRANSIT, it has it.
func (r *requests) turnedAway(now time.Duration, slot int, m *Message, c *Coordinator, out *Outbox) {
	q := &r.slots[slot]
	switch m.Reason {
	case ReasonBusy, ReasonNoClock, ReasonFenced, ReasonMode, ReasonFrozen:
	default:
		return // the window says when it is given up; a hedge may be under way
	}
	other := int32(-1)
	if !q.alone {
		other = c.best(q.requires, q.classes, int32(m.Child))
	}
	switch {
	case q.second >= 0 && q.second != q.first && !q.refused:
		q.refused = true // the other one may answer yet
	case q.second < 0 && other >= 0 && m.Reason != ReasonFrozen:
		q.second, q.refused = other, true
		c.ask(now, q, other, out)
	default:
		e := out.say(Unanswered)
		e.Command, e.Reporter, e.Reason = q.command, m.Child, m.Reason
		r.hedger.Done(int32(slot))
		*q = request{}
	}
}

// clear gives up all requests.
func (r *requests) clear(out *Outbox) {
	for i := range r.slots {
		if r.slots[i].command != 0 {
			e := out.say(Unanswered)
			e.Command, e.Reason = r.slots[i].command, ReasonNotLeading
			r.hedger.Done(int32(i))
			r.slots[i] = request{}
		}
	}
	r.next = never
}
