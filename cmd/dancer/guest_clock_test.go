package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/mesh"
	"dancer/mesh/mqtt"
	mcap "dancer/storage/recording"
)

// clockRounds is how often each of clockJumps is made: 102 repetitions.
const clockRounds = 34

// clockJumps are the jumps of one repetition, one after another.
var clockJumps = [][]time.Duration{
	{-time.Hour},
	{365 * 24 * time.Hour},
	{-time.Hour, 365 * 24 * time.Hour},
}

// Of the rounds, in these something more is looked at.
const (
	stoppedEvery = 3  // the robot stands: nothing may move
	questionOf   = 10 // a question is open, with its deadline to come
	latchOf      = 20 // a reflex latches, and the last minutes are sealed
)

// Bounds of what the guest's own clock measures.
const (
	reflexWithin   = time.Millisecond      // from the input's time stamp to the output's write
	answerWithin   = 50 * time.Millisecond // from the sensor's write to the reading of the motor's line
	questionAfter  = 4 * time.Second       // deadline of clockManual
	questionWithin = time.Second           // later than that: a decision, a poll and the event file
	toldWithin     = 5 * time.Second
)

const clockWiring = `robot: clock-bot
board: linux
manual: manual.yaml
ports:
  nav: {device: %s, baud: 115200, framing: json}
  base: {device: %s, baud: 115200, framing: lines, pattern: "ok={value}"}
signals:
  range: {port: nav, unit: m, range: [0, 8], stale_after: 300ms}
  gas:   {port: nav, unit: ppm, range: [0, 1000], stale_after: 1s}
  bump:  {port: nav, range: [0, 1], stale_after: 1s}
outputs:
  drive: {port: base, format: "M {value}\n", range: [0, 1], safe: 0}
  brake: {port: base, format: "B {value}\n", range: [0, 1], safe: 1}
  lamp:  {port: base, format: "L {value}\n", range: [0, 1], safe: 0}
lease: {expires_after: 300ms, stop: 1}
listen: %s
mesh: {off: true}
conductor: {broker: "mqtt://%s"}
recording: {keep: 1m, megabytes: 32, sealed: 1}
`

// clockManual: the edges of the test (0.25 m) are for the reflex alone. Nothing that
// the model lets follow from them is under a floor, so they raise no question.
const clockManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "range < 0.30 m", set: {drive: 0, brake: 1, lamp: 1}, until: "range > 0.45 m", stop: 2}
  - {name: bump, when: "bump > 0", set: safe, latch: operator, stop: 0}
