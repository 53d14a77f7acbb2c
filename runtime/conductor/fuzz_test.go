package conductor

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	core "dancer/mesh/conductor"
	"dancer/runtime/web"
)

// FuzzReceive hands a conductor any topic and payload, as a broker may. None is an
// error, because the client would bring it again and again; what makes no sense is
// counted, and nothing of another cell comes in.
func FuzzReceive(f *testing.F) {
	ids := mesh.NewIDs(rand.Reader)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	add := func(kind mesh.Kind, body any) {
		id, err := ids.Next(at)
		if err != nil {
			f.Fatal(err)
		}
		e, err := mesh.NewWithID(id, kind, "bot-1", 1, at, body)
		if err != nil {
			f.Fatal(err)
		}
		payload, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(mesh.Topic(cell, "bot-1", kind), payload)
		f.Add(mesh.Topic("other", "bot-1", kind), payload)
		f.Add(mesh.Topic(cell, "bot-2", kind), payload)
	}
	add(mesh.KindConnection, mesh.Connection{State: mesh.Online, Role: mesh.RoleRobot})
	add(mesh.KindState, mesh.State{Robot: "bot-1", Cell: cell, Mode: "running", Signals: map[string]float64{"smoke": 12}})
	add(mesh.KindEscalation, mesh.Escalation{
		ID: "01JD8Z7M8R0000000000000000", State: "open", Robot: "bot-1", Cell: cell, Hold: "halt", Running: "halt", Proposed: "halt", OnTimeout: "halt",
		Decision: json.RawMessage(`{"assessments":[{"option":"halt"}]}`),
	})
	add(mesh.KindAck, mesh.Ack{Of: "01JD8Z7M8R0000000000000000", Outcome: core.AckApplied})
	f.Add(mesh.Topic(cell, "bot-1", mesh.KindState), []byte{})
	f.Add("dancer/v1/+/#", []byte("{"))
	f.Fuzz(func(t *testing.T, topic string, payload []byte) {
		s := deaf()
		ctx := t.Context()
		if err := s.receive(ctx, topic, payload); err != nil {
			t.Fatalf("%s: %v", topic, err)
		}
		if err := s.receive(ctx, topic, payload); err != nil {
			t.Fatalf("%s, again: %v", topic, err)
		}
		for _, a := range s.desk.Agents() {
			if a.Cell != cell || !strings.HasPrefix(topic, "dancer/v1/"+cell+"/") {
				t.Fatalf("%s brought in %s of cell %s", topic, a.Name, a.Cell)
			}
		}
		if len(s.strangers.list()) > maxNotes {
			t.Fatal("the notes have no bound")
		}
	})
}

// deaf is a conductor without broker, disk and page.
func deaf() *service {
	s := &service{config: Config{Settings: settings()}, log: slog.New(slog.DiscardHandler), hub: web.NewHub(), ids: mesh.NewIDs(rand.Reader)}
	s.desk = web.NewDesk(web.DeskOptions{
		Hub: s.hub, Moment: func() core.Moment { return core.Moment{Monotonic: time.Second, Wall: time.Now()} },
		NewID:  func() (string, error) { return s.ids.Next(time.Now()) },
		Status: func() web.Status { return web.Status{} },
		Store:  func(context.Context, []core.Question, []core.Message) error { return nil },
		Send:   func(context.Context, core.Message) error { return nil },
	})
	return s
}
