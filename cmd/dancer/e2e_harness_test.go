package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"

	"dancer/mesh"
)

// The end-to-end tests drive the real binary as a user would: files, processes,
// signals, a pseudo-terminal as the serial port, HTTP. Nothing in them looks
// inside the program.

// buildOnce builds bin/dancer-e2e, the way `make build` does, or takes what
// DANCER_BINARY names: a guest has no compiler.
var buildOnce = sync.OnceValues(func() (string, error) {
	if binary := os.Getenv(envBinary); binary != "" {
		return binary, nil
	}
	binary, err := filepath.Abs("../../bin/dancer-e2e")
	if err != nil {
		return "", err
	}
	build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w -X main.version=e2e", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build dancer: %w\n%s", err, out)
	}
	return binary, nil
})

// world is one test's own corner of the machine: a binary, folders, and an
// environment in which robots of other tests cannot be seen.
type world struct {
	*testing.T
	binary string
	dir    string
	env    []string
}

// newWorld skips under -short: these tests start real processes.
func newWorld(t *testing.T) *world {
	t.Helper()
	if testing.Short() {
		t.Skip("starts real processes for many seconds; -short leaves it out (race runs the rooms, not the program)")
	}
	binary, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	// Sockets have a path limit of 108 bytes; t.TempDir names grow with the test's.
	run, err := os.MkdirTemp("", "dancer")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(run) })
	return &world{T: t, binary: binary, dir: dir, env: append(os.Environ(), "DANCER_RUN_DIRECTORY="+run, "HOME="+dir)}
}

// file writes a file into the test's folder and gives its path.
func (w *world) file(name, text string) string {
	w.Helper()
	path := filepath.Join(w.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		w.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	return path
}

// output collects what a process prints; safe to read while it grows.
type output struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return o.text.String()
}

// process is one running dancer (or broker).
type process struct {
	w              *world
	cmd            *exec.Cmd
	stdout, stderr *output
	done           chan struct{} // closed when it has been reaped
}

// start runs the binary; the test's end stops it if the test did not.
func (w *world) start(args ...string) *process {
	w.Helper()
	return w.launch(exec.Command(w.binary, args...))
}

// launch runs any command with its output collected.
func (w *world) launch(cmd *exec.Cmd) *process {
	w.Helper()
	p := &process{w: w, cmd: cmd, stdout: &output{}, stderr: &output{}, done: make(chan struct{})}
	cmd.Env = append(w.env, cmd.Env...)
	if cmd.Stdout == nil {
		cmd.Stdout = p.stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.stderr
	}
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		w.Fatalf("start %v: %v", cmd.Args, err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }() // joined by stop
	w.Cleanup(func() {
		p.stop()
		if w.Failed() {
			w.Logf("%s\nstdout: %s\nstderr: %s", strings.Join(cmd.Args, " "), tail(p.stdout.String()), tail(p.stderr.String()))
		}
	})
	return p
}

// tail keeps a failure readable.
func tail(text string) string {
	if len(text) > 4000 {
		return "... " + text[len(text)-4000:]
	}
	return text
}

// stop asks, then kills, and waits for the end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// wait waits for the process to end by itself and gives its exit code.
func (p *process) wait(limit time.Duration) int {
	p.w.Helper()
	select {
	case <-p.done:
	case <-time.After(limit):
		p.w.Fatalf("%v did not end within %v", p.cmd.Args, limit)
	}
	return p.cmd.ProcessState.ExitCode()
}

// ended says whether the process is gone already.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// once runs the binary to its end.
func (w *world) once(args ...string) (code int, stdout, stderr string) {
	w.Helper()
	p := w.start(args...)
	code = p.wait(60 * time.Second)
	return code, p.stdout.String(), p.stderr.String()
}

// until polls for what another process will do.
func (w *world) until(limit time.Duration, what string, ready func() bool) {
	w.Helper()
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if ready() {
			return
		}
		if time.Now().After(end) {
			w.Fatalf("waited %v in vain: %s", limit, what)
		}
	}
}

// brain finds the brain's process: the child of the spine that is the same
// binary. 0 while there is none.
func (p *process) brain() int { return childOf(p.cmd.Process.Pid) }

// childOf finds a child of a process. 0 while there is none.
func childOf(parent int) int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid ...
		after := text[bytes.LastIndexByte(text, ')')+1:]
		fields := strings.Fields(string(after))
		if len(fields) < 2 || fields[0] == "Z" || fields[1] != strconv.Itoa(parent) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err == nil {
			return pid
		}
	}
	return 0
}

// event is one line of --events, with the fields that the tests look at.
type event struct {
	At        time.Time       `json:"at"`
	Kind      string          `json:"kind"`
	Rule      string          `json:"rule"`
	Active    bool            `json:"active"`
	Cause     string          `json:"cause"`
	Frame     uint64          `json:"frame"`
	LatencyNS int64           `json:"latency_ns"`
	Name      string          `json:"name"`
	Value     float64         `json:"value"`
	Who       string          `json:"who"`
	Mode      string          `json:"mode"`
	Why       string          `json:"why"`
	State     string          `json:"state"`
	Starts    int             `json:"starts"`
	JumpNS    int64           `json:"jump_ns"`
	ID        string          `json:"id"`
	MarkerID  string          `json:"marker_id"`
	Tier      int             `json:"tier"`
	Running   string          `json:"running"`
	Verdict   json.RawMessage `json:"verdict"`
}

