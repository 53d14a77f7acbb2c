package coordination

import (
	"errors"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
	"dancer/mesh/packet"
	"dancer/mesh/quorum"
)

func someBook(t testing.TB) *Book {
	t.Helper()
	b, err := NewBook("gallery", []string{"north", "east", "south"}, impedance.ClassLocal)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// drawEdge makes any message that a core can send to another node.
func drawEdge(t *rapid.T) Message {
	when := func(label string, from int64) time.Duration {
		return time.Duration(rapid.Int64Range(from, math.MaxInt64).Draw(t, label))
	}
	m := Message{Kind: Kind(rapid.IntRange(1, 9).Draw(t, "kind")), Flags: Flags(rapid.Uint8().Draw(t, "flags")), Reason: Reason(rapid.Uint8Max(uint8(reasons)-1).Draw(t, "reason")),
		Tier: quorum.Tier(rapid.Uint8Max(3).Draw(t, "tier")), Scope: breaker.Scope(rapid.Uint8Range(1, 3).Draw(t, "scope")), Phase: rapid.Uint8().Draw(t, "phase"), Classes: rapid.Uint8().Draw(t, "classes"),
		From: rapid.Uint32Max(2).Draw(t, "from"), To: rapid.Uint32Max(2).Draw(t, "to"), Seat: rapid.Uint32Min(1).Draw(t, "seat"), Term: rapid.Uint32Min(1).Draw(t, "term"),
		Epoch: rapid.Uint32().Draw(t, "epoch"), Child: rapid.Uint32().Draw(t, "child"), Command: rapid.Uint64().Draw(t, "command"), Value: rapid.Uint64Min(1).Draw(t, "value"),
		At: when("at", int64(time.Hour))}
	for i := range m.Numbers {
		m.Numbers[i] = rapid.Uint32().Draw(t, "number")
	}
	if m.Kind == Ack || m.Kind == Heartbeat {
		m.Sent, m.Received = when("sent", 1), when("received", 1)
	}
	if m.Kind == Ack {
		m.Of, m.State = Kind(rapid.SampledFrom([]int{1, 2, 4, 5, 6, 7, 8, 9}).Draw(t, "of")), mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "state"))
	}
	if (m.Kind == Coordinate || m.Kind == Ack || m.Kind == Confirm) && rapid.Bool().Draw(t, "T") {
		m.Target = when("target", 1)
	}
	return m
}

