package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/storage"
)

// childVariable makes the test binary the process that is killed.
const childVariable = "DANCER_TEST_BOLT_CHILD"

// TestMain runs the child of a test instead of the tests, if asked to.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
		return
	}
	os.Exit(m.Run())
}

// child writes for ever from four goroutines and prints each key once its write
// is acknowledged.
func child(dir string) {
	s, err := Open(dir, "robot.db")
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("open")
	round := os.Getpid()
	for writer := range 4 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%d-%d-%06d", round, writer, i)
				err := s.WriteOnce(context.Background(), key,
					storage.Change{Table: storage.TableMarkers, Key: key, Value: []byte(strings.Repeat(key, 20))},
					storage.Change{Table: storage.TableOutcomes, Key: key, Value: []byte(key)})
				if err != nil {
					fmt.Println("error", err)
					os.Exit(1)
				}
				fmt.Println("stored", key)
			}
		}()
	}
	select {}
}

func startChild(t *testing.T, dir string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() || lines.Text() != "open" {
		t.Fatalf("child says %q", lines.Text())
	}
	return cmd, lines
}

// TestKill: a process that is killed while it writes loses nothing that it was
// told is stored, and no request is stored in part.
func TestKill(t *testing.T) {
	const rounds = 25
	dir, seed := t.TempDir(), uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	acknowledged := map[string]bool{}
	for range rounds {
		cmd, lines := startChild(t, dir)
		for range 1 + random.IntN(200) {
			if lines.Scan() {
				note(t, acknowledged, lines.Text())
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for lines.Scan() { // what was in the pipe was acknowledged as well
			note(t, acknowledged, lines.Text())
		}
		_ = cmd.Wait()
		checkAcknowledged(t, dir, acknowledged)
	}
	t.Logf("%d acknowledged records in %d rounds", len(acknowledged), rounds)
}

func note(t *testing.T, acknowledged map[string]bool, line string) {
	t.Helper()
	key, ok := strings.CutPrefix(line, "stored ")
	if !ok {
		t.Fatalf("child says %q", line)
	}
	acknowledged[key] = true
}

func checkAcknowledged(t *testing.T, dir string, acknowledged map[string]bool) {
	t.Helper()
	s := open(t, dir, Options{})
	defer closeStore(t, s)
	if len(s.Notes()) != 0 {
		t.Fatalf("a kill damaged the file: %v", s.Notes())
	}
	for key := range acknowledged {
		v, err := s.Get(storage.TableMarkers, key)
		if err != nil || string(v) != strings.Repeat(key, 20) {
			t.Fatalf("%s was acknowledged and is lost: %v", key, err)
		}
	}
	if a, b, c := len(keys(t, s, storage.TableMarkers, "", "")), len(keys(t, s, storage.TableOutcomes, "", "")), s.Len(storage.TableInbox); a != b || a != c {
		t.Fatalf("%d markers, %d outcomes, %d ids: a request is stored in part", a, b, c)
	}
}

// TestTwoOpeners checks the exact message, between processes and within one.
func TestTwoOpeners(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := startChild(t, dir)
	_, err := Open(dir, "robot.db")
	want := fmt.Sprintf("data folder %s is in use by another dancer (pid %d): stop it or give --data another folder", dir, cmd.Process.Pid)
	if err == nil || err.Error() != want || !errors.Is(err, ErrInUse) {
		t.Errorf("have %v\nwant %s", err, want)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	s := open(t, dir, Options{}) // the kernel freed the lock
	if _, err := Open(dir, "other.db"); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprintf("(pid %d)", os.Getpid())) {
		t.Errorf("a second store in this process: %v", err)
	}
	closeStore(t, s)
}

// tmpfs mounts a small file system for one test.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a small tmpfs (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk: writes fail with the exact message, nothing stored is lost, and
// writing goes on once there is space.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "2m")
	s := open(t, dir, Options{})
	for s.Counters().CopiedAt.IsZero() {
		time.Sleep(time.Millisecond)
	}
	stored := 0
	var err error
	for ; err == nil && stored < 10_000; stored++ {
		err = s.Write(background, storage.Change{Table: storage.TableMarkers, Key: fmt.Sprintf("%06d", stored), Value: make([]byte, 4000)})
	}
	stored--
	want := fmt.Sprintf("write %s: no space left: free space, nothing stored so far is lost", filepath.Join(dir, "robot.db"))
	if err == nil || err.Error() != want || !errors.Is(err, storage.ErrNoSpace) {
		t.Fatalf("have %v\nwant %s", err, want)
	}
	if n := s.Len(storage.TableMarkers); n != stored || len(keys(t, s, storage.TableMarkers, "", "")) != stored {
		t.Errorf("%d of %d records are left", n, stored)
	}
	if s.Counters().Failed == 0 {
		t.Error("the failure is not counted")
	}
	closeStore(t, s)

	s = open(t, dir, Options{}) // a full disk does not keep the robot from starting
	if n := s.Len(storage.TableMarkers); n != stored || len(s.Notes()) != 0 {
		t.Errorf("after a restart %d of %d records are left, notes %v", n, stored, s.Notes())
	}
	if err := syscall.Mount("", dir, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	put(t, s, storage.TableMarkers, "zzz", "again")
	closeStore(t, s)
}

// TestCreateOnFullDisk: a new store says so and leaves nothing half made.
func TestCreateOnFullDisk(t *testing.T) {
	dir := tmpfs(t, "64k")
	filler := filepath.Join(dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(f, io.LimitReader(zeros{}, 1<<20))
	_ = f.Close()
	_, err = Open(dir, "robot.db")
	want := fmt.Sprintf("write %s: no space left: free space, nothing stored so far is lost", filepath.Join(dir, "robot.db"))
	if err == nil || err.Error() != want {
		t.Errorf("have %v\nwant %s", err, want)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	if len(s.Notes()) != 0 {
		t.Errorf("notes %v", s.Notes())
	}
	closeStore(t, s)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
