package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"dancer/boards"
)

// deadline is how long one check may take. Reads of /proc and /sys take
// microseconds; what takes longer hangs.
const deadline = 3 * time.Second

// check is one thing to look at. It may give several findings.
type check struct {
	id    string
	limit time.Duration // 0: deadline
	look  func(context.Context) ([]Finding, error)
}

// outcome is what a check gave.
type outcome struct {
	findings []Finding
	err      error
}

// Examine looks at the machine, and at the robot's part of it when robot is not
// nil. It takes as long as the slowest check and never longer than the longest
// deadline. The error says that User is not known.
func Examine(ctx context.Context, m Machine, robot *Robot) (Report, error) {
	report := Report{}
	var err error
	if m.who, err = m.identify(); err != nil {
		return report, err
	}
	report.User = m.who.name
	if m.board, err = boards.Detect(m.Root); err == nil {
		m.model, err = boards.Model(m.Root)
	}
	if err != nil {
		report.Findings = append(report.Findings, couldNotLook("board", err))
	}
	report.Board, report.Model = m.board, m.model
	report.Kernel, _ = m.read("proc/sys/kernel/osrelease") // the kernel check says so when it cannot be read
	checks := m.checks()
	if robot != nil {
		report.Robot = robot.Name
		checks = append(checks, m.robotChecks(robot)...)
	}
	report.Findings = append(report.Findings, inspect(ctx, checks)...)
	report.finish()
	return report, nil
}

// checks are those that need no robot.
func (m *Machine) checks() []check {
	return []check{
		{id: "kernel", look: m.lookKernel},
		{id: "preemption-model", look: m.lookPreemption},
		{id: "real-time-priority", look: m.lookPriority},
		{id: "real-time-bandwidth", look: m.lookBandwidth},
		{id: "locked-memory", look: m.lookMemory},
		{id: "clock-source", look: m.lookClockSource},
		{id: "clock-synchronised", look: m.lookClockSynchronised},
		{id: "cpu-governor", look: m.lookGovernor},
		{id: "cpu-idle", look: m.lookIdle},
		{id: "power-supply", look: m.lookPower},
		{id: "temperature", look: m.lookTemperature},
		{id: "swap", look: m.lookSwap},
		{id: "available-memory", look: m.lookAvailable},
		{id: "wifi-power-save", look: m.lookWireless},
		{id: "hardware-watchdog", look: m.lookWatchdog},
		{id: "service-unit", look: m.lookUnit},
		{id: "root-file-system", look: m.lookRoot},
		{id: "file-system-errors", look: m.lookErrors},
		{id: "storage-wear", look: m.lookWear},
		{id: "free-disk", look: m.lookFree},
		{id: "serial-permission", look: m.lookSerial},
		{id: "gpio-permission", look: m.lookChips},
		{id: "serial-console", look: m.lookConsole},
		{id: "serial-grabber", look: m.lookGrabbers},
		{id: "usb-serial-latency", look: m.lookLatency},
	}
}

// inspect runs all checks at once and gives their findings in the checks'
// order. A check that does not come back is left behind: nothing can interrupt
// a read that hangs in the kernel, and this program ends soon.
func inspect(ctx context.Context, checks []check) []Finding {
	type running struct {
		ctx    context.Context
		cancel context.CancelFunc
		done   chan outcome
	}
	started := make([]running, len(checks))
	for i, c := range checks {
		limit := c.limit
		if limit == 0 {
			limit = deadline
		}
		r := running{done: make(chan outcome, 1)}
		r.ctx, r.cancel = context.WithTimeout(ctx, limit)
		go func() { r.done <- c.safely(r.ctx) }()
		started[i] = r
	}
	var findings []Finding
	for i, c := range checks {
		o := await(started[i].ctx, started[i].done)
		started[i].cancel()
		findings = append(findings, o.findings...)
		if o.err != nil {
			findings = append(findings, couldNotLook(c.id, o.err))
		}
	}
	return findings
}

// await takes an outcome that is there even when the time is up: while an
// earlier check was waited for, the deadlines of all went on.
func await(ctx context.Context, done <-chan outcome) outcome {
	select {
	case o := <-done:
		return o
	case <-ctx.Done():
	}
	select {
	case o := <-done:
		return o
	default:
		return outcome{err: fmt.Errorf("no answer: %w", context.Cause(ctx))}
	}
}

// safely keeps a panic of one check from taking the others with it.
func (c check) safely(ctx context.Context) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			o = outcome{err: fmt.Errorf("panic: %v: please report it with the output of dancer version", p)}
		}
	}()
	findings, err := c.look(ctx)
	return outcome{findings, err}
}

// couldNotLook is a check that failed. What only root may see is a note; for
// everything else the unsafe side is assumed.
func couldNotLook(id string, err error) Finding {
	f := Finding{ID: id, Severity: Warning, Found: "could not look: " + strings.TrimSpace(err.Error()), Why: "what was not looked at may be wrong"}
	if errors.Is(err, fs.ErrPermission) {
		f.Severity, f.Cure = Note, "sudo dancer doctor"
	}
	return f
}
