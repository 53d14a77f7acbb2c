package brain_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/mesh/broker"
	"dancer/mesh/mqtt"
	"dancer/runtime/spine"
)

const advisedRobot = `
robot: advised
board: sim
manual: manual.yaml
listen: %LISTEN%
conductor: {broker: off}
mesh: {off: true}
recording: {keep: 0s}
mqtt:
  home: {broker: "mqtt://%BROKER%"}
signals:
  range: {unit: m, range: [0, 8], stale_after: 60s, start: 3}
  gate:  {mqtt: home, topic: zigbee2mqtt/gate, path: "doors[0].open", boolean: true, stale_after: 60s, publish: true}
  wind:  {mqtt: home, topic: garden/wind, unit: m/s, range: [0, 60], stale_after: 60s, publish: true}
  old:   {mqtt: home, topic: garden/old, range: [0, 9], stale_after: 60s, publish: true}
  load:  {from: post, unit: kg, range: [0, 500], stale_after: 60s, publish: true}
  busy:  {from: post, boolean: true, stale_after: 60s, publish: true}
outputs:
  drive: {pin: GPIO18, safe: 0}
`

const advisedManual = `
values:
  - {name: human_safety, floor: 5}
reflexes:
  - {name: near, when: "range < 0.3 m", set: {drive: 0}, stop: 1}
  - {name: overload, when: "load > 200 kg", set: {drive: 0}, stop: 2}
impact:
  human_safety: "10"
actions:
  - {name: halt, set: {drive: 0}, fallback: true}
`

// startBroker starts the broker of the binary at an address of its own.
func startBroker(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	b, err := broker.Start(broker.Options{Listen: address, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Shutdown(); err != nil {
			t.Error(err)
		}
	})
	return address
}

// startPublisher gives a client that is connected.
func startPublisher(t *testing.T, r *robot, address string) *mqtt.Client {
	t.Helper()
	client, err := mqtt.New(mqtt.Options{Broker: "mqtt://" + address, ClientID: "sensor"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- client.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	r.until(20*time.Second, "publisher connected", client.Connected)
	return client
}

// state of the robot as its page shows it: the published signals and the invalid ones.
func (r *robot) signals() (values map[string]float64, invalid string) {
	var agents struct {
		Agents []struct {
			Name  string
			State struct {
				Signals  map[string]float64
				Invalid  []string
				Reflexes []string
			}
		}
	}
	if r.get("/api/v1/agents", &agents) != nil || len(agents.Agents) == 0 {
		return nil, "?"
	}
	s := agents.Agents[0].State
	return s.Signals, strings.Join(s.Invalid, " ")
}

func (r *robot) post(body string) int {
	r.t.Helper()
	answer, err := http.Post(r.page+"/api/v1/signals", "application/json", strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

func TestAdviceReachesTheSpine(t *testing.T) {
	address := startBroker(t)
	before := &robot{t: t, name: "before"}
	sensor := startPublisher(t, before, address)
	publish := func(topic, payload string, retained bool) {
		t.Helper()
		if err := sensor.Publish(t.Context(), topic, retained, []byte(payload)); err != nil {
			t.Fatal(err)
		}
	}
	publish("garden/old", "5", true) // kept by the broker: nobody knows how old it is
	r := start(t, strings.ReplaceAll(advisedRobot, "%BROKER%", address), advisedManual, "")
	r.until(20*time.Second, "page", func() bool { _, invalid := r.signals(); return invalid != "?" })
	// Until the subscription is made, messages go nowhere: repeat them.
	r.until(20*time.Second, "topics", func() bool {
		publish("zigbee2mqtt/gate", `{"doors":[{"open":true}]}`, false)
		publish("garden/wind", "12.5", false)
		values, _ := r.signals()
		return values["gate"] == 1 && values["wind"] == 12.5
	})
	if values, invalid := r.signals(); !strings.Contains(invalid, "old") {
		t.Errorf("a retained message counts as new: %v, invalid %q", values, invalid)
	}
	publish("zigbee2mqtt/gate", `{"doors":[{"open":"broken"}]}`, false)
	r.until(20*time.Second, "a word that is no number", func() bool { _, invalid := r.signals(); return strings.Contains(invalid, "gate") })

	if status := r.post(`{"load": 180.5, "busy": true}`); status != http.StatusNoContent {
		t.Errorf("post says %d", status)
	}
	r.until(20*time.Second, "posts", func() bool { values, _ := r.signals(); return values["load"] == 180.5 && values["busy"] == 1 })
	for body, want := range map[string]int{
		`{"range": 0.1}`: http.StatusUnprocessableEntity, `{"gate": 1}`: http.StatusUnprocessableEntity, `{"load": "heavy"}`: http.StatusUnprocessableEntity,
		`{"load": null}`: http.StatusUnprocessableEntity, `[1]`: http.StatusBadRequest, `{"load": 90, "nothing": 1}`: http.StatusUnprocessableEntity,
	} {
		if status := r.post(body); status != want {
			t.Errorf("%s: %d, want %d", body, status, want)
		}
	}
	if values, _ := r.signals(); values["load"] != 180.5 {
		t.Errorf("a refused post was taken: load %v", values["load"])
	}
	r.post(`{"load": 300}`)
	r.until(20*time.Second, "the reflex on a post", func() bool { return r.has("reflex", map[string]any{"rule": "overload", "active": true}) })

	// The same signal by the socket, which needs no brain.
	r.send(`{"load": 20, "range": 0.1}`)
	r.until(20*time.Second, "the socket", func() bool { values, _ := r.signals(); return values["load"] == 20 })
	metrics := r.text("/metrics")
	for _, want := range []string{
		`dancer_source_frames_total{source="post"} 1`, `dancer_source_open{source="mqtt-home"} 1`, `dancer_source_dropped_total{source="mqtt-home"} 1`,
		"dancer_advice_unusable_total 1", "dancer_advice_lost_total 0",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics do not say %s", want)
		}
	}
}

// send posts by the socket in the data folder.
func (r *robot) send(text string) {
	r.t.Helper()
	info, err := os.Stat(filepath.Join(r.data, spine.PostSocket))
	if err != nil {
		r.t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		r.t.Errorf("the socket's mode is %v", info.Mode())
	}
	c, err := net.Dial("unixgram", filepath.Join(r.data, spine.PostSocket))
	if err != nil {
		r.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(text)); err != nil {
		r.t.Fatal(err)
	}
}
