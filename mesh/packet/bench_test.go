package packet

import (
	"crypto/ed25519"
	"net/netip"
	"testing"
	"time"
)

// BenchmarkMessage: one message from fields to bytes and, with admission, back.
func BenchmarkMessage(b *testing.B) {
	for _, name := range []string{"heartbeat", "coordinate", "ack"} {
		b.Run(name, func(b *testing.B) {
			w := newWorld(b, options())
			if _, err := w.a.Register(0, "peer", Source{Kinds: AllKinds, Rate: MaxRate}); err != nil {
				b.Fatal(err)
			}
			s, m := sealer(b, "peer"), samples()[name]
			buffer := make([]byte, 0, MaxDatagramBytes)
			b.ReportAllocs()
			for b.Loop() {
				w.now += 10 * time.Microsecond
				m.ID = ids.Next(w.wall(), idEntropy)
				data, err := s.Seal(buffer, w.wall(), &m)
				if err != nil {
					b.Fatal(err)
				}
				if v := w.gets(home, data); v.Outcome != Accepted {
					b.Fatal(v.Outcome)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

func BenchmarkSeal(b *testing.B) {
	for _, name := range []string{"heartbeat", "coordinate", "ack"} {
		b.Run(name, func(b *testing.B) {
			s, m := sealer(b, "peer"), samples()[name]
			buffer := make([]byte, 0, MaxDatagramBytes)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Seal(buffer, noon, &m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"heartbeat", "coordinate", "ack"} {
		b.Run(name, func(b *testing.B) {
			data := sealed(b, sealer(b, "peer"), noon, samples()[name])
			var m Message
			b.ReportAllocs()
			for b.Loop() {
				if outcome, _ := decode(data, &m); outcome != Accepted {
					b.Fatal(outcome)
				}
			}
		})
	}
}

// moduleEnvelope is the same COORDINATE for the CBOR module.
type moduleEnvelope struct {
	ID    []byte     `cbor:"0,keyasint"`
	Kind  uint8      `cbor:"1,keyasint"`
	From  string     `cbor:"2,keyasint"`
	To    string     `cbor:"3,keyasint,omitempty"`
	Epoch uint64     `cbor:"4,keyasint"`
	Seq   uint64     `cbor:"5,keyasint"`
	At    int64      `cbor:"6,keyasint"`
	Body  moduleBody `cbor:"7,keyasint"`
	MAC   []byte     `cbor:"9,keyasint"`
}

type moduleBody struct {
	Correlation []byte   `cbor:"0,keyasint,omitempty"`
	Causation   []byte   `cbor:"1,keyasint,omitempty"`
	TTL         uint32   `cbor:"2,keyasint"`
	Priority    uint8    `cbor:"3,keyasint,omitempty"`
	Hash        []byte   `cbor:"4,keyasint,omitempty"`
	Payload     []byte   `cbor:"5,keyasint,omitempty"`
	Target      int64    `cbor:"8,keyasint"`
	Routing     uint8    `cbor:"9,keyasint"`
	Verb        uint8    `cbor:"10,keyasint"`
	Lead        uint64   `cbor:"11,keyasint,omitempty"`
	Processing  uint64   `cbor:"12,keyasint,omitempty"`
	Confidence  uint16   `cbor:"13,keyasint,omitempty"`
	Weight      uint32   `cbor:"14,keyasint,omitempty"`
	Expectation int8     `cbor:"15,keyasint,omitempty"`
	Requires    []string `cbor:"16,keyasint,omitempty"`
}

// BenchmarkModule: the same bytes read by the CBOR module into a struct, strictly.
func BenchmarkModule(b *testing.B) {
	data := sealed(b, sealer(b, "peer"), noon, samples()["coordinate"])
	b.ReportAllocs()
	for b.Loop() {
		var e moduleEnvelope
		if err := moduleReader.Unmarshal(data[1:], &e); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProof: what proves a datagram of 200 bytes, by its two means.
func BenchmarkProof(b *testing.B) {
	data := make([]byte, 200)
	b.Run("MAC", func(b *testing.B) {
		s := someKey().sealing()
		for b.Loop() {
			s.of(data)
		}
	})
	key := signingKey(1)
	context := &ed25519.Options{Context: context("gallery-east")}
	sig := must(key.Sign(nil, data, context))
	b.Run("sign", func(b *testing.B) {
		for b.Loop() {
			if _, err := key.Sign(nil, data, context); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify", func(b *testing.B) {
		public := publicKey(1)
		for b.Loop() {
			if err := ed25519.VerifyWithOptions(public, data, sig, context); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRefuse: what each kind of hostile datagram costs.
func BenchmarkRefuse(b *testing.B) {
	for _, h := range hostiles(b) {
		b.Run(h.name, func(b *testing.B) {
			w := newWorld(b, options())
			for name, s := range map[string]Source{"rogue": {Rate: 10_000}, "flooder": {Rate: 1}, "honest-1": {}, "honest-2": {Origin: home.Addr()}} {
				if _, err := w.a.Register(0, name, s); err != nil {
					b.Fatal(err)
				}
			}
			type input struct {
				from netip.AddrPort
				data []byte
			}
			var inputs []input
			for n := range 1000 {
				from, data := h.make(w, n)
				inputs = append(inputs, input{from, data})
				w.gets(from, data)
			}
			before, n := w.a.Counts(), 0
			b.ReportAllocs()
			for b.Loop() {
				w.gets(inputs[n%1000].from, inputs[n%1000].data)
				n++
			}
			after := w.a.Counts()
			if dropped := after.Dropped() - before.Dropped(); dropped < uint64(n) {
				b.Fatalf("%d of %d dropped", dropped, n)
			}
		})
	}
}
