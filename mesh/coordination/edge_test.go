package coordination

import (
	"fmt"
	"net/netip"

	"dancer/mesh/impedance"
	"dancer/mesh/packet"
)

// wire is the way of messages as sealed datagrams: through the Book, a Sealer and an
// Admission of each node, with bytes that may be damaged on the way.
type wire struct {
	book    *Book
	key     packet.Key
	names   []string
	ends    []wireEnd
	damaged float64 // share of datagrams with a byte that is another
	refused int     // by Admissions and the Book
	broken  int     // damaged ones that got through
}

type wireEnd struct {
	sealer    *packet.Sealer
	admission *packet.Admission
	ids       packet.IDs
	from      packet.Wall
}

// newWire makes the wire of a network whose machines have all been added.
func newWire(n *network) *wire {
	w := &wire{ends: make([]wireEnd, len(n.nodes))}
	for i := range n.nodes {
		w.names = append(w.names, fmt.Sprintf("node-%03d", i))
	}
	var err error
	if w.book, err = NewBook("gallery", w.names, impedance.ClassLocal); err != nil {
		n.t.Fatal(err)
	}
	if w.key, err = packet.NewKey("gallery", []byte("0123456789abcdef")); err != nil {
		n.t.Fatal(err)
	}
	return w
}

// boot makes a machine's end, at every start. Its clock goes on from start to start.
func (w *wire) boot(n *network, m *machine) {
	end, now := &w.ends[m.id], m.local(n.now)
	end.from = packet.Wall(now)
	var err error
	if end.sealer, err = packet.NewSealer(w.key, w.names[m.id], packet.Wall(now)); err != nil {
		n.t.Fatal(err)
	}
	end.admission, err = packet.NewAdmission(packet.Options{Name: w.names[m.id], Key: w.key, Since: packet.Wall(now)})
	if err != nil {
		n.t.Fatal(err)
	}
	for i, name := range w.names {
		if uint32(i) == m.id {
			continue
		}
		if _, err := end.admission.Register(now, name, packet.Source{Kinds: packet.AllKinds, Rate: 100}); err != nil {
			n.t.Fatal(err)
		}
	}
}

// seal makes the datagram of a message that a machine sends now; nil: a lie that no
// datagram holds.
func (w *wire) seal(n *network, m *machine, msg *Message) []byte {
	end, at := &w.ends[m.id], packet.Wall(m.local(n.now))
	p := packet.Message{ID: end.ids.Next(at, n.random)}
	if err := w.book.ToPacket(msg, &p); err != nil {
		if n.tamper == nil {
			n.t.Fatalf("%+v: %v", *msg, err)
		}
		return nil
	}
	data, err := end.sealer.Seal(nil, max(at, end.from), &p) // its clock may have been set back since
	if err != nil && n.tamper == nil {
		n.t.Fatalf("%+v: %v", *msg, err)
	}
	return data
}

// damage changes a byte now and then.
func (w *wire) damage(n *network, data []byte) (out []byte, damaged bool) {
	if n.random.Float64() >= w.damaged {
		return data, false
	}
	out = append([]byte(nil), data...)
	out[n.random.IntN(len(out))] ^= byte(1 + n.random.IntN(255))
	return out, true
}

// open gives the message of a datagram that has come; false: it is refused.
func (w *wire) open(n *network, m *machine, e *event) bool {
	var p packet.Message
	now := m.local(n.now)
	verdict := w.ends[m.id].admission.Admit(now, packet.Wall(now), netip.AddrPort{}, e.data, &p)
	e.message = &Message{}
	if verdict.Outcome.Dropped() || w.book.FromPacket(&p, e.message) != nil {
		w.refused++
		return false
	}
	if e.damaged {
		w.broken++
	}
	return true
}
