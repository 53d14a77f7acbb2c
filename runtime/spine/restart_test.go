package spine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dancer/hal/watchdog"
	"dancer/runtime/config"
)

// TestReadOnlyDisk: a card that has failed turns read only. The outputs are safe,
// every latching reflex holds, and the fault is told.
func TestReadOnlyDisk(t *testing.T) {
	g := newRig(t, "")
	dir := t.TempDir()
	if err := unix.Mount("dancer-test", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Skipf("a file system of its own needs root and mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	g.cfg.DataDir = dir
	g.run()
	g.end()
	if g.err != nil {
		t.Fatal(g.err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	again := newRig(t, "")
	again.cfg.DataDir = dir
	_, err := Run(context.Background(), again.cfg)
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("error %v", err)
	}
	again.drives("0", "1")
	if log := again.log.String(); !strings.Contains(log, "cannot be written") {
		t.Errorf("log %s", log)
	}
}

// TestFolderOfAFile: the data folder cannot be made.
func TestFolderOfAFile(t *testing.T) {
	g := newRig(t, "")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.cfg.DataDir = filepath.Join(file, "data")
	if _, err := Run(context.Background(), g.cfg); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v", err)
	}
	g.drives("0", "1")
}

// TestBusyWatchdogRefusesToStart: the owner asked for it, so without it nothing
// runs, and the outputs are safe.
func TestBusyWatchdogRefusesToStart(t *testing.T) {
	g := newRig(t, "")
	g.watched(10e9)
	g.cfg.hardwareWatchdog = func(watchdog.Config) (hardwareDog, error) { return nil, watchdog.ErrBusy }
	if _, err := Run(context.Background(), g.cfg); !errors.Is(err, watchdog.ErrBusy) {
		t.Errorf("error %v", err)
	}
	g.drives("0", "1")
}

// TestDryRunLeavesTheWatchdogAlone, and so does board sim: neither drives hardware.
func TestDryRunLeavesTheWatchdogAlone(t *testing.T) {
	g := newRig(t, "")
	d := g.watched(10e9)
	g.cfg.DryRun = true
	g.run()
	g.end()
	if disarmed, left := d.ends(); d.feeds() != 0 || disarmed != 0 || left != 0 {
		t.Errorf("fed %d times, turned off %d, left running %d", d.feeds(), disarmed, left)
	}
}

// TestResetIsToldOncePerBoot: by the log and by an event to the brain.
func TestResetIsToldOncePerBoot(t *testing.T) {
	folder := t.TempDir()
	for start, want := range []int{1, 0} {
		g := newRig(t, "steady")
		g.cfg.DataDir = folder
		g.robot.Watchdog = config.Watchdog{Device: "/dev/watchdog0", Timeout: 10e9}
		g.cfg.hardwareWatchdog = func(watchdog.Config) (hardwareDog, error) { return resetDog{&fakeDog{timeout: 10e9}}, nil }
		g.run()
		g.status("lease=live")
		g.end()
		if n := strings.Count(g.log.String(), "the hardware watchdog reset this machine"); n != want {
			t.Errorf("start %d: the log says it %d times", start+1, n)
		}
		if n := g.count("restart index=0 flags=3"); n != want {
			_, told := g.snapshot()
			t.Errorf("start %d: %d events: %q", start+1, n, told)
		}
	}
}

// resetDog is a watchdog that has just reset the machine.
type resetDog struct{ *fakeDog }

func (d resetDog) Facts() watchdog.Facts {
	f := d.fakeDog.Facts()
	f.Reset = true
	return f
}

// TestAutostartOncePerBoot: the second run of a boot waits for a person, also
// after one that was killed.
func TestAutostartOncePerBoot(t *testing.T) {
	folder := t.TempDir()
	start := func() *rig {
		g := newRig(t, "steady")
		g.cfg.DataDir = folder
		g.cfg.Robot.Autostart = true
		g.run()
		g.status("lease=live")
		return g
	}
	g := start()
	g.drives("0.5", "0")
	g.end()
	g = start()
	g.until("a few decisions", func() bool { return strings.Contains(g.control("status"), "lease=live") })
	g.status("mode=safe")
	if !strings.Contains(g.log.String(), "autostart waives") {
		t.Errorf("log %s", g.log.String())
	}
	g.moving()
	g.end()
	// Another boot of the same machine.
	f := newLatchFile(filepath.Join(folder, LatchFile), g.robot.Manual)
	if _, err := f.read(); err != nil {
		t.Fatal(err)
	}
	if err := f.write(&runRecord{Boot: "another", Ended: true}); err != nil {
		t.Fatal(err)
	}
	start().drives("0.5", "0")
}

// TestLeaveSafe: a robot whose files were broken while it ran, and whose spine then
// died, is driven safe by the files of that run.
func TestLeaveSafe(t *testing.T) {
	g := newRig(t, "steady")
	g.run()
	g.moving()
	if done, err := LeaveSafe(g.cfg.DataDir); done != "" || err != nil {
		t.Errorf("beside a running spine: %q %v", done, err)
	}
	g.until("the copy", func() bool { r, err := lastWiring(g.cfg.DataDir); return r != nil && err == nil })
	g.end()
	g.mutex.Lock()
	g.lines = nil
	g.mutex.Unlock()
	if done, err := LeaveSafe(g.cfg.DataDir); done != "" || err != nil {
		t.Errorf("after an orderly end: %q %v", done, err)
	}
	if lines, _ := g.snapshot(); len(lines) != 0 {
		t.Errorf("lines %q", lines)
	}
	f := newLatchFile(filepath.Join(g.cfg.DataDir, LatchFile), g.robot.Manual)
	if _, err := f.read(); err != nil {
		t.Fatal(err)
	}
	if err := f.write(&runRecord{Boot: "b"}); err != nil { // as a kill leaves it
		t.Fatal(err)
	}
	done, err := LeaveSafe(g.cfg.DataDir)
	if done != "all outputs at their safe value: drive=0 brake=1" || err != nil {
		t.Errorf("%q %v", done, err)
	}
	g.drives("0", "1")
	if done, err := LeaveSafe(filepath.Join(t.TempDir(), "nobody")); done != "" || err != nil {
		t.Errorf("a folder that is not there: %q %v", done, err)
	}
}