// events reads the complete lines of an event file, of the given kind.
func (w *world) events(path, kind string) []event {
	w.Helper()
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		w.Fatal(err)
	}
	var all []event
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var e event
		if kind != "" && !bytes.Contains(line, []byte(`"kind":"`+kind+`"`)) {
			continue
		}
		if err := json.Unmarshal(line, &e); err != nil {
			w.Fatalf("read event: %v: %s", err, line)
		}
		if e.At.IsZero() || e.Kind == "" {
			w.Fatalf("event without at or kind: %s", line)
		}
		if kind == "" || e.Kind == kind {
			all = append(all, e)
		}
	}
	return all
}

// wire is a pseudo-terminal that stands for a serial line: the program opens
// Device, the test is the microcontroller at the other end.
type wire struct {
	Device string
	master *os.File
	slave  *os.File // kept open, so that the line survives the program
	mutex  sync.Mutex
	lines  []written
}

// written is one line that the program wrote, and when it arrived.
type written struct {
	at   time.Time
	text string
}

// newWire opens the line in raw mode and starts to collect what is written.
func (w *world) newWire() *wire {
	w.Helper()
	master, slave, err := pty.Open()
	if err != nil {
		w.Fatalf("open pseudo-terminal: %v", err)
	}
	if _, err := term.MakeRaw(int(slave.Fd())); err != nil {
		w.Fatal(err)
	}
	line := &wire{Device: slave.Name(), master: master, slave: slave}
	joined := make(chan struct{})
	go func() { line.collect(); close(joined) }()
	w.Cleanup(func() {
		_ = slave.Close()
		_ = master.Close()
		<-joined
	})
	return line
}

func (l *wire) collect() {
	var rest []byte
	chunk := make([]byte, 4096)
	for {
		n, err := l.master.Read(chunk)
		now := time.Now()
		if err != nil {
			return
		}
		rest = append(rest, chunk[:n]...)
		for {
			line, after, ok := bytes.Cut(rest, []byte("\n"))
			if !ok {
				break
			}
			l.mutex.Lock()
			l.lines = append(l.lines, written{now, string(line)})
			l.mutex.Unlock()
			rest = after
		}
	}
}

// send writes what a sensor would.
func (l *wire) send(w *world, text string) {
	w.Helper()
	if _, err := io.WriteString(l.master, text); err != nil {
		w.Fatalf("write to wire: %v", err)
	}
}

// all gives the lines that begin with a prefix, oldest first.
func (l *wire) all(prefix string) []written {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	var found []written
	for _, line := range l.lines {
		if strings.HasPrefix(line.text, prefix) {
			found = append(found, line)
		}
	}
	return found
}

// last gives the newest line with a prefix: the state of that actuator.
func (l *wire) last(prefix string) string {
	found := l.all(prefix)
	if len(found) == 0 {
		return ""
	}
	return strings.TrimPrefix(found[len(found)-1].text, prefix)
}

// freePort finds a TCP port that nobody listens on.
func (w *world) freePort() string {
	w.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

var httpClient = &http.Client{Timeout: 10 * time.Second}

// get reads a JSON answer; false while there is none.
func (w *world) get(url string, into any) bool {
	w.Helper()
	answer, err := httpClient.Get(url)
	if err != nil {
		return false
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return false
	}
	if err := json.NewDecoder(answer.Body).Decode(into); err != nil {
		w.Fatalf("read %s: %v", url, err)
	}
	return true
}

// agent is what the API says of one robot.
type agent struct {
	Name       string      `json:"name"`
	Alive      bool        `json:"alive"`
	Connection string      `json:"connection"`
	State      *mesh.State `json:"state"`
}

// agents lists the robots that an HTTP address (a conductor's or a robot's)
// knows.
func (w *world) agents(listen string) []agent {
	w.Helper()
	var answer struct{ Agents []agent }
	w.get("http://"+listen+"/api/v1/agents", &answer)
	return answer.Agents
}

// state is the state of one robot as an HTTP address gives it; the zero State
// while there is none.
func (w *world) state(listen, name string) mesh.State {
	w.Helper()
	for _, a := range w.agents(listen) {
		if a.Name == name && a.State != nil {
			return *a.State
		}
	}
	return mesh.State{}
}

// post sends a JSON body and gives the status and the answer.
func (w *world) post(url string, body any) (int, string) {
	w.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		w.Fatal(err)
	}
	answer, err := httpClient.Post(url, "application/json", bytes.NewReader(text))
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	reply, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		return answer.StatusCode, err.Error()
	}
	return answer.StatusCode, string(reply)
}

// soak says whether the tests run at their full length (`make soak`).
func soak() bool { return os.Getenv("DANCER_SOAK") != "" }
