package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The tests below let a real systemd run the robot, with what
// packaging/dancer@.service says of starting, watching and restarting. It is an
// instance for a user, in a mount namespace in which the machine looks booted by
// systemd; nothing of the machine's own systemd is touched.

const systemdBinary = "/lib/systemd/systemd"

// unitKeys are what the tests take over from the unit: the rest is a sandbox, which
// a user's instance cannot make.
var unitKeys = []string{"Type", "NotifyAccess", "TimeoutStartSec", "Restart", "RestartSec", "WatchdogSec", "WatchdogSignal", "KillMode", "TimeoutStopSec", "Nice", "IOSchedulingClass", "IOSchedulingPriority"}

// startSystemd runs a user's systemd in control group $1, of which it sees nothing
// but that group and what is below: a systemd that sees the root of the tree
// moves every process of the machine. $2 mounts the tree.
const startSystemd = `
for folder in $1; do echo $$ >"$folder/cgroup.procs"; done
exec unshare --mount --cgroup --propagation private sh -ec "
umount -R -l /sys/fs/cgroup
$2
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
exec ` + systemdBinary + ` --user --unit=basic.target --log-target=console"`

// How systemd's part of the tree is mounted: version 2 of control groups alone, or
// version 1 with version 2 beside it, which tells of empty groups. No controller
// is needed.
const (
	mountUnified = "mount -t cgroup2 cgroup2 /sys/fs/cgroup"
	mountHybrid  = "mount -t tmpfs tmpfs /sys/fs/cgroup; mkdir /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; " +
		"mount -t cgroup -o none,name=systemd,xattr systemd /sys/fs/cgroup/systemd; mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified"
)

// box is a control group of a test's own, in each tree that systemd uses.
type box struct {
	folders []string
	mount   string
}

// newBox makes a group below that of this process, and holds the test to leaving
// the groups of others alone.
func newBox(w *world) box {
	w.Helper()
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		w.Skipf("there are no control groups here: %v", err)
	}
	b := box{mount: mountHybrid}
	unified := "/sys/fs/cgroup/unified"
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err == nil {
		unified, b.mount = "/sys/fs/cgroup", mountUnified
	}
	for line := range strings.Lines(string(groups)) {
		line = strings.TrimSpace(line)
		if path, found := strings.CutPrefix(line, "0::"); found {
			b.folders = append(b.folders, unified+path)
		} else if _, path, found := strings.Cut(line, ":name=systemd:"); found && b.mount == mountHybrid {
			b.folders = append(b.folders, "/sys/fs/cgroup/systemd"+path)
		}
	}
	first, _ := os.ReadFile("/proc/1/cgroup")
	for i := range b.folders {
		b.folders[i] += fmt.Sprintf("/dancer-test-%d", os.Getpid())
		if err := os.Mkdir(b.folders[i], 0o755); err != nil {
			w.Skipf("a control group of its own is refused: %v", err)
		}
		w.Cleanup(func() {
			_ = exec.Command("find", b.folders[i], "-depth", "-type", "d", "-exec", "rmdir", "{}", ";").Run() // empty by now
		})
	}
	w.Cleanup(func() {
		if last, _ := os.ReadFile("/proc/1/cgroup"); string(last) != string(first) {
			w.Errorf("process 1 was moved to other control groups:\n%s\nfrom:\n%s", last, first)
		}
	})
	return b
}

// service is one robot under systemd.
type service struct {
	*benchRobot
	unit     string
	env      []string
	watchdog time.Duration
	log      string
}

