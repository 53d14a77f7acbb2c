package host

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/datagram"
	"dancer/mesh/packet"
)

// Host is one node that runs. Its methods are safe for use by several goroutines.
type Host struct {
	options Options
	link    *datagram.Link
	clock   datagram.Clock
	inbox   chan incoming
	calls   chan func()
	ended   chan struct{}
	started atomic.Bool

	counters struct{ overrun, foreign, unreachable, unsent, withheld, unstored atomic.Uint64 }

	// Of the goroutine that owns the node.
	node     *coordination.Node
	state    State
	unstored bool // a term is not on the disk yet: nothing is sent
	retryAt  time.Duration
	now      time.Duration
	out      coordination.Outbox
	handled  int // effects of out
	random   *rand.Rand
	ids      packet.IDs
	peers    []netip.AddrPort
	payloads texts // of commands; their node is 0
	words    texts // of answers, this node's own among them
	batch    [sendBatch]packet.Message
	copies   []datagram.Copy
}

// sendBatch is how many messages one call of the kernel sends at most.
const sendBatch = 16

// incoming is a message that came.
type incoming struct {
	message coordination.Message
	at      time.Duration
	payload []byte
}

// New opens the socket and makes the node. Nothing is sent or taken before Run.
func New(o Options) (*Host, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	h := &Host{options: o, payloads: newTexts(payloadPlaces), words: newTexts(min(max(wordPlaces*o.Book.Len(), payloadPlaces), maxWords)), inbox: make(chan incoming, o.Queue), calls: make(chan func()), ended: make(chan struct{}),
		random: rand.New(rand.NewPCG(o.Seed, 0)), peers: make([]netip.AddrPort, o.Book.Len())}
	h.clock = o.Conditions.Clock(machineClock())
	conditions := o.Conditions
	conditions.Offset, conditions.Drift = 0, 0 // h.clock has them
	h.link, err = datagram.Open(datagram.Options{Bind: o.Bind, Name: o.Book.Name(o.Self), Scope: o.Cell, Secret: o.Secret, Clock: h.clock, Conditions: conditions,
		Admission: packet.Options{MaxSources: max(256, o.Book.Len())}, OnMessage: h.take, OnReport: o.OnReport, ReceiveBuffer: o.ReceiveBuffer, SendBuffer: o.ReceiveBuffer})
	if err != nil {
		return nil, err
	}
	if err := h.boot(); err != nil {
		_ = h.link.Close()
		return nil, fmt.Errorf("start node %s: %w", o.Book.Name(o.Self), err)
	}
	return h, nil
}

// machineClock takes the wall clock once: from then on it runs evenly, whatever sets
// it.
func machineClock() datagram.Clock {
	start := time.Now()
	wall := packet.WallOf(start)
	return func() (time.Duration, packet.Wall) {
		now := time.Since(start)
		return now, wall.Add(now)
	}
}

// boot makes the parts of this start. Its number is over all before, also where the
// memory is gone or the wall clock was set back.
func (h *Host) boot() error {
	state, lost := h.options.Memory.Load()
	h.state, h.now = state, h.wall()
	h.state.Start = max(state.Start+1, uint32(min(h.now/time.Second, 1<<32-1)))
	if err := h.options.Memory.Save(h.state); err != nil {
		return fmt.Errorf("store the number of this start: %w", err)
	}
	node, err := h.options.Build(Boot{Now: h.now, Start: h.state.Start, First: uint64(h.state.Start)<<commandsPerSecond | 1, Quiet: lost, State: &h.state, Random: h.random})
	h.node = node
	return err
}

// commandsPerSecond: the numbers of commands have 40 bits, a start 32. So as long as a
// node gives no more than 256 commands for each second that it runs, no start uses a
// number again.
const commandsPerSecond = 8

// wall is the clock of the core: durations since 1970, which never step.
func (h *Host) wall() time.Duration {
	_, wall := h.clock()
	return time.Duration(wall)
}

// Done is closed when Run has ended.
func (h *Host) Done() <-chan struct{} { return h.ended }

// Clock is the node's clock now, a duration since 1970; it may be read at any time.
func (h *Host) Clock() time.Duration { return h.wall() }

// Addr is where the node takes datagrams.
func (h *Host) Addr() netip.AddrPort { return h.link.Addr() }

// Run runs the node until ctx ends. It can run once.
func (h *Host) Run(ctx context.Context) error {
	if !h.started.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: it has run already", ErrStopped)
	}
	defer close(h.ended)
	ctx, cancel := context.WithCancel(ctx)
	var receiving sync.WaitGroup
	var failed error
	receiving.Go(func() {
		defer cancel()
		failed = h.link.Run(ctx)
	})
	h.own(ctx)
	cancel()
	receiving.Wait()
	if err := h.link.Close(); failed == nil {
		failed = err
	}
	return failed
}

