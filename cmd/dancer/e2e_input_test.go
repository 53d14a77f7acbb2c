package main

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestEndToEndWrongInput: what a person gets for a mistake, with the exit code
// that a script gets. The rooms test each message; this tests that it arrives.
func TestEndToEndWrongInput(t *testing.T) {
	w := newWorld(t)
	good := `robot: wrong-bot
board: %BOARD%
manual: manual.yaml
ports:
  nav: {device: /dev/does-not-exist, baud: 115200, framing: json}
signals:
  range: {port: nav, unit: m, range: [0, 8], stale_after: 300ms}
outputs:
  drive: {port: nav, format: "M {value}\n", range: [0, 1], safe: 0}
  brake: {port: nav, format: "B {value}\n", range: [0, 1], safe: 1}
  lamp:  {port: nav, format: "L {value}\n", range: [0, 1], safe: 0}
conductor: {broker: off}
mesh: {off: true}
listen: "off"
`
	for _, c := range []struct {
		name, command string
		board         string    // default linux
		robot, manual [2]string // what is replaced in the good file
		code          int
		events        string
		says          string // a line, or its beginning; the name of a file stands behind the folder
	}{
		{name: "unknown key", command: "check", robot: [2]string{"baud:", "baudrate:"}, code: 1,
			says: "robot.yaml:5:38: unknown key baudrate in port nav (did you mean baud?)\n"},
		{name: "unknown pin", command: "check", board: "raspberry-pi-4",
			robot: [2]string{`lamp:  {port: nav, format: "L {value}\n", range: [0, 1], safe: 0}`, "lamp: {pin: GPIO99, safe: 0}"}, code: 1,
			says: "robot.yaml:11:15: board raspberry-pi-4 has no pin GPIO99 (pins: GPIO2, GPIO3, GPIO4, GPIO14, GPIO15, GPIO17, GPIO18, GPIO27, GPIO22, GPIO23, GPIO24, " +
				"GPIO10, GPIO9, GPIO25, GPIO11, GPIO8, GPIO7, GPIO5, GPIO6, GPIO12, GPIO13, GPIO19, GPIO16, GPIO26, GPIO20, GPIO21)\n"},
		{name: "missing port", command: "run", code: 2, // the hint names this machine's ports
			says: "robot.yaml:5:17: device /dev/does-not-exist of port nav does not exist on this machine ("},
		{name: "unknown signal in a rule", command: "check", manual: [2]string{`when: "range <`, `when: "rang <`}, code: 1,
			says: "manual.yaml:5:36: unknown name rang (did you mean range?)\n"},
		{name: "no fallback", command: "check", manual: [2]string{", fallback: true", ""}, code: 1,
			says: "manual.yaml:15:3: no action is the fallback (add fallback: true to the action to take when nothing else keeps the floors, for instance halt)\n"},
		{name: "unquoted expression", command: "check", manual: [2]string{`when: "range < 0.30 m"`, `when: held(range < 0.30 m, 300ms)`}, code: 1,
			says: `manual.yaml:5:35: expression is not quoted, so YAML splits it at the comma: held(range < 0.30 m, 300ms) (write when: "held(range < 0.30 m, 300ms)")` + "\n"},
		{name: "no such file", command: "check", robot: [2]string{"manual: manual.yaml", "manual: nothing.yaml"}, code: 1,
			says: "robot.yaml:3:9: file FOLDER/nothing.yaml does not exist (create it, or correct the path: it is relative to this file)\n"},
		{name: "events that cannot be written", command: "run", board: "sim", events: "nowhere/events", code: 1,
			robot: [2]string{"{port: nav, unit: m, range: [0, 8], stale_after: 300ms}", "{unit: m, range: [0, 8], stale_after: 300ms, start: 2}"},
			says:  "dancer: open events: open FOLDER/nowhere/events: no such file or directory: give --events a file that can be written\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			folder := strings.ReplaceAll(c.name, " ", "-")
			robot := strings.ReplaceAll(good, "%BOARD%", cmp.Or(c.board, "linux"))
			robot, manual := change(t, robot, c.robot), change(t, benchManual, c.manual)
			w.file(folder+"/manual.yaml", manual)
			path := w.file(folder+"/robot.yaml", robot)
			args := []string{c.command, path}
			if c.command == "run" {
				args = append(args, "--data", filepath.Join(w.dir, folder, "data"))
			}
			if c.events != "" {
				args = append(args, "--events", filepath.Join(filepath.Dir(path), c.events))
			}
			code, stdout, stderr := w.once(args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			said := "\n" + strings.ReplaceAll(stdout+stderr, filepath.Dir(path), "FOLDER")
			said = strings.ReplaceAll(said, "\ndancer: FOLDER/", "\n")
			said = strings.ReplaceAll(said, "\nFOLDER/", "\n")
			if !strings.Contains(said, "\n"+c.says) {
				t.Errorf("it does not say %q:%s", c.says, said)
			}
			if strings.Contains(stdout+stderr, "goroutine ") {
				t.Error("it panics")
			}
		})
	}
	if code, _, stderr := w.once("check", filepath.Join(w.dir, "nowhere.yaml")); code != 2 {
		t.Errorf("check of a file that is not there: exit code %d: %s", code, stderr)
	}
	if code, _, _ := w.once("run"); code != 2 {
		t.Errorf("run without a file: exit code %d, want 2", code)
	}
}

