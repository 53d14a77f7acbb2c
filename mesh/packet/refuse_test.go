package packet

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

func signingKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

// TestRefusesToSeal: what a receiver would refuse is not sent.
func TestRefusesToSeal(t *testing.T) {
	for name, c := range map[string]struct {
		sample string
		spoil  func(*Message)
		what   string
	}{
		"no id":                  {"probe", func(m *Message) { m.ID = ID{} }, "key 0 is missing"},
		"no kind":                {"probe", func(m *Message) { m.Kind = 0 }, "key 1 is missing"},
		"unknown kind":           {"probe", func(m *Message) { m.Kind = lastKind + 1 }, "key 1 is out of its range"},
		"no time to live":        {"probe", func(m *Message) { m.TTL = 0 }, "key 2 is missing"},
		"too short a time":       {"probe", func(m *Message) { m.TTL = time.Microsecond }, "key 2 is missing"},
		"too long a time":        {"probe", func(m *Message) { m.TTL = MaxTTL + time.Millisecond }, "key 2 is out of its range"},
		"negative time":          {"probe", func(m *Message) { m.TTL = -1 }, "key 2 is negative"},
		"priority":               {"probe", func(m *Message) { m.Priority = 4 }, "key 3 is out of its range"},
		"no target":              {"probe", func(m *Message) { m.Order.Target = Name{} }, "needs a target"},
		"target of global":       {"probe", func(m *Message) { m.Order.Scope = Global }, "needs a target"},
		"no scope":               {"probe", func(m *Message) { m.Order.Scope = 0 }, "key 9 is missing"},
		"no class":               {"heartbeat", func(m *Message) { m.Health.Class = 0 }, "key 8 is missing"},
		"class":                  {"heartbeat", func(m *Message) { m.Health.Class = impedance.ClassHuman + 1 }, "key 8 is out of its range"},
		"score":                  {"heartbeat", func(m *Message) { m.Health.Score = 1001 }, "key 14 is out of its range"},
		"negative delay":         {"heartbeat", func(m *Message) { m.Health.Delay = -time.Millisecond }, "key 11 is negative"},
		"capabilities":           {"heartbeat", func(m *Message) { m.Health.Capabilities.Count = 9 }, "key 18 is a list that is too long"},
		"capability":             {"heartbeat", func(m *Message) { m.Health.Capabilities.List[0] = Capability{0xff} }, "not a list of capabilities"},
		"no capability":          {"heartbeat", func(m *Message) { m.Health.Capabilities.Count = 3 }, "not a list of capabilities"},
		"half an echo":           {"heartbeat", func(m *Message) { m.Echo.Sent = 0 }, "half of an echo"},
		"negative echo":          {"heartbeat", func(m *Message) { m.Echo.Sent = -1 }, "key 21 is out of its range"},
		"no T":                   {"coordinate", func(m *Message) { m.Plan.Target = 0 }, "key 8 is missing"},
		"negative T":             {"coordinate", func(m *Message) { m.Plan.Target = -1 }, "key 8 is out of its range"},
		"no verb":                {"coordinate", func(m *Message) { m.Plan.Verb = 0 }, "key 10 is missing"},
		"no routing":             {"coordinate", func(m *Message) { m.Plan.Routing = 0 }, "key 9 is missing"},
		"confidence":             {"coordinate", func(m *Message) { m.Plan.Confidence = 1001 }, "key 13 is out of its range"},
		"expectation":            {"coordinate", func(m *Message) { m.Plan.Expectation = 2 }, "no trinary state"},
		"payload":                {"coordinate", func(m *Message) { m.Payload = make([]byte, MaxPayloadBytes+1) }, "key 5 is too long"},
		"ack of nothing":         {"ack", func(m *Message) { m.Causation = ID{} }, "key 1 is missing"},
		"state":                  {"ack", func(m *Message) { m.Result.State = -2 }, "no trinary state"},
		"conflict without state": {"ack", func(m *Message) { m.Result.Conflict.Type = HashMismatch }, "conflict whose state"},
		"state without conflict": {"ack", func(m *Message) { m.Result.State = mesh.Conflict }, "key 0 is missing"},
		"long value":             {"ack-conflict", func(m *Message) { m.Result.Conflict.Expected = make([]byte, MaxValueBytes+1) }, "too long"},
		"value not text":         {"ack-conflict", func(m *Message) { m.Result.Conflict.Received = []byte{0xff} }, "not UTF-8"},
		"no sequence":            {"thaw", func(m *Message) { m.Order.Sequence = 0 }, "key 15 is missing"},
		"no action":              {"circuit", func(m *Message) { m.Order.Action = 0 }, "key 8 is missing"},
		"nobody":                 {"freeze", func(m *Message) { m.Order.By = nil }, "key 12 is missing"},
		"long reason":            {"freeze", func(m *Message) { m.Order.Reason = make([]byte, MaxReasonBytes+1) }, "key 13 is too long"},
		"confirms nothing":       {"confirm", func(m *Message) { m.Correlation = ID{} }, "key 0 is missing"},
		"no term":                {"confirm", func(m *Message) { m.Protocol.Term = 0 }, "key 1 is missing"},
		"negative target":        {"confirm", func(m *Message) { m.Protocol.Target = -1 }, "key 13 is out of its range"},
		"answers an odd kind":    {"ack-protocol", func(m *Message) { m.Protocol.Of = lastKind + 1 }, "key 5 is out of its range"},
		"cancels nothing":        {"cancel", func(m *Message) { m.Correlation = ID{} }, "key 0 is missing"},
	} {
		m := samples()[c.sample]
		c.spoil(&m)
		s := sealer(t, "bot")
		data, err := s.Seal([]byte{7}, noon, &m)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v, want %q", name, err, c.what)
		}
		if len(data) != 1 || s.seq != 0 {
			t.Errorf("%s: %d bytes and %d datagrams are left of it", name, len(data), s.seq)
		}
	}
	m := samples()["probe"]
	if _, err := sealer(t, "bot").Seal(nil, started-1e6, &m); err == nil || !strings.Contains(err.Error(), "before the epoch") {
		t.Errorf("sealed before the start: %v", err)
	}
	if _, err := sealer(t, "bot").Seal(nil, -1, &m); !errors.Is(err, ErrMalformed) {
		t.Errorf("sealed before 1970: %v", err)
	}
}

