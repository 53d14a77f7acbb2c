package conductor

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/broker"
	core "dancer/mesh/conductor"
	"dancer/mesh/mqtt"
	"dancer/runtime/config"
	"dancer/runtime/web"
)

const cell = "gallery-east"

// running is a conductor under test, on free ports.
type running struct {
	t    *testing.T
	at   Addresses
	stop func() error
}

func settings() *config.Conductor {
	c := config.DefaultConductor()
	c.Name, c.Cell, c.Listen, c.BrokerListen, c.Mesh.Off = "museum", cell, "127.0.0.1:0", "127.0.0.1:0", true
	return c
}

// begin runs a conductor until the test ends or stop is called.
func begin(t *testing.T, c *config.Conductor, data string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan Addresses, 1), make(chan error, 1)
	go func() {
		ended <- Run(ctx, Config{Settings: c, Data: data, Version: "test", Ready: func(a Addresses) { ready <- a }})
	}()
	r := &running{t: t}
	stopped := false
	r.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("end of the conductor: %v", err)
		}
	})
	select {
	case r.at = <-ready:
	case err := <-ended:
		stopped = true
		t.Fatalf("conductor did not start: %v", err)
	}
	return r
}

// call asks the conductor's API.
func (r *running) call(method, path, body string, into any) int {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.at.Dashboard+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		r.t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if into != nil {
		if err := json.Unmarshal(raw, into); err != nil {
			r.t.Fatalf("%s: %v", raw, err)
		}
	}
	return answer.StatusCode
}

func (r *running) questions(state string) []core.Question {
	r.t.Helper()
	var list struct{ Escalations []core.Question }
	r.call("GET", "/api/v1/escalations?state="+state, "", &list)
	return list.Escalations
}

// until polls a condition that comes true by itself.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// robot is a client of the broker that speaks as a robot does.
type robot struct {
	t       *testing.T
	name    string
	client  *mqtt.Client
	ids     *mesh.IDs
	rulings chan mesh.Envelope
	acks    chan mesh.Ack
}