// take hands what an Admission has accepted to the owner. A copy of what came before
// is handed on as well: the core answers it again and never acts on it.
func (h *Host) take(r *datagram.Received) {
	in := incoming{at: time.Duration(r.At)}
	if err := h.options.Book.FromPacket(r.Message, &in.message); err != nil || in.message.To != h.options.Self {
		h.counters.foreign.Add(1)
		return
	}
	in.payload = slices.Clone(r.Message.Payload)
	select {
	case h.inbox <- in:
	default:
		h.counters.overrun.Add(1)
	}
}

// own is the goroutine that owns the node.
func (h *Host) own(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case in := <-h.inbox:
			h.receive(&in)
		case call := <-h.calls:
			h.pass()
			call()
			h.settle()
		case <-timer.C:
		}
		h.waiting()
		h.pass()
		if h.now >= h.node.Deadline() {
			h.node.Tick(h.now, &h.out)
			h.settle()
		}
		timer.Reset(min(max(h.node.Deadline()-h.wall(), 0), time.Second))
	}
}

// waiting takes what else has come, before the clock goes on: what came first is
// looked at as of then.
func (h *Host) waiting() {
	for range cap(h.inbox) {
		select {
		case in := <-h.inbox:
			h.receive(&in)
		default:
			return
		}
	}
}

// pass lets the node's time go on to now.
func (h *Host) pass() { h.now = max(h.now, h.wall()) }

// receive gives a message to the node, as of when the kernel got it where time has not
// gone on since.
func (h *Host) receive(in *incoming) {
	h.now = max(h.now, min(in.at, h.wall()))
	switch m := &in.message; {
	case len(in.payload) == 0:
	case m.Kind == coordination.Coordinate && h.leads(m.From, m.Term):
		h.payloads.keep(0, m.Command, in.payload)
	case m.Kind == coordination.Ack && m.Of == coordination.Coordinate && utf8.Valid(in.payload):
		h.words.keep(m.From, m.Command, in.payload)
	}
	h.node.Receive(h.now, &in.message, &h.out)
	h.settle()
}

// leads says whether the node's agent follows a node in a term. What others send with
// a command's number takes no payload's place.
func (h *Host) leads(node, term uint32) bool {
	a := h.node.Agent
	return a != nil && a.Following() && a.Term() == term && a.Holder() == node
}

// settle carries out what the node has said: what is to be stored first, then what it
// says to itself, and what it sends last.
func (h *Host) settle() {
	h.effects()
	for i := 0; i < len(h.out.Messages); i++ {
		if m := h.out.Messages[i]; m.To == h.options.Self && !h.unstored {
			h.node.Receive(h.now, &m, &h.out)
			h.effects()
		}
	}
	h.send()
	h.out.Reset()
	h.handled = 0
}

// effects carries out those that are new.
func (h *Host) effects() {
	for ; h.handled < len(h.out.Effects); h.handled++ {
		e := h.out.Effects[h.handled]
		switch e.Kind {
		case coordination.TermChanged:
			h.state.set(e.Seat, e.Term)
			h.unstored = true
		case coordination.Process:
			h.options.Handler.Process(Command{Number: e.Command, Weight: e.Weight, At: e.At, Payload: h.payloads.get(0, e.Command)})
			continue
		case coordination.Act:
			c := Command{Number: e.Command, Weight: e.Weight, At: e.At, Payload: h.payloads.get(0, e.Command)}
			h.options.Handler.Act(Action{Command: c, Value: e.Value, Now: h.now, Late: e.Late, Bound: e.Bound})
			continue
		}
		h.options.Handler.Told(e)
	}
	h.store()
}

// retry is how long after a failure the state is stored again.
const retry = time.Second

// store puts the terms on the disk.
func (h *Host) store() {
	if !h.unstored || h.now < h.retryAt {
		return
	}
	if err := h.options.Memory.Save(h.state); err != nil {
		h.counters.unstored.Add(1)
		h.retryAt = h.now + retry
		return
	}
	h.unstored = false
}

// send puts the messages for others on the network.
func (h *Host) send() {
	h.copies = h.copies[:0]
	for i := range h.out.Messages {
		m := &h.out.Messages[i]
		switch {
		case m.To == h.options.Self:
			continue
		case h.unstored:
			h.counters.withheld.Add(1)
			continue
		case int(m.To) >= len(h.peers) || !h.peers[m.To].IsValid():
			h.counters.unreachable.Add(1)
			continue
		}
		h.pack(m)
		if len(h.copies) == sendBatch {
			h.flush()
		}
	}
	h.flush()
}

// pack makes a datagram's message of one of the core's.
func (h *Host) pack(m *coordination.Message) {
	p := &h.batch[len(h.copies)]
	p.Payload = nil
	switch {
	case m.Kind == coordination.Coordinate:
		p.Payload = h.payloads.get(0, m.Command)
	case m.Kind == coordination.Ack && m.Of == coordination.Coordinate && m.State != mesh.Transit:
		p.Payload = h.words.get(h.options.Self, m.Command)
	}
	_, wall := h.clock()
	p.ID = h.ids.Next(wall, h.random)
	if err := h.options.Book.ToPacket(m, p); err != nil {
		h.counters.unsent.Add(1)
		return
	}
	if m.Kind == coordination.Heartbeat && h.options.Health != nil {
		h.options.Health(&p.Health)
	}
	h.copies = append(h.copies, datagram.Copy{To: h.peers[m.To], Message: p})
}

