package brain_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"dancer/runtime/brain"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/runtime/spine"
)

// The tests run a real spine in the test's process and a real brain as its
// child: the test binary again, told by the environment to be one.
const brainOf = "DANCER_TEST_BRAIN"

// rolloutsOf tells it how many roll-outs to make, where a test does.
const rolloutsOf = "DANCER_TEST_ROLLOUTS"

func TestMain(m *testing.M) {
	if spec := os.Getenv(brainOf); spec != "" {
		if err := beBrain(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// beBrain is what the child does: robot file and data folder, one a line.
func beBrain(spec string) error {
	path, data, _ := strings.Cut(spec, "\n")
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	robot, problems := config.Load(path, config.Options{})
	if err := problems.Err(); err != nil {
		return err
	}
	ends, err := link.Inherit(spine.Layout(robot))
	if err != nil {
		return err
	}
	events, err := os.OpenFile(filepath.Join(data, "events"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer events.Close()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	rollouts, _ := strconv.Atoi(os.Getenv(rolloutsOf))
	return brain.Run(ctx, brain.Config{Robot: robot, Ends: ends, DataDir: data, Events: events, Version: "test", Log: log, Rollouts: rollouts})
}

// robot is one running robot of a test.
type robot struct {
	t      *testing.T
	name   string
	data   string
	page   string // URL of its own page
	stderr *os.File
	end    func()
}

// files writes a robot's files and gives the path of robot.yaml. %LISTEN% in the
// text is replaced by a free address.
func files(t *testing.T, robotYAML, manualYAML, scenario string) (path, listen string) {
	t.Helper()
	dir := t.TempDir()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listen = listener.Addr().String()
	listener.Close()
	robotYAML = strings.ReplaceAll(robotYAML, "%LISTEN%", listen)
	for name, text := range map[string]string{"robot.yaml": robotYAML, "manual.yaml": manualYAML, "test.scenario": scenario} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "robot.yaml"), listen
}

// start runs a robot until the test ends or stop is called.
func start(t *testing.T, robotYAML, manualYAML, scenario string) *robot {
	t.Helper()
	data, err := os.MkdirTemp("", "dancer-brain-")
	if err != nil {
		t.Fatal(err)
	}
	return startIn(t, data, robotYAML, manualYAML, scenario)
}

// startIn is start with a data folder, which is removed at the end.
func startIn(t *testing.T, data, robotYAML, manualYAML, scenario string) *robot {
	t.Helper()
	path, listen := files(t, robotYAML, manualYAML, scenario)
	loaded, problems := config.Load(path, config.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	stderr, err := os.Create(filepath.Join(data, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	r := &robot{t: t, name: loaded.Name, data: data, page: "http://" + listen, stderr: stderr}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		_, err := spine.Run(ctx, spine.Config{
			Robot: loaded, DataDir: data, Stderr: stderr, Log: slog.New(slog.NewTextHandler(stderr, nil)),
			BrainCommand: func() *exec.Cmd {
				cmd := exec.Command(os.Args[0], "-test.run=^$")
				cmd.Env = append(os.Environ(), brainOf+"="+path+"\n"+data)
				cmd.Stderr = stderr
				return cmd
			},
		})
		ended <- err
	}()
	stopped := false
	r.end = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("spine: %v", err)
		}
	}
	t.Cleanup(func() {
		r.end()
		if text, _ := os.ReadFile(stderr.Name()); t.Failed() || bytes.Contains(text, []byte("DATA RACE")) {
			t.Errorf("%s said:\n%s", r.name, text)
		}
		stderr.Close()
		os.RemoveAll(data)
	})
	return r
}

// control asks the spine until it says ok: a start is refused before the first
// decision.
func (r *robot) control(line string) {
	r.t.Helper()
	var answer string
	r.until(20*time.Second, line, func() bool {
		var err error
		answer, err = spine.Control(r.data, line, time.Second)
		return err == nil && strings.HasPrefix(answer, "ok")
	})
}

// get asks the robot's page for JSON.
func (r *robot) get(path string, v any) error {
	response, err := http.Get(r.page + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	return json.NewDecoder(response.Body).Decode(v)
}

// text gives what the robot's page answers, as it is.
func (r *robot) text(path string) string {
	r.t.Helper()
	response, err := http.Get(r.page + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// until polls a condition that another process makes true.
func (r *robot) until(limit time.Duration, what string, ready func() bool) {
	r.t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if ready() {
			return
		}
	}
	r.t.Fatalf("%s: not within %s: %s", r.name, limit, what)
}

// events gives the events of a kind so far.
func (r *robot) events(kind string) []map[string]any {
	r.t.Helper()
	file, err := os.Open(filepath.Join(r.data, "events"))
	if err != nil {
		return nil
	}
	defer file.Close()
	var out []map[string]any
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e map[string]any
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			continue // the last line is being written
		}
		if e["kind"] == kind {
			out = append(out, e)
		}
	}
	return out
}

// has says whether an event of the kind has all the given fields.
func (r *robot) has(kind string, fields map[string]any) bool {
	for _, e := range r.events(kind) {
		match := true
		for k, v := range fields {
			match = match && e[k] == v
		}
		if match {
			return true
		}
	}
	return false
}

// killBrain ends the brain with SIGKILL and waits until it is gone.
func (r *robot) killBrain() {
	r.t.Helper()
	pid := r.brain()
	if pid == 0 {
		r.t.Fatal("no brain runs")
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		r.t.Fatal(err)
	}
	r.until(5*time.Second, "the brain is gone", func() bool { return r.brain() != pid })
}

// brain finds the child that works on this robot's data folder.
func (r *robot) brain() int {
	found, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, path := range found {
		text, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(text, []byte(brainOf+"=")) || !bytes.Contains(text, []byte(r.data+"\x00")) {
			continue
		}
		var pid int
		if _, err := fmt.Sscanf(path, "/proc/%d/environ", &pid); err == nil && pid != os.Getpid() {
			return pid
		}
	}
	return 0
}
