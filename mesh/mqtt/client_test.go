package mqtt_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/mqtt"
	"dancer/storage"
	"dancer/storage/bolt"
)

// run starts a client and ends it, joined, with the test.
func run(t *testing.T, o mqtt.Options, prepare func(*mqtt.Client)) *mqtt.Client {
	t.Helper()
	c, err := mqtt.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if prepare != nil {
		prepare(c)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("Run does not end")
		}
	})
	return c
}

func openStore(t *testing.T) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(t.TempDir(), "robot")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, storage.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

// receiver is a conductor's side: it stores each escalation once and then
// acknowledges it, again when it comes again.
type receiver struct {
	t      *testing.T
	store  *bolt.Store
	client *mqtt.Client
	ids    *mesh.IDs
	mutex  sync.Mutex
	stored map[string]int // effects by id
	copies int
}

func (r *receiver) take(_ string, payload []byte) error {
	e, err := mesh.Parse(payload)
	if err != nil {
		r.t.Error(err)
		return nil
	}
	change := storage.Change{Table: storage.TableEscalations, Key: e.ID, Value: payload}
	err = r.store.WriteOnce(context.Background(), e.ID, change)
	r.mutex.Lock()
	r.copies++
	if err == nil {
		r.stored[e.ID]++
	}
	r.mutex.Unlock()
	if err != nil && !errors.Is(err, storage.ErrDuplicate) {
		return err
	}
	_ = r.client.Publish(context.Background(), "dancer/v1/hall/bot/ack", false, envelope(r.t, r.ids, mesh.KindAck, mesh.Ack{Of: e.ID, Outcome: "stored"}))
	return nil
}