func (h *Host) flush() {
	if len(h.copies) > 0 {
		_, _ = h.link.SendAll(h.copies) // the Link counts what it cannot send
		h.copies = h.copies[:0]
	}
}

// do runs f in the goroutine that owns the node, and waits for it.
func (h *Host) do(ctx context.Context, f func()) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan struct{})
	select {
	case h.calls <- func() { f(); close(done) }:
	case <-h.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-h.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Do lets f work on the node in its goroutine: now is its clock, and what f puts into
// the outbox is sent. It must not block, nor keep the node.
func (h *Host) Do(ctx context.Context, f func(now time.Duration, node *coordination.Node, out *coordination.Outbox)) error {
	return h.do(ctx, func() { f(h.now, h.node, &h.out) })
}

// Processed says what came of a command, with words for people, at most
// packet.MaxPayloadBytes of UTF-8, or none. It does not wait for the node longer than
// ctx.
func (h *Host) Processed(ctx context.Context, command uint64, o coordination.Outcome, words string) error {
	return h.Do(ctx, func(now time.Duration, node *coordination.Node, out *coordination.Outbox) {
		if node.Agent != nil {
			h.words.keep(h.options.Self, command, []byte(strings.ToValidUTF8(words[:min(len(words), packet.MaxPayloadBytes)], "")))
			node.Agent.Processed(now, command, o, out)
		}
	})
}

// Words are what a node's answer to a command said, "" where it is not known. It is for
// the goroutine that owns the node: for what Do is given.
func (h *Host) Words(node uint32, command uint64) string { return string(h.words.get(node, command)) }

// Carry makes a payload go with a command: for what Do is given, before it ends.
func (h *Host) Carry(command uint64, payload []byte) {
	h.payloads.keep(0, command, payload[:min(len(payload), packet.MaxPayloadBytes)])
}

// SetPeer says where a member is; the zero address: nobody knows. The datagrams of the
// member are taken from that address alone. A name that is not in the book, or this
// node's own, is ErrOptions.
func (h *Host) SetPeer(ctx context.Context, name string, addr netip.AddrPort) error {
	node, known := h.options.Book.Node(name)
	if !known || node == h.options.Self {
		return fmt.Errorf("%w: %s is no other member", ErrOptions, name)
	}
	if addr.IsValid() {
		source := packet.Source{Origin: addr.Addr().Unmap(), Kinds: packet.AllKinds, Rate: memberRate}
		if _, err := h.link.Register(name, source); err != nil {
			return err
		}
	}
	return h.do(ctx, func() { h.peers[node] = addr })
}

// memberRate is what a member normally sends to one other, in messages a second: a
// lead with some commands under way among them.
const memberRate = 20

// Order is a command that was given.
type Order struct {
	Command uint64
	At      time.Duration // T, by this node's clock
	Ruling  breaker.Ruling
}

// Coordinate gives a command to those that this node coordinates: of the coordinator
// with the seat, which must lead (coordination.ErrNotLeading). task makes it from T,
// ahead of now; payload, at most packet.MaxPayloadBytes, goes with each copy.
func (h *Host) Coordinate(ctx context.Context, seat int, ahead time.Duration, task func(at time.Duration) coordination.Task, payload []byte) (order Order, err error) {
	if len(payload) > packet.MaxPayloadBytes {
		return Order{}, fmt.Errorf("%w: a payload of %d bytes, the limit is %d", ErrOptions, len(payload), packet.MaxPayloadBytes)
	}
	failed := h.do(ctx, func() {
		if seat < 0 || seat >= len(h.node.Coordinators) {
			err = coordination.ErrNotLeading
			return
		}
		order.At = h.now + ahead
		order.Command, order.Ruling, err = h.node.Coordinators[seat].Coordinate(h.now, task(order.At), &h.out)
		if err == nil {
			h.payloads.keep(0, order.Command, slices.Clone(payload))
		}
	})
	if failed != nil {
		return Order{}, failed
	}
	return order, err
}

// Counters say what was dropped, beside datagram.Status.
type Counters struct {
	Overrun     uint64 // messages that came and found the queue full
	Foreign     uint64 // of nobody in the book, for another node, or at odds with themselves
	Unreachable uint64 // messages for a member whose address nobody knows
	Unsent      uint64 // messages that cannot be written
	Withheld    uint64 // messages that were not sent because a term is not stored
	Unstored    uint64 // times that the state could not be stored
}

// Counters since the start.
func (h *Host) Counters() Counters {
	c := &h.counters
	return Counters{Overrun: c.overrun.Load(), Foreign: c.foreign.Load(), Unreachable: c.unreachable.Load(), Unsent: c.unsent.Load(),
		Withheld: c.withheld.Load(), Unstored: c.unstored.Load()}
}

// Network are the counters of the socket.
func (h *Host) Network() datagram.Status { return h.link.Status() }
