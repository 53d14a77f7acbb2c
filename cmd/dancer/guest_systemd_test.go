package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/guest"
)

// Of the guest with a whole system.
const (
	systemUnit     = "dancer@line"
	systemDancer   = "/usr/local/bin/dancer"
	supervisedRuns = 3                             // kills of the spine under systemd
	hangWithin     = 2*time.Second + restartWithin // WatchdogSec of the unit, and a restart
)

// agentUnit starts the test's hand in the guest as soon as the system is up.
const agentUnit = `[Unit]
Description=hand of the test
After=systemd-udev-settle.service systemd-sysusers.service systemd-tmpfiles-setup.service
[Service]
ExecStart=/init service
`

// systemRobot is a robot under systemd.
type systemRobot struct {
	*lineRobot
	brainUser bool
}

// TestGuestSystemd runs the robot as packaging/ installs it: Debian's systemd and udev,
// the unit with its sandbox, its user and its groups. A spine that is killed or hangs is
// started again; the lines are safe in time, and nothing moves before an operator says so.
func TestGuestSystemd(t *testing.T) {
	for name, brainUser := range map[string]bool{"own user": false, "brain with a user of its own": true} {
		t.Run(name, func(t *testing.T) {
			r := bootSystemRobot(t, brainUser)
			r.checkProcesses()
			r.operator("start")
			r.must(r.m.Lines.Await(motorLine, true, patience))
			r.killSpine()
			r.hangSpine()
			r.stopUnit()
		})
	}
}

// bootSystemRobot boots the system and starts the unit.
func bootSystemRobot(t *testing.T, brainUser bool) *systemRobot {
	t.Helper()
	if os.Getenv(envGuest) == "" {
		t.Skip("boots a kernel under QEMU for minutes: make test-kernel")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	system, err := guest.FindSystem(ctx, "../..")
	if errors.Is(err, guest.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	link := func(path, to string) guest.File { return guest.File{Path: path, Link: to} }
	text := func(path, text string) guest.File { return guest.File{Path: path, Data: []byte(text), Mode: 0o644} }
	files := []guest.File{
		text("/etc/machine-id", strings.Repeat("0123456789abcdef", 2)+"\n"), // without one systemd asks for its first settings
		text("/etc/os-release", "ID=debian\nNAME=Debian\n"),
		text("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
		text("/etc/group", "root:x:0:\n"),
		link(systemDancer, guestDancer),
		link("/etc/systemd/system/default.target", "/usr/lib/systemd/system/multi-user.target"),
		text("/etc/systemd/system/test.service", agentUnit),
		link("/etc/systemd/system/multi-user.target.wants/test.service", "/etc/systemd/system/test.service"),
		text("/etc/dancer/line/robot.yaml", hardwareWiring), text("/etc/dancer/line/manual.yaml", hardwareManual),
	}
	for to, from := range map[string]string{
		"/etc/systemd/system/dancer@.service": "dancer@.service",
		"/usr/lib/sysusers.d/dancer.conf":     "dancer.sysusers",
		"/etc/udev/rules.d/60-dancer.rules":   "60-dancer.rules",
	} {
		files = append(files, guest.File{Path: to, From: filepath.Join("../../packaging", from), Mode: 0o644})
	}
	if brainUser {
		files = append(files, guest.File{Path: "/etc/systemd/system/dancer@.service.d/brain-user.conf", From: "../../packaging/brain-user.conf", Mode: 0o644})
	}
	m := bootGuest(t, guest.Config{
		System: system, Time: guest.InstructionTime, Lines: true, Files: files,
		Arguments: []string{"systemd.getty_auto=no", "systemd.log_level=notice", "systemd.show_status=no", "audit=0"},
	})
	r := &systemRobot{&lineRobot{T: t, m: m, dancer: systemDancer, environment: []string{"DANCER_RUN_DIRECTORY=/run/dancer"}}, brainUser}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the robot's log: %s", tail(r.journal()))
		}
	})
	r.system("start", systemUnit)
	return r
}

