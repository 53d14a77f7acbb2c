package spine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestOperatorStartsAndStops(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	g.drives("0", "1")
	g.moving()
	if answer := g.control("stop tester"); answer != "ok stop" {
		t.Errorf("stop says %q", answer)
	}
	g.drives("0", "1")
	g.status("mode=safe")
	g.moving()
	g.end()
	if g.err != nil {
		t.Fatal(g.err)
	}
	g.drives("0", "1")
	if got, want := g.stderr.String(), "all outputs at their safe value: drive=0 brake=1\n"; got != want {
		t.Errorf("last word %q, want %q", got, want)
	}
	if !strings.Contains(g.log.String(), "by=tester") {
		t.Errorf("the log does not say who started:\n%s", g.log.String())
	}
	if g.report.BrainStarts != 1 {
		t.Errorf("%d starts of the brain", g.report.BrainStarts)
	}
}

func TestKilledBrain(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	for n := 1; n <= 3; n++ {
		g.moving()
		g.signal(g.pid(n), syscall.SIGKILL)
		g.drives("0", "1")
		g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
		g.drives("0.1", "0") // the reflex needs no brain
		g.sense(`{"range": 2, "bumper": 0, "soft": 0}`)
		g.drives("0", "1")
		g.pid(n + 1)
		g.status("lease=live")
		g.status("mode=safe") // back, and nothing moves by itself
	}
	g.drives("0", "1")
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
	if !strings.Contains(g.log.String(), "the brain ended") {
		t.Errorf("the log does not say why the lease was lost:\n%s", g.log.String())
	}
}

func TestStoppedBrainLosesItsLease(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	g.moving()
	pid := g.pid(1)
	g.signal(pid, syscall.SIGSTOP)
	g.drives("0", "1")
	g.status("lease=expired")
	g.signal(pid, syscall.SIGCONT)
	g.status("lease=live")
	g.status("mode=safe")
	g.drives("0", "1")
}

func TestBrainThatDiesIsReportOnly(t *testing.T) {
	g := newRig(t, "dies")
	g.run()
	g.status("mode=report-only")
	if answer := g.control("start tester"); !strings.HasPrefix(answer, "refused start: report-only") {
		t.Errorf("start says %q", answer)
	}
	g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
	g.drives("0.1", "0")
	g.end()
	if g.report.BrainStarts < 3 {
		t.Errorf("%d starts of the brain", g.report.BrainStarts)
	}
}

func TestBrainAsks(t *testing.T) {
	g := newRig(t, "asks")
	g.run()
	g.until("answers", func() bool { return g.count("answer ") == 3 })
	for _, want := range []string{"answer index=1 flags=", "answer index=3 flags=0 value=0 cause=10 frame=8", "answer index=77 flags=0 value=0 cause=13 frame=9"} {
		if g.count(want) != 1 {
			_, told := g.snapshot()
			t.Errorf("no %q in %q", want, told)
		}
	}
}

func TestHostileBrainCannotMoveAnything(t *testing.T) {
	g := newRig(t, "hostile")
	g.run()
	g.pid(1)
	for range 20 {
		g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
		g.drives("0.1", "0")
		g.sense(`{"range": 2, "bumper": 0, "soft": 0}`)
		g.until("reflex over", func() bool { return g.value("D") != "0.1" })
	}
	g.control("stop tester")
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
	g.drives("0", "1")
	lines, _ := g.snapshot()
	for _, line := range lines {
		var letter string
		var v float64
		if _, err := fmt.Sscanf(line, "%s %g", &letter, &v); err != nil || v < 0 || v > 1 {
			t.Errorf("line %q on the wire", line)
		}
	}
}

func TestNoisyBrainIsMuted(t *testing.T) {
	g := newRig(t, "noisy")
	g.run()
	g.pid(1)
	for range 5 {
		g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
		g.drives("0.1", "0")
		g.sense(`{"range": 2, "bumper": 0, "soft": 0}`)
		g.drives("0", "1")
	}
}

func TestLatchSurvivesRestart(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	g.moving()
	g.sense(`{"range": 2, "bumper": 1, "soft": 0}`)
	g.status("latches=bump")
	if answer := g.control("clear tester"); !strings.HasPrefix(answer, "refused clear: its condition still holds") {
		t.Errorf("clear says %q", answer)
	}
	g.end()

	again := newRig(t, "steady")
	again.cfg.DataDir = g.cfg.DataDir
	again.run()
	again.status("latches=bump")
	again.status("waiting=false")
	again.status("lease=live")
	again.control("start tester")
	again.status("mode=running")
	if v := again.value("D"); v != "0" {
		t.Errorf("drive is %s with a latch from the last run", v)
	}
	if answer := again.control("clear tester bump"); answer != "ok clear latches=-" {
		t.Errorf("clear says %q", answer)
	}
	again.status("mode=safe")
	again.moving()
	again.end()

	third := newRig(t, "")
	third.cfg.DataDir = g.cfg.DataDir
	third.run()
	third.status("latches=-")
}