// newService starts systemd, and the robot by it.
func newService(b *benchRobot) *service {
	b.Helper()
	if os.Geteuid() != 0 {
		b.Skip("a systemd of its own needs root, for a mount namespace")
	}
	for _, need := range []string{systemdBinary, "/usr/bin/systemctl", "/usr/bin/unshare"} {
		if _, err := os.Stat(need); err != nil {
			b.Skipf("there is no systemd here: %v", err)
		}
	}
	run, err := os.MkdirTemp("", "dancer") // sockets: a short name
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(run) })
	s := &service{benchRobot: b, unit: fmt.Sprintf("dancer-%s-%d.service", b.name, os.Getpid()), log: filepath.Join(b.dir, "service.log")}
	s.env = append(b.world.env, "XDG_RUNTIME_DIR="+run, "HOME="+b.dir)
	s.writeUnit()
	box := newBox(b.world)
	cmd := exec.Command("sh", "-ec", startSystemd, "sh", strings.Join(box.folders, " "), box.mount)
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + run, "HOME=" + b.dir, "PATH=" + os.Getenv("PATH")}
	manager := b.launch(cmd)
	// Cleanups run in reverse: the robot is stopped before its manager.
	b.Cleanup(func() {
		_, _ = s.systemctl("stop", s.unit)
		if b.Failed() {
			text, _ := os.ReadFile(s.log)
			b.Logf("service: %s", tail(string(text)))
		}
	})
	b.until(20*time.Second, "systemd runs", func() bool {
		if manager.ended() {
			b.Skipf("systemd does not run here: %s", tail(manager.stderr.String()))
		}
		_, err := s.systemctl("is-active", "basic.target")
		return err == nil
	})
	if out, err := s.systemctl("start", s.unit); err != nil { // returns when the reflexes are armed
		b.Fatalf("start %s: %v: %s", s.unit, err, out)
	}
	return s
}

// writeUnit makes the unit out of the one that is installed.
func (s *service) writeUnit() {
	s.Helper()
	installed, err := os.ReadFile("../../packaging/dancer@.service")
	if err != nil {
		s.Fatal(err)
	}
	text := "[Unit]\nStartLimitIntervalSec=0\n[Service]\n"
	for line := range strings.Lines(string(installed)) {
		if key, value, _ := strings.Cut(line, "="); slices.Contains(unitKeys, key) {
			text += line
			if key == "WatchdogSec" {
				if s.watchdog, err = time.ParseDuration(strings.TrimSpace(value)); err != nil {
					s.Fatal(err)
				}
			}
		}
	}
	text += fmt.Sprintf("ExecStart=%s run %s --data %s --events %s\nStandardOutput=append:%s\nStandardError=append:%s\n",
		s.binary, s.path, s.data, s.events, s.log, s.log)
	for _, variable := range s.env {
		if strings.HasPrefix(variable, "DANCER_") || strings.HasPrefix(variable, "HOME=") {
			text += "Environment=" + variable + "\n"
		}
	}
	s.file(filepath.Join(".config/systemd/user", s.unit), text)
}

