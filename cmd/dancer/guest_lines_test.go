package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/guest"
)

// lineRobot is a robot on real GPIO lines of a guest, seen from outside of its
// machine: a bumper, a motor and a brake.
type lineRobot struct {
	*testing.T
	m    *guest.Machine
	pid  int
	runs int // so far, each with files of its own

	dancer      string   // path of the program
	environment []string // of what is executed beside it
	executed    int      // programs so far
	told        toldEvents
}

// Lines of the guest's controller.
const (
	bumperLine = 0
	motorLine  = 1
	brakeLine  = 2
)

const lineWiring = `robot: line-bot
board: linux
manual: manual.yaml
signals:
  bumper: {pin: gpiochip0/0, active: high}
outputs:
  motor: {pin: gpiochip0/1, safe: 0}
  brake: {pin: gpiochip0/2, safe: 1}
lease: {expires_after: 300ms, stop: 1}
listen: "off"
mesh: {off: true}
conductor: {broker: off}
`

const lineManual = `values:
  - {name: human_safety, floor: 5}
  - {name: task}
reflexes:
  - {name: protective-stop, when: "bumper", set: {motor: 0, brake: 1}, stop: 1}
model:
  step: 100ms
  horizon: 300ms
impact:
  human_safety: "10 - (bumper ? 6 : 0) * motor"
  task: "10 * motor"
actions:
  - {name: patrol, set: {motor: 1, brake: 0}}
  - {name: halt, set: {motor: 0, brake: 1}, fallback: true}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

// path of a file of the present run in the guest.
func (r *lineRobot) path(name string) string { return fmt.Sprintf("/tmp/%s-%d", name, r.runs) }

// patience is for a machine that runs other tests as well; nothing is measured by
// it.
const patience = 10 * time.Minute

// bootLineRobot boots a guest with the robot's files.
func bootLineRobot(t *testing.T, c guest.Config, wiring, manual string) *lineRobot {
	t.Helper()
	c.Lines = true
	c.Files = append(c.Files,
		guest.File{Path: "/robot/robot.yaml", Data: []byte(wiring), Mode: 0o644},
		guest.File{Path: "/robot/manual.yaml", Data: []byte(manual), Mode: 0o644})
	r := &lineRobot{T: t, m: bootGuest(t, c), dancer: guestDancer}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the robot's log: %s", tail(r.log()))
		}
	})
	return r
}

func (r *lineRobot) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// run starts the robot and its motor.
func (r *lineRobot) run() {
	r.Helper()
	r.launch()
	r.operator("start")
	r.must(r.m.Lines.Await(motorLine, true, patience))
}

// launch starts the robot and waits until its reflexes are armed.
func (r *lineRobot) launch() {
	r.Helper()
	var err error
	r.runs++
	r.pid, err = r.m.Start(guest.Program{
		Arguments: []string{r.dancer, "run", "/robot/robot.yaml", "--data", "/tmp/data", "--events", r.path("events")},
		Output:    r.path("log"),
	})
	r.must(err)
	r.until("the reflexes are armed", func() bool {
		ending, err := r.m.Wait(r.Context(), r.pid, 0)
		if r.must(err); ending.Ended {
			r.Fatalf("the robot ended with %+v: %s", ending, r.log())
		}
		return strings.Contains(r.log(), "reflexes armed")
	})
}

// end ends the robot in order.
func (r *lineRobot) end() {
	r.Helper()
	r.must(r.m.Signal(r.pid, syscall.SIGTERM))
	if ending := r.wait(r.pid); ending.Code != 0 {
		r.Errorf("the robot ended with %+v", ending)
	}
}

// operator gives ` + "`dancer start`" + ` and the like.
func (r *lineRobot) operator(do string) {
	r.Helper()
	if code, said := r.execute(r.dancer, do, "line-bot"); code != 0 {
		r.Fatalf("dancer %s: exit code %d: %s", do, code, said)
	}
}

// execute runs a program in the guest and gives what it says.
func (r *lineRobot) execute(arguments ...string) (code int, said string) {
	r.Helper()
	r.executed++
	output := fmt.Sprintf("/tmp/said-%d", r.executed)
	pid, err := r.m.Start(guest.Program{Arguments: arguments, Environment: r.environment, Output: output})
	r.must(err)
	ending := r.wait(pid)
	text, err := r.m.ReadAll(output)
	r.must(err)
	return ending.Code, string(text)
}

func (r *lineRobot) wait(pid int) guest.Ending {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	ending, err := r.m.Wait(ctx, pid, 24*time.Hour)
	r.must(err)
	return ending
}

// until polls for what the guest will do.
func (r *lineRobot) until(what string, ready func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !ready(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// log is what the robot has said so far; "" while its file is not there.
func (r *lineRobot) log() string {
	said, _ := r.m.ReadAll(r.path("log"))
	return string(said)
}

// lineEvent is an event of the robot, with what an overrun has.
type lineEvent struct {
	event
	Where string `json:"where"`
	Count int    `json:"count"`
}

// toldEvents is what a run has told so far. Its event file is read from where it was read
// last: to read all of it again and again would keep the guest busy.
type toldEvents struct {
	run    int
	offset int64
	rest   []byte
	events []lineEvent
}

// events gives the events of the present run so far.
func (r *lineRobot) events() []lineEvent {
	r.Helper()
	if r.told.run != r.runs {
		r.told = toldEvents{run: r.runs}
	}
	t := &r.told
	more, err := r.m.ReadFrom(r.path("events"), t.offset)
	r.must(err)
	t.offset += int64(len(more))
	t.rest = append(t.rest, more...)
	for {
		line, rest, ok := bytes.Cut(t.rest, []byte("\n"))
		if !ok {
			return t.events
		}
		t.rest = rest
		var e lineEvent
		r.must(json.Unmarshal(line, &e))
		t.events = append(t.events, e)
	}
}

// reflexes gives the times from the edge's time stamp, which is the kernel's, to
// the output's write, of all reflexes that have fired.
func (r *lineRobot) reflexes() (all []time.Duration) {
	r.Helper()
	for _, e := range r.events() {
		if e.Kind == "reflex" && e.Active {
			all = append(all, time.Duration(e.LatencyNS))
		}
	}
	return all
}

// TestGuestEdgeAfterJump drives a GPIO line from outside of the machine right
// after its wall clock was set: the kernel stamps the edge, and the output follows
// within a millisecond of that.
func TestGuestEdgeAfterJump(t *testing.T) {
	r := bootLineRobot(t, guest.Config{Time: guest.InstructionTime}, lineWiring, lineManual)
	r.run()
	edges := 0
	for range clockRounds {
		for _, jumps := range clockJumps {
			sum := time.Duration(0)
			for _, by := range jumps {
				_, err := r.m.SetClock(by)
				r.must(err)
				sum += by
			}
			r.must(r.m.Lines.Drive(bumperLine, true))
			r.must(r.m.Lines.Await(motorLine, false, patience))
			r.must(r.m.Lines.Await(brakeLine, true, patience))
			edges++
			r.must(r.m.Lines.Drive(bumperLine, false))
			r.must(r.m.Lines.Await(motorLine, true, patience))
			_, err := r.m.SetClock(-sum)
			r.must(err)
		}
	}
	var all []time.Duration
	r.until("every reflex is told", func() bool { all = r.reflexes(); return len(all) >= edges })
	t.Logf("from the kernel's time stamp of the edge to the output's write, right after a jump: %s", spread(all))
	if len(all) != edges {
		t.Errorf("%d reflexes were told for %d edges", len(all), edges)
	}
	for i, took := range all {
		if took > reflexWithin {
			t.Errorf("edge %d: the output was written %v after it", i, took)
		}
	}
	if log := r.log(); strings.Contains(log, `"lease":"expired"`) {
		t.Error("the lease expired")
	}
	r.end()
}
