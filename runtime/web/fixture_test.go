package web

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/conductor"
)

// hall is a conductor's desk without a broker: what the desk sends reaches
// robots of the test, which answer as robots do, through the same envelopes.
type hall struct {
	t      *testing.T
	desk   *Desk
	hub    *Hub
	ids    *mesh.IDs
	start  time.Time
	mutex  sync.Mutex
	answer map[string]func(mesh.Ruling) mesh.Ack // by robot
	stored map[string]conductor.Question
	full   bool // the disk
	record *Recording
	sent   []conductor.Message
	sends  chan conductor.Message
	seq    uint64
}

const cell = "gallery-east"

func newHall(t *testing.T) *hall {
	h := &hall{
		t: t, hub: NewHub(), ids: mesh.NewIDs(rand.Reader), start: time.Now(),
		answer: map[string]func(mesh.Ruling) mesh.Ack{}, stored: map[string]conductor.Question{},
		sends: make(chan conductor.Message, 100),
	}
	h.desk = NewDesk(DeskOptions{
		Hub: h.hub,
		Moment: func() conductor.Moment {
			return conductor.Moment{Monotonic: time.Since(h.start), Wall: time.Now().UTC()}
		},
		NewID: func() (string, error) { return h.ids.Next(time.Now()) },
		Status: func() Status {
			return Status{Role: RoleConductor, Name: "museum", Cell: cell, Scope: "cell", Version: "test", StartedAt: h.start,
				Broker: Broker{URL: "mqtt://127.0.0.1:1883", Embedded: true, Connected: true}, Recording: h.record}
		},
		Store: h.store,
		Send:  h.send,
	})
	ctx, cancel := context.WithCancel(t.Context())
	var robots sync.WaitGroup
	robots.Go(func() { h.robots(ctx) })
	t.Cleanup(func() { cancel(); robots.Wait() })
	return h
}

func (h *hall) store(_ context.Context, questions []conductor.Question, _ []conductor.Message) error {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if h.full {
		return errors.New("write museum.db: no space left: free space, nothing stored so far is lost")
	}
	for _, q := range questions {
		h.stored[q.ID] = q
	}
	return nil
}

func (h *hall) send(_ context.Context, m conductor.Message) error {
	h.mutex.Lock()
	h.sent = append(h.sent, m)
	h.mutex.Unlock()
	h.sends <- m
	return nil
}

// robots answer rulings and requests.
func (h *hall) robots(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-h.sends:
			var ack mesh.Ack
			switch body := m.Body.(type) {
			case mesh.Ruling:
				h.mutex.Lock()
				answer := h.answer[m.Agent]
				h.mutex.Unlock()
				if answer == nil {
					continue
				}
				ack = answer(body)
				ack.Escalation = body.Escalation
			case mesh.Request:
				ack = mesh.Ack{Outcome: conductor.AckApplied}
			default:
				continue
			}
			ack.Of = m.ID
			h.take(m.Agent, mesh.KindAck, ack)
		}
	}
}

func (h *hall) answers(robot string, f func(mesh.Ruling) mesh.Ack) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.answer[robot] = f
}

// take feeds one message of a robot.
func (h *hall) take(robot string, kind mesh.Kind, body any) string {
	h.mutex.Lock()
	h.seq++
	seq := h.seq
	h.mutex.Unlock()
	id, err := h.ids.Next(time.Now())
	if err == nil {
		var e mesh.Envelope
		if e, err = mesh.NewWithID(id, kind, robot, seq, time.Now(), body); err == nil {
			err = h.desk.Take(context.Background(), cell, robot, e)
		}
	}
	if err != nil {
		h.t.Errorf("take %s of %s: %v", kind, robot, err)
	}
	return id
}

// question raises a question with a recorded decision; due in d.
func (h *hall) question(file, robot, running, hold, timeout, proposed string, due time.Duration) mesh.Escalation {
	h.t.Helper()
	decision, err := os.ReadFile(filepath.Join("testdata", file+".json"))
	if err != nil {
		h.t.Fatal(err)
	}
	var because struct {
		Verdict struct{ Because []string }
	}
	if err := json.Unmarshal(decision, &because); err != nil {
		h.t.Fatal(err)
	}
	id, err := h.ids.Next(time.Now())
	if err != nil {
		h.t.Fatal(err)
	}
	now := time.Now().UTC()
	e := mesh.Escalation{
		ID: id, Revision: 1, State: "open", Robot: robot, Cell: cell, RaisedAt: now, DueAt: now.Add(due), Situation: file,
		Because: because.Verdict.Because, Running: running, Hold: hold, OnTimeout: timeout, Proposed: proposed, Decision: decision,
	}
	h.take(robot, mesh.KindEscalation, e)
	return e
}

