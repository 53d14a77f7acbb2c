package conductor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"dancer/mesh"
	core "dancer/mesh/conductor"
	"dancer/mesh/gossip"
	"dancer/mesh/mqtt"
	"dancer/storage"
	"dancer/storage/bolt"
)

// post is the conductor's side of MQTT.
type post struct {
	client   *mqtt.Client
	outbox   *bolt.Outbox
	from     string
	sequence atomic.Uint64
	dropped  atomic.Uint64 // messages that made no sense
}

// envelope wraps a body under the conductor's name.
func (p *post) envelope(id string, kind mesh.Kind, body any) ([]byte, error) {
	e, err := mesh.NewWithID(id, kind, p.from, p.sequence.Add(1), time.Now(), body)
	if err != nil {
		return nil, err
	}
	return e.Encode()
}

// subscribe asks for everything that the agents of the cell say. Connections of
// other cells are heard too, to tell an operator who started the wrong cell.
func (s *service) subscribe(ctx context.Context) error {
	cell := s.config.Settings.Cell
	for _, kind := range []mesh.Kind{mesh.KindState, mesh.KindEvent, mesh.KindEscalation, mesh.KindAck} {
		if err := s.client.Subscribe(mesh.Filter(cell, mesh.AnyName, kind), s.receiver(ctx)); err != nil {
			return err
		}
	}
	return s.client.Subscribe(mesh.Filter(mesh.AnyName, mesh.AnyName, mesh.KindConnection), s.receiver(ctx))
}

func (s *service) receiver(ctx context.Context) mqtt.Handler {
	return func(topic string, payload []byte) error { return s.receive(ctx, topic, payload) }
}

// receive takes one message. An error makes the client bring it again; what
// makes no sense is counted and dropped.
func (s *service) receive(ctx context.Context, topic string, payload []byte) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	cell, agent, kind, err := mesh.ParseTopic(topic)
	if err != nil {
		return s.drop(topic, err)
	}
	if cell != s.config.Settings.Cell {
		s.strangers.cell(cell, s.config.Settings.Cell)
		return nil
	}
	if agent == mesh.ConductorAgent {
		return nil
	}
	if len(payload) == 0 { // a retained message was cleared: the robot is retired
		return s.desk.Retire(ctx, cell, agent)
	}
	e, err := mesh.Parse(payload)
	if err == nil && e.Kind != kind {
		err = fmt.Errorf("%w: %s on a topic of %s", mesh.ErrInvalid, e.Kind, kind)
	}
	if err != nil {
		return s.drop(topic, err)
	}
	err = s.desk.Take(ctx, cell, agent, e)
	if errors.Is(err, mesh.ErrInvalid) || errors.Is(err, mesh.ErrMalformed) {
		return s.drop(topic, err)
	}
	if err != nil {
		s.log.Error("take message", "topic", topic, "error", err)
	}
	return err
}

func (s *service) drop(topic string, err error) error {
	s.post.dropped.Add(1)
	s.log.Warn("drop message", "topic", topic, "error", err)
	return nil
}

// keep stores questions and the messages about them in one commit.
func (s *service) keep(ctx context.Context, questions []core.Question, messages []core.Message) error {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	changes := make([]storage.Change, 0, len(questions))
	for _, q := range questions {
		change, err := s.questions.Change(q.ID, q)
		if err != nil {
			return err
		}
		changes = append(changes, change)
	}
	for _, m := range messages {
		payload, err := s.post.envelope(m.ID, m.Kind, m.Body)
		if err != nil {
			return err
		}
		item := mesh.Item{ID: m.ID, Topic: mesh.Topic(m.Cell, m.Agent, m.Kind), Payload: payload}
		if err := s.post.outbox.Put(ctx, item, changes...); err != nil {
			return err
		}
		changes = nil // they went with the first
	}
	if len(changes) == 0 {
		return nil
	}
	return s.store.Write(ctx, changes...)
}

// send sends what is in the outbox until it is acknowledged, the rest once. A
// message that is sent once and finds no broker is dropped: acks are asked for
// again by their robot, requests are answered as not delivered.
func (s *service) send(ctx context.Context, m core.Message) error {
	if m.Durable {
		s.client.Send(m.ID)
		return nil
	}
	id := m.ID
	if id == "" {
		var err error
		if id, err = s.ids.Next(time.Now()); err != nil {
			return err
		}
	}
	payload, err := s.post.envelope(id, m.Kind, m.Body)
	if err != nil {
		return err
	}
	err = s.client.Publish(ctx, mesh.Topic(m.Cell, m.Agent, m.Kind), false, payload)
	if m.Kind == mesh.KindAck && err != nil {
		s.log.Debug("send ack", "agent", m.Agent, "error", err)
		return nil
	}
	if err != nil {
		return fmt.Errorf("send %s to %s: %w: %w", m.Kind, m.Agent, core.ErrNoBroker, err)
	}
	return nil
}

func (s *service) done(id string) {
	if err := s.client.Acked(id); err != nil {
		s.log.Error("clear outbox", "id", id, "error", err)
	}
}

// recall finds a question that left memory.
func (s *service) recall(id string) (core.Question, bool) {
	q, err := s.questions.Get(id)
	if err != nil && !errors.Is(err, storage.ErrNotFound) {
		s.log.Error("read question", "id", id, "error", err)
	}
	return q, err == nil
}

// presence is the retained message that says that the conductor is there.
func (s *service) presence(state string) []byte {
	id, err := s.ids.Next(time.Now())
	if err == nil {
		var payload []byte
		if payload, err = s.post.envelope(id, mesh.KindConnection, mesh.Connection{State: state, Role: mesh.RoleConductor}); err == nil {
			return payload
		}
	}
	s.log.Error("encode connection", "error", err)
	return nil
}

// members gives the cell as the register takes it.
func members(list []gossip.Member) []core.Member {
	out := make([]core.Member, 0, len(list))
	for _, m := range list {
		member := core.Member{Name: m.Name, Alive: m.Alive}
		if m.Record != nil {
			member.Context = m.Record.Context
			if raw, err := json.Marshal(m.Record); err == nil {
				member.Impedance = raw
			}
		}
		out = append(out, member)
	}
	return out
}

// strangers remembers what is wrong around the conductor, one sentence a cause.
type strangers struct {
	mutex sync.Mutex
	notes map[string]string
}

const maxNotes = 8

func (s *strangers) note(cause, text string) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if s.notes == nil {
		s.notes = map[string]string{}
	}
	if len(s.notes) < maxNotes {
		s.notes[cause] = text
	}
}

func (s *strangers) cell(foreign, own string) {
	s.note("cell "+foreign, fmt.Sprintf("Robots of cell %s are on this broker, and this conductor serves cell %s: run one with cell: %s.", foreign, own, foreign))
}

func (s *strangers) list() []string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	out := make([]string, 0, len(s.notes))
	for _, text := range s.notes {
		out = append(out, text)
	}
	slices.Sort(out)
	return out
}
