package packet

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

// start and noon of the tests, by the wall clock.
var (
	started = WallOf(time.Date(2026, 11, 22, 11, 59, 0, 0, time.UTC))
	noon    = WallOf(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC))
)

var secret = []byte("0123456789abcdef0123456789abcdef")

func seeded() *rand.Rand { return rand.New(rand.NewChaCha8([32]byte{6})) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func someKey() Key { return must(NewKey("gallery-east", secret)) }

func someID(n byte) (id ID) {
	ms := uint64(noon) / 1e6
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	for i := 6; i < len(id); i++ {
		id[i] = n
	}
	return id
}

func capabilities(names ...string) (l Capabilities) {
	for _, n := range names {
		l.Add(must(NewCapability(n)))
	}
	return l
}

// samples has a message of each kind as it is used, and the variants that matter.
func samples() map[string]Message {
	to := must(NewName("gallery-bot-1"))
	return map[string]Message{
		"heartbeat": {ID: someID(1), Kind: Heartbeat, To: to, TTL: 10 * time.Second, Priority: Background,
			Health: Health{Class: impedance.ClassLocal, Operation: impedance.Active, Mode: 1, Delay: 1250 * time.Microsecond, Processing: 3500 * time.Microsecond,
				Queue: 2, Score: 362, Reliability: 998, Drift: 250, Context: 0x0123456789abcdef, Capabilities: capabilities("extinguish", "lift")},
			Echo: Echo{Sent: noon - 2e6, Received: noon - 1e6}},
		"coordinate": {ID: someID(2), Kind: Coordinate, To: to, Correlation: someID(9), Causation: someID(8), TTL: 2 * time.Second, Priority: Urgent,
			Payload: []byte(`{"operation":"clear-room","room":"east-3"}`),
			Plan: Plan{Target: noon.Add(time.Second), Routing: ScatterGather, Verb: Act, Lead: 23 * time.Millisecond, Processing: 12 * time.Millisecond,
				Confidence: 950, Weight: 1000, Expectation: mesh.Ready, Requires: capabilities("lift")}},
		"ack": {ID: someID(3), Kind: Ack, To: to, Correlation: someID(9), Causation: someID(2), TTL: 5 * time.Second, Priority: Urgent,
			Result: Result{State: mesh.Ready, Queued: time.Millisecond, Processing: 11 * time.Millisecond, Queue: 1}, Echo: Echo{Sent: noon - 5e6, Received: noon - 3e6}},
		"ack-conflict": {ID: someID(4), Kind: Ack, To: to, Correlation: someID(9), Causation: someID(2), TTL: 5 * time.Second, Priority: Critical,
			Result: Result{State: mesh.Conflict, Processing: time.Millisecond,
				Conflict: Conflict{Type: DataContradiction, Expected: []byte("door open"), Received: []byte("door shut"), Context: 7, Agents: 3, Depth: 2}},
			Echo: Echo{Sent: noon - 5e6, Received: noon - 3e6}},
		"ack-answer": {ID: someID(5), Kind: Ack, To: to, Causation: someID(2), TTL: time.Second, Payload: []byte("a1b2c3d4"),
			Result: Result{State: mesh.Ready}, Echo: Echo{Sent: noon - 5e6, Received: noon - 3e6}},
		"circuit": {ID: someID(6), Kind: Circuit, TTL: 30 * time.Second, Priority: Critical,
			Order: Order{Action: Open, Scope: Sector, Target: must(NewName("north")), Sequence: 3, RetryAfter: 30 * time.Second, Reason: []byte("50 failures in 60 s")}},
		"freeze": {ID: someID(7), Kind: Freeze, TTL: time.Minute, Priority: Critical,
			Order: Order{Scope: Global, Sequence: uint64(noon), By: []byte("kim"), Reason: []byte("smoke in the north wing"), PreserveTo: []byte("/var/lib/dancer/frozen")}},
		"thaw": {ID: someID(8), Kind: Thaw, Causation: someID(7), TTL: time.Minute, Priority: Urgent,
			Order: Order{Scope: Cluster, Target: must(NewName("gallery-east")), Sequence: uint64(noon) + 1, By: []byte("kim")}},
		"cancel": {ID: someID(9), Kind: Cancel, Correlation: someID(9), TTL: 5 * time.Second, Priority: Critical,
			Order: Order{By: []byte("kim"), Reason: []byte("visitors in east-3")}},
		"confirm": {ID: someID(11), Kind: Confirm, To: to, Correlation: someID(9), TTL: 2 * time.Second, Priority: Urgent,
			Protocol: Protocol{Seat: 0xbadcafe, Term: 3, Start: 1795176000, Child: 4, Command: 1 << 40, Target: noon.Add(time.Second)}},
		"ack-protocol": {ID: someID(12), Kind: Ack, To: to, Causation: someID(2), TTL: time.Second, Result: Result{State: mesh.Ready},
			Protocol: Protocol{Seat: 0xbadcafe, Term: 3, Start: 1795176000, Child: 4, Flags: 1, Of: Coordinate, Reason: 4, Tier: 3, Scope: 1, Phase: 2, Classes: 0x20,
				Command: 1 << 40, Value: 77, Target: noon.Add(time.Second), Numbers: [6]uint32{1, 20, 300, 4000, 50000, 600000}},
			Echo: Echo{Sent: noon - 5e6, Received: noon - 3e6}},
		"probe": {ID: someID(10), Kind: Probe, To: to, TTL: 2 * time.Second, Priority: Normal, Order: Order{Scope: Cluster, Target: must(NewName("gallery-east"))}},
	}
}

// largest fills every bound that a COORDINATE has.
func largest() Message {
	m := Message{ID: someID(1), Kind: Coordinate, To: must(NewName("_conductor-" + strings.Repeat("r", mesh.MaxNameBytes))), Correlation: someID(2), Causation: someID(3),
		TTL: MaxTTL, Priority: Critical, Payload: make([]byte, MaxPayloadBytes),
		Plan: Plan{Target: math.MaxInt64, Routing: Pipeline, Verb: Sync, Lead: MaxSpan, Processing: MaxSpan, Confidence: 1000, Weight: math.MaxUint32, Expectation: mesh.Ready},
		Protocol: Protocol{Seat: math.MaxUint32, Term: math.MaxUint32, Start: math.MaxUint32, Child: math.MaxUint32, Flags: math.MaxUint16, Of: lastKind,
			Reason: math.MaxUint8, Tier: math.MaxUint8, Scope: math.MaxUint8, Phase: math.MaxUint8, Classes: math.MaxUint8, Command: math.MaxUint64, Value: math.MaxUint64, Target: math.MaxInt64}}
	for i := range m.Protocol.Numbers {
		m.Protocol.Numbers[i] = math.MaxUint32
	}
	for range MaxCapabilities {
		m.Plan.Requires.Add(must(NewCapability(strings.Repeat("y", MaxCapabilityBytes))))
	}
	return m
}

func sealer(t testing.TB, from string) *Sealer {
	t.Helper()
	s, err := NewSealer(someKey(), from, started)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, s *Sealer, at Wall, m Message) []byte {
	t.Helper()
	data, err := s.Seal(nil, at, &m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
