package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/storage"
	"dancer/storage/bolt"
)

// leaseOfBench is the lease of the robot below. A brain that dies is seen at
// once, a brain that hangs only by this.
const leaseOfBench = 300 * time.Millisecond

// slack is what the outputs may be later than the lease on a machine that runs
// the tests of other packages beside this one, through a pseudo-terminal.
const slack = 200 * time.Millisecond

// benchRobot is a robot on two serial lines: a range finder that sends JSON, and
// a motor board with a motor, a brake and a lamp that a reflex turns on.
type benchRobot struct {
	*world
	name       string
	path, data string
	listen     string
	events     string
	sensor     *wire
	motor      *wire
	stopFeed   func()
	distance   func(metres float64)
	fed        atomic.Int64 // readings sent
}

// newBenchRobot writes the robot's files and starts to feed its range finder at
// 20 Hz.
func newBenchRobot(w *world, name, extra string) *benchRobot {
	w.Helper()
	b := &benchRobot{world: w, name: name, listen: w.freePort(), sensor: w.newWire(), motor: w.newWire()}
	b.data = filepath.Join(w.dir, name, "data")
	b.events = filepath.Join(w.dir, name, "events")
	w.file(name+"/manual.yaml", benchManual)
	b.path = w.file(name+"/robot.yaml", fmt.Sprintf(benchWiring, name, b.sensor.Device, b.motor.Device, leaseOfBench, b.listen)+extra)
	b.feed()
	return b
}

const benchWiring = `robot: %s
board: linux
manual: manual.yaml
ports:
  nav: {device: %s, baud: 115200, framing: json}
  base: {device: %s, baud: 115200, framing: lines, pattern: "ok={value}"}
signals:
  range: {port: nav, unit: m, range: [0, 8], stale_after: 300ms}
outputs:
  drive: {port: base, format: "M {value}\n", range: [0, 1], safe: 0}
  brake: {port: base, format: "B {value}\n", range: [0, 1], safe: 1}
  lamp:  {port: base, format: "L {value}\n", range: [0, 1], safe: 0}
lease: {expires_after: %s, stop: 1}
listen: %s
mesh: {off: true}
`

const benchManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "range < 0.30 m", set: {drive: 0, brake: 1, lamp: 1}, until: "range > 0.45 m", stop: 2}
model:
  step: 100ms
  next: {range: "range - 0.1 m/s * drive * dt + d.range"}
  disturbance: {range: [-0.01, 0.01]}
  horizon: 1s
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
  task: "10 * drive"
actions:
  - {name: patrol, set: {drive: 0.5, brake: 0, lamp: 0}}
  - {name: halt, set: {drive: 0, brake: 1, lamp: 0}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

const brokerOff = "conductor: {broker: off}\n"

// feed sends the distance 20 times a second until the test ends.
func (b *benchRobot) feed() {
	var mutex sync.Mutex
	metres := 2.0
	b.distance = func(m float64) { mutex.Lock(); defer mutex.Unlock(); metres = m }
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for tick := time.NewTicker(50 * time.Millisecond); ; {
			select {
			case <-end:
				tick.Stop()
				return
			case <-tick.C:
				mutex.Lock()
				m := metres
				mutex.Unlock()
				b.fed.Add(1)
				_, _ = fmt.Fprintf(b.sensor.master, "{\"range\": %.2f}\n", m) // a closed line ends with the test
			}
		}
	}()
	b.stopFeed = sync.OnceFunc(func() { close(end); <-ended })
	b.Cleanup(b.stopFeed)
}

// run starts the robot and waits until it has decided for the first time.
func (b *benchRobot) run(extra ...string) *process {
	b.Helper()
	p := b.start(append([]string{"run", b.path, "--data", b.data, "--events", b.events}, extra...)...)
	b.until(20*time.Second, b.name+" is up, with a live lease", func() bool {
		return b.state(b.listen, b.name).Lease == "live" || p.ended()
	})
	if p.ended() {
		b.Fatalf("%s ended", b.name)
	}
	return p
}

// operator gives `dancer start` and the like.
func (b *benchRobot) operator(do string) {
	b.Helper()
	if code, stdout, stderr := b.once(do, b.name); code != 0 {
		b.Fatalf("dancer %s %s: exit %d: %s%s", do, b.name, code, stdout, stderr)
	}
}

func (b *benchRobot) moves() bool { return b.motor.last("M ") == "0.5" && b.motor.last("B ") == "0" }
func (b *benchRobot) isSafe() bool {
	return b.motor.last("M ") == "0" && b.motor.last("B ") == "1"
}

