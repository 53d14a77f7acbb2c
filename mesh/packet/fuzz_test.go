package packet

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

// FuzzDecode: no bytes panic, and what is accepted is written again as the same
// bytes, which the CBOR module reads, too.
func FuzzDecode(f *testing.F) {
	s := must(NewSealer(someKey(), "_conductor-east", started))
	for _, m := range samples() {
		data := must(s.Seal(nil, noon, &m))
		f.Add(data)
		f.Add(data[:len(data)/2])
	}
	if err := s.Sign(signingKey(1), AllKinds); err != nil {
		f.Fatal(err)
	}
	big := largest()
	f.Add(must(s.Seal(nil, noon, &big)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var m Message
		if err := Decode(data, &m); err != nil {
			return
		}
		c := coder{data: []byte{Version}, writing: true}
		again := m
		c.envelope(&again)
		if c.fault.what != "" {
			t.Fatalf("accepted and not writable: key %d %s", c.fault.key, c.fault.what)
		}
		proof := sealBytes
		c.pairs++
		if m.Signed {
			proof += signatureHead + 64
			c.pairs++
		}
		c.data[c.head] |= byte(c.pairs)
		if want := data[:len(data)-proof]; !bytes.Equal(c.data, want) {
			t.Fatalf("have %x\nwant %x", c.data, want)
		}
		holdOracle(t, data)
	})
}

// FuzzAdmit: whatever comes with a right MAC, from whomever, does not panic, is
// accepted at most once, and leaves the table within its bounds.
func FuzzAdmit(f *testing.F) {
	s := must(NewSealer(someKey(), "peer", started))
	for _, m := range samples() {
		data := must(s.Seal(nil, noon, &m))
		f.Add(data[:len(data)-macBytes], int64(0))
		f.Add(data[:len(data)-macBytes], int64(time.Minute))
	}
	f.Fuzz(func(t *testing.T, data []byte, wall int64) {
		if len(data)+macBytes > MaxDatagramBytes {
			return
		}
		data = reseal(append(bytes.Clone(data), make([]byte, macBytes)...))
		a := admission(t, options())
		if _, err := a.Register(0, "peer", Source{Kinds: AllKinds, Key: publicKey(1)}); err != nil {
			t.Fatal(err)
		}
		var m Message
		now := time.Duration(max(wall, 0) % int64(time.Hour))
		first := a.Admit(now, noon.Add(now), netip.AddrPort{}, data, &m)
		second := a.Admit(now, noon.Add(now), netip.AddrPort{}, data, &m)
		if first.Outcome == 0 || second.Outcome == 0 || !second.Outcome.Dropped() {
			t.Fatalf("%s, then %s", first.Outcome, second.Outcome)
		}
		if registered, newcomers := a.Known(); registered != 1 || newcomers > 1 {
			t.Fatalf("%d registered, %d newcomers", registered, newcomers)
		}
		a.Reports(now, nil)
	})
}
