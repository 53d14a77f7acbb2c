package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// saysSafe is what a stopping robot tells, before the list of its outputs.
const saysSafe = "all outputs at their safe value"

// TestEndToEndSignals: whatever asks the robot to end, its outputs are safe and
// it says so.
func TestEndToEndSignals(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(s.String(), func(t *testing.T) {
			b := newBenchRobot(newWorld(t), "signal-bot", brokerOff)
			p := b.run()
			b.operator("start")
			b.until(10*time.Second, "the robot moves", b.moves)
			if err := p.cmd.Process.Signal(s); err != nil {
				t.Fatal(err)
			}
			if code := p.wait(15 * time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			b.until(time.Second, "the last lines on the wire are safe", b.isSafe)
			if !strings.Contains(p.stderr.String(), saysSafe) {
				t.Errorf("it does not say %q", saysSafe)
			}
			if pid := p.brain(); pid != 0 {
				t.Errorf("the brain (%d) is still there", pid)
			}
		})
	}
}

// TestEndToEndTerminalClosed closes the terminal in which the robot was started.
func TestEndToEndTerminalClosed(t *testing.T) {
	b := newBenchRobot(newWorld(t), "closed-bot", brokerOff)
	window, inside, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	told, err := os.Create(filepath.Join(b.dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(b.binary, "run", b.path, "--data", b.data, "--events", b.events)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inside, inside, told
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	p := b.launch(cmd)
	_ = inside.Close()
	b.until(20*time.Second, "a live lease", func() bool { return b.state(b.listen, b.name).Lease == "live" || p.ended() })
	b.operator("start")
	b.until(10*time.Second, "the robot moves", b.moves)
	_ = window.Close()
	p.wait(15 * time.Second)
	b.until(time.Second, "the last lines on the wire are safe", b.isSafe)
	text, err := os.ReadFile(told.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), saysSafe) {
		t.Errorf("it does not say %q: %s", saysSafe, tail(string(text)))
	}
}

// TestEndToEndSecondSignal: the brain cannot end, because it is stopped; the
// first Ctrl-C makes the outputs safe, the second ends the program at once.
func TestEndToEndSecondSignal(t *testing.T) {
	b := newBenchRobot(newWorld(t), "twice-bot", brokerOff)
	p := b.run()
	b.operator("start")
	b.until(10*time.Second, "the robot moves", b.moves)
	brain := p.brain()
	if err := syscall.Kill(brain, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(brain, syscall.SIGCONT) }() // it dies with the spine
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	b.until(5*time.Second, "outputs are safe after the first signal", b.isSafe)
	if p.ended() {
		t.Skip("it ended before the second signal could be sent")
	}
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(15 * time.Second); code == 0 {
		t.Error("an aborted stop ends with exit code 0")
	}
	if !b.isSafe() {
		t.Error("outputs are not safe")
	}
}
