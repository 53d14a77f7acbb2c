package web

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"dancer/mesh"
	"dancer/mesh/conductor"
	"dancer/mesh/conflict"
)

// DeskOptions of a desk. Moment, NewID, Store, Send and Status are needed.
type DeskOptions struct {
	Limits conductor.Limits
	Recall conductor.Recall // closed questions that left memory; default none
	Hub    *Hub

	Moment func() conductor.Moment
	NewID  func() (string, error) // ULIDs
	Status func() Status          // the desk fills in the counts of agents and questions

	// Store writes questions, and the durable messages about them into an outbox,
	// in one commit: when it returns nothing of them can be lost.
	Store func(context.Context, []conductor.Question, []conductor.Message) error
	// Send sends a message: a durable one out of the outbox, again and again
	// until Done; any other once, if there is a connection.
	Send func(context.Context, conductor.Message) error
	// Done drops an acknowledged message from the outbox; may be nil.
	Done func(id string)
	// Conflict takes what does not agree, and does not wait; may be nil.
	Conflict func(conflict.Claim)
}

// Desk is a Backend around a register: it takes messages, stores before it
// sends, tells the hub, and lets callers wait for a robot's answer.
//
// Changes go through one at a time, from the message to the disk and out again,
// so that an older state of a question never overwrites a newer one. Readers
// never wait for a disk.
type Desk struct {
	options  DeskOptions
	changing sync.Mutex // one change from message to disk at a time
	mutex    sync.Mutex // guards what follows
	register *conductor.Register
	waiting  map[string][]chan mesh.Ack
}

// NewDesk makes a desk. What was stored before comes in with Restore.
func NewDesk(o DeskOptions) *Desk {
	if o.Done == nil {
		o.Done = func(string) {}
	}
	if o.Conflict == nil {
		o.Conflict = func(conflict.Claim) {}
	}
	d := &Desk{options: o, register: conductor.New(o.Limits), waiting: map[string][]chan mesh.Ack{}}
	if o.Recall != nil {
		d.register.SetRecall(o.Recall)
	}
	return d
}

// Restore puts stored questions back, oldest first, and sends every ruling again
// that no robot has acknowledged.
func (d *Desk) Restore(ctx context.Context, questions []conductor.Question) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mutex.Lock()
	pending := d.register.Restore(questions)
	d.mutex.Unlock()
	return d.carryOut(ctx, conductor.Effects{Send: pending})
}

// Take takes one message of an agent; cell and agent are those of its topic. A
// nil error means that it is dealt with for good. An error that is
// mesh.ErrInvalid or mesh.ErrMalformed will never go away: drop the message.
// Any other means that the message must come again.
func (d *Desk) Take(ctx context.Context, cell, agent string, e mesh.Envelope) error {
	err := d.change(ctx, func() (conductor.Effects, error) {
		return d.register.Apply(d.options.Moment(), cell, agent, e)
	})
	if err == nil && e.Kind == mesh.KindEvent && d.options.Hub != nil {
		d.options.Hub.Publish(Event{At: e.At, Kind: eventKind(e.Body), Agent: agent, Data: eventData(e.Body)})
	}
	return err
}

// Members takes the membership of a cell from the mesh.
func (d *Desk) Members(ctx context.Context, cell string, members []conductor.Member) error {
	return d.change(ctx, func() (conductor.Effects, error) {
		return d.register.Members(d.options.Moment(), cell, members), nil
	})
}

// Tick judges the agents' life; call it about once a second.
func (d *Desk) Tick(ctx context.Context) error {
	return d.change(ctx, func() (conductor.Effects, error) {
		return d.register.Tick(d.options.Moment()), nil
	})
}

// Retire forgets an agent whose retained state was cleared.
func (d *Desk) Retire(ctx context.Context, cell, agent string) error {
	return d.change(ctx, func() (conductor.Effects, error) {
		return d.register.Retire(cell, agent), nil
	})
}

// change applies something to the register and carries out its effects.
func (d *Desk) change(ctx context.Context, apply func() (conductor.Effects, error)) error {
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mutex.Lock()
	effects, err := apply()
	d.mutex.Unlock()
	d.conflicts(effects)
	if err != nil {
		return err
	}
	return d.carryOut(ctx, effects)
}

// conflicts hands on what does not agree.
func (d *Desk) conflicts(effects conductor.Effects) {
	for _, c := range effects.Conflicts {
		d.options.Conflict(c)
	}
}

// carryOut does what the register asks for, in its order.
func (d *Desk) carryOut(ctx context.Context, effects conductor.Effects) error {
	if err := d.store(ctx, effects); err != nil {
		return err
	}
	return d.send(ctx, effects)
}

func (d *Desk) store(ctx context.Context, effects conductor.Effects) error {
	var durable []conductor.Message
	for _, m := range effects.Send {
		if m.Durable {
			durable = append(durable, m)
		}
	}
	if len(effects.Store) == 0 && len(durable) == 0 {
		return nil
	}
	if err := d.options.Store(ctx, effects.Store, durable); err != nil {
		return fmt.Errorf("store question: %w", err)
	}
	return nil
}