// records counts what the robot keeps on disk, by id.
func (b *benchRobot) records() map[string]bool {
	b.Helper()
	var answer struct {
		Decisions []struct {
			ID string `json:"id"`
		}
	}
	b.get("http://"+b.listen+"/api/v1/decisions?limit=1000", &answer)
	ids := map[string]bool{}
	for _, d := range answer.Decisions {
		ids[d.ID] = true
	}
	return ids
}

// TestEndToEndBrainKilled kills the brain again and again: outputs are safe
// within the lease, reflexes go on, the brain comes back, nothing moves until an
// operator starts it, and what was stored is still there.
func TestEndToEndBrainKilled(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "kill-bot", brokerOff)
	rounds, apart := 3, time.Duration(0)
	if soak() {
		rounds, apart = 10, 25*time.Second
	}
	b.rewire("mesh: {off: true}", "mesh: {join: auto}\ncell: "+b.cell())
	startPeer(b)
	p := b.run()
	for round := range rounds {
		begin := time.Now()
		b.operator("start")
		b.until(10*time.Second, "the robot moves", b.moves)
		var stored map[string]bool
		b.sweep()
		b.until(20*time.Second, "stored decisions", func() bool { stored = b.records(); return len(stored) > 0 })
		took := b.killBrain(p)
		t.Logf("round %d: outputs safe %v after kill -9", round+1, took.Round(100*time.Microsecond))
		b.reflexWithoutBrain(p)
		b.until(30*time.Second, "the brain is back with a live lease", func() bool {
			return b.state(b.listen, b.name).Lease == "live" && p.brain() != 0
		})
		b.staysSafe()
		b.stillStored(stored)
		time.Sleep(time.Until(begin.Add(apart)))
	}
	p.stop()
	b.checkBrainEvents(rounds)
	b.checkMarkers()
}

// killBrain gives the time from the kill to safe outputs on the wire.
func (b *benchRobot) killBrain(p *process) time.Duration {
	b.Helper()
	pid := p.brain()
	if pid == 0 {
		b.Fatal("there is no brain")
	}
	before := len(b.motor.all("M "))
	at := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		b.Fatalf("kill brain %d: %v", pid, err)
	}
	b.until(5*time.Second, "outputs are safe", b.isSafe)
	for _, line := range b.motor.all("M ")[before:] {
		if line.text == "M 0" {
			took := line.at.Sub(at)
			if took > leaseOfBench+slack {
				b.Errorf("outputs were safe %v after the brain's end, the lease is %v", took, leaseOfBench)
			}
			return took
		}
	}
	return 0 // safe before the kill had been sent: the line was written meanwhile
}

// reflexWithoutBrain puts something in the way while there is no brain.
func (b *benchRobot) reflexWithoutBrain(p *process) {
	b.Helper()
	b.distance(0.20)
	b.until(5*time.Second, "the reflex turns the lamp on", func() bool { return b.motor.last("L ") == "1" })
	if p.brain() != 0 {
		b.Log("the brain was back before the reflex was seen: this round proves less")
	}
	b.distance(2)
	b.until(5*time.Second, "the reflex ends", func() bool { return b.motor.last("L ") == "0" })
}

// staysSafe watches two seconds of readings, with a brain that decides on each:
// nothing moves by itself.
func (b *benchRobot) staysSafe() {
	b.Helper()
	first := b.fed.Load()
	b.until(20*time.Second, "forty more readings", func() bool { return b.fed.Load() >= first+40 })
	if !b.isSafe() || b.state(b.listen, b.name).Lease != "live" {
		b.Fatalf("the robot moves by itself: drive %s brake %s", b.motor.last("M "), b.motor.last("B "))
	}
}

// stillStored looks every decision up that was on the disk before.
func (b *benchRobot) stillStored(before map[string]bool) {
	b.Helper()
	after := b.records() // the newest; older ones are asked for alone
	for id := range before {
		var record struct{ ID string }
		if !after[id] && !b.get("http://"+b.listen+"/api/v1/decisions/"+id, &record) {
			b.Fatalf("decision %s was stored and is lost", id)
		}
	}
}

// cell is one that no other test's robots are in.
func (b *benchRobot) cell() string { return fmt.Sprintf("cell-%d", os.Getpid()) }

// rewire changes robot.yaml.
func (b *benchRobot) rewire(from, to string) {
	b.Helper()
	wiring, err := os.ReadFile(b.path)
	if err != nil {
		b.Fatal(err)
	}
	if !strings.Contains(string(wiring), from) {
		b.Fatalf("no %q in %s", from, b.path)
	}
	b.file(b.name+"/robot.yaml", strings.Replace(string(wiring), from, to, 1))
}

