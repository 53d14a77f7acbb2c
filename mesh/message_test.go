package mesh

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// entropy is a seeded source, so that ids repeat.
func entropy() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.FixedZone("east", 3600))

const someID = "01JD8Z7M8R0000000000000000"

func TestNewAndParse(t *testing.T) {
	made, err := New(KindRuling, "_conductor-east", 7, noon, entropy(), Ruling{Escalation: someID, Verdict: RuleApprove, By: "kim"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := made.Encode()
	if err != nil {
		t.Fatal(err)
	}
	read, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if read.ID != made.ID || read.From != "_conductor-east" || read.Seq != 7 || !read.At.Equal(noon) || read.At.Location() != time.UTC {
		t.Errorf("have %+v", read)
	}
	ruling, err := Body[Ruling](read)
	if err != nil || ruling.By != "kim" || ruling.Verdict != RuleApprove {
		t.Errorf("body %+v, %v", ruling, err)
	}
	clear(data)
	if string(read.Body) != string(made.Body) {
		t.Error("the body aliases the caller's buffer")
	}
	if at, ok := IDTime(read.ID); !ok || !at.Equal(noon) {
		t.Errorf("time of the id: %v %v", at, ok)
	}
}

// TestGolden holds the bytes on the wire: other clients read them.
func TestGolden(t *testing.T) {
	e, err := New(KindEscalation, "gallery-bot-1", 42, noon, entropy(), Escalation{
		ID: someID, Revision: 1, State: "open", Robot: "gallery-bot-1", Cell: "gallery-east", RaisedAt: noon.UTC(), DueAt: noon.UTC().Add(5 * time.Minute),
		Situation: "smoke=4", Because: []string{"every option is under the floor of human_safety"}, Running: "halt", Hold: "halt", OnTimeout: "halt",
		Proposed: "extinguish", Decision: json.RawMessage(`{"version":1}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	have, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "escalation.json")
	if *rewrite {
		if err := os.WriteFile(path, have, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("have %s\nwant %s", have, want)
	}
}

// valid is an envelope that every case below spoils in one place.
const valid = `{"id":"01JD8Z7M8R0000000000000000","kind":"ack","from":"bot","seq":1,"at":"2026-11-21T11:00:00Z","body":{"of":"01JD8Z7M8R0000000000000000","outcome":"stored"}}`

func TestParseRefuses(t *testing.T) {
	if _, err := Parse([]byte(valid)); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		from, to string
		cause    error
	}{
		"cut":            {valid, valid[:60], ErrMalformed},
		"empty":          {valid, "", ErrMalformed},
		"null":           {valid, "null", ErrInvalid},
		"list":           {valid, "[]", ErrMalformed},
		"two":            {valid, valid + valid, ErrMalformed},
		"not UTF-8":      {"bot", "b\xfft", ErrMalformed},
		"id":             {`"id":"01JD8Z7M8R`, `"id":"01jd8z7m8r`, ErrInvalid},
		"short id":       {`"id":"01JD8Z7M8R0000000000000000"`, `"id":"1"`, ErrInvalid},
		"unknown kind":   {`"ack"`, `"song"`, ErrUnknownKind},
		"no sender":      {`"from":"bot",`, ``, ErrName},
		"wild sender":    {`"bot"`, `"a/b"`, ErrName},
		"filter sender":  {`"bot"`, `"+"`, ErrName},
		"negative count": {`"seq":1`, `"seq":-1`, ErrMalformed},
		"no time":        {`"at":"2026-11-21T11:00:00Z",`, ``, ErrInvalid},
		"bad time":       {`2026-11-21T`, `yesterday`, ErrMalformed},
		"no body":        {`,"body":{"of":"01JD8Z7M8R0000000000000000","outcome":"stored"}`, ``, ErrInvalid},
		"too large":      {`"bot"`, `"` + strings.Repeat("x", MaxEnvelopeBytes) + `"`, ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			data := strings.Replace(valid, c.from, c.to, 1)
			if data == valid {
				t.Fatal("the case changes nothing")
			}
			if _, err := Parse([]byte(data)); !errors.Is(err, c.cause) {
				t.Errorf("have %v, want %v", err, c.cause)
			} else if len(err.Error()) > 300 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestEncodeRefusesTooLarge(t *testing.T) {
	e, err := New(KindEvent, "bot", 1, noon, entropy(), strings.Repeat("x", MaxEnvelopeBytes))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Encode(); !errors.Is(err, ErrTooLarge) {
		t.Errorf("have %v", err)
	}
}

func TestBodiesAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		body validator
		want string // part of the error; "" when sound
	}{
		"connection":        {Connection{Online, RoleRobot}, ""},
		"connection state":  {Connection{"UP", RoleRobot}, "connection state"},
		"connection role":   {Connection{Broken, ""}, "connection role"},
		"ruling":            {Ruling{Escalation: someID, Verdict: RuleDeny, By: "kim"}, ""},
		"ruling by nobody":  {Ruling{Escalation: someID, Verdict: RuleDeny}, "every ruling says by whom"},
		"ruling verdict":    {Ruling{Escalation: someID, Verdict: "maybe", By: "kim"}, "ruling verdict"},
		"ruling of nothing": {Ruling{Verdict: RuleDeny, By: "kim"}, "is not an id"},
		"ruling note":       {Ruling{Escalation: someID, Verdict: RuleDeny, By: "kim", Note: strings.Repeat("x", MaxTextBytes+1)}, "a text of 2001 bytes"},
		"escalation":        {Escalation{ID: someID, State: "open", Robot: "bot", Cell: "hall"}, ""},
		"escalation state":  {Escalation{ID: someID, State: "shut", Robot: "bot", Cell: "hall"}, "escalation state"},
		"escalation robot":  {Escalation{ID: someID, State: "open", Robot: "#", Cell: "hall"}, "escalation robot"},
		"escalation cell":   {Escalation{ID: someID, State: "open", Robot: "bot"}, "escalation cell"},
		"escalation lines":  {Escalation{ID: someID, State: "open", Robot: "bot", Cell: "hall", Because: make([]string, MaxLines+1)}, "65 escalation reasons"},
		"revision":          {Escalation{ID: someID, State: "open", Robot: "bot", Cell: "hall", Revision: -1}, "revision -1"},
		"ack":               {Ack{Of: someID, Outcome: "kept"}, ""},
		"ack of nothing":    {Ack{Outcome: "kept"}, "is not an id"},
		"ack outcome":       {Ack{Of: someID, Outcome: "eaten"}, "ack outcome"},
		"ack escalation":    {Ack{Of: someID, Outcome: "kept", Escalation: "1"}, "is not an id"},
		"request":           {Request{Do: "start", By: "kim"}, ""},
		"request verb":      {Request{Do: "dance", By: "kim"}, `request "dance"`},
		"request by nobody": {Request{Do: "stop"}, "by whom"},
		"state":             {State{Robot: "bot", Cell: "hall"}, ""},
		"state robot":       {State{Robot: "", Cell: "hall"}, "state robot"},
		"state lists":       {State{Robot: "bot", Cell: "hall", Invalid: make([]string, maxSignals+1)}, "1025 invalid"},
	} {
		err := c.body.Validate()
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: have %v, want %q", name, err, c.want)
		}
	}
}

func TestRestrictiveness(t *testing.T) {
	last := 6
	for _, verdict := range []string{RuleDeny, RuleDefer, RuleReschedule, RuleEscalate, RuleApprove, "other"} {
		if n := Restrictiveness(verdict); n != last-1 {
			t.Errorf("%s: %d, want %d", verdict, n, last-1)
		}
		last--
	}
}

// FuzzParse: whatever a peer sends, Parse does not panic, and what it accepts is
// within the bounds and survives a round trip.
func FuzzParse(f *testing.F) {
	f.Add([]byte(valid))
	f.Add([]byte(strings.Replace(valid, "ack", "escalation", 1)))
	f.Add([]byte(`{"id":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Parse(data)
		if err != nil {
			return
		}
		again, err := e.Encode()
		if err != nil {
			if errors.Is(err, ErrTooLarge) {
				return // escaping can lengthen a body at the limit
			}
			t.Fatalf("accepted and not encodable: %v", err)
		}
		second, err := Parse(again)
		if err != nil || second.ID != e.ID || second.Kind != e.Kind || second.From != e.From || !second.At.Equal(e.At) {
			t.Fatalf("round trip: %v\n%+v\n%+v", err, e, second)
		}
		_, _ = Body[Escalation](e)
		_, _ = Body[Ruling](e)
		_, _ = Body[Ack](e)
		_, _ = Body[State](e)
		_, _ = Body[Request](e)
		_, _ = Body[Connection](e)
	})
}
