package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/guest"
)

// More lines of the guest's controller; line 3 is the machine's power button.
const (
	lampLine  = 4
	touchLine = 5
	hornLine  = 6
)

// hardwareWiring has one output of each kind: off when low, on when low, safe when on.
const hardwareWiring = `robot: line-bot
board: linux
manual: manual.yaml
signals:
  bumper: {pin: gpiochip0/0, active: high}
  touch: {pin: gpiochip0/5, active: high}
outputs:
  motor: {pin: gpiochip0/1, safe: 0}
  brake: {pin: gpiochip0/2, safe: 1}
  lamp: {pin: gpiochip0/4, active: low, safe: 0}
lease: {expires_after: 300ms, stop: 1}
listen: "off"
mesh: {off: true}
conductor: {broker: off}
`

const hardwareManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "bumper", set: {motor: 0, brake: 1}, stop: 1}
  - {name: follow, when: "touch", set: {lamp: 1}}
model:
  step: 100ms
  horizon: 300ms
impact:
  human_safety: "10 - (bumper ? 6 : 0) * motor"
  task: "10 * motor - 5 * lamp"   # or to go on as now could keep on what a reflex has lit
actions:
  - {name: patrol, set: {motor: 1, brake: 0, lamp: 0}}
  - {name: halt, set: {motor: 0, brake: 1, lamp: 0}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

// Marks of docs/testing.md.
const (
	guestEdges  = 10_000
	guestStarts = 10
	unreadEdges = 1000
)

// TestGuestOutputsNeverGlitch starts and ends a robot again and again: from outside,
// each output goes to its safe level once and then stays there, whatever the level
// that is safe, until an operator starts the robot.
func TestGuestOutputsNeverGlitch(t *testing.T) {
	r := bootLineRobot(t, guest.Config{Time: guest.RealTime}, hardwareWiring, hardwareManual)
	safe := map[int]bool{brakeLine: true, lampLine: true} // off is high, and the first start raises both
	for start := range guestStarts {
		r.launch()
		changes, lost := r.m.Lines.Changes()
		if lost != 0 {
			t.Fatalf("%d changes were not kept", lost)
		}
		if start == 0 {
			t.Logf("the first start drives %s", changed(changes))
		}
		if len(changes) != len(safe) {
			t.Fatalf("start %d: %s, want lines %d and %d to be raised once, in all", start, changed(changes), brakeLine, lampLine)
		}
		for _, c := range changes {
			if !c.High || !safe[c.Line] {
				t.Fatalf("start %d: %s", start, changed(changes))
			}
		}
		r.end()
	}
	// What was seen is what there is: the same eyes see the robot move.
	r.launch()
	r.untilStarted()
	r.must(r.m.Lines.Await(brakeLine, false, patience))
	r.end()
	if r.m.Lines.High(motorLine) || !r.m.Lines.High(brakeLine) || !r.m.Lines.High(lampLine) {
		t.Error("the robot's end leaves an output that is not safe")
	}
}

// changed says what changed, in order.
func changed(changes []guest.Change) string {
	var said []string
	for _, c := range changes {
		said = append(said, fmt.Sprintf("line %d %s", c.Line, map[bool]string{true: "raised", false: "lowered"}[c.High]))
	}
	return strings.Join(said, ", ")
}

// TestGuestEdges drives edges from outside of the machine: each reaches its reflex,
// whose output is seen outside before the next is driven, and none is lost.
func TestGuestEdges(t *testing.T) {
	r := bootLineRobot(t, guest.Config{Time: guest.InstructionTime}, hardwareWiring, hardwareManual)
	r.run()
	began := time.Now()
	for edge := range guestEdges {
		touched := edge%2 == 0
		r.must(r.m.Lines.Drive(touchLine, touched))
		if err := r.m.Lines.Await(lampLine, !touched, patience); err != nil { // on is low
			t.Fatalf("edge %d: %v", edge, err)
		}
	}
	t.Logf("%d edges, each answered, in %v", guestEdges, time.Since(began).Round(time.Second))
	if n := r.lostEdges(); n != 0 {
		t.Errorf("%d edges were lost while each was waited for", n)
	}
	r.end() // and everything is told that the brain had time for
	all := r.reflexes()
	t.Logf("from the kernel's time stamp of the edge to the output's write, of those that were told: %s", spread(all))
	if len(all) < guestEdges/100 {
		t.Fatalf("%d reflexes were told: too few to judge by", len(all))
	}
	if slices.Max(all) > reflexWithin {
		t.Errorf("an output was written %v after its edge", slices.Max(all))
	}
}

// TestGuestUnreadEdges drives edges that nobody reads, because the spine is stopped: those
// that the kernel has no room for are counted, and the level is right at the end.
func TestGuestUnreadEdges(t *testing.T) {
	r := bootLineRobot(t, guest.Config{Time: guest.InstructionTime}, hardwareWiring, hardwareManual)
	r.launch()
	r.must(r.m.Signal(r.pid, syscall.SIGSTOP))
	for edge := range unreadEdges {
		r.must(r.m.Lines.Drive(touchLine, edge%2 == 0))
		// A controller has one bit a line: edges that come before the kernel has taken the
		// last are one edge to everybody. An ordinary process answers after it has.
		_, err := r.m.Uptime()
		r.must(err)
	}
	r.must(r.m.Signal(r.pid, syscall.SIGCONT))
	var read, lost int
	r.until("edges are read or lost", func() bool {
		// The newest that fit are whole pairs: each rise fires, each fall ends.
		read, lost = 2*len(r.fired("follow")), r.lostEdges()
		return read+lost >= unreadEdges
	})
	t.Logf("%d edges that nobody read: %d kept by the kernel, %d counted as lost", unreadEdges, read, lost)
	if lost == 0 || read == 0 || read+lost != unreadEdges {
		t.Error("that was no overflow, or not all are accounted for")
	}
	r.must(r.m.Lines.Await(lampLine, true, patience)) // the last edge was a fall
	if log := r.log(); !strings.Contains(log, "edges are lost") {
		t.Error("the log says nothing of lost edges")
	}
	r.end()
}

// lostEdges is how many edges the robot has told to be lost.
func (r *lineRobot) lostEdges() (lost int) {
	r.Helper()
	for _, e := range r.events() {
		if e.Kind == "overrun" && e.Where == "edges of touch" {
			lost = max(lost, e.Count)
		}
	}
	return lost
}

// startWhenReady starts the robot as soon as its brain has decided for the first time.
func (r *lineRobot) startWhenReady() {
	r.Helper()
	r.until("the robot can be started", func() bool {
		code, _ := r.execute(r.dancer, "start", "line-bot")
		if code != 0 { // a moment of the guest's, in which its brain decides
			_, err := r.m.Wait(r.Context(), 1, 500*time.Millisecond)
			r.must(err)
		}
		return code == 0
	})
}

// untilStarted starts the robot again and waits until it moves.
func (r *lineRobot) untilStarted() {
	r.Helper()
	r.startWhenReady()
	r.must(r.m.Lines.Await(motorLine, true, patience))
}

const serialWiring = `robot: line-bot
board: linux
manual: manual.yaml
ports:
  rangefinder: {device: /dev/ttyS0, baud: 115200, framing: lines, pattern: "R {range}"}
signals:
  range: {port: rangefinder, unit: m, range: [0, 8], stale_after: 5s}
outputs:
  motor: {pin: gpiochip0/1, safe: 0}
  horn: {pin: gpiochip0/6, safe: 0}
lease: {expires_after: 300ms, stop: 1}
listen: "off"
mesh: {off: true}
conductor: {broker: off}
`

const serialManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "range < 0.30 m", set: {motor: 0, horn: 1}, stop: 1}
model:
  step: 100ms
  horizon: 300ms
