package packet

import (
	"bytes"
	"crypto/sha256"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"pgregory.net/rapid"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

// The CBOR module, strict, is the oracle: what Seal writes it reads, and what it
// writes from that, deterministically, is the same bytes.
var (
	moduleWriter = must(cbor.CoreDetEncOptions().EncMode())
	moduleReader = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden, MaxNestedLevels: 5, MaxArrayElements: 16, MaxMapPairs: 24,
		TagsMd: cbor.TagsForbidden, UTF8: cbor.UTF8RejectInvalid, IntDec: cbor.IntDecConvertNone,
	}.DecMode())
)

func drawText(t *rapid.T, label string, limit int) []byte {
	s := rapid.StringN(0, limit, limit).Draw(t, label)
	return []byte(s)
}

func drawID(t *rapid.T, label string) (id ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	return id
}

func drawName(t *rapid.T, label string) Name {
	prefix := rapid.SampledFrom([]string{"", "_conductor-"}).Draw(t, label+" prefix")
	return must(NewName(prefix + rapid.StringMatching(`[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}`).Draw(t, label)))
}

func drawSpan(t *rapid.T, label string, unit, limit time.Duration) time.Duration {
	return time.Duration(rapid.Int64Range(0, int64(limit/unit)).Draw(t, label)) * unit
}

func drawCapabilities(t *rapid.T, label string) (l Capabilities) {
	for range rapid.IntRange(0, MaxCapabilities).Draw(t, label) {
		text := strings.ReplaceAll(string(drawText(t, label, MaxCapabilityBytes)), "\x00", "")
		if text != "" {
			l.Add(must(NewCapability(text)))
		}
	}
	return l
}

func drawEcho(t *rapid.T) Echo {
	if rapid.Bool().Draw(t, "echo") {
		return Echo{Sent: Wall(rapid.Int64Min(1).Draw(t, "sent")), Received: Wall(rapid.Int64Min(1).Draw(t, "received"))}
	}
	return Echo{}
}

// drawMessage makes any message that can be sealed.
func drawMessage(t *rapid.T) Message {
	m := Message{Kind: Kind(rapid.IntRange(1, int(lastKind)).Draw(t, "kind")), Correlation: drawID(t, "correlation"), Causation: drawID(t, "causation"),
		TTL: max(time.Millisecond, drawSpan(t, "ttl", time.Millisecond, MaxTTL)), Priority: Priority(rapid.IntRange(0, 3).Draw(t, "priority"))}
	for m.ID == (ID{}) {
		m.ID = drawID(t, "id")
	}
	if rapid.Bool().Draw(t, "directed") {
		m.To = drawName(t, "to")
	}
	if rapid.Bool().Draw(t, "coordination") {
		m.Protocol = drawProtocol(t)
	}
	if m.Kind.carriesPayload() {
		m.Payload = rapid.SliceOfN(rapid.Byte(), 0, MaxPayloadBytes).Draw(t, "payload")
	}
	switch m.Kind {
	case Heartbeat:
		m.Health, m.Echo = drawHealth(t), drawEcho(t)
	case Coordinate:
		m.Plan = drawPlan(t)
	case Confirm:
		m.Correlation[0] |= 1
	case Ack:
		m.Causation[0] |= 1
		m.Result, m.Echo = drawResult(t), drawEcho(t)
	default:
		m.Correlation[0] |= 1
		m.Order = drawOrder(t, m.Kind)
	}
	return m
}

func drawProtocol(t *rapid.T) Protocol {
	p := Protocol{Seat: rapid.Uint32Min(1).Draw(t, "seat"), Term: rapid.Uint32Min(1).Draw(t, "term"), Start: rapid.Uint32().Draw(t, "start"), Child: rapid.Uint32().Draw(t, "child"),
		Flags: rapid.Uint16().Draw(t, "flags"), Of: Kind(rapid.IntRange(0, int(lastKind)).Draw(t, "of")), Reason: rapid.Uint8().Draw(t, "reason"),
		Tier: rapid.Uint8().Draw(t, "tier"), Scope: rapid.Uint8().Draw(t, "scope"), Phase: rapid.Uint8().Draw(t, "phase"), Classes: rapid.Uint8().Draw(t, "classes"),
		Command: rapid.Uint64().Draw(t, "command"), Value: rapid.Uint64().Draw(t, "value"), Target: Wall(rapid.Int64Min(0).Draw(t, "target"))}
	for i := range p.Numbers {
		p.Numbers[i] = rapid.Uint32().Draw(t, "number")
	}
	return p
}