// system tells systemd something.
func (r *systemRobot) system(arguments ...string) string {
	r.Helper()
	code, said := r.execute(append([]string{"/usr/bin/systemctl", "--no-pager"}, arguments...)...)
	if code != 0 {
		r.Fatalf("systemctl %s: exit code %d: %s%s", strings.Join(arguments, " "), code, said, tail(r.journal()))
	}
	return strings.TrimSpace(said)
}

func (r *systemRobot) journal() string {
	_, said := r.execute("/usr/bin/journalctl", "--no-pager", "-o", "short-monotonic", "-u", systemUnit)
	return said
}

// spine gives the process id of the unit's main process.
func (r *systemRobot) spine() (pid int) {
	r.Helper()
	pid, err := strconv.Atoi(r.system("show", "-P", "MainPID", systemUnit))
	r.must(err)
	return pid
}

// checkProcesses: users, and what the unit's privileges are for.
func (r *systemRobot) checkProcesses() {
	r.Helper()
	users := map[bool][2]string{false: {"dancer", "dancer"}, true: {"root", "dancer-brain"}}[r.brainUser]
	for i, pid := range []int{r.spine(), r.brain()} {
		if user := r.userOf(pid); user != users[i] {
			r.Errorf("%s runs as %s, want %s: %s", [2]string{"the spine", "the brain"}[i], user, users[i], tail(r.journal()))
		}
	}
	log := r.journal()
	for _, complaint := range []string{"no real-time priority", "memory is not locked", "helper threads have no", "not kept on one processor"} {
		if strings.Contains(log, complaint) {
			r.Errorf("under its unit the spine says: %s", complaint)
		}
	}
}

// userOf gives the name of a process's user.
func (r *systemRobot) userOf(pid int) string {
	r.Helper()
	status, err := r.m.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	r.must(err)
	_, rest, _ := strings.Cut(string(status), "\nUid:\t")
	uid, _, _ := strings.Cut(rest, "\t")
	users, err := r.m.ReadFile("/etc/passwd")
	r.must(err)
	for line := range strings.Lines(string(users)) {
		if fields := strings.Split(line, ":"); len(fields) > 2 && fields[2] == uid {
			return fields[0]
		}
	}
	return uid
}

// killSpine kills the spine again and again while the robot moves.
func (r *systemRobot) killSpine() {
	r.Helper()
	var took []time.Duration
	for range supervisedRuns {
		took = append(took, r.after(syscall.SIGKILL, 3*restartWithin))
	}
	r.Logf("from SIGKILL of the spine to safe lines, restarted by systemd: %s", spread(took))
	if worst := slices.Max(took); worst > restartWithin {
		r.Errorf("the lines were safe %v after the spine's end, want %v", worst, restartWithin)
	}
}

// hangSpine stops the spine: systemd's watchdog finds out.
func (r *systemRobot) hangSpine() {
	r.Helper()
	took := r.after(syscall.SIGSTOP, 2*hangWithin)
	r.Logf("from SIGSTOP of the spine to safe lines, killed by systemd's watchdog: %v", took)
	if took > hangWithin {
		r.Errorf("the lines were safe %v after the spine hung, want %v", took, hangWithin)
	}
}

// after sends the spine a signal while the robot moves, gives the time to safe lines,
// and starts the robot again.
func (r *systemRobot) after(signal syscall.Signal, watch time.Duration) time.Duration {
	r.Helper()
	before := r.spine()
	took := r.safeAfter(before, signal, watch)
	r.until("systemd has started a new spine", func() bool { pid := r.spine(); return pid != 0 && pid != before })
	r.untilStarted()
	return took
}

// stopUnit ends the robot in order: the lines are safe, and nobody starts it again.
func (r *systemRobot) stopUnit() {
	r.Helper()
	r.system("stop", systemUnit)
	if r.m.Lines.High(motorLine) || !r.m.Lines.High(brakeLine) {
		r.Error("the stopped robot's lines are not safe")
	}
	if state := r.system("show", "-P", "ActiveState", "-P", "Result", systemUnit); state != "inactive\nsuccess" && state != "success\ninactive" {
		r.Errorf("the stopped unit is %q", state)
	}
}
