package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/guest"
)

// Marks of docs/testing.md.
const (
	guestKills    = 6
	leaseTime     = 300 * time.Millisecond // of the wirings
	leaseSlack    = 2 * time.Millisecond
	restartWithin = time.Second
)

// TestGuestBrainKilled kills the brain again and again: the lines are safe within the
// lease, by the guest's own kernel, and stay so; and outside they are what it says.
func TestGuestBrainKilled(t *testing.T) {
	r := bootLineRobot(t, guest.Config{Time: guest.InstructionTime}, hardwareWiring, hardwareManual)
	r.run()
	var took []time.Duration
	for range guestKills {
		took = append(took, r.safeAfter(r.brain(), syscall.SIGKILL, 4*leaseTime))
		r.untilStarted()
	}
	t.Logf("from SIGKILL of the brain to safe lines: %s", spread(took))
	if worst := slices.Max(took); worst > leaseTime+leaseSlack {
		t.Errorf("the lines were safe %v after the brain's end, the lease has %v", worst, leaseTime)
	}
	r.end()
}

// safeAfter sends a process of a moving robot a signal and gives the time from then until
// motor and brake were safe, both by the guest's kernel: its events of the signal and of
// the lines that it drives. They must stay safe for as long as is watched, seen from
// outside of the machine as well.
func (r *lineRobot) safeAfter(pid int, signal syscall.Signal, watch time.Duration) time.Duration {
	r.Helper()
	if !r.m.Lines.High(motorLine) || r.m.Lines.High(brakeLine) {
		r.Fatalf("the robot does not move before %v", signal)
	}
	before, _ := r.m.Lines.Changes()
	r.must(r.m.StartTrace("signal:signal_generate", "gpio:gpio_value"))
	r.must(r.m.Signal(pid, signal))
	r.must(r.m.Lines.Await(motorLine, false, patience))
	r.must(r.m.Lines.Await(brakeLine, true, patience))
	_, err := r.m.Wait(r.Context(), 1, watch) // the first process does not end: the guest's time passes
	r.must(err)
	traced, err := r.m.StopTrace()
	r.must(err)
	after, lost := r.m.Lines.Changes()
	if lost != 0 {
		r.Fatalf("%d changes were not kept", lost)
	}
	for _, c := range after[len(before):] {
		if c.Line == motorLine && c.High || c.Line == brakeLine && !c.High {
			r.Fatalf("after %v the robot moved by itself: %s", signal, changed(after[len(before):]))
		}
	}
	return r.safeByTrace(traced, pid, signal)
}

// safeByTrace reads from the kernel's events when motor and brake were safe.
func (r *lineRobot) safeByTrace(traced []guest.Traced, pid int, signal syscall.Signal) time.Duration {
	r.Helper()
	var sent, safe time.Duration
	moves := map[int]bool{motorLine: true, brakeLine: true}
	first := r.firstLine()
	for _, e := range traced {
		var number, level int
		switch {
		case e.Event == "signal_generate" && strings.HasPrefix(e.Text, fmt.Sprintf("sig=%d ", signal)) && strings.Contains(e.Text, fmt.Sprintf(" pid=%d ", pid)):
			if sent == 0 {
				sent = e.At
			}
		case e.Event == "gpio_value" && sent != 0:
			if n, _ := fmt.Sscanf(e.Text, "%d set %d", &number, &level); n != 2 {
				continue // it was read
			}
			line := number - first
			if _, ok := moves[line]; !ok {
				continue
			}
			moves[line] = level == 1 == (line == motorLine)
			switch {
			case moves[line] && safe != 0:
				r.Fatalf("%v after the signal line %d was driven %d", e.At-sent, line, level)
			case safe == 0 && !moves[motorLine] && !moves[brakeLine]:
				safe = e.At
			}
		}
	}
	if sent == 0 || safe == 0 {
		r.Fatalf("the kernel's events do not say when the lines were safe: signal at %v, safe at %v: %v", sent, safe, traced)
	}
	return safe - sent
}

// firstLine is the number that the kernel's events have for the controller's line 0.
func (r *lineRobot) firstLine() (number int) {
	r.Helper()
	text, err := r.m.ReadFile("/sys/kernel/debug/gpio")
	r.must(err)
	_, rest, ok := strings.Cut(string(text), "gpiochip0: GPIOs ")
	if n, _ := fmt.Sscanf(rest, "%d-", &number); !ok || n != 1 {
		r.Fatalf("/sys/kernel/debug/gpio does not say where gpiochip0 begins: %s", text)
	}
	return number
}

// brain gives the process id of the present brain.
func (r *lineRobot) brain() (pid int) {
	r.Helper()
	r.until("there is a brain", func() bool {
		processes, err := r.m.List("/proc/[0-9]*/cmdline")
		r.must(err)
		for _, path := range processes {
			text, _ := r.m.ReadFile(path) // it may have ended
			if arguments := strings.Split(string(text), "\x00"); len(arguments) > 2 && arguments[1] == "brain" {
				pid, err = strconv.Atoi(strings.Split(path, "/")[2])
				r.must(err)
				return true
			}
		}
		return false
	})
	return pid
}
