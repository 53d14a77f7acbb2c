package guest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// boot starts a machine for the test, or skips it.
func boot(t *testing.T, c Config) *Machine {
	t.Helper()
	if os.Getenv("DANCER_GUEST") == "" {
		t.Skip("boots a kernel under QEMU for minutes: make test-kernel")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	kernel, err := FindKernel(ctx, "../..")
	if errors.Is(err, ErrNotHere) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.MkdirTemp("", "guest") // t.TempDir is too long for sockets
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	c.Kernel, c.Folder, c.Init = kernel, folder, filepath.Join(folder, "init")
	build := exec.CommandContext(ctx, "go", "build", "-o", c.Init, "./init")
	build.Env = append(os.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build init: %v\n%s", err, out)
	}
	m, err := Boot(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(tail(m.ConsoleLog()))
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func TestGuestBoots(t *testing.T) {
	for name, kind := range map[string]Time{"real time": RealTime, "instruction time": InstructionTime} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			m := boot(t, Config{Time: kind, Channels: []string{"extra"}, Serial: []string{"uart"}, Lines: true, Files: []File{{Path: "/a/b/c.txt", Data: []byte("hello"), Mode: 0o644}}})
			release, err := m.Booted(t.Context(), 1)
			if err != nil || !strings.Contains(release, "rt-arm64") {
				t.Fatalf("kernel %q: %v", release, err)
			}
			t.Logf("%s greets after %v", release, time.Since(began).Round(100*time.Millisecond))
			if data, err := m.ReadAll("/a/b/c.txt"); err != nil || string(data) != "hello" {
				t.Errorf("read %q: %v", data, err)
			}
			pid, err := m.Start(Program{Arguments: []string{"/init"}, Output: "/tmp/said"})
			if err != nil {
				t.Fatal(err)
			}
			ending, err := m.Wait(t.Context(), pid, time.Minute)
			if err != nil || !ending.Ended || ending.Code != 2 {
				t.Errorf("a second init: %+v %v", ending, err)
			}
			if said, err := m.ReadFile("/tmp/said"); err != nil || !bytes.Contains(said, []byte("make test-kernel")) {
				t.Errorf("it said %q: %v", said, err)
			}
			speak(t, m, "uart", "/dev/ttyS0")
			if err := m.Lines.Drive(0, true); err != nil || m.Lines.High(1) {
				t.Errorf("GPIO line 1 is high: %v", err)
			}
			jump(t, m)
			if _, err := m.ReadFile("/nowhere"); err == nil {
				t.Error("a file that is not there was read")
			}
			m.reset(t)
		})
	}
}

// reset resets the machine from outside: QEMU ends, because nobody asked for
// another boot.
func (m *Machine) reset(t *testing.T) {
	t.Helper()
	if _, err := m.Monitor.Do("system_reset", nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := m.Monitor.Await(ctx, "SHUTDOWN", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-m.Ended():
	case <-ctx.Done():
		t.Fatal("QEMU goes on")
	}
	if err := m.Signal(1, syscall.SIGCONT); err == nil {
		t.Error("a guest that is gone answers")
	}
}

// speak sends a line from the guest's device to this side of it.
func speak(t *testing.T, m *Machine, channel, device string) {
	t.Helper()
	if err := m.WriteFile(device, []byte("spoken\n")); err != nil {
		t.Error(err)
		return
	}
	conn := m.Channel(channel)
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Error(err)
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil || strings.TrimSpace(line) != "spoken" { // a terminal adds a carriage return
		t.Errorf("%s said %q: %v", device, line, err)
	}
}

// jump sets the guest's wall clock: its uptime goes on.
func jump(t *testing.T, m *Machine) {
	t.Helper()
	before, err := m.Uptime()
	if err != nil {
		t.Fatal(err)
	}
	j, err := m.SetClock(365 * 24 * time.Hour)
	if err != nil || j.At < before-20*time.Millisecond || j.At > before+time.Hour {
		t.Errorf("jumped %v at %v, the uptime was %v: %v", j.By, j.At, before, err)
	}
}
