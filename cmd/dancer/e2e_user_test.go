package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/runtime/privilege"
)

// needRoot skips where there is only one user to be.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: only root can give the brain another user id (CI is root)")
	}
}

// procStatus reads the fields of /proc/PID/status (proc(5)) of every thread, and
// fails when two threads do not agree on one that is asked for.
func (w *world) procStatus(pid int, names ...string) map[string]string {
	w.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(tasks) == 0 {
		w.Fatalf("process %d has no threads: %v", pid, err)
	}
	found := map[string]string{}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // a thread that ended meanwhile
		}
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(line, ":")
			value = strings.Join(strings.Fields(value), " ")
			for _, wanted := range names {
				if before, ok := found[name]; name == wanted && ok && before != value {
					w.Errorf("threads of %d differ: %s is %q and %q", pid, name, before, value)
				} else if name == wanted {
					found[name] = value
				}
			}
		}
	}
	return found
}

// TestEndToEndBrainUser: where the spine is root, the brain is another user without
// any privilege. A process with exactly its rights cannot touch the spine.
func TestEndToEndBrainUser(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	b := newBenchRobot(w, "user-bot", brokerOff)
	if err := os.Chmod(w.dir, 0o700); err != nil { // the brain may not even go through the folders above its own
		t.Fatal(err)
	}
	record := filepath.Join(w.dir, "asked.mcap")
	p := b.run("--record", record)
	pid := p.brain()
	user, err := privilege.Choose()
	if err != nil {
		t.Fatal(err)
	}
	id, group := strconv.Itoa(user.ID), strconv.Itoa(user.Group)
	none := "0000000000000000"
	got := w.procStatus(pid, "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs")
	for name, want := range map[string]string{
		"Uid": strings.Join([]string{id, id, id, id}, " "), "Gid": strings.Join([]string{group, group, group, group}, " "), "Groups": "",
		"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "1",
	} {
		if got[name] != want {
			t.Errorf("%s of the brain is %q, want %q", name, got[name], want)
		}
	}
	b.checkLimits(p.cmd.Process.Pid, pid)
	b.checkReach(p, user)
	b.until(30*time.Second, "the robot moves", func() bool {
		if b.state(b.listen, b.name).Mode != "running" { // a busy machine may cost it the lease, and it does not start by itself
			b.operator("start")
		}
		return b.moves()
	})
	p.stop()
	if info, err := os.Stat(record); err != nil || info.Size() == 0 {
		t.Errorf("the recording in root's folder: %v", err)
	}
	if code, _, stderr := w.once("replay", record); code != 0 {
		t.Errorf("replay: exit %d: %s", code, stderr)
	}
}

// checkLimits: nice values, the kernel's order when memory runs out, descriptors.
func (b *benchRobot) checkLimits(spine, brain int) {
	b.Helper()
	niceness := func(pid int) int {
		n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
		if err != nil {
			b.Fatal(err)
		}
		return 20 - n // as the system call has it
	}
	if n := niceness(brain); n != -10 {
		b.Errorf("the brain's nice value is %d, want -10", n)
	}
	score := func(pid int) int {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid))
		if err != nil {
			b.Fatal(err)
		}
		n, err := strconv.Atoi(strings.TrimSpace(string(text)))
		if err != nil {
			b.Fatal(err)
		}
		return n
	}
	if s, br := score(spine), score(brain); br != 500 || s >= br {
		b.Errorf("oom_score_adj is %d for the spine and %d for the brain", s, br)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", brain))
	if err != nil {
		b.Fatal(err)
	}
	for name, most := range map[string]int{"Max core file size": 0, "Max realtime priority": 0, "Max open files": 4096, "Max processes": 1024} {
		_, rest, _ := strings.Cut(string(limits), name)
		fields := strings.Fields(rest) // soft, hard
		if hard, err := strconv.Atoi(fields[1]); err != nil || hard > most {
			b.Errorf("%s of the brain: %v (%v), want %d at most", name, fields[:2], err, most)
		}
	}
}

