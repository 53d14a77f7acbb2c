package coordination

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
	"dancer/mesh/packet"
	"dancer/mesh/quorum"
)

// ErrPacket says that a datagram is no message of coordination for this node, or that
// a message cannot be one. Drop it and count.
var ErrPacket = errors.New("no message of coordination")

// MaxNodes bounds the names of a Book.
const MaxNodes = 1 << commandNodeBits

// Book is how the nodes of one scope are called: node i is Names[i]. Members that
// have the same names in the same order understand each other's indices. It is
// never changed; a membership that differs is another Book.
type Book struct {
	cell    packet.Name
	names   []packet.Name
	classes []impedance.Class
	index   map[packet.Name]uint32
}

// NewBook makes the book of a cell, or of another scope: its nodes are the names in
// the order of bytes, each once. class is that of all nodes until SetClass.
func NewBook(cell string, names []string, class impedance.Class) (*Book, error) {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	if len(sorted) == 0 || len(sorted) > MaxNodes || len(sorted) != len(names) {
		return nil, fmt.Errorf("%w: %d names of %d members; each needs one of its own, and 1 to %d are possible", ErrConfig, len(sorted), len(names), MaxNodes)
	}
	scope, err := packet.NewName(cell)
	if err != nil {
		return nil, fmt.Errorf("%w: cell: %w", ErrConfig, err)
	}
	b := &Book{cell: scope, names: make([]packet.Name, len(sorted)), classes: make([]impedance.Class, len(sorted)), index: make(map[packet.Name]uint32, len(sorted))}
	for i, s := range sorted {
		if b.names[i], err = packet.NewName(s); err != nil {
			return nil, fmt.Errorf("%w: member: %w", ErrConfig, err)
		}
		b.classes[i] = class
		b.index[b.names[i]] = uint32(i)
	}
	return b, nil
}

// Len is how many nodes there are.
func (b *Book) Len() int { return len(b.names) }

// Name gives the name of a node, "" for one that is not in the book.
func (b *Book) Name(node uint32) string {
	if int(node) >= len(b.names) {
		return ""
	}
	return b.names[node].String()
}

// Node gives the node of a name.
func (b *Book) Node(name string) (uint32, bool) {
	n, err := packet.NewName(name)
	if err != nil {
		return 0, false
	}
	node, known := b.index[n]
	return node, known
}

// SetClass says of which class a node is.
func (b *Book) SetClass(node uint32, class impedance.Class) { b.classes[node] = class }

// Digest is the same for books with the same cell and names, and never 0: the ID of a
// seat whose members they are. Members that have been told different names have
// different seats, and so no part in each other's quorums.
func (b *Book) Digest() uint32 {
	var text strings.Builder
	text.WriteString(b.cell.String())
	for i := range b.names {
		text.WriteByte(0)
		text.WriteString(b.names[i].String())
	}
	sum := impedance.ContextOf(text.String())
	return max(uint32(sum>>32)^uint32(sum), 1)
}

// flagAtOnce is the edge's own: the command has no T, and the plan's is when it was
// sent.
const flagAtOnce = 1 << 8

// times to live: how long after a message was sent it may still be of use.
const (
	ttlShort = 10 * time.Second
	ttlOrder = 30 * time.Second
)

// ToPacket writes a message as members of all versions read it, all but the id and
// the payload, which it leaves as they are. Times of this node's core must be readings
// of the wall clock that its datagrams carry, as durations since 1970.
func (b *Book) ToPacket(m *Message, p *packet.Message) error {
	if int(m.From) >= len(b.names) || int(m.To) >= len(b.names) || m.Seat == 0 || m.Term == 0 {
		return fmt.Errorf("%w: %s from node %d to %d of %d, seat %d, term %d", ErrPacket, m.Kind, m.From, m.To, len(b.names), m.Seat, m.Term)
	}
	*p = packet.Message{ID: p.ID, Payload: p.Payload, Kind: packet.Kind(m.Kind), To: b.names[m.To], TTL: ttlShort, Priority: packet.Normal,
		Protocol: packet.Protocol{Seat: m.Seat, Term: m.Term, Start: m.Epoch, Child: m.Child, Flags: uint16(m.Flags), Of: packet.Kind(m.Of), Reason: uint8(m.Reason),
			Tier: uint8(m.Tier), Scope: uint8(m.Scope), Phase: m.Phase, Classes: m.Classes, Command: m.Command, Value: m.Value, Target: packet.Wall(m.Target), Numbers: m.Numbers}}
	if m.Kind != Coordinate && m.Kind != Ack {
		p.Payload = nil
	}
	if m.Kind != Heartbeat && m.Of != Heartbeat {
		p.Correlation = packet.ID(correlation(m.Command))
	}
	switch m.Kind {
	case Heartbeat:
		b.health(m, p)
	case Coordinate:
		plan(m, p)
	case Ack:
		result(m, p)
	case Confirm, Cancel, Circuit, Freeze, Thaw, Probe:
		b.order(m, p)
	default:
		return fmt.Errorf("%w: kind %d", ErrPacket, m.Kind)
	}
	return nil
}

// correlation groups the messages of a command for whoever looks on.
func correlation(command uint64) (id [16]byte) {
	binary.BigEndian.PutUint64(id[8:], command)
	return id
}

func (b *Book) health(m *Message, p *packet.Message) {
	h := &p.Health
	h.Class, h.Operation = max(b.classes[m.From], impedance.ClassEdge), impedance.Active
	if m.Flags&FlagDegraded != 0 {
		h.Operation = impedance.Degraded
	}
	h.Context = m.Value
	h.Processing, h.Queue = span(m.Numbers[NumberProcessing]), m.Numbers[NumberQueue]
	p.Echo = echo(m)
}