model:
  step: 100ms
  next: {range: "range - 0.1 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.01, 0.01]}
  horizon: 1s
impact:
  human_safety: "10 - (range < 0.05 m ? 6 : 0) - gas / 100 ppm"
  task: "10 * drive"
actions:
  - {name: patrol, set: {drive: 0.5, brake: 0, lamp: 0}}
  - {name: halt, set: {drive: 0, brake: 1, lamp: 0}, fallback: true}
escalation: {hold: halt, deadline: 4s, on_timeout: halt, settle: 200ms}
`

// clockRobot is a robot beside its conductor, on a machine whose wall clock is
// set while they work.
type clockRobot struct {
	*benchRobot
	conductor string // address of its page
	robot     *process
	mqtt      heard
	told      clockTold
	frame     func(metres, gas, bump float64) // sends a frame now and repeats it from now on
	set       time.Duration                   // sum of all jumps so far
	jumps     int
	latencies []time.Duration // edge written to answer read, right after a jump
	calm      []time.Duration // the same without one
	questions int
	latches   int
}

// clockTold is what the robot has told in its event file so far. The file is read from
// where it was read last: to read all of it again and again would keep a small
// processor busy.
type clockTold struct {
	file   *os.File
	rest   []byte
	events map[string][]event // by kind
	jumps  time.Duration
}

// heard collects what came over MQTT.
type heard struct {
	mutex sync.Mutex
	jumps time.Duration
	count int
}

// TestInGuestWallClock sets the wall clock of the guest again and again while a
// robot and its conductor work.
func TestInGuestWallClock(t *testing.T) {
	inGuest(t)
	c := newClockRobot(newWorld(t))
	c.operator("start")
	c.until(20*time.Second, "the robot moves", c.moves)
	for range clockRounds {
		c.calm = append(c.calm, c.edge())
		c.until(10*time.Second, "the robot moves again", c.moves)
	}
	began := time.Now()
	for round := range clockRounds {
		for _, jumps := range clockJumps {
			c.repetition(round, jumps)
		}
	}
	t.Logf("%d jumps in %d repetitions, %v of the guest's time", c.jumps, clockRounds*len(clockJumps), time.Since(began).Round(time.Second))
	c.checkStore()
	c.checkLinks()
	c.robot.stop()
	c.checkLatencies()
	c.checkEvents()
	c.checkRecordings(time.Since(began))
}

func newClockRobot(w *world) *clockRobot {
	w.Helper()
	c := &clockRobot{benchRobot: &benchRobot{world: w, name: "clock-bot", listen: w.freePort(), sensor: w.newWire(), motor: w.newWire()}}
	c.data, c.events = filepath.Join(w.dir, "clock-bot", "data"), filepath.Join(w.dir, "clock-bot", "events")
	broker := w.freePort()
	c.conductor = w.freePort()
	w.start("conductor", w.file("conductor.yaml", "listen: "+c.conductor+"\nbroker_listen: "+broker+"\nmesh: {off: true}\n"), "--data", filepath.Join(w.dir, "conductor"))
	w.file("clock-bot/manual.yaml", clockManual)
	c.path = w.file("clock-bot/robot.yaml", fmt.Sprintf(clockWiring, c.sensor.Device, c.motor.Device, c.listen, broker))
	c.listenToMQTT(broker)
	c.feedFrames()
	c.robot = c.run("--record", filepath.Join(w.dir, "run.mcap"))
	c.until(60*time.Second, "the conductor sees the robot", c.online)
	return c
}

// listenToMQTT sums the jumps that the robot tells.
func (c *clockRobot) listenToMQTT(broker string) {
	c.Helper()
	client, err := mqtt.New(mqtt.Options{Broker: "mqtt://" + broker, ClientID: "listener"})
	if err != nil {
		c.Fatal(err)
	}
	err = client.Subscribe(mesh.Filter("default", c.name, mesh.KindEvent), func(_ string, payload []byte) error {
		var e struct {
			Body struct {
				Kind string `json:"kind"`
				Data struct {
					JumpNS int64 `json:"jump_ns"`
				} `json:"data"`
			} `json:"body"`
		}
		if err := json.Unmarshal(payload, &e); err != nil {
			return err
		}
		if e.Body.Kind == "clock" {
			c.mqtt.mutex.Lock()
			defer c.mqtt.mutex.Unlock()
			c.mqtt.jumps += time.Duration(e.Body.Data.JumpNS)
			c.mqtt.count++
		}
		return nil
	})
	if err != nil {
		c.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	joined := make(chan struct{})
	go func() { defer close(joined); _ = client.Run(ctx) }()
	c.Cleanup(func() { cancel(); <-joined })
	c.until(60*time.Second, "the broker answers", client.Connected)
}

// feedFrames sends the newest frame 20 times a second until the test ends.
func (c *clockRobot) feedFrames() {
	var mutex sync.Mutex
	var frame string
	send := func(text string) {
		mutex.Lock()
		defer mutex.Unlock()
		if text != "" {
			frame = text
		}
		_, _ = io.WriteString(c.sensor.master, frame) // a closed line ends with the test
	}
	c.frame = func(metres, gas, bump float64) {
		send(fmt.Sprintf("{\"range\": %.2f, \"gas\": %.0f, \"bump\": %.0f}\n", metres, gas, bump))
	}
	c.frame(2, 0, 0)
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				send("")
			}
		}
	}()
	c.Cleanup(func() { close(end); <-ended })
}

// edge puts something in the way and gives the time until the lamp's line is
// read, then takes it away. It is the time of two pseudo-terminals as well.
func (c *clockRobot) edge() time.Duration {
	c.Helper()
	before := len(c.motor.all("L 1"))
	at := time.Now()
	c.frame(0.25, 0, 0)
	var lines []written
	c.until(10*time.Second, "the reflex turns the lamp on", func() bool {
		lines = c.motor.all("L 1")
		return len(lines) > before
	})
	c.frame(2, 0, 0)
	c.until(10*time.Second, "the reflex is over", func() bool { return c.motor.last("L ") == "0" })
	return lines[before].at.Sub(at)
}

// setClock sets the wall clock by so much.
func (c *clockRobot) setClock(by time.Duration) {
	c.Helper()
	wall := unix.NsecToTimespec(time.Now().Add(by).UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &wall); err != nil {
		c.Fatalf("set the clock: %v", err)
	}
	c.set += by
	c.jumps++
}

// repetition makes the jumps of one repetition, looks at what the robot does, and
// sets the clock right again, which is one more jump.
func (c *clockRobot) repetition(round int, jumps []time.Duration) {
	c.Helper()
	stands := round%stoppedEvery == 1
	if stands {
		c.operator("stop")
		c.until(10*time.Second, "the robot stands", c.isSafe)
	}
	moved := len(c.motor.all("M 0.5"))
	right := c.set
	asked := c.ask(round)
	for _, by := range jumps {
		c.setClock(by)
	}
	if asked.IsZero() { // whoever asks holds the outputs
		c.latencies = append(c.latencies, c.edge())
	}
	c.awaitTold()
	c.answered(asked)
	if stands {
		if now := len(c.motor.all("M 0.5")); now != moved || !c.isSafe() {
			c.Errorf("round %d, %v: a robot that stands has moved", round, jumps)
		}
		c.operator("start")
	}
	c.until(10*time.Second, "the robot moves", c.moves)
	c.latch(round)
	c.setClock(right - c.set)
	c.awaitTold()
	if !c.online() {
		c.Errorf("round %d, %v: the conductor has lost the robot", round, jumps)
	}
}

func (c *clockRobot) online() bool {
	for _, a := range c.agents(c.conductor) {
		if a.Name == c.name {
			return a.Alive && a.Connection == mesh.Online
		}
	}
	return false
}

// awaitTold waits until the robot has told all jumps so far, in its events and over
// MQTT.
func (c *clockRobot) awaitTold() {
	c.Helper()
	near := func(sum time.Duration) bool {
		return (sum - c.set).Abs() < time.Duration(c.jumps+1)*10*time.Millisecond
	}
	c.until(toldWithin, "the jumps are told", func() bool {
		c.news("clock")
		return near(c.told.jumps)
	})
	c.until(toldWithin, "the jumps are told over MQTT", func() bool {
		c.mqtt.mutex.Lock()
		defer c.mqtt.mutex.Unlock()
		return near(c.mqtt.jumps)
	})
}

// news gives the events of a kind so far.
func (c *clockRobot) news(kind string) []event {
	c.Helper()
	if c.told.file == nil {
		file, err := os.Open(c.events)
		if err != nil {
			return nil // not begun
		}
		c.Cleanup(func() { _ = file.Close() })
		c.told.file, c.told.events = file, map[string][]event{}
	}
	more, err := io.ReadAll(c.told.file)
	if err != nil {
		c.Fatal(err)
	}
	c.told.rest = append(c.told.rest, more...)
	for {
		line, rest, ok := bytes.Cut(c.told.rest, []byte("\n"))
		if !ok {
			return c.told.events[kind]
		}
		c.told.rest = rest
		c.takeEvent(line)
	}
}

func (c *clockRobot) takeEvent(line []byte) {
	c.Helper()
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		c.Fatalf("read event: %v: %s", err, line)
	}
	c.told.events[e.Kind] = append(c.told.events[e.Kind], e)
	c.told.jumps += time.Duration(e.JumpNS)
}

// ask makes the robot ask, in some rounds, and gives the time at which it did.
func (c *clockRobot) ask(round int) time.Time {
	c.Helper()
	if round%questionOf != 0 {
		return time.Time{}
	}
	before := len(c.news("escalation"))
	c.frame(2, 700, 0)
	c.until(10*time.Second, "a question", func() bool { return len(c.news("escalation")) > before })
	c.questions++
	return time.Now()
}

// answered waits for the deadline of a question: it neither comes early nor late.
func (c *clockRobot) answered(asked time.Time) {
	c.Helper()
	if asked.IsZero() {
		return
	}
	over := func() bool {
		all := c.news("escalation")
		return len(all) > 0 && all[len(all)-1].State == "timed-out"
	}
	c.until(questionAfter+questionWithin, "the question's deadline", over)
	if took := time.Since(asked); took < questionAfter-questionWithin {
		c.Errorf("a question of %v was over after %v", questionAfter, took)
	}
	c.frame(2, 0, 0)
}

// latch makes a reflex latch, in some rounds, and clears it.
func (c *clockRobot) latch(round int) {
	c.Helper()
	if round%latchOf != 0 {
		return
	}
	c.frame(2, 0, 1)
	c.until(10*time.Second, "the robot is safe", c.isSafe)
	c.frame(2, 0, 0)
	c.until(10*time.Second, "the latch can be cleared", func() bool {
		code, _, _ := c.once("clear", c.name)
		return code == 0
	})
	c.latches++
	c.operator("start")
	c.until(10*time.Second, "the robot moves", c.moves)
}

// checkStore: what was decided last is what the store calls the newest.
func (c *clockRobot) checkStore() {
	c.Helper()
	var answer struct {
		Decisions []struct {
			ID        string        `json:"id"`
			Monotonic time.Duration `json:"monotonic"`
		}
	}
	c.get("http://"+c.listen+"/api/v1/decisions?limit=1000", &answer)
	if len(answer.Decisions) < 500 {
		c.Errorf("%d decisions are stored", len(answer.Decisions))
	}
	for i := 1; i < len(answer.Decisions); i++ {
		newer, older := answer.Decisions[i-1], answer.Decisions[i]
		if newer.ID <= older.ID || newer.Monotonic <= older.Monotonic {
			c.Fatalf("decision %s at %v stands before %s at %v", newer.ID, newer.Monotonic, older.ID, older.Monotonic)
		}
	}
}

// checkLinks: the connection to the broker never broke, and the conductor has
// every question, all of them over.
func (c *clockRobot) checkLinks() {
	c.Helper()
	if n := strings.Count(c.robot.stderr.String(), "broker connected"); n != 1 {
		c.Errorf("the robot connected to its broker %d times", n)
	}
	var answer struct {
		Escalations []struct {
			Status string `json:"status"`
		}
	}
	c.get("http://"+c.conductor+"/api/v1/escalations?state=all", &answer)
	if len(answer.Escalations) < c.questions {
		c.Errorf("the conductor has %d questions, %d were asked", len(answer.Escalations), c.questions)
	}
	for _, q := range answer.Escalations {
		if q.Status != "timed-out" {
			c.Errorf("a question is %s", q.Status)
		}
	}
}

func (c *clockRobot) checkLatencies() {
	c.Helper()
	c.Logf("edge to answer through two pseudo-terminals: %s; without a jump %s", spread(c.latencies), spread(c.calm))
	var spine []time.Duration
	for _, e := range c.news("reflex") {
		if e.Active && e.Frame > 0 {
			spine = append(spine, time.Duration(e.LatencyNS))
		}
	}
	c.Logf("of it in the spine, from the wake-up that read the frame to the output's write: %s", spread(spine))
	if len(spine) < len(c.latencies)+len(c.calm) {
		c.Errorf("%d reflexes were told, %d fired", len(spine), len(c.latencies)+len(c.calm))
	}
	// A line discipline hands bytes over in a kernel worker of ordinary priority,
	// which waits for the brain: that is the pseudo-terminals' part.
	if worst := slices.Max(spine); worst > reflexWithin {
		c.Errorf("a reflex came %v after its input", worst)
	}
	if worst := slices.Max(c.latencies); worst > answerWithin {
		c.Errorf("an answer came %v after its edge", worst)
	}
}

func spread(all []time.Duration) string {
	sorted := slices.Sorted(slices.Values(all))
	at := func(p float64) time.Duration {
		return sorted[int(math.Ceil(p*float64(len(sorted))))-1].Round(time.Microsecond)
	}
	return fmt.Sprintf("p50 %v, p99 %v, longest %v of %d", at(0.5), at(0.99), at(1), len(sorted))
}

// checkEvents: no lease was lost, and log and events tell the same jumps.
func (c *clockRobot) checkEvents() {
	c.Helper()
	for _, e := range c.news("lease") {
		if e.State == "expired" {
			c.Errorf("the lease expired at %v", e.At)
		}
	}
	told := len(c.news("clock"))
	if logged := strings.Count(c.robot.stderr.String(), "the wall clock was set"); logged != told {
		c.Errorf("%d jumps are in the log, %d in the events", logged, told)
	}
	c.mqtt.mutex.Lock()
	defer c.mqtt.mutex.Unlock()
	if c.mqtt.count != told {
		c.Errorf("%d jumps came over MQTT, %d are in the events", c.mqtt.count, told)
	}
	c.Logf("%d jumps told, each in the events, in the log and over MQTT", told)
}

// checkRecordings: time goes on evenly in them, they have the jumps, they replay,
// and old ones went while the newest stayed.
func (c *clockRobot) checkRecordings(took time.Duration) {
	c.Helper()
	path := filepath.Join(c.dir, "run.mcap")
	r, done, err := mcap.Open(path)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = done() }()
	if d := r.Duration(); d < took || d > took+10*time.Minute {
		c.Errorf("a recording of %v is %v long", took, d)
	}
	told := len(c.news("clock"))
	if n := c.recordedJumps(r); n != told {
		c.Errorf("%d jumps are recorded, %d were told", n, told)
	}
	if code, stdout, stderr := c.once("replay", path); code != 0 {
		c.Errorf("replay: exit code %d: %s%s", code, stdout, stderr)
	}
	ring, _ := filepath.Glob(filepath.Join(c.data, "brain", "recordings", "*.mcap"))
	if len(ring) < 10 || len(ring) > 30 { // a minute in pieces of three seconds, and what is not yet pruned
		c.Errorf("the ring has %d files", len(ring))
	}
	seals, _ := filepath.Glob(filepath.Join(c.data, "brain", "sealed", "*", "causes.json"))
	newest := uint64(0)
	for _, path := range seals {
		text, err := os.ReadFile(path)
		var causes struct{ Number uint64 }
		if err := errors.Join(err, json.Unmarshal(text, &causes)); err != nil {
			c.Error(err)
		}
		newest = max(newest, causes.Number)
	}
	if len(seals) != 1 || newest < 2 {
		c.Errorf("%d seals are kept of %d: the newest alone was wanted, of two at least", len(seals), newest)
	}
}

func (c *clockRobot) recordedJumps(r *mcap.Recording) (n int) {
	c.Helper()
	err := r.NewReader().Each(func(m *mcap.Message) error {
		if r.Topics[m.Topic].Name == "/clock" {
			n++
		}
		return nil
	})
	if err != nil {
		c.Error(err)
	}
	return n
}