func (s *service) systemctl(args ...string) (string, error) {
	cmd := exec.Command("systemctl", append([]string{"--user"}, args...)...)
	cmd.Env = append(os.Environ(), s.env...)
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (s *service) property(name string) string {
	s.Helper()
	out, err := s.systemctl("show", "--property", name, "--value", s.unit)
	if err != nil {
		s.Fatalf("%s of %s: %v: %s", name, s.unit, err, out)
	}
	return out
}

// spine is the process that systemd watches, once it decides.
func (s *service) spine() int {
	s.Helper()
	pid := 0
	s.until(30*time.Second, "a robot with a live lease", func() bool {
		pid, _ = strconv.Atoi(s.property("MainPID"))
		return pid > 0 && childOf(pid) > 0 && s.property("ActiveState") == "active" && s.state(s.listen, s.name).Lease == "live"
	})
	return pid
}

// setMoving starts the robot; again, where a busy machine cost it its lease.
func (s *service) setMoving() {
	s.Helper()
	s.until(60*time.Second, "it moves", func() bool {
		if s.state(s.listen, s.name).Mode != "running" {
			_, _, _ = s.once("start", s.name) // refused without a lease
		}
		return s.moves()
	})
}

// hit gives a signal to the spine of a moving robot, and says how long it took
// until the wire was safe. What the wire says from then on must be safe, until
// the caller looks.
func (s *service) hit(pid int, signal syscall.Signal, limit time.Duration) (took time.Duration, since int) {
	s.Helper()
	brain := childOf(pid)
	since = len(s.motor.all(""))
	at := time.Now()
	if err := syscall.Kill(pid, signal); err != nil {
		s.Fatal(err)
	}
	var safe time.Time
	s.until(limit+5*time.Second, "the wire is safe", func() bool {
		drive, brake := time.Time{}, time.Time{}
		for _, line := range s.motor.all("")[since:] {
			if line.text == "M 0" && drive.IsZero() {
				drive = line.at
			}
			if line.text == "B 1" && brake.IsZero() {
				brake = line.at
			}
		}
		if drive.IsZero() || brake.IsZero() {
			return false
		}
		safe = drive
		if brake.After(drive) {
			safe = brake
		}
		return true
	})
	if took = safe.Sub(at); took > limit {
		s.Errorf("the wire was safe %v after the signal, at most %v are allowed", took, limit)
	}
	s.until(5*time.Second, "the brain has died with its spine", func() bool { return syscall.Kill(brain, 0) != nil })
	return took, since
}

// latched says whether a latch holds, as the robot tells it.
func (s *service) latched(name string) bool {
	s.Helper()
	return slices.Contains(s.state(s.listen, s.name).Latches, name)
}

// remanual changes manual.yaml.
func (b *benchRobot) remanual(from, to string) {
	b.Helper()
	if !strings.Contains(benchManual, from) {
		b.Fatalf("no %q in the manual", from)
	}
	b.file(b.name+"/manual.yaml", strings.Replace(benchManual, from, to, 1))
}

// stayed holds the wire to what was safe once, until now.
func (s *service) stayed(since int) {
	s.Helper()
	safe := false
	for _, line := range s.motor.all("")[since:] {
		if strings.HasPrefix(line.text, "M ") {
			if safe = safe || line.text == "M 0"; safe && line.text != "M 0" {
				s.Fatalf("it moves by itself: %s", line.text)
			}
		}
	}
}

// TestEndToEndSpineKilled kills the spine of a moving robot again and again
// (DANCER_SOAK: a hundred times). Each time systemd's restart has the outputs safe
// within a second, the brain of the dead spine dies, a latch holds, and nothing
// moves until a person says so, with autostart as well: a restart is no boot.
func TestEndToEndSpineKilled(t *testing.T) {
	b := newBenchRobot(newWorld(t), "spine-bot", brokerOff+"autostart: true\n")
	b.remanual("reflexes:", "reflexes:\n  - {name: cliff, when: \"range > 7 m\", set: {lamp: 1}, latch: operator, stop: 2}")
	s := newService(b)
	rounds := 3
	if soak() {
		rounds = 100
	}
	pid := s.spine()
	s.until(10*time.Second, "it starts by itself after boot", s.moves)
	var all []time.Duration
	for round := range rounds {
		latch := round%3 == 1
		if latch {
			s.distance(7.5)
			s.until(10*time.Second, "the latch", func() bool { return s.latched("cliff") })
			s.distance(2)
		}
		took, since := s.hit(pid, syscall.SIGKILL, time.Second+slack)
		all = append(all, took)
		pid = s.spine()
		s.until(10*time.Second, "a few decisions", func() bool { return len(s.records()) > 0 })
		if latch && !s.latched("cliff") {
			t.Errorf("round %d: the latch is lost", round+1)
		}
		time.Sleep(300 * time.Millisecond) // three decisions that must move nothing
		s.stayed(since)
		if s.latched("cliff") { // on a busy machine also because the sensor fell silent
			s.operator("clear")
		}
		s.setMoving()
	}
	slices.Sort(all)
	t.Logf("%d kills: outputs safe after %v (median), %v (worst)", rounds, all[len(all)/2].Round(time.Millisecond), all[len(all)-1].Round(time.Millisecond))
	if restarts := s.property("NRestarts"); restarts != strconv.Itoa(rounds) {
		t.Errorf("%s restarts, want %d", restarts, rounds)
	}
	if told := s.told("restart"); len(told) != rounds || told[0].Why != "the spine before this one died" {
		t.Errorf("%d events tell of %d restarts: %+v", len(told), rounds, told)
	}
	if text := s.property("StatusText"); !strings.HasPrefix(text, "running: operator; lease live") {
		t.Errorf("systemctl status says %q", text)
	}
}

// TestEndToEndSpineHangs stops the spine: systemd misses its word, kills it and
// starts another.
func TestEndToEndSpineHangs(t *testing.T) {
	s := newService(newBenchRobot(newWorld(t), "still-bot", brokerOff))
	rounds := 1
	if soak() {
		rounds = 20
	}
	for range rounds {
		pid := s.spine()
		s.setMoving()
		took, since := s.hit(pid, syscall.SIGSTOP, s.watchdog+time.Second+slack)
		t.Logf("outputs safe %v after the spine was stopped", took.Round(time.Millisecond))
		s.spine()
		s.stayed(since)
	}
	if result := s.property("NRestarts"); result != strconv.Itoa(rounds) {
		t.Errorf("%s restarts, want %d", result, rounds)
	}
}

// TestEndToEndBrokenFiles: somebody breaks robot.yaml while the robot moves, and
// its spine dies. The files of the last run are enough to drive it safe; it starts
// again when they are mended.
func TestEndToEndBrokenFiles(t *testing.T) {
	s := newService(newBenchRobot(newWorld(t), "broken-bot", brokerOff))
	pid := s.spine()
	s.setMoving()
	s.until(10*time.Second, "the copy of the files", func() bool {
		_, err := os.Stat(filepath.Join(s.data, "wiring.json"))
		return err == nil
	})
	sound, err := os.ReadFile(s.path)
	if err != nil {
		t.Fatal(err)
	}
	s.file(s.name+"/robot.yaml", "robot: [")
	took, since := s.hit(pid, syscall.SIGKILL, time.Second+slack)
	t.Logf("outputs safe after %v", took.Round(time.Millisecond))
	s.until(10*time.Second, "it says why", func() bool {
		text, _ := os.ReadFile(s.log)
		return strings.Contains(string(text), "the run before this one did not end in order: "+saysSafe)
	})
	s.file(s.name+"/robot.yaml", string(sound))
	s.spine()
	s.stayed(since)
}

// TestEndToEndServiceStops: systemd's stop is an orderly end, and the next start is
// told of nothing.
func TestEndToEndServiceStops(t *testing.T) {
	s := newService(newBenchRobot(newWorld(t), "order-bot", brokerOff))
	s.spine()
	s.setMoving()
	if out, err := s.systemctl("stop", s.unit); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.until(time.Second, "the wire is safe", s.isSafe)
	if result := s.property("Result"); result != "success" {
		t.Errorf("result %s", result)
	}
	if out, err := s.systemctl("start", s.unit); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.spine()
	if told := s.told("restart"); len(told) != 0 {
		t.Errorf("told of %+v", told)
	}
}

// TestUnitFiles lets systemd read the units that are installed.
func TestUnitFiles(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("there is no systemd-analyze here")
	}
	dir := t.TempDir()
	files, err := filepath.Glob("../../packaging/*.service")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d units, %v", len(files), err)
	}
	args := []string{"verify", "--man=no", "--recursive-errors=no"}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, strings.Replace(filepath.Base(file), "@", "@one", 1))
		installed := strings.ReplaceAll(string(text), "/usr/local/bin/dancer", "/bin/true") // it is not installed here
		if err := os.WriteFile(path, []byte(installed), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, path)
	}
	out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
