package coordination

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// lie makes something else of what a member says: any field, one or several, with
// values that are near, far and absurd. Whose name it bears is left to the wire, which
// proves it.
func lie(random *rand.Rand, m *Message) {
	strange := func(v uint64) uint64 {
		return [...]uint64{v + 1, v - 1, 0, 1<<64 - 1, 1<<32 - 1, 1 << 31, random.Uint64(), random.Uint64N(100), v}[random.IntN(9)]
	}
	moment := func(d time.Duration) time.Duration {
		return max(d+time.Duration(random.Int64N(int64(20*time.Second)))-10*time.Second, 0)
	}
	for range 1 + random.IntN(3) {
		switch random.IntN(16) {
		case 0:
			m.Term = uint32(strange(uint64(m.Term)))
		case 1:
			m.Seat = uint32(strange(uint64(m.Seat)))
		case 2:
			m.Epoch = uint32(strange(uint64(m.Epoch)))
		case 3:
			m.Child = uint32(strange(uint64(m.Child)))
		case 4:
			m.Numbers[random.IntN(len(m.Numbers))] = uint32(strange(0))
		case 5:
			m.Flags ^= 1 << random.IntN(8)
		case 6:
			m.Kind = Kind(1 + random.IntN(9))
		case 7:
			m.Of = Kind(random.IntN(10))
		case 8:
			m.Command = strange(m.Command)
		case 9:
			m.Value = strange(m.Value)
		case 10:
			m.State = mesh.Trinary(random.IntN(3) - 1)
		case 11:
			m.Sent = moment(m.Sent)
		case 12:
			m.Received = moment(m.Received)
		case 13:
			m.Target = moment(m.Target)
		case 14:
			m.Phase = uint8(strange(uint64(m.Phase)))
		case 15:
			m.Scope, m.From = breaker.Scope(random.IntN(5)), uint32(random.IntN(5))
		}
	}
}

// TestLiar: a member of a cell that lies in half of what it says, about anything, has
// its one vote and no more. What it can do is bounded by what docs/coordination.md
// says: it can freeze its cell, and promise to two, so that OneLeader is not asked for.
func TestLiar(t *testing.T) {
	lies, froze := 0, 0
	for i := range runs(100, 2000) {
		s := example("cell", i)
		s.size, s.seed = 5, uint64(i)*4 // over the wire
		const liar = 4
		w := s.world(t)
		w.tamper = func(m *machine, msg *Message) {
			if m.id == liar && msg.Flags&FlagUp != 0 && w.random.IntN(2) == 0 {
				lie(w.random, msg)
				lies++
			}
		}
		w.begin()
		w.run(last)
		if err := honest(w, liar); err != nil {
			t.Fatalf("schedule %d: %v\n%s", i, err, s)
		}
		froze += w.count(Froze, 0)
	}
	if lies < 1000 || froze == 0 {
		t.Errorf("%d lies, %d freezes: nothing was tried", lies, froze)
	}
}

// honest asks for the invariants of all nodes but one, and who that one may have been
// counted.
func honest(w *world, liar uint32) error {
	var trail []Entry
	for command := range w.goals {
		trail = append(trail, Entry{Node: liar, Effect: Effect{Kind: Process, Command: command}})
	}
	for _, e := range w.trail {
		if e.Node != liar {
			trail = append(trail, e)
		}
	}
	return errors.Join(ActsOnce(trail), NotBeforeT(trail), Majority(trail, w.agents), FrozenStill(trail), Confirmed(trail, func(c uint64) bool { return w.confirms[c] }))
}

// FuzzCores: no sequence of messages, from whomever, makes a core panic, stand still,
// or say more than a bounded number of things.
func FuzzCores(f *testing.F) {
	var seed []byte
	for i := range 64 {
		seed = append(seed, byte(i*37))
	}
	f.Add(uint64(1), seed)
	f.Add(uint64(7), []byte("a heartbeat, a coordinate and an ack walk into a cell"))
	f.Fuzz(func(t *testing.T, seed uint64, data []byte) {
		n := newNetwork(t, seed)
		cell(n, 3, nil)
		for _, m := range n.nodes {
			n.start(m)
		}
		n.run(10 * time.Second)
		random := rand.New(rand.NewPCG(seed, binary.BigEndian.Uint64(append(data, make([]byte, 8)...))))
		for i := 0; i+4 <= len(data) && i < 4*200; i += 4 {
			m := n.nodes[int(data[i])%len(n.nodes)]
			now := m.local(n.now)
			msg := Message{Kind: Kind(data[i+1] % 11), Of: Kind(data[i+1] >> 4), Flags: Flags(data[i+2]), From: uint32(data[i+3] % 4), To: m.id, Seat: 1, Term: 1, Epoch: 1,
				Child: uint32(data[i+3] % 4), At: now, Sent: now, Received: now, Target: now + time.Second, Command: uint64(data[i+3]), Phase: data[i] >> 5, Tier: quorum.Tier(data[i] % 5)}
			lie(random, &msg)
			msg.To = m.id
			var out Outbox
			m.Receive(now, &msg, &out)
			if len(out.Messages) > 32 || len(out.Effects) > 32 {
				t.Fatalf("%d messages and %d effects for one message %+v", len(out.Messages), len(out.Effects), msg)
			}
			if m.Deadline() <= now && func() bool { m.Tick(now, &out); return m.Deadline() <= now }() {
				t.Fatalf("time stands still after %+v", msg)
			}
			n.drain(m, &out)
		}
		n.run(n.now + 20*time.Second)
	})
}