// checkReach runs what a brain could run, as its user, against the spine.
func (b *benchRobot) checkReach(p *process, user privilege.User) {
	b.Helper()
	b.distance(0.2)
	b.until(5*time.Second, "a reflex", func() bool { return b.motor.last("L ") == "1" })
	b.distance(2)
	// No rule of this robot latches: the file stands for one that did.
	if err := os.WriteFile(filepath.Join(b.data, "latches.json"), []byte("root's"), 0o600); err != nil {
		b.Fatal(err)
	}
	// The folders above are opened for this, so that only the files' own rights count.
	for folder := b.data; folder != filepath.Clean(os.TempDir()) && folder != "/"; folder = filepath.Dir(folder) {
		if err := os.Chmod(folder, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	spine := p.cmd.Process.Pid
	script := fmt.Sprintf(`
try() { if "$@" 2>/dev/null; then echo "ALLOWED: $*"; fi; }
try cat %[1]s/latches.json
try sh -c 'echo > %[1]s/latches.json'
try touch %[1]s/new
try rm -f %[1]s/spine.lock
try mv %[1]s/brain %[1]s/elsewhere
try kill -9 %[2]d
try kill -STOP %[2]d
try cat /proc/%[2]d/mem
try ls /proc/%[2]d/fd
try cat /proc/%[2]d/environ
try sh -c 'echo -1000 > /proc/%[3]d/oom_score_adj'
try sh -c 'echo 0 > /proc/%[2]d/oom_score_adj'
try chrt -f 50 true
touch %[1]s/brain/mine && rm %[1]s/brain/mine && echo reached
`, b.data, spine, p.brain())
	cmd := exec.Command("sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user.ID), Gid: uint32(user.Group)}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Errorf("probe: %v", err)
	}
	if string(out) != "reached\n" { // its own folder, and nothing else
		b.Errorf("as the brain's user:\n%s", out)
	}
	b.checkSocket(user)
}

// checkSocket: the control socket does not take a word from the brain's user, and
// the command line says who may.
func (b *benchRobot) checkSocket(user privilege.User) {
	b.Helper()
	cmd := exec.Command(b.copyForAll(b.binary), "stop", "--data", b.data)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user.ID), Gid: uint32(user.Group)}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "permission denied (use the account that runs the robot, or sudo)") {
		b.Errorf("the control socket for the brain's user: %v %s", err, out)
	}
}

// copyForAll makes a program that every user may run.
func (w *world) copyForAll(program string) string {
	w.Helper()
	text, err := os.ReadFile(program)
	if err != nil {
		w.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "dancer-probe-")
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = os.RemoveAll(folder) })
	path := filepath.Join(folder, "probe")
	if err := errors.Join(os.WriteFile(path, text, 0o755), os.Chmod(folder, 0o755), os.Chmod(path, 0o755)); err != nil {
		w.Fatal(err)
	}
	return path
}