// send sends what is stored, and tells those who wait and watch.
func (d *Desk) send(ctx context.Context, effects conductor.Effects) error {
	var failed error
	for _, m := range effects.Send {
		failed = errors.Join(failed, d.options.Send(ctx, m))
	}
	for _, id := range effects.Done {
		d.options.Done(id)
		d.wake(id)
	}
	d.tell(effects)
	return failed
}

// tell hands what changed to everybody who watches.
func (d *Desk) tell(effects conductor.Effects) {
	if d.options.Hub == nil {
		return
	}
	at := d.options.Moment().Wall
	publish := func(kind, agent string, data any) {
		_ = d.options.Hub.PublishJSON(at, kind, agent, data) // our own types: encoding cannot fail
	}
	for _, name := range effects.Agents {
		d.mutex.Lock()
		a, ok := d.register.Agent(name)
		d.mutex.Unlock()
		if ok {
			publish(EventAgent, name, a)
		} else {
			publish(EventAgent, name, nil)
		}
	}
	for _, id := range effects.Questions {
		if q, ok := d.Question(id); ok {
			publish(EventEscalation, q.Robot, q)
		}
	}
	for _, r := range effects.Ruled {
		publish(EventRuling, r.Robot, r)
	}
}

// Rule is Backend.Rule: when it returns without an error the ruling is stored,
// and on its way to the robot.
func (d *Desk) Rule(ctx context.Context, question string, ruling mesh.Ruling) (string, error) {
	id, err := d.options.NewID()
	if err != nil {
		return "", err
	}
	d.changing.Lock()
	defer d.changing.Unlock()
	d.mutex.Lock()
	_, effects, err := d.register.Rule(d.options.Moment(), question, id, ruling)
	d.mutex.Unlock()
	d.conflicts(effects)
	if err != nil {
		return "", err
	}
	if err := d.store(ctx, effects); err != nil {
		d.mutex.Lock()
		d.register.Unrule(question, id)
		d.mutex.Unlock()
		return "", err
	}
	return id, d.send(ctx, effects)
}

// Request is Backend.Request.
func (d *Desk) Request(ctx context.Context, agent string, request mesh.Request) (string, error) {
	id, err := d.options.NewID()
	if err != nil {
		return "", err
	}
	err = d.change(ctx, func() (conductor.Effects, error) {
		return d.register.Ask(d.options.Moment(), agent, id, request)
	})
	return id, err
}

// Await is Backend.Await.
func (d *Desk) Await(ctx context.Context, id string) (mesh.Ack, bool) {
	d.mutex.Lock()
	if ack, ok := d.register.Acked(id); ok {
		d.mutex.Unlock()
		return ack, true
	}
	answer := make(chan mesh.Ack, 1)
	d.waiting[id] = append(d.waiting[id], answer)
	d.mutex.Unlock()
	select {
	case ack := <-answer:
		return ack, true
	case <-ctx.Done():
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.forget(id, answer)
	ack, ok := d.register.Acked(id)
	return ack, ok
}

func (d *Desk) forget(id string, answer chan mesh.Ack) {
	var rest []chan mesh.Ack
	for _, c := range d.waiting[id] {
		if c != answer {
			rest = append(rest, c)
		}
	}
	if len(rest) == 0 {
		delete(d.waiting, id)
		return
	}
	d.waiting[id] = rest
}

// wake answers everybody who waits for a message's ack.
func (d *Desk) wake(id string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	ack, ok := d.register.Acked(id)
	if !ok {
		return
	}
	for _, c := range d.waiting[id] {
		c <- ack // room for one, and each channel is answered once
	}
	delete(d.waiting, id)
}

// shownProblems bounds what the status says of the agents' faults: a page shows no
// more, and each agent has its own.
const shownProblems = 10

// Status is Backend.Status.
func (d *Desk) Status() Status {
	st := d.options.Status()
	d.mutex.Lock()
	defer d.mutex.Unlock()
	for _, a := range d.register.Agents() {
		st.Agents++
		if a.Alive {
			st.Alive++
		}
		if a.State != nil && a.State.Fault != "" && len(st.Problems) < shownProblems {
			st.Problems = append(st.Problems, a.Name+": "+a.State.Fault)
		}
	}
	st.Open = d.register.OpenCount()
	st.Now = d.options.Moment().Wall
	if !st.StartedAt.IsZero() {
		st.Uptime = st.Now.Sub(st.StartedAt).Round(time.Second)
	}
	return st
}

// Agents is Backend.Agents.
func (d *Desk) Agents() []conductor.Agent {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.register.Agents()
}

// Questions is Backend.Questions.
func (d *Desk) Questions(state string) []conductor.Question {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.register.Questions(state)
}

// Question gives one question, also a closed one that left memory.
func (d *Desk) Question(id string) (conductor.Question, bool) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.register.Question(id)
}

// Rulings is Backend.Rulings.
func (d *Desk) Rulings() []conductor.Ruling {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.register.Rulings()
}

// Counters of the register.
func (d *Desk) Counters() conductor.Counters {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.register.Counters()
}