func drawHealth(t *rapid.T) Health {
	return Health{
		Class: impedance.Class(rapid.IntRange(1, 6).Draw(t, "class")), Operation: impedance.Operation(rapid.IntRange(0, 3).Draw(t, "operation")),
		Mode: rapid.Uint8Max(5).Draw(t, "mode"), Delay: drawSpan(t, "delay", time.Microsecond, MaxSpan), Processing: drawSpan(t, "processing", time.Microsecond, MaxSpan),
		Queue: rapid.Uint32().Draw(t, "queue"), Score: rapid.Uint16Max(1000).Draw(t, "score"), Reliability: rapid.Uint16Max(1000).Draw(t, "reliability"),
		Drift: rapid.Uint16Max(maxDrift).Draw(t, "drift"), Context: rapid.Uint64().Draw(t, "context"), Capabilities: drawCapabilities(t, "capabilities"),
	}
}

func drawPlan(t *rapid.T) Plan {
	return Plan{
		Target: Wall(rapid.Int64Min(1).Draw(t, "T")), Routing: Routing(rapid.IntRange(1, 4).Draw(t, "routing")), Verb: Verb(rapid.IntRange(1, 6).Draw(t, "verb")),
		Lead: drawSpan(t, "lead", time.Microsecond, MaxSpan), Processing: drawSpan(t, "processing", time.Microsecond, MaxSpan),
		Confidence: rapid.Uint16Max(1000).Draw(t, "confidence"), Weight: rapid.Uint32().Draw(t, "weight"),
		Expectation: mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "expectation")), Requires: drawCapabilities(t, "requires"),
	}
}

func drawResult(t *rapid.T) Result {
	r := Result{
		State: mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "state")), Queued: drawSpan(t, "queued", time.Microsecond, MaxSpan),
		Processing: drawSpan(t, "processing", time.Microsecond, MaxSpan), Queue: rapid.Uint32().Draw(t, "queue"),
	}
	if r.State == mesh.Conflict {
		r.Conflict = Conflict{Type: ConflictType(rapid.IntRange(1, 5).Draw(t, "type")), Expected: drawText(t, "expected", MaxValueBytes), Received: drawText(t, "received", MaxValueBytes),
			Context: rapid.Uint64().Draw(t, "context"), Agents: rapid.Uint32().Draw(t, "agents"), Depth: rapid.Uint16().Draw(t, "depth")}
	}
	return r
}

func drawOrder(t *rapid.T, k Kind) (o Order) {
	if k == Circuit {
		o.Action, o.RetryAfter = Action(rapid.IntRange(1, 3).Draw(t, "action")), drawSpan(t, "retry", time.Millisecond, MaxSpan)
	}
	if k != Cancel {
		if o.Scope = Scope(rapid.IntRange(1, 3).Draw(t, "scope")); o.Scope != Global {
			o.Target = drawName(t, "target")
		}
	}
	if k == Freeze || k == Thaw || k == Cancel {
		o.By = append([]byte("b"), drawText(t, "by", MaxByBytes-1)...)
	}
	if k != Probe {
		o.Reason = drawText(t, "reason", MaxReasonBytes)
	}
	if k == Circuit || k == Freeze || k == Thaw {
		o.Sequence = rapid.Uint64Min(1).Draw(t, "sequence")
	}
	if k == Freeze {
		o.PreserveTo = drawText(t, "preserve", MaxPathBytes)
	}
	return o
}

// empty makes nil of what has no bytes, as a decoder does.
func empty(m *Message) {
	for _, s := range []*[]byte{&m.Payload, &m.Result.Conflict.Expected, &m.Result.Conflict.Received, &m.Order.By, &m.Order.Reason, &m.Order.PreserveTo} {
		if len(*s) == 0 {
			*s = nil
		}
	}
}

