package brain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"dancer/mesh"
	"dancer/mesh/conductor"
	"dancer/runtime/web"
	"dancer/storage"
)

// page is the robot's own dashboard and API. It shows what a conductor would
// see, from the same register, fed with the robot's own messages.
type page struct {
	b        *brain
	hub      *web.Hub
	started  time.Time
	mutex    sync.Mutex
	register *conductor.Register
	acks     map[string]mesh.Ack // of local rulings and requests, the newest of them
	order    []string
	explains sync.Mutex // held while counter-factuals are worked out, one decision at a time
}

// localAcks bounds the answers that the page remembers for those who wait.
const localAcks = 256

// membersEvery is how often the page looks at the cell.
const membersEvery = time.Second

func newPage(b *brain) *page {
	return &page{
		b: b, hub: web.NewHub(), started: b.wall(),
		register: conductor.New(conductor.Limits{}), acks: map[string]mesh.Ack{},
	}
}

// run serves until the context ends.
func (p *page) run(ctx context.Context) error {
	robot := p.b.robot
	if robot.Listen == "off" {
		return nil
	}
	if p.b.opened.pageErr != nil {
		return p.b.opened.pageErr
	}
	options := web.ServerOptions{Bound: p.b.opened.page, Log: p.b.log}
	options.Backend, options.Hub, options.Now = p, p.hub, p.b.wall
	if p.b.conflicts != nil {
		options.Conflicts = p.b.conflicts
	}
	options.Registry, options.Token, options.Mesh = p.b.newRegistry(), p.b.opened.token, p.b.mesh()
	server, err := web.Listen(options)
	if err != nil {
		return err
	}
	p.b.opened.page = nil // the server's now
	p.b.log.Info("page", "url", server.URL())
	var watch sync.WaitGroup
	watch.Go(func() { p.watchMembers(ctx) })
	err = server.Run(ctx)
	watch.Wait()
	return err
}

func (p *page) watchMembers(ctx context.Context) {
	tick := time.NewTicker(membersEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.membersChanged()
		}
	}
}

func (p *page) membersChanged() {
	members, own := p.b.members(), p.b.robot.Name
	if !slices.ContainsFunc(members, func(m conductor.Member) bool { return m.Name == own }) {
		members = append(members, conductor.Member{Name: own, Alive: true}) // it serves this page, with a mesh or without
	}
	p.mutex.Lock()
	effects := p.register.Members(p.moment(), p.b.robot.Cell, members)
	p.mutex.Unlock()
	p.announce(effects)
}

func (b *brain) membersChanged() {
	if b.page != nil {
		b.page.membersChanged()
	}
}

func (p *page) moment() conductor.Moment {
	return conductor.Moment{Monotonic: p.b.clock(), Wall: p.b.wall().UTC()}
}

// apply shows one of the robot's own messages.
func (p *page) apply(kind mesh.Kind, body any) {
	e, err := mesh.NewWithID(p.b.newID(), kind, p.b.robot.Name, 0, p.b.wall(), body)
	if err != nil {
		p.b.log.Error("show message", "kind", kind, "error", err)
		return
	}
	p.mutex.Lock()
	effects, err := p.register.Apply(p.moment(), p.b.robot.Cell, p.b.robot.Name, e)
	p.mutex.Unlock()
	if err != nil {
		p.b.log.Error("show message", "kind", kind, "error", err)
		return
	}
	p.announce(effects)
}

// announce tells the watchers what changed in the register.
func (p *page) announce(effects conductor.Effects) {
	now := p.b.wall()
	for _, name := range effects.Agents {
		if a, ok := p.agent(name); ok {
			p.tell(now, web.EventAgent, name, a)
		}
	}
	for _, id := range effects.Questions {
		if q, ok := p.question(id); ok {
			p.tell(now, web.EventEscalation, q.Robot, q)
		}
	}
	for _, r := range effects.Ruled {
		p.tell(now, web.EventRuling, r.Robot, r)
	}
}

func (p *page) tell(at time.Time, kind, agent string, data any) {
	if err := p.hub.PublishJSON(at, kind, agent, data); err != nil {
		p.b.log.Error("encode event", "kind", kind, "error", err)
	}
}

