package main

import (
	"context"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/guest"
)

const (
	watchdogTimeout = 10 * time.Second
	watchdogWiring  = "watchdog: {device: /dev/watchdog0, timeout: 10s}\n"
	cardReset       = 32 // WDIOF_CARDRESET: this watchdog reset the machine (linux/watchdog.h)
)

// watchedRobot is a robot on a machine with a hardware watchdog.
type watchedRobot struct {
	*lineRobot
	resets int
}

// TestGuestWatchdog: while the spine is well it feeds the machine's watchdog, after
// an orderly stop nobody has to, and when it dies or hangs the machine resets.
func TestGuestWatchdog(t *testing.T) {
	r := &watchedRobot{lineRobot: bootLineRobot(t, guest.Config{
		Time: guest.InstructionTime, StaysOnReset: true, Devices: []string{"i6300esb"}, QEMU: []string{"-action", "watchdog=reset"},
	}, lineWiring+watchdogWiring, lineManual)}
	r.arm(0)
	r.pass(5 * watchdogTimeout)
	r.expect("while the robot is well")

	r.must(r.m.Signal(r.pid, syscall.SIGTERM))
	if ending := r.wait(r.pid); ending.Code != 0 {
		t.Fatalf("the robot ended with %+v", ending)
	}
	r.pass(3 * watchdogTimeout)
	r.expect("after an orderly stop")

	for _, fault := range []struct {
		name   string
		signal syscall.Signal
	}{{"killed", syscall.SIGKILL}, {"stopped", syscall.SIGSTOP}, {"killed again", syscall.SIGKILL}} {
		if r.resets == 0 {
			r.run() // the driver is there
		} else {
			r.arm(cardReset)
		}
		r.must(r.m.Signal(r.pid, fault.signal))
		r.resets++
		lived := r.untilReset()
		t.Logf("spine %s: the machine reset itself after %v to %v", fault.name, lived, lived+watchdogStep)
		// The last feed was up to a quarter of the time-out before the fault, and the
		// device counts in milliseconds of 33 MHz / 2^15: 1.7 % too long.
		if lived > watchdogTimeout+watchdogTimeout/20 || lived < watchdogTimeout/2 {
			t.Errorf("spine %s: the machine reset itself after %v, its watchdog has %v", fault.name, lived, watchdogTimeout)
		}
		if r.m.Lines.High(motorLine) {
			t.Errorf("spine %s: the motor runs after the reset", fault.name)
		}
	}
	r.arm(cardReset)
}

// arm loads the driver, checks what it knows of the last boot, and starts the
// robot, which tells the same.
func (r *watchedRobot) arm(status int) {
	r.Helper()
	r.must(r.m.Load("/modules/i6300esb.ko", ""))
	text, err := r.m.ReadFile("/sys/class/watchdog/watchdog0/bootstatus")
	r.must(err)
	if got, err := strconv.Atoi(strings.TrimSpace(string(text))); err != nil || got != status {
		r.Errorf("the driver's boot status is %q, want %d", text, status)
	}
	r.run()
	if want := `"boot_status":` + strconv.Itoa(status); !strings.Contains(r.log(), want+"}") {
		r.Errorf("the robot does not say %s", want)
	}
}

// pass lets so much of the guest's time pass.
func (r *watchedRobot) pass(time time.Duration) {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), 2*patience)
	defer cancel()
	if ending, err := r.m.Wait(ctx, 1, time); err != nil || ending.Ended { // its first process does not end
		r.Fatalf("the guest has ended: %v", err)
	}
}

// expect compares the resets that there were with those that there must have been.
func (r *watchedRobot) expect(when string) {
	r.Helper()
	if fired, boots := len(r.m.Monitor.Events("WATCHDOG")), r.m.Boots(); fired != r.resets || boots != r.resets+1 {
		r.Fatalf("%s: the watchdog fired %d times in %d boots, want %d", when, fired, boots, r.resets)
	}
}

// watchdogStep is how often untilReset looks.
const watchdogStep = 100 * time.Millisecond

// untilReset gives how long the guest lived on, on its own clock.
func (r *watchedRobot) untilReset() time.Duration {
	r.Helper()
	began, err := r.m.Uptime()
	r.must(err)
	last := began
	for r.m.Boots() == r.resets {
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		_, err := r.m.Wait(ctx, 1, watchdogStep)
		cancel()
		now, upErr := r.m.Uptime()
		if err != nil || upErr != nil || r.m.Boots() > r.resets {
			break
		}
		if last = now; last-began > 3*watchdogTimeout {
			r.Fatalf("the machine lives on for %v", last-began)
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	_, err = r.m.Monitor.Await(ctx, "WATCHDOG", r.resets)
	r.must(err)
	_, err = r.m.Booted(ctx, r.resets+1)
	r.must(err)
	r.expect("after the reset")
	return last - began
}