// TestRefusesOtherForms: a message has one form. Each case changes one thing of a
// right datagram that a laxer reader would accept.
func TestRefusesOtherForms(t *testing.T) {
	probe := samples()["probe"]
	probe.To = Name{}
	data := sealed(t, sealer(t, "bot"), noon, probe)
	// 01 a8 00 50 <id> 01 08 02 63 b o t 04 1b .. 05 01 06 1b .. 07 a5 02 19 07d0 03 01 09 01 0a 6c gallery-east 09 50 <mac>
	head := bytes.Index(data, []byte{1, 8, 2, 0x63})
	seq := bytes.Index(data, []byte{5, 1, 6, 0x1b})
	body := bytes.Index(data, []byte{7, 0xa4, 2, 0x19})
	tail := len(data) - sealBytes
	if head < 0 || seq < 0 || body < 0 {
		t.Fatalf("%x is not as this test expects it", data)
	}
	splice := func(at, cut int, with ...byte) []byte {
		return append(append(bytes.Clone(data[:at]), with...), data[at+cut:]...)
	}
	pairs := func(n byte, rest []byte) []byte { rest[1] = 0xa0 | n; return rest }
	for name, c := range map[string]struct {
		data []byte
		what string
	}{
		"integer too long, 1":   {splice(head+1, 1, 0x18, 8), "shortest form"},
		"integer too long, 2":   {splice(seq+1, 1, 0x19, 0, 1), "shortest form"},
		"integer too long, 4":   {splice(seq+1, 1, 0x1a, 0, 0, 0, 1), "shortest form"},
		"integer too long, 8":   {splice(seq+1, 1, 0x1b, 0, 0, 0, 0, 0, 0, 0, 1), "shortest form"},
		"key too long":          {splice(head, 1, 0x18, 1), "shortest form"},
		"indefinite map":        {splice(1, 1, 0xbf), "indefinite length"},
		"indefinite string":     {splice(head+3, 1, 0x7f, 0x63), "indefinite length"},
		"reserved length":       {splice(head+1, 1, 0x1c), "indefinite length"},
		"key twice":             {pairs(9, splice(head, 0, 1, 8)), "key 2 is missing"},
		"keys out of order":     {append(append(bytes.Clone(data[:head]), append([]byte{5, 1}, data[head:seq]...)...), data[seq+2:]...), "key 1 is missing"},
		"unknown key":           {pairs(9, splice(tail, 0, 8, 1)), "another type"},
		"unknown key of body":   {splice(body, 2, 7, 0xa5, 0, 1), "another type"},
		"far key":               {splice(seq, 1, 0x18, 24), "unknown field"},
		"zero not left out":     {splice(seq+1, 1, 0), "0 and not left out"},
		"text for bytes":        {splice(2, 2, 0, 0x70), "another type"},
		"id too short":          {splice(2, 3, 0, 0x4f), "wrong length"},
		"id of zero":            {splice(4, 16, make([]byte, 16)...), "0 and not left out"},
		"tag":                   {splice(head+1, 1, 0xc1, 8), "another type"},
		"float":                 {splice(head+1, 1, 0xf9, 0x48, 0), "another type"},
		"kind":                  {splice(head+1, 1, byte(lastKind)+1), "out of its range"},
		"name":                  {splice(head+4, 3, 'b', ' ', 't'), "not a name"},
		"name not UTF-8":        {splice(head+4, 3, 'b', 0xff, 't'), "not UTF-8"},
		"empty name":            {splice(head+3, 4, 0x60), "empty and not left out"},
		"too few fields":        {pairs(7, bytes.Clone(data)), "key 9 is missing"},
		"too many fields":       {pairs(9, bytes.Clone(data)), "followed by more"},
		"map of 24":             {splice(1, 1, 0xb8, 24), "too many fields"},
		"more bytes":            {append(bytes.Clone(data), data[tail:]...), "followed by more bytes"},
		"signature too short":   {pairs(9, splice(tail, 0, 8, 0x41, 1)), "wrong length"},
		"string beyond the end": {splice(head+3, 1, 0x78, 250), "ends too early"},
		"string of 2^63 bytes":  {splice(head+3, 1, 0x7b, 0x80, 0, 0, 0, 0, 0, 0, 0), "ends too early"},
		"number cut off":        {append(bytes.Clone(data[:seq+4]), data[tail:]...), ""},
		"cut":                   {data[:minDatagramBytes-1], "MAC"},
		"nothing":               {nil, "MAC"},
		"no CBOR":               {append([]byte{1}, bytes.Repeat([]byte("hello "), 20)...), "MAC"},
	} {
		var m Message
		err := Decode(c.data, &m)
		if name == "too many fields" && errors.Is(err, ErrMalformed) {
			continue // the next key is read from beyond the end
		}
		if !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), c.what) {
			t.Errorf("%s: %v, want %q", name, err, c.what)
		}
	}
	var m Message
	if err := Decode(append([]byte{2}, data[1:]...), &m); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 2") || !strings.Contains(err.Error(), "update") {
		t.Errorf("version 2: %v", err)
	}
	if err := Decode(make([]byte, MaxDatagramBytes+1), &m); !errors.Is(err, ErrTooLarge) {
		t.Errorf("large: %v", err)
	}
}