// TestEndToEndBrainDiesWithSpine: a change of ids clears the death signal, and the
// brain has set it again.
func TestEndToEndBrainDiesWithSpine(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	b := newBenchRobot(w, "orphan-bot", brokerOff)
	for range 3 {
		p := b.run()
		pid := p.brain()
		if err := p.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-p.done
		w.until(10*time.Second, "the brain dies with the spine", func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
	}
}

// TestEndToEndRecordsOfEarlierVersions: what lay in the data folder itself goes to
// the brain's part of it, whole, whoever it belonged to.
func TestEndToEndRecordsOfEarlierVersions(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "old-bot", brokerOff)
	p := b.run()
	var stored map[string]bool
	b.until(20*time.Second, "stored decisions", func() bool { stored = b.records(); return len(stored) > 5 })
	p.stop()
	part := filepath.Join(b.data, "brain")
	entries, err := os.ReadDir(part)
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]bool{}
	for _, e := range entries { // as an earlier version would have left them
		if strings.HasPrefix(e.Name(), "conflicts") { // which it did not have
			if err := os.RemoveAll(filepath.Join(part, e.Name())); err != nil {
				t.Fatal(err)
			}
			continue
		}
		before[e.Name()] = true
		if err := os.Rename(filepath.Join(part, e.Name()), filepath.Join(b.data, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	if !before["robot"] || !before["recordings"] || !before["sealed"] {
		t.Fatalf("the brain left %v", before)
	}
	if os.Geteuid() == 0 {
		if out, err := exec.Command("chown", "-R", "root:root", b.data).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := os.Remove(part); err != nil {
		t.Fatal(err)
	}
	damaged := filepath.Join(b.data, "robot.damaged-20250101T000000")
	if err := os.WriteFile(damaged, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before[filepath.Base(damaged)] = true
	p = b.run()
	b.stillStored(stored)
	p.stop()
	for name := range before {
		if _, err := os.Lstat(filepath.Join(part, name)); err != nil {
			t.Errorf("%s is not in the brain's part: %v", name, err)
		}
		if _, err := os.Lstat(filepath.Join(b.data, name)); err == nil {
			t.Errorf("%s is left in the data folder", name)
		}
	}
}

// TestEndToEndPlantedLinks: what a brain of an earlier life left in its folder does
// not lead the root part of the next start anywhere.
func TestEndToEndPlantedLinks(t *testing.T) {
	needRoot(t)
	w := newWorld(t)
	b := newBenchRobot(w, "planted-bot", brokerOff)
	part := filepath.Join(b.data, "brain")
	if err := os.MkdirAll(part, 0o700); err != nil {
		t.Fatal(err)
	}
	precious := w.file("precious", "root's own")
	stranger := 60999 // the folder was another user's: everything in it is looked at
	for _, err := range []error{
		os.Symlink(precious, filepath.Join(part, "robot.copy")),
		os.Link(precious, filepath.Join(part, "robot.new")),
		os.Symlink(filepath.Dir(precious), filepath.Join(part, "linked")),
		unix.Mkfifo(filepath.Join(part, "fifo"), 0o600),
		os.Mkdir(filepath.Join(part, "sealed"), 0o700),
		os.Symlink(precious, filepath.Join(part, "sealed", "deep")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"robot.copy", "linked", "fifo", "sealed", "sealed/deep", ""} {
		if err := os.Lchown(filepath.Join(part, name), stranger, stranger); err != nil {
			t.Fatal(err)
		}
	}
	p := b.run()
	p.stop()
	var st unix.Stat_t
	if err := unix.Lstat(precious, &st); err != nil || st.Uid != 0 {
		t.Errorf("root's file belongs to %d now (%v)", st.Uid, err)
	}
	if err := unix.Lstat(w.dir, &st); err != nil || st.Uid != 0 {
		t.Errorf("root's folder belongs to %d now (%v)", st.Uid, err)
	}
	if text, err := os.ReadFile(precious); err != nil || string(text) != "root's own" {
		t.Errorf("root's file is %q (%v)", text, err)
	}
}

// TestEndToEndBrainHangsForGood: a brain that lives and decides nothing is ended
// and started again, and everybody is told why.
func TestEndToEndBrainHangsForGood(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "stuck-bot", brokerOff)
	p := b.run()
	b.operator("start")
	b.until(10*time.Second, "the robot moves", b.moves)
	pid := p.brain()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	b.until(5*time.Second, "outputs are safe", b.isSafe)
	b.until(40*time.Second, "another brain", func() bool { now := p.brain(); return now != 0 && now != pid })
	b.until(20*time.Second, "its live lease", func() bool { return b.state(b.listen, b.name).Lease == "live" })
	b.staysSafe()
	if log := p.stderr.String(); !strings.Contains(log, "it hung: no decision for too long; ended by the watchdog") {
		t.Errorf("the log does not say that it hung: %s", tail(log))
	}
	b.until(10*time.Second, "the event", func() bool {
		for _, e := range b.told("brain") {
			if e.State == "died" && e.Why == "the brain hung and was ended" {
				return true
			}
		}
		return false
	})
	if s := b.state(b.listen, b.name); s.Mode != "safe" || s.Fault != "" {
		t.Errorf("one hang made the robot %s: %s", s.Mode, s.Fault)
	}
}

// TestEndToEndBootLoop: a brain that cannot start is report-only once it can, and
// the operator finds out why on the page, by status, by start and over MQTT.
func TestEndToEndBootLoop(t *testing.T) {
	w := newWorld(t)
	b := newBenchRobot(w, "loop-bot", brokerOff)
	obstacle := filepath.Join(b.data, "brain", "dancer.lock")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	p := w.start("run", b.path, "--data", b.data, "--events", b.events)
	w.until(60*time.Second, "report-only", func() bool {
		_, _, stderr := w.once("start", b.name)
		return strings.Contains(stderr, "report-only")
	})
	code, _, stderr := w.once("start", b.name)
	for _, want := range []string{"report-only: restart dancer run", "brain-strikes=3", "brain-exit=1", "brain-end=itself"} {
		if code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("dancer start: exit %d, %q does not say %q", code, stderr, want)
		}
	}
	if code, stdout, _ := w.once("status", "--conductor", "http://"+b.listen); code == 0 || !strings.Contains(stdout, "mode=report-only") || !strings.Contains(stdout, "brain-strikes=3 brain-exit=1") {
		t.Errorf("dancer status without a brain: exit %d, %s", code, stdout)
	}
	b.distance(0.2) // reflexes need no brain
	b.until(5*time.Second, "a reflex", func() bool { return b.motor.last("L ") == "1" })
	b.distance(2)
	if err := os.Remove(obstacle); err != nil {
		t.Fatal(err)
	}
	var told string
	w.until(40*time.Second, "the page says why", func() bool {
		told = b.state(b.listen, b.name).Fault
		return told != ""
	})
	for _, want := range []string{"the brain died 3 times in a row", "with exit code 1", "restart dancer run"} {
		if !strings.Contains(told, want) {
			t.Errorf("the state says %q, not %q", told, want)
		}
	}
	if code, stdout, stderr := w.once("status", "--conductor", "http://"+b.listen); code != 0 || !strings.Contains(stdout, "the brain died 3 times in a row") {
		t.Errorf("dancer status: exit %d, %s%s", code, stdout, stderr)
	}
	b.reportsOnly()
	p.stop()
}

// reportsOnly: the brain that came back tells what happened, and moves nothing.
func (b *benchRobot) reportsOnly() {
	b.Helper()
	b.until(10*time.Second, "the deaths are told", func() bool {
		died := 0
		for _, e := range b.told("brain") {
			if e.State == "died" && e.Why == "the brain ended" {
				died++
			}
		}
		return died >= 3
	})
	b.staysSafe()
	if mode := b.state(b.listen, b.name).Mode; mode != "report-only" {
		b.Errorf("mode is %s", mode)
	}
}