// startPeer runs a second robot of the cell, which sees the same distances and
// creeps where the first one patrols: what they rule differently is marked.
func startPeer(b *benchRobot) {
	b.Helper()
	var scenario strings.Builder
	scenario.WriteString("start range = 2 m\n")
	for i := range 16 {
		fmt.Fprintf(&scenario, "at %ds range = %.2f\n", i+1, distanceOf(i))
	}
	scenario.WriteString("loop 17s\n")
	b.file("peer/sweep.scenario", scenario.String())
	b.file("peer/manual.yaml", strings.Replace(benchManual, "patrol, set: {drive: 0.5", "creep, set: {drive: 0.1", 1))
	path := b.file("peer/robot.yaml", `robot: peer
board: sim
manual: manual.yaml
scenario: sweep.scenario
signals:
  range: {unit: m, range: [0, 8], stale_after: 5s}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, range: [0, 1], safe: 0}
  brake: {pin: GPIO23, safe: 1}
  lamp:  {pin: GPIO24, safe: 0}
plant:
  next: {range: "range"}
conductor: {broker: off}
mesh: {join: auto}
listen: "off"
cell: `+b.cell()+"\n")
	b.start("run", path, "--data", filepath.Join(b.dir, "peer", "data"))
}

// distanceOf gives sixteen distances that are different situations.
func distanceOf(i int) float64 { return 1 + 0.4*float64(i%16) }

// sweep shows the robot all of these distances.
func (b *benchRobot) sweep() {
	for i := range 16 {
		b.distance(distanceOf(i))
		time.Sleep(150 * time.Millisecond)
	}
	b.distance(2)
}

// checkMarkers opens the store of the stopped robot: every marker that it told
// of is there.
func (b *benchRobot) checkMarkers() {
	b.Helper()
	store, err := bolt.Open(filepath.Join(b.data, "brain"), "robot")
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	markers := storage.NewRepository[swarm.DecisionMarker](store, storage.TableMarkers, storage.KindMarker)
	told := b.told("marker")
	if len(told) == 0 {
		b.Fatal("two robots ruled differently, and no marker is told")
	}
	for _, e := range told {
		if _, err := markers.Get(e.MarkerID); err != nil {
			b.Errorf("marker %s was told and is lost: %v", e.MarkerID, err)
		}
	}
	b.Logf("%d markers told, all stored", len(told))
}

func (b *benchRobot) told(kind string) []event { return b.world.events(b.events, kind) }

// checkBrainEvents looks at what was told of it all.
func (b *benchRobot) checkBrainEvents(rounds int) {
	b.Helper()
	died, fired := 0, 0
	for _, e := range b.told("") {
		if e.Kind == "brain" && e.State == "died" {
			died++
		}
		if e.Kind == "reflex" && e.Active {
			fired++
			if e.Cause != "range" || e.Frame == 0 || e.LatencyNS <= 0 {
				b.Errorf("reflex event %+v lacks cause, frame or latency", e)
			}
		}
	}
	if died < rounds {
		b.Errorf("%d deaths of the brain are told, want %d", died, rounds)
	}
	if fired < rounds {
		b.Errorf("%d activations of the reflex are told, want %d", fired, rounds)
	}
}

// TestEndToEndBrainHangs stops the brain without killing it: only the lease can
// tell.
func TestEndToEndBrainHangs(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "hang-bot", brokerOff)
	p := b.run()
	b.operator("start")
	b.until(10*time.Second, "the robot moves", b.moves)
	pid := p.brain()
	at := time.Now()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }() // gone if the spine ended it
	b.until(5*time.Second, "outputs are safe", b.isSafe)
	if took := time.Since(at); took > leaseOfBench+slack {
		t.Errorf("outputs were safe after %v, the lease is %v", took, leaseOfBench)
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	b.until(20*time.Second, "the lease is live again", func() bool { return b.state(b.listen, b.name).Lease == "live" })
	b.staysSafe()
	b.operator("start")
	b.until(10*time.Second, "the robot moves again", b.moves)
	b.operator("stop")
	b.until(5*time.Second, "outputs are safe after stop", b.isSafe)
}

// TestEndToEndDryRun decides everything and writes nothing.
func TestEndToEndDryRun(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "dry-bot", brokerOff)
	p := b.start("run", b.path, "--dry-run", "--data", b.data, "--events", b.events)
	b.until(20*time.Second, "stored decisions", func() bool { return len(b.records()) > 5 })
	b.distance(0.20)
	b.until(5*time.Second, "a reflex", func() bool { return len(b.told("reflex")) > 0 })
	page := "http://" + b.listen
	for id := range b.records() {
		for _, args := range [][]string{{"why", "--robot", page}, {"why", id, "--robot", page}} {
			code, stdout, stderr := w.once(args...)
			if code != 0 || !strings.Contains(stdout, " of dry-bot at ") || !strings.Contains(stdout, "\nwhy: ") || !strings.Contains(stdout, "\noption halt") ||
				(len(args) == 4 && !strings.Contains(stdout, "decision "+id)) {
				t.Errorf("dancer %q: exit %d\n%s%s", args, code, stdout, stderr)
			}
		}
		break
	}
	if code, _, stderr := w.once("why", "nonsense", "--robot", page); code != 1 || !strings.Contains(stderr, `unknown decision (list what there is with GET /api/v1/agents, /api/v1/decisions`) {
		t.Errorf("an unknown decision: exit %d, %s", code, stderr)
	}
	p.stop()
	b.stopFeed()
	if lines := b.motor.all(""); len(lines) > 0 {
		t.Errorf("a dry run wrote %q", lines[0].text)
	}
	if _, err := os.Stat(b.data); err != nil {
		t.Errorf("decisions of a dry run are kept: %v", err)
	}
}