func echo(m *Message) packet.Echo {
	if m.Received <= 0 || m.Sent <= 0 {
		return packet.Echo{}
	}
	return packet.Echo{Sent: packet.Wall(m.Sent), Received: packet.Wall(m.Received)}
}

func plan(m *Message, p *packet.Message) {
	urgency := m.Numbers[NumberUrgency]
	p.Priority = packet.Priority(min(urgency&0xff, maxPriority))
	p.TTL = min(max(time.Duration(m.Numbers[NumberWindow])*time.Millisecond, ttlShort), packet.MaxTTL)
	p.Plan = packet.Plan{Target: packet.Wall(m.Target), Routing: packet.ScatterGather, Verb: packet.Verb(urgency >> 8), Weight: m.Numbers[NumberWeight], Expectation: mesh.Ready}
	if p.Plan.Verb < packet.Observe || p.Plan.Verb > packet.Sync {
		p.Plan.Verb = packet.Act
	}
	if m.Target == 0 {
		p.Plan.Target = packet.Wall(m.At)
		p.Protocol.Flags |= flagAtOnce
	}
}

func result(m *Message, p *packet.Message) {
	p.Causation = packet.ID(correlation(m.Command))
	binary.BigEndian.PutUint64(p.Causation[:8], uint64(max(m.Sent, 1)))
	p.Echo = echo(m)
	p.Result.State = m.State
	if m.State == mesh.Conflict {
		p.Result.Conflict = conflicts(m)
	}
	if m.Of != Coordinate || m.Flags&FlagSummary != 0 {
		return
	}
	p.Result.Queued, p.Result.Processing, p.Result.Queue = span(m.Numbers[NumberQueued]), span(m.Numbers[NumberServed]), m.Numbers[NumberDepth]
	p.Priority = packet.Urgent
}

// conflicts fills in what an ACK in CONFLICT has to say.
func conflicts(m *Message) packet.Conflict {
	kind := packet.ConflictType(m.Numbers[NumberConflict] & 0xff)
	if kind < packet.ContextDivergence || kind > packet.HashMismatch {
		kind = packet.ContextDivergence
	}
	return packet.Conflict{Type: kind, Context: m.Value, Agents: m.Numbers[NumberAffected], Depth: uint16(m.Numbers[NumberConflict] >> 8)}
}

func (b *Book) order(m *Message, p *packet.Message) {
	p.TTL, p.Priority = ttlOrder, packet.Critical
	o := &p.Order
	if m.Kind == Freeze || m.Kind == Thaw || m.Kind == Cancel {
		o.By = []byte(b.names[m.From].String())
	}
	if m.Kind == Confirm || m.Kind == Cancel {
		p.Correlation = packet.ID(correlation(max(m.Command, 1)))
		return
	}
	o.Scope = packet.Scope(m.Scope)
	if m.Scope != breaker.ScopeGlobal {
		o.Target = b.cell
	}
	switch m.Kind {
	case Freeze, Thaw:
		o.Sequence = m.Value
	case Circuit:
		// Of two the later holds: the coordinator's clock does not step.
		o.Sequence, o.Action = uint64(max(m.At, 1)), [...]packet.Action{breaker.Open: packet.Open, breaker.HalfOpen: packet.HalfOpen, breaker.Closed: packet.Close}[min(m.Phase, uint8(breaker.Closed))]
	}
}

// FromPacket reads a message that an Admission has accepted. Who sent it is what the
// datagram proves, never what the message says. ErrPacket: it is of nobody in the
// book, for nobody in it, of no seat, or contradicts itself.
func (b *Book) FromPacket(p *packet.Message, m *Message) error {
	from, known := b.index[p.From]
	if !known {
		return fmt.Errorf("%w: %s is no member", ErrPacket, p.From)
	}
	to, known := b.index[p.To]
	if !known {
		return fmt.Errorf("%w: for %q, who is no member", ErrPacket, p.To)
	}
	q := &p.Protocol
	if q.Seat == 0 {
		return fmt.Errorf("%w: %s from %s has no seat", ErrPacket, p.Kind, p.From)
	}
	*m = Message{Kind: Kind(p.Kind), Of: Kind(q.Of), State: p.Result.State, Flags: Flags(q.Flags), Reason: Reason(min(q.Reason, uint8(reasons))), Tier: quorum.Tier(q.Tier),
		Scope: breaker.Scope(q.Scope), Phase: q.Phase, Classes: q.Classes, From: from, To: to, Seat: q.Seat, Term: q.Term, Epoch: q.Start, Child: q.Child,
		Command: q.Command, Value: q.Value, At: time.Duration(p.At), Sent: time.Duration(p.Echo.Sent), Received: time.Duration(p.Echo.Received),
		Target: time.Duration(q.Target), Numbers: q.Numbers}
	return b.consistent(p, m)
}

// consistent refuses what says one thing to onlookers and another to the core.
func (b *Book) consistent(p *packet.Message, m *Message) error {
	ok := true
	switch p.Kind {
	case packet.Coordinate:
		ok = m.Target != 0 && p.Plan.Target == packet.Wall(m.Target) || m.Target == 0 && p.Protocol.Flags&flagAtOnce != 0
	case packet.Freeze, packet.Thaw:
		ok = p.Order.Sequence == m.Value && p.Order.Scope == packet.Scope(m.Scope)
	case packet.Circuit, packet.Probe:
		ok = p.Order.Scope == packet.Scope(m.Scope)
	case packet.Ack:
		ok = m.Of != 0 && m.Of != Ack
	}
	if !ok {
		return fmt.Errorf("%w: %s from %s contradicts itself", ErrPacket, p.Kind, p.From)
	}
	return nil
}
