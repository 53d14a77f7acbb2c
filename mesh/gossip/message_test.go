package gossip

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestMessageRoundTrip(t *testing.T) {
	for _, m := range []message{{"bot", 1, 2, []byte("hello")}, {"_conductor-east", ^uint64(0), ^uint64(0), nil}, {strings.Repeat("x", 63), 0, 0, make([]byte, MaxMessageBytes)}} {
		have, err := parseMessage(m.encode())
		if err != nil || have.from != m.from || have.start != m.start || have.count != m.count || !bytes.Equal(have.body, m.body) {
			t.Errorf("%s: %+v %v", m.from, have, err)
		}
	}
}

// TestSeen checks the sliding window against a plain set.
func TestSeen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, plain, top := seen{senders: map[string]*heard{}}, map[uint64]bool{}, uint64(0)
		for i := range rapid.IntRange(1, 500).Draw(t, "messages") {
			n := rapid.Uint64Range(top-min(top, 40), top+rapid.SampledFrom([]uint64{1, 3, 600}).Draw(t, "jump")).Draw(t, "count")
			if i == 0 {
				n = rapid.Uint64Range(0, 2000).Draw(t, "first count")
				top = n
			}
			want := !plain[n]
			if have := s.first(message{from: "a", start: 1, count: n}); have != want {
				t.Fatalf("count %d (top %d): first %v, want %v", n, top, have, want)
			}
			plain[n] = true
			top = max(top, n)
		}
		if !s.first(message{from: "a", start: 2, count: 1}) || !s.first(message{from: "b", start: 1, count: 1}) {
			t.Fatal("a restarted sender or another one is taken for the same")
		}
	})
}

func TestSeenIsBounded(t *testing.T) {
	s := seen{senders: map[string]*heard{}}
	for i := range 10_000 {
		s.first(message{from: string(rune('a'+rand.IntN(26))) + strings.Repeat("x", i%60), start: uint64(i)})
	}
	if len(s.senders) > maxSenders {
		t.Errorf("%d senders remembered", len(s.senders))
	}
}

// FuzzMessage: no bytes panic, and what is accepted is what encode makes.
func FuzzMessage(f *testing.F) {
	f.Add(message{"bot", 1, 2, []byte("x")}.encode())
	f.Add([]byte{1, 255})
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err == nil && !bytes.Equal(m.encode(), data) {
			t.Fatalf("%x became %x", data, m.encode())
		}
	})
}
