package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"dancer/runtime/guest"
)

// Tests whose name begins with TestGuest boot a machine of their own under QEMU
// and run the arm64 dancer in it (make test-kernel). Those that begin with
// TestInGuest are run by them inside, by this same test program.
const (
	envGuest   = "DANCER_GUEST"    // boot guests
	envInGuest = "DANCER_IN_GUEST" // this is one
	envBinary  = "DANCER_BINARY"   // the dancer that the end-to-end tests start
)

// Where things are in the guest.
const (
	guestDancer = "/bin/dancer"
	guestTests  = "/bin/tests"
)

// guestLimit bounds a test in a guest, on this machine's clock: it may have a small
// part of a processor.
const guestLimit = 45 * time.Minute

// guestBuilt are the programs of a guest.
type guestBuilt struct{ folder, dancer, tests, init string }

// buildGuest builds them for linux/arm64, once for all tests.
var buildGuest = sync.OnceValues(func() (guestBuilt, error) {
	folder, err := filepath.Abs("../../bin/guest")
	if err != nil {
		return guestBuilt{}, err
	}
	b := guestBuilt{folder, filepath.Join(folder, "dancer"), filepath.Join(folder, "tests"), filepath.Join(folder, "init")}
	for _, arguments := range [][]string{
		{"build", "-trimpath", "-ldflags", "-s -w -X main.version=guest", "-o", b.dancer, "."},
		{"build", "-trimpath", "-ldflags", "-s -w", "-o", b.init, "../../runtime/guest/init"},
		{"test", "-c", "-trimpath", "-ldflags", "-s -w", "-o", b.tests, "."},
	} {
		build := exec.Command("go", arguments...)
		build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build for the guest: %w\n%s", err, out)
		}
	}
	return b, nil
})

// bootGuest boots a machine with dancer and these tests in it, and ends it with
// the test. Where time follows the instructions, the test goes on beside others.
func bootGuest(t *testing.T, c guest.Config) *guest.Machine {
	t.Helper()
	if os.Getenv(envGuest) == "" {
		t.Skip("boots a kernel under QEMU for minutes: make test-kernel")
	}
	if c.Time == guest.InstructionTime {
		t.Parallel() // such a guest has one thread, and nobody on this machine makes it late
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	find := guest.FindKernel
	if c.Board == guest.RaspberryPi3 {
		find = guest.FindPiKernel
	}
	kernel, err := find(ctx, "../..")
	if errors.Is(err, guest.ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	built, err := buildGuest()
	if err != nil {
		t.Fatal(err)
	}
	if c.Folder, err = os.MkdirTemp("", "guest"); err != nil { // t.TempDir is too long for sockets
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(c.Folder) })
	c.Kernel, c.Init = kernel, built.init
	c.Files = append(c.Files, guest.File{Path: guestDancer, From: built.dancer}, guest.File{Path: guestTests, From: built.tests})
	if c.Board == guest.Virtual {
		c.Files = append(c.Files, guest.File{Path: "/modules/i6300esb.ko", From: kernel.Module("i6300esb")})
	}
	m, err := guest.Boot(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the guest's console: %s", tail(m.ConsoleLog()))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// runInGuest runs one of these tests in the guest and shows what it says.
func runInGuest(t *testing.T, m *guest.Machine, name string, limit time.Duration) {
	t.Helper()
	const output = "/tmp/output"
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	pid, err := m.Start(guest.Program{
		Arguments:   []string{guestTests, "-test.v", "-test.run", "^" + name + "$", "-test.timeout", "24h"},
		Environment: []string{envInGuest + "=1", envBinary + "=" + guestDancer},
		Output:      output,
	})
	if err != nil {
		t.Fatal(err)
	}
	ending, err := m.Wait(ctx, pid, 24*time.Hour) // the guest's hours; limit is on this machine's clock
	said, readErr := m.ReadAll(output)
	if err := errors.Join(err, readErr); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, tail(string(said)))
	}
	for line := range strings.Lines(string(said)) {
		t.Log(strings.TrimRight(line, "\n"))
	}
	if ending.Code != 0 || !bytes.Contains(said, []byte("--- PASS: "+name)) {
		t.Errorf("%s in the guest: %+v", name, ending)
	}
}

// inGuest skips a test that must not run on the machine that runs the tests.
func inGuest(t *testing.T) {
	t.Helper()
	if os.Getenv(envInGuest) == "" {
		t.Skip("sets the clock of its machine, so it runs in a guest: make test-kernel")
	}
}

// TestGuestWallClock runs TestInGuestWallClock in a guest whose time follows the
// instructions that it executes, so that its figures are the same on a busy
// machine.
func TestGuestWallClock(t *testing.T) {
	m := bootGuest(t, guest.Config{Time: guest.InstructionTime})
	runInGuest(t, m, "TestInGuestWallClock", guestLimit)
}