// publish passes an event of the robot on to the watchers. Questions and rulings
// come from the register instead, with what became of them.
func (p *page) publish(kind string, body any) {
	switch kind {
	case kindEscalation:
		if e, ok := body.(mesh.Escalation); ok {
			p.apply(mesh.KindEscalation, e)
		}
	case kindRuling:
	default:
		p.tell(p.b.wall(), kind, p.b.robot.Name, body)
	}
}

func (p *page) agent(name string) (conductor.Agent, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.register.Agent(name)
}

func (p *page) question(id string) (conductor.Question, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.register.Question(id)
}

// Status of the robot.
func (p *page) Status() web.Status {
	now := p.b.wall()
	s := web.Status{
		Role: web.RoleRobot, Name: p.b.robot.Name, Cell: p.b.robot.Cell, Version: p.b.version,
		StartedAt: p.started, Now: now, Uptime: now.Sub(p.started),
		Broker: web.Broker{URL: p.b.robot.Conductor.Broker, Connected: p.b.mail.connected()},
		Outbox: p.b.mail.pending(), Problems: slices.Concat(p.b.problems(), p.b.signalProblems(), p.b.modelProblems()),
		Latency: web.FiguresOf(p.Latencies()), Coordination: p.b.coordinated.shown(),
	}
	for _, a := range p.Agents() {
		s.Agents++
		if a.Alive {
			s.Alive++
		}
	}
	p.mutex.Lock()
	s.Open = p.register.OpenCount()
	p.mutex.Unlock()
	if f, ok := p.b.recorder.Figures(); ok {
		s.Recording = &web.Recording{Messages: f.Messages, Lost: f.Lost + p.b.ends.Segment.TracesLost(), Sealed: f.Sealed, Stopped: f.Stopped}
	}
	return s
}

// Latencies of the spine.
func (p *page) Latencies() *web.Latencies { return p.b.reactions.latencies(p.b.clock()) }

// Agents are this robot and its peers in the cell.
func (p *page) Agents() []conductor.Agent {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.register.Agents()
}

// Questions of this robot.
func (p *page) Questions(state string) []conductor.Question {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.register.Questions(state)
}

// Rulings on this robot's questions.
func (p *page) Rulings() []conductor.Ruling {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.register.Rulings()
}

// Rule applies a ruling that was given at the robot itself.
func (p *page) Rule(ctx context.Context, question string, ruling mesh.Ruling) (string, error) {
	id := p.b.newID()
	p.mutex.Lock()
	record, effects, err := p.register.Rule(p.moment(), question, id, ruling)
	p.mutex.Unlock()
	if err != nil {
		for _, c := range effects.Conflicts {
			p.b.conflict(c) // of one that goes on the question itself tells
		}
		return "", err
	}
	p.announce(effects)
	ack, err := p.b.applyRuling(ctx, id, record.Ruling)
	if err != nil {
		p.mutex.Lock()
		p.register.Unrule(question, id)
		p.mutex.Unlock()
		return "", err
	}
	p.remember(ack)
	p.apply(mesh.KindAck, ack)
	return id, nil
}

// Request carries out start, stop or clear.
func (p *page) Request(ctx context.Context, agent string, request mesh.Request) (string, error) {
	if agent != p.b.robot.Name {
		return "", fmt.Errorf("%s %s: %w agent: this page serves %s alone", request.Do, agent, conductor.ErrUnknown, p.b.robot.Name)
	}
	id := p.b.newID()
	p.remember(p.b.applyRequest(ctx, id, request))
	return id, nil
}

// Await gives the answer to a local ruling or request.
func (p *page) Await(_ context.Context, id string) (mesh.Ack, bool) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	ack, ok := p.acks[id]
	return ack, ok
}

func (p *page) remember(ack mesh.Ack) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if len(p.order) >= localAcks {
		delete(p.acks, p.order[0])
		p.order = p.order[1:]
	}
	p.acks[ack.Of] = ack
	p.order = append(p.order, ack.Of)
}

// Decisions gives the newest records of the store.
func (p *page) Decisions(limit int) ([]json.RawMessage, error) {
	newest, err := p.b.archive.decisions.Newest(limit)
	if err != nil {
		return nil, err
	}
	out := make([]json.RawMessage, 0, len(newest))
	for i := range newest {
		out = append(out, encode(newest[i]))
	}
	return out, nil
}

// Decision gives one record of the store.
func (p *page) Decision(id string) (json.RawMessage, bool, error) {
	d, err := p.b.archive.decisions.Get(id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return encode(d), true, nil
}