// TestEdgeRoundTrip: what one core says another reads as it was said, through the
// sealed bytes of a datagram.
func TestEdgeRoundTrip(t *testing.T) {
	b := someBook(t)
	key, err := packet.NewKey("gallery", []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		m := drawEdge(t)
		sealer, err := packet.NewSealer(key, b.Name(m.From), packet.Wall(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		p := packet.Message{ID: packet.ID{1}}
		if err := b.ToPacket(&m, &p); err != nil {
			t.Fatal(err)
		}
		data, err := sealer.Seal(nil, packet.Wall(m.At), &p)
		if err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
		var read packet.Message
		if err := packet.Decode(data, &read); err != nil {
			t.Fatal(err)
		}
		var have Message
		if err := b.FromPacket(&read, &have); err != nil || have != m {
			t.Fatalf("%v\nhave %+v\nwant %+v", err, have, m)
		}
	})
}

// TestEdgeRefuses: a datagram that is of nobody, for nobody, of no seat or at odds
// with itself does not reach a core.
func TestEdgeRefuses(t *testing.T) {
	b := someBook(t)
	right := Message{Kind: Coordinate, From: 0, To: 1, Seat: 7, Term: 1, Target: time.Hour, At: time.Minute, Command: 9}
	freeze := Message{Kind: Freeze, From: 0, To: 1, Seat: 7, Term: 1, Scope: breaker.ScopeGlobal, Value: 5, At: time.Minute}
	stranger, _ := packet.NewName("west")
	for name, c := range map[string]struct {
		m     Message
		spoil func(*packet.Message)
	}{
		"stranger":        {right, func(p *packet.Message) { p.From = stranger }},
		"for a stranger":  {right, func(p *packet.Message) { p.To = stranger }},
		"for everybody":   {right, func(p *packet.Message) { p.To = packet.Name{} }},
		"no seat":         {right, func(p *packet.Message) { p.Protocol = packet.Protocol{} }},
		"two moments":     {right, func(p *packet.Message) { p.Plan.Target++ }},
		"hidden moment":   {right, func(p *packet.Message) { p.Protocol.Target = 0 }},
		"two sequences":   {freeze, func(p *packet.Message) { p.Order.Sequence++ }},
		"two scopes":      {freeze, func(p *packet.Message) { p.Order.Scope = packet.Cluster }},
		"answers nothing": {Message{Kind: Ack, Of: Heartbeat, From: 0, To: 1, Seat: 7, Term: 1}, func(p *packet.Message) { p.Protocol.Of = 0 }},
		"answers an ack":  {Message{Kind: Ack, Of: Heartbeat, From: 0, To: 1, Seat: 7, Term: 1}, func(p *packet.Message) { p.Protocol.Of = packet.Ack }},
	} {
		var p packet.Message
		if err := b.ToPacket(&c.m, &p); err != nil {
			t.Fatal(err)
		}
		p.From = b.names[c.m.From]
		var m Message
		if err := b.FromPacket(&p, &m); err != nil {
			t.Fatalf("%s: not even unspoilt: %v", name, err)
		}
		c.spoil(&p)
		if err := b.FromPacket(&p, &m); !errors.Is(err, ErrPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, m := range map[string]Message{
		"from nobody": {Kind: Heartbeat, From: 3, Seat: 7, Term: 1}, "to nobody": {Kind: Heartbeat, To: 3, Seat: 7, Term: 1},
		"no seat": {Kind: Heartbeat, Term: 1}, "no term": {Kind: Heartbeat, Seat: 7}, "no kind": {Seat: 7, Term: 1}, "odd kind": {Kind: 10, Seat: 7, Term: 1},
	} {
		var p packet.Message
		if err := b.ToPacket(&m, &p); !errors.Is(err, ErrPacket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestBook: names have their places by their bytes, and a digest that tells books
// apart.
func TestBook(t *testing.T) {
	b := someBook(t)
	if north, ok := b.Node("north"); !ok || north != 1 || b.Name(1) != "north" || b.Name(3) != "" || b.Len() != 3 {
		t.Errorf("north is node %d, %v", north, ok)
	}
	if _, ok := b.Node("west"); ok {
		t.Error("west has a node")
	}
	for name, other := range map[string]struct {
		cell  string
		names []string
		same  bool
	}{
		"order": {"gallery", []string{"south", "north", "east"}, true}, "cell": {"galleries", []string{"north", "east", "south"}, false},
		"fewer": {"gallery", []string{"north", "east"}, false}, "joined": {"gallery", []string{"northeast", "south"}, false},
	} {
		o, err := NewBook(other.cell, other.names, impedance.ClassLocal)
		if err != nil || (o.Digest() == b.Digest()) != other.same {
			t.Errorf("%s: digests %x and %x, %v", name, o.Digest(), b.Digest(), err)
		}
	}
	for name, names := range map[string][]string{"none": nil, "twice": {"a", "a"}, "bad": {"a", "b/c"}} {
		if _, err := NewBook("gallery", names, impedance.ClassLocal); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewBook("a/b", []string{"a"}, impedance.ClassLocal); !errors.Is(err, ErrConfig) {
		t.Errorf("cell: %v", err)
	}
}

// TestEdgeAllocates: nothing is allocated for a message in either direction, but for
// the name of who ordered.
func TestEdgeAllocates(t *testing.T) {
	b := someBook(t)
	m := Message{Kind: Heartbeat, From: 0, To: 1, Seat: 7, Term: 1, At: time.Minute, Sent: 1, Received: 2}
	var p packet.Message
	var back Message
	if n := testing.AllocsPerRun(100, func() {
		if b.ToPacket(&m, &p) != nil {
			t.Fatal("not written")
		}
		p.From = b.names[0]
		if b.FromPacket(&p, &back) != nil {
			t.Fatal("not read")
		}
	}); n != 0 {
		t.Errorf("%g allocations", n)
	}
}