func envelope(t *testing.T, ids *mesh.IDs, kind mesh.Kind, body any) []byte {
	t.Helper()
	id, err := ids.Next(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	e, err := mesh.NewWithID(id, kind, "bot", 1, time.Now(), body)
	if err != nil {
		t.Fatal(err)
	}
	payload, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

// TestOutage: 200 items are stored while the broker is away; after it is back
// each has its effect exactly once, and the outbox is empty.
func TestOutage(t *testing.T) {
	const items = 200
	eachBroker(t, func(t *testing.T, b testBroker) {
		ids := mesh.NewIDs(rand.Reader)
		r := &receiver{t: t, store: openStore(t), ids: ids, stored: map[string]int{}}
		r.client = run(t, mqtt.Options{Broker: b.url(), ClientID: "conductor"}, func(c *mqtt.Client) {
			if err := c.Subscribe(mesh.Filter("hall", mesh.AnyName, mesh.KindEscalation), func(topic string, p []byte) error { return r.take(topic, p) }); err != nil {
				t.Fatal(err)
			}
			r.client = c
		})
		outbox := openStore(t).Outbox()
		robot := run(t, mqtt.Options{Broker: b.url(), ClientID: "robot", Outbox: outbox}, nil)
		if err := robot.Subscribe("dancer/v1/hall/bot/ack", func(_ string, payload []byte) error {
			e, err := mesh.Parse(payload)
			if err != nil {
				return nil
			}
			ack, err := mesh.Body[mesh.Ack](e)
			if err != nil {
				t.Error(err)
			}
			return robot.Acked(ack.Of)
		}); err != nil {
			t.Fatal(err)
		}
		until(t, "both connected", func() bool { return robot.Connected() && r.client.Connected() })

		b.stop(t)
		until(t, "both notice", func() bool { return !robot.Connected() && !r.client.Connected() })
		for range items {
			sendEscalation(t, robot, outbox, ids)
		}
		if n := outbox.Len(); n != items {
			t.Fatalf("outbox holds %d of %d items while the broker is away", n, items)
		}
		b.start(t)

		until(t, "the outbox is empty", func() bool { return outbox.Len() == 0 })
		r.mutex.Lock()
		defer r.mutex.Unlock()
		if len(r.stored) != items {
			t.Errorf("%d of %d arrived", len(r.stored), items)
		}
		for id, n := range r.stored {
			if n != 1 {
				t.Errorf("%s had its effect %d times", id, n)
			}
		}
		t.Logf("%d copies for %d items, robot %+v", r.copies, items, robot.Status())
	})
}

func sendEscalation(t *testing.T, robot *mqtt.Client, outbox *bolt.Outbox, ids *mesh.IDs) string {
	t.Helper()
	question, err := ids.Next(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	body := mesh.Escalation{ID: question, State: "open", Robot: "bot", Cell: "hall", Decision: []byte(`{"filler":"` + strings.Repeat("x", 4000) + `"}`)}
	payload := envelope(t, ids, mesh.KindEscalation, body)
	e, err := mesh.Parse(payload)
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Put(context.Background(), mesh.Item{ID: e.ID, Topic: "dancer/v1/hall/bot/escalation", Payload: payload}); err != nil {
		t.Fatal(err)
	}
	robot.Send(e.ID)
	return e.ID
}

// TestOutboxSurvivesRestart: what was stored before a restart is sent after it.
func TestOutboxSurvivesRestart(t *testing.T) {
	b := newNATS(t)
	dir, ids := t.TempDir(), mesh.NewIDs(rand.Reader)
	s, err := bolt.Open(dir, "robot")
	if err != nil {
		t.Fatal(err)
	}
	offline, err := mqtt.New(mqtt.Options{Broker: b.url(), ClientID: "robot", Outbox: s.Outbox()})
	if err != nil {
		t.Fatal(err)
	}
	id := sendEscalation(t, offline, s.Outbox(), ids)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = bolt.Open(dir, "robot"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	got := make(chan string, 16)
	listener := run(t, mqtt.Options{Broker: b.url(), ClientID: "conductor"}, func(c *mqtt.Client) {
		_ = c.Subscribe("dancer/v1/+/+/escalation", func(_ string, p []byte) error {
			e, err := mesh.Parse(p)
			got <- e.ID
			return err
		})
	})
	until(t, "listener connected", listener.Connected)
	robot := run(t, mqtt.Options{Broker: b.url(), ClientID: "robot", Outbox: s.Outbox()}, nil)
	select {
	case have := <-got:
		if have != id {
			t.Errorf("got %s, want %s", have, id)
		}
	case <-time.After(patience):
		t.Fatal("never sent")
	}
	if err := robot.Acked(id); err != nil || s.Outbox().Len() != 0 {
		t.Errorf("after the ack: %v, %d items left", err, s.Outbox().Len())
	}
}

// TestPresence: ONLINE is retained after a connect, OFFLINE after an orderly end.
func TestPresence(t *testing.T) {
	eachBroker(t, func(t *testing.T, b testBroker) {
		states := make(chan string, 16)
		watcher := run(t, mqtt.Options{Broker: b.url(), ClientID: "watcher"}, func(c *mqtt.Client) {
			_ = c.Subscribe("dancer/v1/hall/bot/connection", func(_ string, p []byte) error {
				states <- string(p)
				return nil
			})
		})
		until(t, "watcher connected", watcher.Connected)
		for range 20 { // an end just after ONLINE, while the client is still greeting, is one now and then
			robot, err := mqtt.New(mqtt.Options{Broker: b.url(), ClientID: "robot", Presence: mqtt.Presence{
				Topic: "dancer/v1/hall/bot/connection", Message: func(state string) []byte { return []byte(state) }}})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error, 1)
			go func() { done <- robot.Run(ctx) }()
			expect(t, states, mesh.Online)
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
			expect(t, states, mesh.Offline)
		}
	})
}

// TestPresenceIsSaidAgain: who missed ONLINE hears it a little later, and a last
// will that comes too late does not stand.
func TestPresenceIsSaidAgain(t *testing.T) {
	eachBroker(t, func(t *testing.T, b testBroker) {
		topic := "dancer/v1/hall/bot/connection"
		states := make(chan string, 1000)
		watcher := run(t, mqtt.Options{Broker: b.url(), ClientID: "watcher"}, func(c *mqtt.Client) {
			_ = c.Subscribe(topic, func(_ string, p []byte) error {
				states <- string(p)
				return nil
			})
		})
		until(t, "watcher connected", watcher.Connected)
		robot := run(t, mqtt.Options{Broker: b.url(), ClientID: "robot", Presence: mqtt.Presence{
			Topic: topic, Every: 50 * time.Millisecond, Message: func(state string) []byte { return []byte(state) }}}, nil)
		until(t, "robot connected", robot.Connected)
		if err := watcher.Publish(t.Context(), topic, true, []byte(mesh.Broken)); err != nil {
			t.Fatal(err)
		}
		for have := ""; have != mesh.Broken; {
			select {
			case have = <-states:
			case <-time.After(patience):
				t.Fatal("BROKEN never came")
			}
		}
		expect(t, states, mesh.Online)
		expect(t, states, mesh.Online)
	})
}

func expect(t *testing.T, states <-chan string, want string) {
	t.Helper()
	select {
	case have := <-states:
		if have != want {
			t.Errorf("state %s, want %s", have, want)
		}
	case <-time.After(patience):
		t.Fatalf("never %s", want)
	}
}

// TestRefusedPassword checks the exact message.
func TestRefusedPassword(t *testing.T) {
	findMosquitto(t)
	tool, err := exec.LookPath("mosquitto_passwd")
	if err != nil {
		t.Skip("mosquitto_passwd is not installed")
	}
	passwords := filepath.Join(t.TempDir(), "passwords")
	if out, err := exec.Command(tool, "-c", "-b", passwords, "bot", "right").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b := newMosquitto(t, "allow_anonymous false", "password_file "+passwords)
	options := mqtt.Options{Broker: b.url(), ClientID: "robot", Username: "bot", Password: "wrong", GiveUpWhenRefused: true}
	c, err := mqtt.New(options)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Run(context.Background())
	want := "broker " + b.url() + ": refused the user name or password: check conductor.username and conductor.password_file in robot.yaml"
	if err == nil || err.Error() != want || !errors.Is(err, mqtt.ErrRefused) {
		t.Errorf("have %v\nwant %s", err, want)
	}
	if have := c.Status().LastError; have == nil || have.Error() != want {
		t.Errorf("status says %v", have)
	}
	options.Password = "right"
	until(t, "connected with the right one", run(t, options, nil).Connected)
}

// TestUnreachable: Run goes on trying, the status names the cure, and the log
// has the line once.
func TestUnreachable(t *testing.T) {
	url := fmt.Sprintf("mqtt://127.0.0.1:%d", freePort(t))
	var log safeBuffer
	c := run(t, mqtt.Options{Broker: url, ClientID: "robot", Log: slog.New(slog.NewTextHandler(&log, nil))}, nil)
	until(t, "an error", func() bool { return c.Status().LastError != nil })
	err := c.Status().LastError
	if !errors.Is(err, mqtt.ErrUnreachable) || !strings.HasPrefix(err.Error(), "broker "+url+": not reachable: ") || !strings.HasSuffix(err.Error(), "is it running? trying again") {
		t.Errorf("have %v", err)
	}
	if c.Publish(context.Background(), "dancer/v1/hall/bot/state", true, []byte("x")) != mqtt.ErrOffline || c.Status().Dropped != 1 {
		t.Errorf("publish while offline: %+v", c.Status())
	}
	if n := strings.Count(log.String(), "not reachable"); n != 1 {
		t.Errorf("%d log lines:\n%s", n, log.String())
	}
}

type safeBuffer struct {
	mutex sync.Mutex
	bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.Write(p)
}

func (b *safeBuffer) String() string {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.Buffer.String()
}

// TestHandlerErrors: a handler that fails is called three times with a message,
// and the next message still comes.
func TestHandlerErrors(t *testing.T) {
	b := newNATS(t)
	got := make(chan string, 16)
	c := run(t, mqtt.Options{Broker: b.url(), ClientID: "one"}, func(c *mqtt.Client) {
		_ = c.Subscribe("dancer/v1/hall/bot/event", func(_ string, p []byte) error {
			got <- string(p)
			if string(p) == "bad" {
				return errors.New("disk full")
			}
			return nil
		})
	})
	until(t, "connected", c.Connected)
	for _, text := range []string{"bad", "good"} {
		if err := c.Publish(context.Background(), "dancer/v1/hall/bot/event", false, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"bad", "bad", "bad", "good"} {
		expect(t, got, want)
	}
	if s := c.Status(); s.Failed != 1 || s.Received != 2 {
		t.Errorf("status %+v", s)
	}
}

// TestNoLeak: clients that have ended leave no goroutine behind.
func TestNoLeak(t *testing.T) {
	b := newNATS(t)
	session := func(i int) {
		c, err := mqtt.New(mqtt.Options{Broker: b.url(), ClientID: fmt.Sprintf("c%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Subscribe("dancer/v1/hall/bot/event", func(string, []byte) error { return nil })
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- c.Run(ctx) }()
		until(t, "connected", c.Connected)
		cancel()
		<-done
	}
	session(0)
	before := runtime.NumGoroutine()
	for i := range 10 {
		session(i + 1)
	}
	until(t, fmt.Sprintf("back to about %d goroutines", before), func() bool { return runtime.NumGoroutine() <= before+5 })
}
