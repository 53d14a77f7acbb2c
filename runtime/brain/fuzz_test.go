package brain

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/mesh"
	"dancer/mesh/mqtt"
	"dancer/partner"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/runtime/spine"
)

const fuzzedQuestion = "01JD8Z7M8R0000000000000000"

// FuzzReceive hands a robot whose question is open any payload on its own topics, as
// a broker may. None stops it or is an error (the client would bring it again and
// again), and whatever it says, no option runs that a floor has vetoed.
func FuzzReceive(f *testing.F) {
	b := leaking(f)
	at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	seeds := 0
	add := func(kind mesh.Kind, body any) {
		seeds++
		e, err := mesh.NewWithID(fmt.Sprintf("01JD8Z7M8R%016d", seeds), kind, "_conductor-museum", 1, at, body)
		if err != nil {
			f.Fatal(err)
		}
		payload, err := e.Encode()
		if err != nil {
			f.Fatal(err)
		}
		for topic := range receivedKinds {
			f.Add(uint8(topic), payload)
		}
	}
	for _, option := range []string{"", "ventilate", "patrol", "nothing"} {
		add(mesh.KindRuling, mesh.Ruling{Escalation: fuzzedQuestion, Verdict: mesh.RuleApprove, Option: option, By: "kim"})
	}
	for _, verdict := range []string{mesh.RuleDeny, mesh.RuleDefer, mesh.RuleReschedule, mesh.RuleEscalate} {
		add(mesh.KindRuling, mesh.Ruling{Escalation: fuzzedQuestion, Verdict: verdict, By: "kim"})
	}
	add(mesh.KindRequest, mesh.Request{Do: "clear", By: "kim", Latch: "estop"})
	add(mesh.KindRequest, mesh.Request{Do: "start", By: "kim"})
	add(mesh.KindAck, mesh.Ack{Of: fuzzedQuestion, Outcome: "stored"})
	f.Add(uint8(0), []byte(`{"id":`))
	if _, outcome := b.ruled(f, "ventilate"); outcome != dancer.RulingApplied {
		f.Fatalf("a good ruling is %s", outcome)
	}
	if running, outcome := b.ruled(f, "patrol"); outcome != dancer.RulingVetoed || running == "patrol" {
		f.Fatalf("a vetoed option is %s, and %s runs", outcome, running)
	}
	f.Fuzz(func(t *testing.T, topic uint8, payload []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		d := b.raise(t)
		if err := b.receive(ctx, receivedKinds[int(topic)%len(receivedKinds)], payload); err != nil {
			t.Fatal(err)
		}
		var running string
		if err := b.call(ctx, func(b *brain) { running, _ = b.question.Effective(b.clock()) }); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(d.Verdict.Survivors, d.Find(running).Is) {
			t.Fatalf("%s runs, which a floor has vetoed; left are %v", running, d.Verdict.Survivors)
		}
	})
}

// receivedKinds are the topics that a robot subscribes to.
var receivedKinds = []mesh.Kind{mesh.KindRuling, mesh.KindRequest, mesh.KindAck}

// leaking is the brain of the gas leak, with its store and without broker, spine
// and cycle.
func leaking(f *testing.F) *brain {
	robot, problems := config.Load("../../examples/museum-gas/robot-sim.yaml", config.Options{})
	if err := problems.Err(); err != nil {
		f.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	archive, err := openArchive(f.TempDir(), log)
	if err != nil {
		f.Fatal(err)
	}
	ends, err := link.NewEnds(spine.Layout(robot))
	if err != nil {
		f.Fatal(err)
	}
	for ends.Segment.PostRequest(link.Request{}) { // there is no spine: a further request is refused at once
	}
	b := &brain{
		clock: link.Now, wall: time.Now, robot: robot, manual: robot.Manual, ends: ends, log: log, archive: archive, ids: mesh.NewIDs(rand.Reader),
		calls: make(chan func(*brain)), changed: make(chan struct{}, 1), requests: newRequests(ends),
	}
	b.hub = newHub(b.wall)
	b.question = dancer.NewQuestion(b.manual, b.newID)
	client, err := mqtt.New(mqtt.Options{Broker: defaultBroker, ClientID: "fuzzed", Outbox: archive.store.Outbox(), Log: log})
	if err != nil {
		f.Fatal(err)
	}
	b.mail = &mail{client: client, outbox: archive.store.Outbox(), ids: b.ids, cell: robot.Cell, name: robot.Name, wall: b.wall, log: log}
	end, ended := make(chan struct{}), make(chan struct{})
	go func() { // the decision goroutine
		defer close(ended)
		for {
			select {
			case call := <-b.calls:
				call(b)
			case <-end:
				return
			}
		}
	}()
	f.Cleanup(func() {
		close(end)
		<-ended
		if err := archive.store.Close(); err != nil {
			f.Error(err)
		}
		if err := ends.Close(); err != nil {
			f.Error(err)
		}
	})
	return b
}

// ruled approves an option of a new question and says what runs then.
func (b *brain) ruled(t testing.TB, option string) (running, outcome string) {
	t.Helper()
	b.raise(t)
	id := b.newID()
	ack, err := b.applyRuling(context.Background(), id, mesh.Ruling{Escalation: fuzzedQuestion, Verdict: mesh.RuleApprove, Option: option, By: "kim"})
	if err != nil {
		t.Fatal(err)
	}
	return ack.Running, ack.Outcome
}

// raise opens a new question on the leak and gives the decision that it is about.
func (b *brain) raise(t testing.TB) dancer.Decision {
	t.Helper()
	var p partner.Partner
	in := dancer.Input{Robot: b.robot.Name, Monotonic: b.clock(), Seed: 1, Rollouts: 8}
	for _, s := range b.manual.Signals {
		value := map[string]float64{"gas": 700, "people": 2}[s.Name]
		in.Values, in.Validity, in.Age = append(in.Values, value), append(in.Validity, hal.Valid), append(in.Age, 0)
	}
	for _, o := range b.manual.Outputs {
		in.Values = append(in.Values, o.Safe)
	}
	d := dancer.Decide(b.manual, in, p.Corners, p.Forecast)
	if d.Verdict.Outcome != dancer.OutcomeUnderFloor || len(d.Verdict.Survivors) < 2 || len(d.Verdict.Vetoes) == 0 {
		t.Fatalf("the leak is no dilemma: %+v", d.Verdict)
	}
	err := b.call(context.Background(), func(b *brain) {
		b.question = dancer.NewQuestion(b.manual, func() string { return fuzzedQuestion })
		b.question.Observe(d.Monotonic, d)
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}
