package spine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"dancer/runtime/link"
)

// latchesOf is a latch file of the test robot in a folder of its own.
func latchesOf(t *testing.T) *latchFile {
	t.Helper()
	return newLatchFile(filepath.Join(t.TempDir(), LatchFile), loadRobot(t, simRobot, testManual).Manual)
}

func (f *latchFile) mustWrite(t *testing.T, names ...string) {
	t.Helper()
	if err := f.write(&runRecord{Latches: names, Ended: true}); err != nil {
		t.Fatal(err)
	}
}

func TestLatchFileReadsBack(t *testing.T) {
	f := latchesOf(t)
	if r, err := f.read(); r != nil || err != nil {
		t.Errorf("no file: %v %v", r, err)
	}
	for i, want := range []runRecord{
		{Latches: []string{"bump"}, Boot: "a"}, {Latches: []string{"bump", "<&> \"é\""}, Boot: "a", ResetTold: true}, {Latches: []string{}, Boot: "b", Ended: true},
	} {
		if err := f.write(&want); err != nil {
			t.Fatal(err)
		}
		again := &latchFile{durable{path: f.path}}
		got, err := again.read()
		if err != nil || !slices.Equal(got.Latches, want.Latches) || got.Boot != want.Boot || got.Ended != want.Ended || got.ResetTold != want.ResetTold {
			t.Errorf("read back %+v %v", got, err)
		}
		if again.sequence != uint64(i+1) {
			t.Errorf("sequence %d", again.sequence)
		}
	}
}