func TestNames(t *testing.T) {
	random := seeded()
	for range 20_000 {
		text := make([]byte, random.IntN(80))
		for i := range text {
			text[i] = "ab-_.Z9 /\x00\xff"[random.IntN(11)]
		}
		if random.IntN(3) == 0 {
			text = append([]byte("_conductor-"), text...)
		}
		if have, want := validSender(text), mesh.ValidSender(string(text)) == nil; have != want {
			t.Fatalf("%q: %v, mesh says %v", text, have, want)
		}
	}
	for _, text := range []string{"_conductor", "_conductor-", "_conductor-a", "_conducto", "", strings.Repeat("x", 63), strings.Repeat("x", 64), "_conductor-" + strings.Repeat("x", 63)} {
		n, err := NewName(text)
		if want := mesh.ValidSender(text) == nil; (err == nil) != want || validSender([]byte(text)) != want || want && n.String() != text {
			t.Errorf("%q: %q, %v", text, n, err)
		}
	}
	for text, ok := range map[string]bool{"lift": true, "": false, "a\x00b": false, "\xff": false, strings.Repeat("x", 16): true, strings.Repeat("x", 17): false, "Türen öffnen": true} {
		if c, err := NewCapability(text); (err == nil) != ok || ok && c.String() != text {
			t.Errorf("capability %q: %q, %v", text, c, err)
		}
	}
	list := capabilities("a", "b")
	if !list.Has(must(NewCapability("b"))) || list.Has(must(NewCapability("c"))) {
		t.Error("has")
	}
	for range 2 * MaxCapabilities {
		list.Add(Capability{'x'})
	}
	if list.Count != MaxCapabilities {
		t.Errorf("%d capabilities", list.Count)
	}
}