func TestDamagedLatchFileLatchesAll(t *testing.T) {
	g := newRig(t, "")
	path := filepath.Join(g.cfg.DataDir, "latches.json")
	if err := os.WriteFile(path, []byte(`{"version":1,"latches":[],"check":5}`), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run()
	g.status("latches=bump")
}

func TestDryRunDrivesNothing(t *testing.T) {
	g := newRig(t, "steady")
	g.cfg.DryRun = true
	g.run()
	g.status("lease=live")
	g.control("start tester")
	g.sense(`{"range": 0.2, "bumper": 0, "soft": 0}`)
	g.status("reflexes=near")
	g.until("the brain sees the output", func() bool { return g.count("output index=0 flags=1 value=0.1") > 0 })
	g.end()
	if lines, _ := g.snapshot(); len(lines) != 0 {
		t.Errorf("lines on the wire: %q", lines)
	}
	if g.err != nil {
		t.Error(g.err)
	}
}

func TestEveryFrameIsCounted(t *testing.T) {
	const rows = 5000
	g := newRig(t, "")
	g.sense("")
	g.run()
	for i := range rows {
		fmt.Fprintf(g.master, "{\"range\": %d.%d, \"bumper\": 0, \"soft\": 0}\n", 1+i%2, i%10)
	}
	fmt.Fprintln(g.master, `{"range": 0.2, "bumper": 0, "soft": 0}`)
	g.drives("0.1", "0")
	g.end()
	if g.report.Frames != rows+1 {
		t.Errorf("%d frames, want %d", g.report.Frames, rows+1)
	}
	if g.report.Fired != 1 || g.report.Latency.Count != 1 {
		t.Errorf("report %+v", g.report)
	}
}

func TestPortGoneAndBack(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	g.moving()
	g.mutex.Lock()
	g.master.Close()
	g.mutex.Unlock()
	g.until("port event", func() bool { return g.count("port index=0 flags=0") == 1 })
	g.status("reflexes=near,bump,slow-bump") // invalid signals are on the unsafe side
	g.mutex.Lock()
	g.lines = nil
	g.plug()
	g.mutex.Unlock()
	g.until("port event", func() bool { return g.count("port index=0 flags=1") == 1 })
	g.drives("0", "1") // told again, latched by bump
	g.status("latches=bump")
	g.status("reflexes=-")
}

func TestPanicEndsSafe(t *testing.T) {
	g := newRig(t, "steady")
	broken := g.breakable()
	g.run()
	g.moving()
	(*broken).now.Store(true)
	<-g.ended
	var p *panicError
	if !errors.As(g.err, &p) || !strings.Contains(g.err.Error(), "broken") {
		t.Errorf("error %v", g.err)
	}
	g.drives("0", "1")
	if !strings.HasPrefix(g.stderr.String(), "all outputs at their safe value") {
		t.Errorf("last word %q", g.stderr.String())
	}
}

func TestLostPortAtTheEndIsAnError(t *testing.T) {
	g := newRig(t, "")
	g.run()
	g.mutex.Lock()
	g.master.Close()
	g.mutex.Unlock()
	g.until("port gone", func() bool { return strings.Contains(g.log.String(), "state=gone") })
	g.end()
	if !errors.Is(g.err, ErrOutputs) || !strings.HasPrefix(g.stderr.String(), "NOT all outputs are known to be safe (drive=0 brake=1 wanted): ") {
		t.Errorf("error %v, last word %q", g.err, g.stderr.String())
	}
}

func TestOneSpinePerFolder(t *testing.T) {
	g := newRig(t, "")
	g.run()
	other := newRig(t, "")
	other.cfg.DataDir = g.cfg.DataDir
	_, err := Run(context.Background(), other.cfg)
	want := fmt.Sprintf("data folder is in use: %s is used by another dancer (pid %d): stop it or give --data another folder", g.cfg.DataDir, os.Getpid())
	if !errors.Is(err, ErrFolderInUse) || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	g.status("mode=safe") // the first one is unharmed
}

func TestSimulatedRobot(t *testing.T) {
	scenario := filepath.Join(t.TempDir(), "wall.scenario")
	text := "start range = 2 m\nstart bumper = 0\nstart soft = 0\n"
	if err := os.WriteFile(scenario, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := newRig(t, "")
	g.robot = loadRobot(t, simRobot, testManual)
	g.cfg.Robot, g.cfg.Scenario = g.robot, scenario
	g.cfg.BrainCommand = brainCommand("steady", g.robot, g.listen())
	g.run()
	g.status("waiting=false")
	g.status("lease=live")
	g.control("start tester")
	g.status("reflexes=near") // it drove to the wall by its own model
	g.until("the reflex has the drive", func() bool { return g.count("output index=0 flags=1 value=0.1") > 0 })
	g.end()
	if g.err != nil {
		t.Error(g.err)
	}
}

func TestRunEndsByItself(t *testing.T) {
	g := newRig(t, "steady")
	g.cfg.For = 50 * time.Millisecond
	if _, err := Run(context.Background(), g.cfg); err != nil {
		t.Fatal(err)
	}
	g.drives("0", "1")
}
