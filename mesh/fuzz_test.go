package mesh

import (
	"encoding/json"
	"errors"
	"os"
	"testing"
	"unicode/utf8"
)

// FuzzBody: whatever a peer puts into a body, it is refused as malformed or
// invalid, or what is accepted is valid still after it was sent on.
func FuzzBody(f *testing.F) {
	escalation, err := os.ReadFile("testdata/escalation.json")
	if err != nil {
		f.Fatal(err)
	}
	var golden Envelope
	if err := json.Unmarshal(escalation, &golden); err != nil {
		f.Fatal(err)
	}
	for kind, body := range []string{
		`{"state":"ONLINE","role":"robot"}`,
		`{"robot":"bot","cell":"east","mode":"running","lease":"live","signals":{"smoke":1e3},"indices":[{"value":"a","worst":-1}],"at":"2026-11-21T12:00:00Z"}`,
		string(golden.Body),
		`{"escalation":"` + someID + `","verdict":"approve","by":"kim","at":"2026-11-21T12:00:00+01:00"}`,
		`{"of":"` + someID + `","outcome":"vetoed","why":"\u0000"}`,
		`{"do":"clear","by":"kim","latch":"bump"}`,
	} {
		f.Add(uint8(kind), []byte(body))
		f.Add(uint8(kind), []byte(body[:len(body)/2]))
	}
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		kinds := []struct {
			kind  Kind
			check func(*testing.T, Envelope)
		}{
			{KindConnection, holdBody[Connection]}, {KindState, holdBody[State]}, {KindEscalation, holdBody[Escalation]},
			{KindRuling, holdBody[Ruling]}, {KindAck, holdBody[Ack]}, {KindRequest, holdBody[Request]},
		}
		k := kinds[int(kind)%len(kinds)]
		k.check(t, Envelope{ID: someID, Kind: k.kind, From: "bot", Seq: 1, At: noon, Body: body})
	})
}

func holdBody[T validator](t *testing.T, e Envelope) {
	body, err := Body[T](e)
	if err != nil {
		if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrInvalid) {
			t.Fatalf("%s: refused without a cause: %v", e.Kind, err)
		}
		if utf8.Valid(e.Body) && !utf8.ValidString(err.Error()) {
			t.Fatalf("%s: message %q is not text", e.Kind, err)
		}
		return
	}
	again, err := NewWithID(e.ID, e.Kind, e.From, e.Seq, e.At, body)
	if err != nil {
		t.Fatalf("%s: accepted and not sendable: %v", e.Kind, err)
	}
	if _, err := Body[T](again); err != nil {
		t.Fatalf("%s: accepted once and refused when it comes again: %v\n%s", e.Kind, err, again.Body)
	}
}
