package privilege

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// childVariable makes the test binary a child that drops its privileges, as the
// test of the same name wants it.
const childVariable = "DANCER_TEST_PRIVILEGE"

func TestMain(m *testing.M) {
	if how := os.Getenv(childVariable); how != "" {
		if err := child(how); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// child reads what only root can read, gives its rights up, and tries to do it
// again.
func child(how string) error {
	user, secret, _ := strings.Cut(how, "\n")
	for range 4 { // threads that are there before
		go func() { runtime.LockOSThread(); time.Sleep(time.Hour) }()
	}
	parent := os.Getppid()
	if user == "wrong parent" {
		parent++
	}
	u := &second
	if user == "nobody else" {
		u = nil
	}
	if _, err := os.ReadFile(secret); err != nil {
		return fmt.Errorf("before: %w", err)
	}
	if err := Drop(u, parent); err != nil {
		return err
	}
	if _, err := os.ReadFile(secret); u != nil && !errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("the secret can still be read: %v", err)
	}
	if err := syscall.Setuid(0); u != nil && err == nil {
		return errors.New("root again")
	}
	var signal int32
	if err := unix.Prctl(unix.PR_GET_PDEATHSIG, address(&signal), 0, 0, 0); err != nil || u != nil && signal != int32(unix.SIGKILL) {
		return fmt.Errorf("death signal is %d (%v)", signal, err)
	}
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	if u != nil && (err != nil || dumpable != 0) {
		return fmt.Errorf("dumpable is %d (%v)", dumpable, err)
	}
	tasks, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil || len(tasks) < 5 {
		return fmt.Errorf("%d threads (%v)", len(tasks), err)
	}
	for _, path := range tasks {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Print(string(text))
	}
	return nil
}

// spawn runs the child from a limited thread, as the spine does.
func spawn(t *testing.T, how string) (string, error) {
	t.Helper()
	secret := filepath.Join(t.TempDir(), "secret")
	must(t, os.WriteFile(secret, nil, 0o600))
	type result struct {
		out string
		err error
	}
	results := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := LimitThread(how != "nobody else"); err != nil {
			results <- result{"", err}
			return
		}
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), childVariable+"="+how+"\n"+secret)
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		out, err := cmd.CombinedOutput()
		results <- result{string(out), err}
	}()
	r := <-results
	return r.out, r.err
}

// count says how many threads have a line in their status.
func count(status, line string) int { return strings.Count(status, line+"\n") }

// TestDrop: every thread of the child is another user without any privilege.
func TestDrop(t *testing.T) {
	needRoot(t)
	if err := MayChange(); err != nil {
		t.Skipf("this root cannot: %v", err)
	}
	status, err := spawn(t, "drop")
	if err != nil {
		t.Fatalf("%v: %s", err, status)
	}
	threads := strings.Count(status, "Name:")
	id := strconv.Itoa(second.ID)
	none := "\t0000000000000000"
	for _, line := range []string{
		"Uid:" + strings.Repeat("\t"+id, 4), "Gid:" + strings.Repeat("\t"+id, 4), "CapPrm:" + none, "CapEff:" + none, "CapBnd:" + none, "CapAmb:" + none, "NoNewPrivs:\t1",
	} {
		if n := count(status, line); n != threads {
			t.Errorf("%d of %d threads have %q", n, threads, line)
		}
	}
}

// TestDropWithoutUser: a brain that stays who it is has no privilege either.
func TestDropWithoutUser(t *testing.T) {
	status, err := spawn(t, "nobody else")
	if err != nil {
		t.Fatalf("%v: %s", err, status)
	}
	threads := strings.Count(status, "Name:")
	for _, line := range []string{"NoNewPrivs:\t1", "CapAmb:\t0000000000000000"} {
		if n := count(status, line); n != threads {
			t.Errorf("%d of %d threads have %q", n, threads, line)
		}
	}
}

// TestParentGone: a parent that ended while the ids changed is found out.
func TestParentGone(t *testing.T) {
	needRoot(t)
	if err := MayChange(); err != nil {
		t.Skipf("this root cannot: %v", err)
	}
	if out, err := spawn(t, "wrong parent"); err == nil || !strings.Contains(out, ErrParentGone.Error()) {
		t.Errorf("%v: %s", err, out)
	}
}

// TestLimitedThreadCanStillEnd: the thread that starts the brain keeps the right to
// end it.
func TestLimitedThreadCanStillEnd(t *testing.T) {
	needRoot(t)
	problem := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked
		if err := LimitThread(true); err != nil {
			problem <- err
			return
		}
		cmd := exec.Command("sleep", "60")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(first.ID), Gid: uint32(first.Group)}}
		err := cmd.Start()
		if err == nil {
			err = cmd.Process.Kill()
			_ = cmd.Wait() // killed, as it should be
		}
		problem <- err
	}()
	if err := <-problem; err != nil {
		t.Error(err)
	}
}