// TestIDs: they increase whatever the clock does, tell their time, and are ULIDs to
// the rest of the project.
func TestIDs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.New(rand.NewPCG(1, rapid.Uint64().Draw(t, "seed")))
		var ids IDs
		var last ID
		at := noon
		for range 200 {
			at = at.Add(time.Duration(rapid.Int64Range(-5e6, 5e6).Draw(t, "step")))
			id := ids.Next(at, random)
			if bytes.Compare(id[:], last[:]) <= 0 {
				t.Fatalf("%s after %s", id, last)
			}
			if read, ok := ParseID(id.String()); !ok || read != id || !mesh.ValidID(id.String()) {
				t.Fatalf("%s is not a ULID", id)
			}
			if made, _ := mesh.IDTime(id.String()); WallOf(made) != id.At() || id.At() > at.Add(5*time.Second) {
				t.Fatalf("%s was made at %s, mesh says %s", id, id.At().Time(), made)
			}
			last = id
		}
	})
	if _, ok := ParseID("01jd8z7m8r0000000000000000"); ok {
		t.Error("an id in another spelling is accepted")
	}
	carry := ID{15: 0xff, 14: 0xff, 13: 0xff, 12: 0xff, 11: 0xff, 10: 0xff, 9: 0xff, 8: 0xff}
	if have := carry.plus(1); have != (ID{7: 1}) {
		t.Errorf("carry: %x", have)
	}
}

func TestWall(t *testing.T) {
	if WallOf(time.Time{}) != 0 || WallOf(time.Date(2300, 1, 1, 0, 0, 0, 0, time.UTC)) != 0 {
		t.Error("times that do not fit are accepted")
	}
	if at := noon.Time(); at.Location() != time.UTC || WallOf(at) != noon || noon.Add(time.Hour).Sub(noon) != time.Hour {
		t.Error(at)
	}
}

func TestExchange(t *testing.T) {
	m := samples()["heartbeat"]
	m.At = noon
	if e, ok := m.Exchange(noon + 5); !ok || e != (Exchange{noon - 2e6, noon - 1e6, noon, noon + 5}) {
		t.Errorf("%+v %v", e, ok)
	}
	m.Echo = Echo{}
	if _, ok := m.Exchange(noon); ok {
		t.Error("an exchange of nothing")
	}
}

func TestClone(t *testing.T) {
	m := samples()["ack-conflict"]
	data := sealed(t, sealer(t, "bot"), noon, m)
	var read Message
	if err := Decode(data, &read); err != nil {
		t.Fatal(err)
	}
	kept := read.Clone()
	clear(data)
	if string(kept.Result.Conflict.Expected) != "door open" || string(read.Result.Conflict.Expected) == "door open" {
		t.Errorf("%q and %q", kept.Result.Conflict.Expected, read.Result.Conflict.Expected)
	}
}

func TestKeys(t *testing.T) {
	if _, err := NewKey("a b", secret); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
	if _, err := NewKey("east", make([]byte, 15)); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "doctor") {
		t.Error(err)
	}
	keys := map[[32]byte]string{}
	for _, scope := range []string{"east", "west"} {
		for _, s := range [][]byte{nil, secret, secret[:16]} {
			k := must(NewKey(scope, s))
			if other, twice := keys[k.secret]; twice {
				t.Errorf("%s has the key of %s", scope, other)
			}
			keys[k.secret] = scope
			if text := k.String() + k.GoString(); strings.Contains(text, "0123") {
				t.Error("the secret is printed")
			}
		}
	}
	if _, err := NewSealer(someKey(), "", started); !errors.Is(err, mesh.ErrName) {
		t.Error(err)
	}
	if _, err := NewSealer(someKey(), "bot", 0); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Error(err)
	}
	if err := sealer(t, "bot").Sign(nil, AllKinds); !errors.Is(err, ErrKey) {
		t.Error(err)
	}
}

func TestKindNames(t *testing.T) {
	for have, want := range map[fmt.Stringer]string{
		Heartbeat: "HEARTBEAT", Probe: "PROBE", Kind(0): "INVALID", Kind(99): "invalid", Background: "background", Critical: "critical",
		Direct: "direct", Pipeline: "pipeline", Observe: "observe", Sync: "sync", Cluster: "cluster", Global: "global", Open: "OPEN", HalfOpen: "HALF_OPEN", Close: "CLOSE",
		ContextDivergence: "context-divergence", HashMismatch: "hash-mismatch", ConflictType(0): "none", Verb(7): "invalid",
	} {
		if have.String() != want {
			t.Errorf("%#v: %s, want %s", have, have, want)
		}
	}
	if PeerKinds.Len() != 3 || AllKinds.Len() != int(lastKind) || PeerKinds.Has(Coordinate) || PeerKinds.Has(Freeze) || !AllKinds.Has(Thaw) {
		t.Error("sets of kinds")
	}
	for _, o := range Outcomes() {
		if o.String() == "invalid" || o.String() == "none" || o.Dropped() != (o.advice() != "") {
			t.Errorf("outcome %d: %s, %q", o, o, o.advice())
		}
	}
}
