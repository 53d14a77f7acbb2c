package operator

import (
	"errors"
	"slices"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
	"dancer/mesh/packet"
)

// delegation gives one task to whoever is expected to have it done first, by the
// registry, and to the next best where that one cannot be asked. Once it is under
// way it is given to nobody else: a task that was done twice is worse than one that
// was not done, unless the operator says otherwise (Idempotent), and then the core
// hedges.
type delegation struct {
	candidates []int32
	window     time.Duration
	requires   uint64
	command    uint64
	cluster    int32 // where it is
	at         time.Duration
}

// maxCandidates is how many are tried.
const maxCandidates = 8

func (t *delegation) begin(d *Desk, o *operation) error {
	d.look(d.cores.Now())
	t.window = o.order.Deadline
	if t.window == 0 {
		t.window = DefaultTaskDeadline
	}
	t.requires = d.requires(&o.order)
	t.candidates = d.best(o, t.requires, maxCandidates)
	if len(t.candidates) == 0 {
		return d.nobody(o)
	}
	o.Delegation = &DelegationResult{Asked: []string{}}
	return t.give(d, o)
}

// best finds the agents with the least impedance that fit, the best first. Where a
// capability alone is asked for, the registry's index has them. One that works with a
// fault counts as twice as slow (impedance.Score).
func (d *Desk) best(o *operation, requires uint64, n int) (list []int32) {
	limit := uint16(impedance.MaxScore - 1)
	if o.order.MaxScore > 0 {
		limit = uint16(o.order.MaxScore)
	}
	if bit, err := d.shape.capability(o.order.Capability); err == nil && o.order.Capability != "" && o.order.Class == "" && o.place == All {
		for _, id := range d.view.registry.FindBest(nil, impedance.Capability(bit), n, limit) {
			list = append(list, int32(id))
		}
		if len(list) > 0 {
			return list
		}
	}
	scores := make([]uint16, 0, n+1)
	for agent := range int32(len(d.view.states)) {
		e, known := d.view.registry.Read(agentID(agent))
		if !known || e.Score > limit || !d.fits(o, agent, requires) {
			continue
		}
		at, _ := slices.BinarySearch(scores, e.Score+1) // behind those that are as good
		if at == n {
			continue
		}
		scores, list = slices.Insert(scores, at, e.Score), slices.Insert(list, at, agent)
		scores, list = scores[:min(len(scores), n)], list[:min(len(list), n)]
	}
	return list
}

// give gives the task to the first candidate that can be asked.
func (t *delegation) give(d *Desk, o *operation) (err error) {
	for len(t.candidates) > 0 {
		agent := t.candidates[0]
		t.candidates = t.candidates[1:]
		if err = t.ask(d, o, agent); err == nil {
			return nil
		}
		if errors.Is(err, ErrInvalid) {
			return err
		}
	}
	return err
}

func (t *delegation) ask(d *Desk, o *operation, agent int32) (err error) {
	q := coordination.Request{Requires: t.requires, Classes: o.order.classes(), One: d.view.child(agent) + 1, Idempotent: o.order.Idempotent, Verb: uint8(packet.Act),
		Priority: o.order.priority(), Weight: o.order.Weight, Window: t.window, Operator: true, Approved: o.order.Approved}
	if o.order.Idempotent && o.place.Level != AtAgent {
		q.One = 0 // the lead knows best who of its own is free, and hedges with another
	}
	led := d.cores.With(d.shape.lead(agent), func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		command, ruling, e := c.Request(now, q, out)
		if e != nil {
			err = refused(string(o.Kind), d.shape.NameOf(d.shape.lead(agent)), ruling, e)
			return
		}
		d.carry(command, o.Kind, o.Text)
		t.chosen(d, o, agent, command)
	})
	if !led {
		return unled(o.Kind, d.shape.NameOf(d.shape.lead(agent)))
	}
	return err
}

func (t *delegation) chosen(d *Desk, o *operation, agent int32, command uint64) {
	t.command, t.cluster, t.at = command, d.shape.Topology.AgentCluster[agent], d.cores.Now()
	e, _ := d.view.registry.Read(agentID(agent))
	o.Delegation.Score = int(e.Score)
	o.Delegation.Asked = append(o.Delegation.Asked, d.shape.NameOf(Place{AtAgent, agent}))
	o.Revision++
}

func (t *delegation) effect(d *Desk, o *operation, e *coordination.Effect) {
	if t.command == 0 || e.Command != t.command {
		return
	}
	switch e.Kind {
	case coordination.Answered:
		t.answered(d, o, e)
	case coordination.Unanswered:
		why := "no answer within " + t.window.String()
		if e.Reason != coordination.ReasonNone {
			why = "given up by its lead: " + e.Reason.String()
		}
		o.end(Failed, why, "it may still be done; dancer agents --capability and --class show who else could")
	}
}

func (t *delegation) answered(d *Desk, o *operation, e *coordination.Effect) {
	r := o.Delegation
	r.TookMS, r.Conflict = ms(d.cores.Now()-t.at), e.Reason != coordination.ReasonNone
	if agent := d.view.agentOf(t.cluster, e.Reporter); agent >= 0 {
		r.Agent, r.Class = d.shape.NameOf(Place{AtAgent, agent}), d.view.class(agent).String()
		r.Answer = d.words(agent, e.Command, e.Value)
	}
	if r.Conflict {
		r.Answer = e.Reason.String()
		o.end(Failed, "it cannot: "+r.Answer, "dancer conflicts shows what did not agree")
		return
	}
	o.end(Done, "", "")
}

// tick has nothing to do: the lead says when the window is over. If it died the
// operator is told a little later.
func (t *delegation) tick(_ *Desk, o *operation, now time.Duration) {
	if now > t.at+t.window+time.Second && !o.Ended() {
		o.end(Failed, "its lead has said nothing since", "dancer status shows who leads")
	}
}

func (t *delegation) cancel(_ *Desk, o *operation) error {
	o.end(Cancelled, "its answer is not waited for", "who has it may still do it")
	return nil
}

func agentID(agent int32) impedance.AgentID { return impedance.AgentID(agent) }