// TestDamagedLatchFile flips every bit of the content and cuts the file at every
// byte, in either of the two files.
func TestDamagedLatchFile(t *testing.T) {
	f := latchesOf(t)
	f.mustWrite(t, "bump")
	f.mustWrite(t, "bump", "estop")
	for _, path := range []string{f.path, f.path + ".next"} {
		whole, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content := len(bytes.TrimRight(whole, " "))
		check := func(what string, damaged []byte) {
			if err := os.WriteFile(path, damaged, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := f.read()
			if err == nil && (r == nil || strings.Join(r.Latches, " ") != "bump estop") {
				t.Errorf("%s: %s reads as %+v", filepath.Base(path), what, r)
			}
			if err != nil && !errors.Is(err, ErrLatches) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for i := range content {
			for bit := range 8 {
				damaged := bytes.Clone(whole)
				damaged[i] ^= 1 << bit
				check(fmt.Sprintf("bit %d of byte %d", bit, i), damaged)
			}
		}
		for i := range content {
			check(fmt.Sprintf("cut at %d", i), whole[:i])
		}
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLatchFileStates is every pair of files that a kill, a power cut or a person
// can leave.
func TestLatchFileStates(t *testing.T) {
	sound := func(sequence uint64, name string) string {
		body, _ := json.Marshal(runRecord{Latches: []string{name}})
		e := envelope{Version: durableVersion, Sequence: sequence, Body: body}
		e.Check = e.sum()
		text, _ := json.Marshal(e)
		return string(text)
	}
	old := fmt.Sprintf(`{"version":1,"latches":["old"],"check":%d}`, latchCheck([]string{"old"}))
	const none = "no file"
	for _, c := range []struct{ name, file, next, want string }{
		{"first start", none, none, "-"},
		{"usual", sound(7, "seven"), sound(6, "six"), "seven"},
		{"without the older one", sound(7, "seven"), none, "seven"},
		{"room that was never used", sound(7, "seven"), strings.Repeat("\x00", 4096), "seven"},
		{"killed before the names changed", sound(7, "seven"), sound(8, "eight"), "eight"},
		{"killed in the very first write", none, sound(1, "one"), "one"},
		{"power cut in a write", sound(7, "seven"), sound(8, "eight")[:40], "damaged"},
		{"empty after a power cut", "", none, "damaged"},
		{"empty beside", sound(7, "seven"), "", "damaged"},
		{"newest damaged", sound(7, "seven")[1:], sound(6, "six"), "damaged"},
		{"newest gone", none, sound(6, "six"), "damaged"},
		{"newer version", strings.Replace(sound(7, "seven"), `"version":2`, `"version":3`, 1), none, "damaged"},
		{"another sequence", strings.Replace(sound(7, "seven"), `"sequence":7`, `"sequence":9`, 1), none, "damaged"},
		{"another name", strings.Replace(sound(7, "seven"), "seven", "eleven", 1), none, "damaged"},
		{"something after it", sound(7, "seven") + "x", none, "damaged"},
		{"version 1", old, none, "old"},
		{"version 1, killed in the first write of this one", old, sound(1, "new"), "new"},
		{"version 1 with another checksum", strings.Replace(old, "old", "odd", 1), none, "damaged"},
		{"not JSON", "latches: none", none, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := latchesOf(t)
			for path, text := range map[string]string{f.path: c.file, f.path + ".next": c.next} {
				if text == none {
					continue
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			r, err := f.read()
			got := "-"
			if err != nil {
				got = "damaged"
			} else if r != nil {
				got = strings.Join(r.Latches, " ")
			}
			if got != c.want {
				t.Errorf("reads as %q, %v, want %q", got, err, c.want)
			}
			f.mustWrite(t, "after") // whatever it was, it can be written
			if r, err := f.read(); err != nil || strings.Join(r.Latches, " ") != "after" {
				t.Errorf("after a write: %+v %v", r, err)
			}
		})
	}
}

// TestLatchFileHasRoom: once it is reserved, a full disk refuses nothing.
func TestLatchFileHasRoom(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mount("dancer-test", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("a small file system needs root and mount: %v", err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	f := newLatchFile(filepath.Join(dir, LatchFile), loadRobot(t, simRobot, testManual).Manual)
	f.mustWrite(t)
	if err := f.reserve(); err != nil {
		t.Fatal(err)
	}
	hog, err := os.Create(filepath.Join(dir, "hog"))
	if err != nil {
		t.Fatal(err)
	}
	defer hog.Close()
	for err == nil {
		_, err = hog.Write(make([]byte, 512))
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	for _, name := range []string{"bump", "soft", "near"} {
		f.mustWrite(t, name)
		if r, err := f.read(); err != nil || strings.Join(r.Latches, " ") != name {
			t.Errorf("on a full disk: %+v %v", r, err)
		}
	}
}

// TestLatchFileSyncFails: the old content stands, and the next write is whole.
func TestLatchFileSyncFails(t *testing.T) {
	f := latchesOf(t)
	f.mustWrite(t, "old")
	f.sync = func(*os.File) error { return unix.EIO }
	if err := f.write(&runRecord{Latches: []string{"new"}}); !errors.Is(err, unix.EIO) {
		t.Errorf("error %v", err)
	}
	if b, err := os.ReadFile(f.path); err != nil || !strings.Contains(string(b), "old") {
		t.Errorf("the old content is gone: %s %v", b, err)
	}
	f.sync = nil
	f.mustWrite(t, "newest")
	if r, err := f.read(); err != nil || r.Latches[0] != "newest" {
		t.Errorf("%+v %v", r, err)
	}
}

// inherits starts from what is in a latch file, in a boot.
func inherits(t *testing.T, f *latchFile, boot string) (heritage, string) {
	t.Helper()
	robot := loadRobot(t, simRobot+"autostart: true\n", testManual)
	var log lockedBuffer
	return inherit(&latchFile{durable{path: f.path, room: f.room, sync: f.sync}}, robot, boot, textLog(&log)), log.String()
}

func TestHeritage(t *testing.T) {
	const bump = 1 // the latching rule of the test robot
	for _, c := range []struct {
		name      string
		left      *runRecord
		damage    func(*testing.T, *latchFile)
		boot      string
		latches   []int
		autostart bool
		told      []link.Restart
		says      string
	}{
		{"first start", nil, nil, "b", nil, true, nil, ""},
		{"next boot", &runRecord{Boot: "a", Ended: true}, nil, "b", nil, true, nil, ""},
		{"power cut", &runRecord{Boot: "a", Latches: []string{"bump"}}, nil, "b", []int{bump}, true, []link.Restart{link.RestartPower}, "the machine went down"},
		{"killed", &runRecord{Boot: "b", Latches: []string{"bump"}}, nil, "b", []int{bump}, false, []link.Restart{link.RestartDied}, "autostart waives"},
		{"stopped and started", &runRecord{Boot: "b", Ended: true}, nil, "b", nil, false, nil, "autostart waives"},
		{"boot unknown", &runRecord{Boot: "a", Ended: true}, nil, "", nil, false, nil, "autostart waives"},
		{"renamed rule", &runRecord{Boot: "a", Ended: true, Latches: []string{"bumper-front"}}, nil, "b", []int{bump}, false, nil, "bumper-front"},
		{"damaged", nil, func(t *testing.T, f *latchFile) {
			if err := os.WriteFile(f.path, []byte("?"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "b", []int{bump}, false, nil, "not known"},
		{"cannot be read", nil, func(t *testing.T, f *latchFile) {
			if err := os.Mkdir(f.path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "b", []int{bump}, false, nil, "not known"},
		{"cannot be written", &runRecord{Boot: "a", Ended: true}, func(_ *testing.T, f *latchFile) {
			f.sync = func(*os.File) error { return unix.EROFS }
		}, "b", []int{bump}, false, nil, "cannot be written"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := latchesOf(t)
			if c.left != nil {
				if err := f.write(c.left); err != nil {
					t.Fatal(err)
				}
			}
			if c.damage != nil {
				c.damage(t, f)
			}
			h, log := inherits(t, f, c.boot)
			if !slices.Equal(h.latches, c.latches) || h.autostart != c.autostart || !slices.Equal(h.told, c.told) {
				t.Errorf("latches %v, autostart %v, told %v", h.latches, h.autostart, h.told)
			}
			if !strings.Contains(log, c.says) || c.says == "" && log != "" {
				t.Errorf("log %q, want %q", log, c.says)
			}
			f.sync = nil
			if c.damage != nil {
				return
			}
			if again, _ := inherits(t, f, c.boot); !slices.Equal(again.latches, c.latches) || again.autostart {
				t.Errorf("killed at once: latches %v, autostart %v", again.latches, again.autostart)
			}
		})
	}
}

// TestKeeperTriesAgain: latches that could not be stored are stored when the disk
// is back, and the log says each once.
func TestKeeperTriesAgain(t *testing.T) {
	f := latchesOf(t)
	var log lockedBuffer
	k, err := newKeeper(loadRobot(t, simRobot, testManual), f, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.wake.Close()
	f.sync = func(*os.File) error { return unix.EIO }
	k.latched(1, true)
	for range 3 {
		k.work()
	}
	if n := strings.Count(log.String(), "latches are not stored"); n != 1 || !k.moved.Load() {
		t.Errorf("said %d times, still to do %v", n, k.moved.Load())
	}
	f.sync = nil
	k.work()
	r, err := f.read()
	if err != nil || !slices.Equal(r.Latches, []string{"bump"}) || k.moved.Load() || !strings.Contains(log.String(), "stored again") {
		t.Errorf("%+v %v\n%s", r, err, log.String())
	}
}

// TestOverrunsLeaveRoomInTheLog: a machine on which every deadline is late says
// nevertheless why the robot stopped.
func TestOverrunsLeaveRoomInTheLog(t *testing.T) {
	var log lockedBuffer
	k, err := newKeeper(loadRobot(t, simRobot, testManual), latchesOf(t), slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer k.wake.Close()
	for i := range noteCapacity - 1 {
		k.note(&link.Event{Kind: link.EventOverrun, Frame: uint64(i)}, nil)
	}
	k.note(&link.Event{Kind: link.EventLatch, Index: 1, Flags: 1}, nil)
	k.work()
	if n := strings.Count(log.String(), "msg=overrun"); n == 0 || n > overrunLines {
		t.Errorf("%d of the late deadlines are told", n)
	}
	if !strings.Contains(log.String(), "state=latched") {
		t.Errorf("the latch is not told:\n%s", log.String())
	}
}
