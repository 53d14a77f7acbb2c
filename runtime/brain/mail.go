package brain

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"dancer/mesh"
	"dancer/mesh/mqtt"
	"dancer/storage"
	"dancer/storage/bolt"
)

// mail is the robot's side of MQTT: what must arrive goes through the outbox,
// the rest is sent once.
type mail struct {
	client     *mqtt.Client
	outbox     *bolt.Outbox
	ids        *mesh.IDs
	cell, name string
	sequence   atomic.Uint64
	wall       func() time.Time
	log        *slog.Logger
}

// defaultBroker is what `broker: auto` means.
const defaultBroker = "mqtt://127.0.0.1:1883"

func (b *brain) newMail() (*mail, error) {
	m := &mail{
		outbox: b.archive.store.Outbox(), ids: b.ids, cell: b.robot.Cell, name: b.robot.Name,
		wall: b.wall, log: b.log,
	}
	link := b.robot.Conductor
	if link.Broker == "off" {
		return m, nil
	}
	options := mqtt.Options{
		Broker: link.Broker, ClientID: clientID(b.robot.Cell, b.robot.Name), Username: link.Username,
		Outbox: m.outbox, Log: b.log, OnConnected: b.stateChanged,
		Presence: mqtt.Presence{Topic: m.topic(mesh.KindConnection), Message: m.presence},
	}
	if options.Broker == "auto" {
		options.Broker = defaultBroker
	}
	if b.opened.brokerErr != nil {
		return nil, b.opened.brokerErr
	}
	options.Password = b.opened.password
	if b.opened.authority != nil || link.Fingerprint != "" {
		var err error
		if options.TLS, err = mqtt.TLSConfig(b.opened.authority, link.Fingerprint); err != nil {
			return nil, err
		}
	}
	client, err := mqtt.New(options)
	m.client = client
	return m, err
}

// clientID is unique per broker. Some brokers refuse dots in it (nats-server
// splits its subjects at them).
func clientID(cell, name string) string {
	return "dancer-" + strings.ReplaceAll(cell+"-"+name, ".", "-")
}

func (m *mail) topic(kind mesh.Kind) string { return mesh.Topic(m.cell, m.name, kind) }

// envelope wraps a body under the robot's name.
func (m *mail) envelope(kind mesh.Kind, body any) (string, []byte, error) {
	at := m.wall()
	id, err := m.ids.Next(at)
	if err != nil {
		return "", nil, err
	}
	e, err := mesh.NewWithID(id, kind, m.name, m.sequence.Add(1), at, body)
	if err != nil {
		return "", nil, err
	}
	payload, err := e.Encode()
	return id, payload, err
}

// send stores a message together with a change and sends it until it is
// acknowledged.
func (m *mail) send(ctx context.Context, kind mesh.Kind, body any, with ...storage.Change) error {
	id, payload, err := m.envelope(kind, body)
	if err != nil {
		return err
	}
	item := mesh.Item{ID: id, Topic: m.topic(kind), Payload: payload}
	if err := m.outbox.Put(ctx, item, with...); err != nil {
		return err
	}
	if m.client != nil {
		m.client.Send(id)
	}
	return nil
}

// tell sends a message once, if the broker is there.
func (m *mail) tell(ctx context.Context, kind mesh.Kind, retained bool, body any) {
	if m.connected() {
		_ = m.try(ctx, kind, retained, body) // it has said why
	}
}

// try sends a message once, and says whether the broker's client has taken it.
func (m *mail) try(ctx context.Context, kind mesh.Kind, retained bool, body any) error {
	_, payload, err := m.envelope(kind, body)
	if err == nil {
		err = m.client.Publish(ctx, m.topic(kind), retained, payload)
	}
	if err != nil {
		m.log.Debug("publish", "kind", kind, "error", err)
	}
	return err
}

// presence is the retained message that says who is there.
func (m *mail) presence(state string) []byte {
	_, payload, err := m.envelope(mesh.KindConnection, mesh.Connection{State: state, Role: mesh.RoleRobot})
	if err != nil {
		m.log.Error("encode connection", "error", err)
		return nil
	}
	return payload
}

func (m *mail) pending() int { return m.outbox.Len() }

func (m *mail) connected() bool { return m.client != nil && m.client.Connected() }