func newRobot(t *testing.T, brokerURL, name string) *robot {
	t.Helper()
	r := &robot{t: t, name: name, ids: mesh.NewIDs(rand.Reader), rulings: make(chan mesh.Envelope, 100), acks: make(chan mesh.Ack, 100)}
	var err error
	r.client, err = mqtt.New(mqtt.Options{
		Broker: brokerURL, ClientID: cell + "/" + name,
		Presence: mqtt.Presence{Topic: mesh.Topic(cell, name, mesh.KindConnection), Message: func(state string) []byte {
			return r.payload(mesh.KindConnection, mesh.Connection{State: state, Role: mesh.RoleRobot})
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	subscribe := func(kind mesh.Kind, take func(mesh.Envelope)) {
		err := r.client.Subscribe(mesh.Topic(cell, name, kind), func(_ string, payload []byte) error {
			e, err := mesh.Parse(payload)
			if err == nil && e.From != name {
				take(e)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	subscribe(mesh.KindRuling, func(e mesh.Envelope) { r.rulings <- e })
	subscribe(mesh.KindRequest, func(e mesh.Envelope) { r.rulings <- e })
	subscribe(mesh.KindAck, func(e mesh.Envelope) {
		if ack, err := mesh.Body[mesh.Ack](e); err == nil {
			r.acks <- ack
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.client.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	until(t, name+" connects", r.client.Connected)
	return r
}

func (r *robot) payload(kind mesh.Kind, body any) []byte {
	id, err := r.ids.Next(time.Now())
	if err != nil {
		r.t.Error(err)
	}
	e, err := mesh.NewWithID(id, kind, r.name, 1, time.Now(), body)
	if err != nil {
		r.t.Error(err)
	}
	raw, err := e.Encode()
	if err != nil {
		r.t.Error(err)
	}
	return raw
}

// ask raises a question, again and again until it is acknowledged.
func (r *robot) ask() mesh.Escalation {
	r.t.Helper()
	id, err := r.ids.Next(time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	now := time.Now().UTC()
	e := mesh.Escalation{
		ID: id, Revision: 1, State: "open", Robot: r.name, Cell: cell, RaisedAt: now, DueAt: now.Add(time.Minute),
		Because: []string{"smoke"}, Running: "halt", Hold: "halt", OnTimeout: "halt", Proposed: "extinguish",
		Decision: json.RawMessage(`{"assessments":[{"option":"halt"},{"option":"extinguish"}],"verdict":{"option":"extinguish","survivors":["extinguish"]}}`),
	}
	payload := r.payload(mesh.KindEscalation, e)
	for range 20 {
		_ = r.client.Publish(r.t.Context(), mesh.Topic(cell, r.name, mesh.KindEscalation), false, payload) // sent again below
		select {
		case ack := <-r.acks:
			if ack.Escalation == id && ack.Outcome == core.AckStored {
				return e
			}
		case <-time.After(time.Second):
		}
	}
	r.t.Fatal("the question was never acknowledged")
	return e
}

// answer takes one ruling or request and acknowledges it. It may run beside the
// test's own goroutine.
func (r *robot) answer(outcome string) mesh.Envelope {
	select {
	case e := <-r.rulings:
		err := r.client.Publish(context.Background(), mesh.Topic(cell, r.name, mesh.KindAck), false, r.payload(mesh.KindAck, mesh.Ack{Of: e.ID, Outcome: outcome, Running: "extinguish"}))
		if err != nil {
			r.t.Error(err)
		}
		return e
	case <-time.After(20 * time.Second):
		r.t.Error("no ruling came")
	}
	return mesh.Envelope{}
}

func TestQuestionRulingAndRestart(t *testing.T) {
	data := t.TempDir()
	c := begin(t, settings(), data)
	bot := newRobot(t, c.at.Broker, "gallery-bot-1")
	first, second := bot.ask(), bot.ask()
	if open := c.questions("open"); len(open) != 2 {
		t.Fatalf("%d open questions, want 2", len(open))
	}

	done := make(chan mesh.Envelope, 1)
	go func() { done <- bot.answer(core.AckApplied) }()
	var receipt web.Receipt
	code := c.call("POST", "/api/v1/escalations/"+first.ID+"/ruling?wait=20s", `{"verdict":"approve","option":"extinguish","by":"Ada","note":"now"}`, &receipt)
	if code != http.StatusAccepted || receipt.Ack == nil || receipt.Ack.Outcome != core.AckApplied {
		t.Fatalf("%d %+v", code, receipt)
	}
	if e := <-done; e.ID != receipt.ID || e.From != "_conductor-museum" {
		t.Errorf("the robot was sent %+v", e)
	}
	until(t, "the outbox is empty", func() bool {
		var status web.Status
		c.call("GET", "/api/v1/status", "", &status)
		return status.Outbox == 0 && status.Open == 1
	})

	// A ruling that no robot has answered goes out again after a restart.
	if code := c.call("POST", "/api/v1/escalations/"+second.ID+"/ruling", `{"verdict":"deny","by":"Ada"}`, &receipt); code != http.StatusAccepted {
		t.Fatalf("%d", code)
	}
	if err := c.stop(); err != nil {
		t.Fatal(err)
	}
	c = begin(t, settings(), data)
	again := c.questions("all")
	if len(again) != 2 {
		t.Fatalf("%d questions after a restart, want 2", len(again))
	}
	for _, q := range again {
		want := map[string]string{first.ID: core.StatusApproved, second.ID: core.StatusOpen}[q.ID]
		if q.Status != want || len(q.Rulings) != 1 {
			t.Errorf("after a restart %s is %s with %d rulings, want %s with 1", q.ID, q.Status, len(q.Rulings), want)
		}
	}
	later := newRobot(t, c.at.Broker, "gallery-bot-1")
	if e := later.answer(core.AckApplied); e.ID != receipt.ID {
		t.Errorf("the robot was sent %s, want the ruling %s", e.ID, receipt.ID)
	}
	until(t, "the denial is known as applied", func() bool { return len(c.questions("open")) == 0 })
}

func TestAgentsAndRequests(t *testing.T) {
	c := begin(t, settings(), t.TempDir())
	bot := newRobot(t, c.at.Broker, "gallery-bot-1")
	state := mesh.State{Robot: bot.name, Cell: cell, Mode: "safe", Lease: "none", Running: "halt", At: time.Now().UTC()}
	if err := bot.client.Publish(t.Context(), mesh.Topic(cell, bot.name, mesh.KindState), true, bot.payload(mesh.KindState, state)); err != nil {
		t.Fatal(err)
	}
	agents := func() []core.Agent {
		var list struct{ Agents []core.Agent }
		c.call("GET", "/api/v1/agents", "", &list)
		return list.Agents
	}
	until(t, "the robot is alive", func() bool { a := agents(); return len(a) == 1 && a[0].Alive && a[0].State != nil })
	// What was retained comes while the conductor still subscribes.
	until(t, "the conductor is connected", func() bool {
		var status web.Status
		c.call("GET", "/api/v1/status", "", &status)
		return status.Broker.Connected
	})
	done := make(chan mesh.Envelope, 1)
	go func() { done <- bot.answer("refused") }()
	var receipt web.Receipt
	if code := c.call("POST", "/api/v1/agents/gallery-bot-1/start?wait=20s", `{"by":"Ada"}`, &receipt); code != http.StatusAccepted || receipt.Ack == nil || receipt.Ack.Outcome != "refused" {
		t.Errorf("%d %+v", code, receipt)
	}
	<-done
	var p web.Problem
	if code := c.call("POST", "/api/v1/agents/nobody/stop", `{"by":"Ada"}`, &p); code != http.StatusNotFound || !strings.Contains(p.Detail, "nobody") {
		t.Errorf("%d %+v", code, p)
	}
	// A cleared state retires the robot.
	if err := bot.client.Publish(t.Context(), mesh.Topic(cell, bot.name, mesh.KindState), true, nil); err != nil {
		t.Fatal(err)
	}
	until(t, "the robot is gone", func() bool { return len(agents()) == 0 })
}

// TestRequestWithoutBroker: who presses start while the broker is gone is told
// that nothing was sent.
func TestRequestWithoutBroker(t *testing.T) {
	b, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	s := settings()
	s.Broker = b.URL()
	c := begin(t, s, t.TempDir())
	newRobot(t, b.URL(), "gallery-bot-1")
	connected := func() bool {
		var status web.Status
		c.call("GET", "/api/v1/status", "", &status)
		return status.Broker.Connected
	}
	until(t, "the conductor is connected", connected)
	until(t, "the robot is alive", func() bool {
		var agent core.Agent
		return c.call("GET", "/api/v1/agents/gallery-bot-1", "", &agent) == http.StatusOK && agent.Alive
	})
	if err := b.Shutdown(); err != nil {
		t.Fatal(err)
	}
	until(t, "the conductor has lost its broker", func() bool { return !connected() })
	var p web.Problem
	if code := c.call("POST", "/api/v1/agents/gallery-bot-1/start", `{"by":"Ada"}`, &p); code != http.StatusServiceUnavailable ||
		p.Detail != "send request to gallery-bot-1: the conductor cannot send: broker not connected" || !strings.HasPrefix(p.Hint, "nothing was sent: try again") {
		t.Errorf("%d %+v", code, p)
	}
}

func TestRobotsOfAnotherCellAreSaid(t *testing.T) {
	s := settings()
	s.Cell = "default"
	c := begin(t, s, t.TempDir())
	newRobot(t, c.at.Broker, "gallery-bot-1")
	want := "Robots of cell gallery-east are on this broker, and this conductor serves cell default: run one with cell: gallery-east."
	until(t, want, func() bool {
		var status web.Status
		c.call("GET", "/api/v1/status", "", &status)
		return len(status.Problems) == 1 && status.Problems[0] == want && status.Agents == 0
	})
}

func TestMetrics(t *testing.T) {
	c := begin(t, settings(), t.TempDir())
	newRobot(t, c.at.Broker, "gallery-bot-1").ask()
	answer, err := http.Get(c.at.Dashboard + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	raw, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dancer_escalations_open 1", "dancer_escalations_total 1", "dancer_broker_connected 1", "go_goroutines"} {
		if !bytes.Contains(raw, []byte(want)) {
			t.Errorf("/metrics does not say %q", want)
		}
	}
}

// TestFaults checks the exact words of what stops a conductor from starting, and
// that none of it costs stored data.
func TestFaults(t *testing.T) {
	data := t.TempDir()
	c := begin(t, settings(), data)
	attempt := func(s *config.Conductor, data string) string {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := Run(ctx, Config{Settings: s, Data: data}); err != nil {
			return err.Error()
		}
		return ""
	}

	if got := attempt(settings(), data); !strings.HasPrefix(got, "data folder "+data+" is in use by another dancer (pid ") || !strings.HasSuffix(got, "): stop it or give --data another folder") {
		t.Errorf("two conductors on one folder: %q", got)
	}
	taken := settings()
	taken.Listen = strings.TrimPrefix(c.at.Dashboard, "http://")
	if got, want := attempt(taken, t.TempDir()), "listen "+taken.Listen+": the address is in use (another dancer? give --listen another address)"; got != want {
		t.Errorf("port taken: %q, want %q", got, want)
	}
	taken = settings()
	taken.BrokerListen = strings.TrimPrefix(c.at.Broker, "mqtt://")
	if got := attempt(taken, t.TempDir()); !strings.Contains(got, "--broker mqtt://"+taken.BrokerListen) {
		t.Errorf("broker port taken: %q", got)
	}
	scope := settings()
	scope.Scope = "region"
	if got, want := attempt(scope, t.TempDir()), "run conductor: scope region is not available in this version (use cell)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	open := settings()
	open.Listen = "0.0.0.0:0"
	if got, want := attempt(open, t.TempDir()), "listen 0.0.0.0:0: not a loopback address: set token_file, certificate and key first"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if code := c.call("GET", "/healthz", "", nil); code != http.StatusOK {
		t.Errorf("the first conductor answers %d", code)
	}
}

func TestRefusedPassword(t *testing.T) {
	b, err := broker.Start(broker.Options{Listen: "127.0.0.1:0", Dir: t.TempDir(), Username: "dancer", Password: "right"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Shutdown() }()
	s := settings()
	s.Broker, s.Username, s.PasswordFile = b.URL(), "dancer", filepath.Join("testdata", "wrong-password")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err = Run(ctx, Config{Settings: s, Data: t.TempDir()})
	want := fmt.Sprintf("broker %s: refused the user name or password: check username and password_file in conductor.yaml", b.URL())
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
