package conductor

import (
	"encoding/json"
	"errors"
	"testing"

	"dancer/mesh"
)

// FuzzApply feeds a register with small limits messages of two robots: none may
// panic, bring it beyond its limits, or leave it with something that cannot be
// shown or stored as JSON; what is refused is refused for a cause.
func FuzzApply(f *testing.F) {
	encode := func(body any) []byte {
		data, err := json.Marshal(body)
		if err != nil {
			f.Fatal(err)
		}
		return data
	}
	f.Add(uint8(0), uint8(1), encode(mesh.Connection{State: mesh.Online, Role: mesh.RoleRobot}), encode(mesh.State{Robot: "bot-1", Cell: cell, Mode: "running"}))
	f.Add(uint8(2), uint8(2), encode(escalation(1, 1, "bot-1", "open")), encode(escalation(1, 2, "bot-1", "withdrawn")))
	f.Add(uint8(2), uint8(2), encode(escalation(1, 1, "bot-1", "open")), encode(escalation(2, 1, "bot-1", "open")))
	f.Add(uint8(2), uint8(3), encode(escalation(1, 1, "bot-1", "open")), encode(mesh.Ack{Of: id(7), Escalation: id(1), Outcome: AckApplied}))
	f.Fuzz(func(t *testing.T, first, second uint8, one, two []byte) {
		r := New(Limits{Agents: 2, Open: 2, Closed: 2, Rulings: 2, Acks: 2})
		for i, m := range []struct {
			kind uint8
			body []byte
		}{{first, one}, {second, two}, {first, two}, {second, one}} {
			applyFuzzed(t, r, i, m.kind, m.body)
		}
		if _, err := json.Marshal([]any{r.Agents(), r.Questions("all"), r.Rulings()}); err != nil {
			t.Fatalf("what is shown is no JSON: %v", err)
		}
		if agents := len(r.Agents()); agents > 2 || r.OpenCount() < 0 || r.OpenCount() > 2 || len(r.Questions("all")) > 4 {
			t.Fatalf("%d agents, %d open of %d questions", agents, r.OpenCount(), len(r.Questions("all")))
		}
	})
}

func applyFuzzed(t *testing.T, r *Register, n int, kind uint8, body []byte) {
	kinds := []mesh.Kind{mesh.KindConnection, mesh.KindState, mesh.KindEscalation, mesh.KindAck, mesh.KindEvent, mesh.KindRuling, mesh.KindRequest}
	robot := []string{"bot-1", "bot-2"}[kind>>7]
	e := mesh.Envelope{ID: id(n), Kind: kinds[int(kind&0x7f)%len(kinds)], From: robot, Seq: uint64(n), At: at(n).Wall, Body: body}
	effects, err := r.Apply(at(n), cell, robot, e)
	if err != nil {
		if !errors.Is(err, mesh.ErrInvalid) && !errors.Is(err, mesh.ErrMalformed) && !errors.Is(err, ErrFull) {
			t.Fatalf("%s refused without a cause: %v", e.Kind, err)
		}
		return
	}
	for _, q := range effects.Store {
		if _, err := json.Marshal(q); err != nil {
			t.Fatalf("what must be stored is no JSON: %v", err)
		}
	}
	for _, m := range effects.Send {
		if _, err := mesh.NewWithID(id(n), m.Kind, "_conductor-museum", 1, at(n).Wall, m.Body); err != nil {
			t.Fatalf("what must be sent cannot be: %v", err)
		}
	}
	r.Tick(at(n))
}