// listen subscribes to what is addressed to this robot.
func (b *brain) listen(ctx context.Context) error {
	if b.mail.client == nil {
		return nil
	}
	for _, kind := range []mesh.Kind{mesh.KindRuling, mesh.KindRequest, mesh.KindAck} {
		handler := func(_ string, payload []byte) error { return b.receive(ctx, kind, payload) }
		if err := b.mail.client.Subscribe(b.mail.topic(kind), handler); err != nil {
			return err
		}
	}
	return nil
}

// receive takes one message from the broker. An error makes the broker's client
// bring it again; a message that makes no sense is dropped and said.
func (b *brain) receive(ctx context.Context, kind mesh.Kind, payload []byte) error {
	e, err := mesh.Parse(payload)
	if err == nil && e.Kind != kind {
		err = fmt.Errorf("%w: %s on topic %s", mesh.ErrInvalid, e.Kind, kind)
	}
	if err != nil {
		b.log.Warn("drop message", "kind", kind, "error", err)
		return nil
	}
	if e.From == b.robot.Name {
		return nil // our own acks come back on our topic
	}
	switch kind {
	case mesh.KindAck:
		return b.receiveAck(e)
	case mesh.KindRuling:
		return b.receiveRuling(ctx, e)
	}
	return b.receiveRequest(ctx, e)
}

func (b *brain) receiveAck(e mesh.Envelope) error {
	ack, err := mesh.Body[mesh.Ack](e)
	if err != nil {
		b.log.Warn("drop ack", "error", err)
		return nil
	}
	b.stateChanged()
	return b.mail.client.Acked(ack.Of)
}

func (b *brain) receiveRuling(ctx context.Context, e mesh.Envelope) error {
	ruling, err := mesh.Body[mesh.Ruling](e)
	if err != nil {
		b.log.Warn("drop ruling", "id", e.ID, "error", err)
		return nil
	}
	ack, known := b.archive.answered(e.ID)
	if !known {
		if ack, err = b.applyRuling(ctx, e.ID, ruling); err != nil {
			return err
		}
	}
	b.mail.tell(ctx, mesh.KindAck, false, ack)
	return nil
}

// applyRuling has the decision goroutine apply a ruling and stores the answer.
func (b *brain) applyRuling(ctx context.Context, id string, ruling mesh.Ruling) (mesh.Ack, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	ack := mesh.Ack{Of: id, Escalation: ruling.Escalation}
	var state questionState
	err := b.call(ctx, func(b *brain) {
		result, running := b.rule(ruling)
		ack.Outcome, ack.Why, ack.Running = result.Outcome, result.Why, running
		state = b.questionState()
	})
	if err != nil {
		return ack, fmt.Errorf("apply ruling %s: %w", id, err)
	}
	change, err := b.archive.state.Change(questionKey, state)
	if err != nil {
		return ack, err
	}
	b.keep(ctx, id, handled{Ruling: &ruling, Ack: ack, At: b.wall().UTC()}, change)
	return ack, nil
}

// keep stores an answer. A full disk does not undo what was done: the answer is
// given, and a repetition is answered as late or again with the same effect.
func (b *brain) keep(ctx context.Context, id string, h handled, with ...storage.Change) {
	if err := b.archive.answer(ctx, id, h, with...); err != nil {
		b.log.Error("store ruling", "id", id, "error", err)
	}
}

func (b *brain) receiveRequest(ctx context.Context, e mesh.Envelope) error {
	request, err := mesh.Body[mesh.Request](e)
	if err != nil {
		b.log.Warn("drop request", "id", e.ID, "error", err)
		return nil
	}
	ack, known := b.archive.answered(e.ID)
	if !known {
		ack = b.applyRequest(ctx, e.ID, request)
	}
	b.mail.tell(ctx, mesh.KindAck, false, ack)
	return nil
}

func (b *brain) applyRequest(ctx context.Context, id string, request mesh.Request) mesh.Ack {
	ack := mesh.Ack{Of: id, Outcome: "applied"}
	if err := b.request(ctx, request); err != nil {
		ack.Outcome, ack.Why = "refused", err.Error()
	}
	b.log.Info("request", "do", request.Do, "by", request.By, "outcome", ack.Outcome, "why", ack.Why)
	b.keep(ctx, id, handled{Request: &request, Ack: ack, At: b.wall().UTC()})
	return ack
}