// TestEndToEndWhyOtherwise: the robot says what would have had to be different, in
// words and as JSON; a file and the robot's configuration say the same without it;
// under another manual it says that it cannot.
func TestEndToEndWhyOtherwise(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "why-bot", brokerOff)
	p := b.start("run", b.path, "--dry-run", "--data", b.data, "--events", b.events)
	b.until(20*time.Second, "decisions on a reading", func() bool { return len(b.told("decision")) > 0 && len(b.records()) > 20 })
	page := "http://" + b.listen
	code, text, stderr := w.once("why", "--robot", page)
	if code != 0 || !regexp.MustCompile(`\notherwise: if range were between 0\.\d+ and 0\.\d+ m \(it is 2 m\), it would go on as now .halt.`).MatchString(text) {
		t.Fatalf("exit %d\n%s%s", code, text, stderr)
	}
	_, record, _ := w.once("why", "--robot", page, "--json")
	var told struct {
		ID              string                  `json:"id"`
		Counterfactuals []dancer.Counterfactual `json:"counterfactuals"`
	}
	if err := json.Unmarshal([]byte(record), &told); err != nil || len(told.Counterfactuals) != 1 || told.Counterfactuals[0].Below == nil || len(told.Counterfactuals[0].Ranges) < 2 {
		t.Fatalf("%v: %s", err, record)
	}
	file := w.file("decision.json", record)
	if code, again, stderr := w.once("why", "--file", file, "--config", b.path); code != 0 ||
		!strings.Contains(again, "decision "+told.ID) || !strings.Contains(again, "otherwise: "+told.Counterfactuals[0].Words) {
		t.Errorf("from a file: exit %d\n%s%s", code, again, stderr)
	}
	if code, _, stderr := w.once("why", "--file", file); code != 2 || !strings.Contains(stderr, "--config ROBOT.yaml") {
		t.Errorf("without --config: exit %d, %s", code, stderr)
	}
	p.stop()
	w.file("why-bot/manual.yaml", strings.Replace(benchManual, "range < 0.20 m ? 6", "range < 0.25 m ? 6", 1))
	if code, text, _ := w.once("why", "--file", file, "--config", b.path); code != 0 || !strings.Contains(text, "\notherwise: decision "+told.ID+": made by another manual") {
		t.Errorf("under another manual: exit %d\n%s", code, text)
	}
	p = b.start("run", b.path, "--dry-run", "--data", b.data, "--events", b.events)
	b.until(20*time.Second, "the page", func() bool {
		code, text, _ := w.once("why", told.ID, "--robot", page)
		return code == 0 && strings.Contains(text, "\notherwise: decision "+told.ID+": made by another manual") && strings.Contains(text, "dancer why --file DECISION.json")
	})
	p.stop()
	b.stopFeed()
}

// TestEndToEndNothingListensOutside: with no token, certificate and key
// everything is on loopback, and the robot is two processes.
func TestEndToEndNothingListensOutside(t *testing.T) {
	w := newWorld(t)
	broker := w.freePort()
	w.file("conductor.yaml", "cell: default\nlisten: "+w.freePort()+"\nbroker_listen: "+broker+"\n")
	conductor := w.start("conductor", filepath.Join(w.dir, "conductor.yaml"), "--data", filepath.Join(w.dir, "c"))
	b := newBenchRobot(w, "net-bot", "conductor: {broker: mqtt://"+broker+"}\n")
	b.rewire("mesh: {off: true}", "mesh: {join: auto}")
	p := b.run()
	brain := p.brain()
	if brain == 0 {
		t.Fatal("the brain is not a process of its own")
	}
	for what, pid := range map[string]int{"conductor": conductor.cmd.Process.Pid, "spine": p.cmd.Process.Pid, "brain": brain} {
		listens := listeners(t, pid)
		t.Logf("%s listens on %v", what, listens)
		for _, l := range listens {
			if !l.Addr().IsLoopback() {
				t.Errorf("%s listens on %s", what, l)
			}
		}
		if (what == "spine") != (len(listens) == 0) {
			t.Errorf("%s has %d network sockets", what, len(listens))
		}
	}
}