impact:
  human_safety: "10 - (range < 0.30 m ? 6 : 0) * motor"
  task: "10 * motor"
actions:
  - {name: patrol, set: {motor: 1, horn: 0}}
  - {name: halt, set: {motor: 0, horn: 0}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

// TestGuestSerial streams frames into a second UART of the machine, a 16550 behind
// PCI: none is lost, garbage between them costs the frame that it damages and no other,
// and silence is taken for the worst.
func TestGuestSerial(t *testing.T) {
	const uart, turns, burst = "rangefinder", 200, 2000
	r := bootLineRobot(t, guest.Config{Time: guest.RealTime, Serial: []string{uart}}, serialWiring, serialManual)
	wire := r.m.Channel(uart)
	r.must(wire.SetWriteDeadline(time.Now().Add(patience)))
	good := uint64(0) // frames sent so far
	say := func(noise string, metres float64) {
		_, err := fmt.Fprintf(wire, "%sR %.2f\n", noise, metres)
		r.must(err)
		good++
	}
	// turn sends one frame that fires the reflex and one that ends it.
	turn := func(noise string) {
		say(noise, 0.2)
		r.must(r.m.Lines.Await(hornLine, true, patience))
		say("", 2)
		r.must(r.m.Lines.Await(hornLine, false, patience))
	}
	r.launch()
	r.must(r.m.Lines.Await(hornLine, true, patience)) // nothing is known yet: the worst
	say("", 2)
	r.must(r.m.Lines.Await(hornLine, false, patience))
	for range turns {
		turn("")
	}
	for range burst {
		say("", 2)
	}
	turn("")
	// The reflex's event has the number of its frame.
	var last lineEvent
	r.until("the last reflex is told", func() bool {
		fired := r.fired("protective-stop")
		if len(fired) > 0 {
			last = fired[len(fired)-1]
		}
		return len(fired) == 1+turns+1
	})
	t.Logf("%d frames, %d of them as fast as the line takes them: the last reflex is by frame %d", good, burst, last.Frame)
	if last.Frame != good-1 {
		t.Errorf("the reflex of frame %d says %d", good-1, last.Frame)
	}
	for _, noise := range []string{"garbage\n", "\x00\x00\xff\xfe\n", "R nan\n", "R 1e99\n", "R\n", strings.Repeat("x", 8000) + "\n"} {
		turn(noise)
	}
	_, err := io.WriteString(wire, "R 0.1") // half a line takes the one after it with it
	r.must(err)
	say("", 2)
	turn("")
	r.must(r.m.Lines.Await(hornLine, true, patience)) // nothing is said any more
	r.end()
}

// fired gives the events of a reflex that has fired in this run.
func (r *lineRobot) fired(rule string) (all []lineEvent) {
	r.Helper()
	for _, e := range r.events() {
		if e.Kind == "reflex" && e.Active && e.Rule == rule {
			all = append(all, e)
		}
	}
	return all
}