// TestRoundTrip: whatever can be sealed is read as it was, is deterministic CBOR to
// the module, and no byte of it can be cut off.
func TestRoundTrip(t *testing.T) {
	signer := signingKey(1)
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		s := must(NewSealer(someKey(), "_conductor-east", started))
		if rapid.Bool().Draw(t, "signed") {
			if err := s.Sign(signer, AllKinds); err != nil {
				t.Fatal(err)
			}
		}
		data, err := s.Seal([]byte("before"), noon, &m)
		if err != nil {
			t.Fatal(err)
		}
		data = data[len("before"):]
		var read Message
		if err := Decode(data, &read); err != nil {
			t.Fatalf("%v\n%x", err, data)
		}
		empty(&m)
		if !reflect.DeepEqual(read, m) {
			t.Fatalf("have %+v\nwant %+v", read, m)
		}
		holdOracle(t, data)
		cut := rapid.IntRange(0, len(data)-1).Draw(t, "cut")
		if Decode(data[:cut], &read) == nil {
			t.Fatalf("%x accepted without its last %d bytes", data[:cut], len(data)-cut)
		}
	})
}

// holdOracle holds a datagram against the CBOR module.
func holdOracle(t interface {
	Fatalf(string, ...any)
}, data []byte) {
	if data[0] != Version {
		t.Fatalf("version %d", data[0])
	}
	var tree map[any]any
	if err := moduleReader.Unmarshal(data[1:], &tree); err != nil {
		t.Fatalf("the module does not read it: %v\n%x", err, data)
	}
	again, err := moduleWriter.Marshal(tree)
	if err != nil || !bytes.Equal(again, data[1:]) {
		t.Fatalf("not deterministic: %v\nhave %x\nwant %x", err, data[1:], again)
	}
}

// TestAgainstModule holds every value of one message against what the module reads
// at the keys that docs/messages.md names.
func TestAgainstModule(t *testing.T) {
	m := samples()["coordinate"]
	data := sealed(t, sealer(t, "_conductor-east"), noon, m)
	var tree map[uint64]any
	if err := moduleReader.Unmarshal(data[1:], &tree); err != nil {
		t.Fatal(err)
	}
	body := tree[7].(map[any]any)
	hash := sha256.Sum256(m.Payload)
	for _, c := range []struct {
		what       string
		have, want any
	}{
		{"id", tree[0], m.ID[:]}, {"kind", tree[1], uint64(2)}, {"from", tree[2], "_conductor-east"}, {"to", tree[3], "gallery-bot-1"},
		{"epoch", tree[4], uint64(started) / 1e6}, {"seq", tree[5], uint64(1)}, {"at", tree[6], uint64(noon)},
		{"correlation", body[uint64(0)], m.Correlation[:]}, {"causation", body[uint64(1)], m.Causation[:]}, {"ttl", body[uint64(2)], uint64(2000)},
		{"priority", body[uint64(3)], uint64(2)}, {"hash", body[uint64(4)], hash[:]}, {"payload", body[uint64(5)], m.Payload}, {"T", body[uint64(8)], uint64(noon) + 1e9},
		{"routing", body[uint64(9)], uint64(3)}, {"verb", body[uint64(10)], uint64(4)}, {"lead", body[uint64(11)], uint64(23000)},
		{"processing", body[uint64(12)], uint64(12000)}, {"confidence", body[uint64(13)], uint64(950)}, {"weight", body[uint64(14)], uint64(1000)},
		{"expectation", body[uint64(15)], uint64(1)}, {"requires", body[uint64(16)], []any{"lift"}},
	} {
		if !reflect.DeepEqual(c.have, c.want) {
			t.Errorf("%s: have %v, want %v", c.what, c.have, c.want)
		}
	}
	if len(tree) != 9 || len(body) != 15 {
		t.Errorf("%d and %d fields", len(tree), len(body))
	}
}

// TestSizes: everything that can be said fits.
func TestSizes(t *testing.T) {
	s := must(NewSealer(someKey(), "_conductor-"+strings.Repeat("c", mesh.MaxNameBytes), started))
	if err := s.Sign(signingKey(1), AllKinds); err != nil {
		t.Fatal(err)
	}
	s.epoch, s.seq = uint64(noon)/1e6, 1<<62
	m := largest()
	data, err := s.Seal(nil, Wall(1<<62), &m)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes at most, %d are allowed", len(data), MaxDatagramBytes)
	m.Payload = append(m.Payload, 0)
	if _, err := s.Seal(nil, Wall(1<<62), &m); err == nil || s.seq != 1<<62+1 {
		t.Errorf("a payload over the limit: %v, and sequence number %d", err, s.seq)
	}
}