// museum fills the hall with the three robots of the museum.
func (h *hall) museum() (gas, fire, calm mesh.Escalation) {
	for _, s := range []mesh.State{
		{
			Robot: "gallery-bot-1", Cell: cell, Mode: "running", Lease: "live", Running: "halt", Outcome: "act",
			Signals: map[string]float64{"range": 4.2, "smoke": 312, "people": 1}, Outputs: map[string]float64{"drive": 0, "brake": 1, "extinguisher": 0},
			Indices: indices(0, 0.4, 4.3, 4.6, 10, 10, 0, 0), Frames: map[string]uint64{"nav": 5456}, ManualHash: "sha256:9f2c4e0d7a61b2", Version: "0.1.0",
		},
		{
			Robot: "gallery-bot-2", Cell: cell, Mode: "running", Lease: "live", Running: "ventilate", Outcome: "under-floor", Reflexes: []string{"protective-stop"}, Latches: []string{"bump"},
			Signals: map[string]float64{"range": 0.27, "gas": 1800, "people": 2}, Invalid: []string{"humidity"}, Outputs: map[string]float64{"drive": 0, "fan": 1},
			Indices: indices(2.62, 3.4, 5.2, 5.6, 7, 7, 0, 0), ManualHash: "sha256:0badcafe", Version: "0.1.0", Outbox: 1,
		},
		{
			Robot: "gallery-bot-3", Cell: cell, Mode: "safe", Lease: "expired", Running: "halt", Outcome: "act",
			Signals: map[string]float64{"range": 6.1, "smoke": 12}, Outputs: map[string]float64{"drive": 0, "brake": 1},
			Indices: indices(9.8, 9.9, 9.6, 9.9, 10, 10, 0, 0), ManualHash: "sha256:9f2c4e0d7a61b2", Version: "0.1.0", BrainRestarts: 2,
		},
	} {
		s.At = time.Now().UTC()
		h.take(s.Robot, mesh.KindConnection, mesh.Connection{State: mesh.Online, Role: mesh.RoleRobot})
		h.take(s.Robot, mesh.KindState, s)
	}
	err := h.desk.Members(context.Background(), cell, []conductor.Member{
		{Name: "gallery-bot-1", Alive: true, Impedance: json.RawMessage(`{"agent":"gallery-bot-1","cell":"gallery-east","class":"E","round_trip_ms":1.84,"processing_ms":0.9,"queue_depth":0,"score":981,"reliability":0.998,"drift":0.12,"operation":"active"}`)},
		{Name: "gallery-bot-2", Alive: true},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	fire = h.question("fire", "gallery-bot-1", "halt", "halt", "halt", "extinguish", 4*time.Minute)
	calm = h.question("calm", "gallery-bot-3", "halt", "halt", "halt", "survey-vitrine", 9*time.Minute)
	gas = h.question("gas", "gallery-bot-2", "ventilate", "halt", "halt", "ventilate", 5*time.Minute)
	for _, robot := range []string{"gallery-bot-1", "gallery-bot-2", "gallery-bot-3"} {
		h.answers(robot, func(r mesh.Ruling) mesh.Ack {
			if r.Verdict == mesh.RuleApprove {
				return mesh.Ack{Outcome: conductor.AckApplied, Running: r.Option, Why: r.Option + " runs, approved by " + r.By}
			}
			return mesh.Ack{Outcome: conductor.AckApplied, Running: "halt"}
		})
	}
	return gas, fire, calm
}

func indices(v ...float64) []mesh.StateIndex {
	names := []string{"human_safety", "irreplaceable", "resources", "task"}
	floors := []float64{5, 3, 0, 0}
	list := make([]mesh.StateIndex, len(names))
	for i := range names {
		list[i] = mesh.StateIndex{Value: names[i], Worst: v[2*i], Expected: v[2*i+1], Floor: floors[i], HasFloor: floors[i] > 0}
	}
	return list
}

// serve gives a server in front of the hall.
func (h *hall) serve(token string) *httptest.Server {
	s := httptest.NewServer(Handler(Options{Backend: h.desk, Hub: h.hub, Token: token}))
	h.t.Cleanup(func() {
		h.hub.Close()
		s.Close()
	})
	return s
}

// call sends a request and decodes the answer.
func call(t *testing.T, method, url, body string, headers map[string]string, into any) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for k, v := range headers {
		if k == "Host" {
			request.Host = v
		} else {
			request.Header.Set(k, v)
		}
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(data, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, url, err, data)
		}
	}
	return answer
}