func change(t *testing.T, text string, pair [2]string) string {
	t.Helper()
	if pair[0] == "" {
		return text
	}
	if !strings.Contains(text, pair[0]) {
		t.Fatalf("the good file has no %q", pair[0])
	}
	return strings.Replace(text, pair[0], pair[1], 1)
}

// TestEndToEndOneDataFolder: a second conductor (or robot) on a data folder is
// told who has it, and the first goes on.
func TestEndToEndOneDataFolder(t *testing.T) {
	w := newWorld(t)
	data := filepath.Join(w.dir, "conductor")
	listen := w.freePort()
	args := func(listen string) []string {
		file := w.file("conductor-"+strings.ReplaceAll(listen, ":", "-")+".yaml", "listen: "+listen+"\nbroker_listen: "+w.freePort()+"\n")
		return []string{"conductor", file, "--data", data}
	}
	first := w.start(args(listen)...)
	var status struct{ Name string }
	w.until(20*time.Second, "the first conductor answers", func() bool {
		return w.get("http://"+listen+"/api/v1/status", &status) || first.ended()
	})
	code, stdout, stderr := w.once(args(w.freePort())...)
	if code != 1 || !strings.Contains(stdout+stderr, "in use by another dancer (pid ") || !strings.Contains(stdout+stderr, "--data") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
	if first.ended() || !w.get("http://"+listen+"/api/v1/status", &status) {
		t.Error("the first conductor is gone")
	}
}

// TestEndToEndFullDisk fills the robot's disk while it moves: it goes on, says
// what to do, and after the disk is freed nothing that was stored is lost.
func TestEndToEndFullDisk(t *testing.T) {
	w := newWorld(t)
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	b := newBenchRobot(w, "full-bot", brokerOff)
	if err := os.MkdirAll(b.data, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", b.data, "tmpfs", 0, "size=16m"); err != nil {
		t.Skipf("mount a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(b.data, syscall.MNT_DETACH) })
	p := b.run()
	b.operator("start")
	b.until(10*time.Second, "the robot moves", b.moves)
	b.until(10*time.Second, "a stored decision", func() bool { return len(b.records()) > 0 })
	stored := b.records()
	ballast := filepath.Join(b.data, "ballast")
	fill(t, ballast)
	b.until(60*time.Second, "the message about the full disk", func() bool {
		return strings.Contains(p.stderr.String(), "no space left") && strings.Contains(p.stderr.String(), "free space, nothing stored so far is lost")
	})
	b.distance(0.2)
	b.until(5*time.Second, "reflexes go on", func() bool { return b.motor.last("L ") == "1" && b.isSafe() })
	b.distance(2)
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	p.stop()
	p = b.run()
	b.stillStored(stored)
	p.stop()
}

// fill writes until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for _, size := range []int{1 << 16, 1 << 12, 1} {
		for chunk := make([]byte, size); ; {
			if _, err := f.Write(chunk); err != nil {
				break
			}
		}
	}
}
