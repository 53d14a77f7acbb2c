package spine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// measureConfig says what to measure. Probe and Subject must be given.
type measureConfig struct {
	Probe string // tools/probe/probe.c, compiled: the source of the edges

	// Subject makes the program under test: it reads edges as lines on standard
	// input, {"x":1} and {"x":0} in turn, and answers each with one line on
	// standard output. runMeasured is one; the same loop in C is another.
	Subject func() *exec.Cmd
	// Beside makes a program that runs beside it from start to end; nil: none.
	Beside func() *exec.Cmd

	CPU     int           // of the source of the edges
	Edges   int           // default 10,000
	Period  time.Duration // between edges, give or take a half; default 1 ms
	Seed    uint64        // of that
	Warmup  int           // edges before those that count; default 200
	StartUp time.Duration // from the first line of the subject to the first edge
	Stamps  bool          // the subject leaves stamps
}

// edge is struct edge of the probe.
type edge struct{ Begin, Sent, Read, Written, End, Waited int64 }

// measurement is the time from before the write of an edge into the pipe to having
// read its output line back: two wake-ups (of the subject and of the reader) and
// what the subject does between them.
type measurement struct {
	Count               int
	P50, P99, P999, Max time.Duration
	Refused             string    // what the source of the edges had to do without, such as its priority
	Subject             *Measured // what runMeasured tells
	Edges               []edge
}

// measureLatency drives edges through the subject, one at a time.
func measureLatency(cfg measureConfig) (measurement, error) {
	if cfg.Edges == 0 {
		cfg.Edges = 10_000
	}
	if cfg.Period == 0 {
		cfg.Period = time.Millisecond
	}
	if cfg.Warmup == 0 {
		cfg.Warmup = 200
	}
	if cfg.Beside != nil {
		end, err := startLoad(cfg.Beside())
		if err != nil {
			return measurement{}, fmt.Errorf("measure latency: start what runs beside: %w", err)
		}
		defer end()
	}
	m, err := measure(&cfg)
	if err != nil {
		return m, fmt.Errorf("measure latency: %w", err)
	}
	return m, nil
}

// stopWithin is how long a load has to end in order.
const stopWithin = 5 * time.Second

// startLoad starts a program in a process group of its own, so that what it
// started ends with it. It also ends when the tests are killed.
func startLoad(cmd *exec.Cmd) (end func(), err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // never unlocked: the program ends with the thread that started it
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it was ended
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return func() {
		group := -cmd.Process.Pid
		_ = syscall.Kill(group, syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(stopWithin):
		}
		_ = syscall.Kill(group, syscall.SIGKILL) // what is left of it
		<-ended
	}, nil
}

func measure(cfg *measureConfig) (measurement, error) {
	edges, answers, files, err := pipes()
	if err != nil {
		return measurement{}, err
	}
	defer answers.Close()
	var stamped *os.File
	if cfg.Stamps {
		if _, stamped, err = newStamps(); err != nil {
			return measurement{}, err
		}
		defer stamped.Close()
	}
	var told bytes.Buffer
	cmd := cfg.Subject()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], &told
	if stamped != nil {
		cmd.ExtraFiles = []*os.File{stamped}
	}
	err = cmd.Start()
	files[0].Close()
	files[1].Close()
	if err != nil {
		edges.Close()
		return measurement{}, fmt.Errorf("start subject: %w", err)
	}
	m, err := drive(cfg, edges, answers, stamped)
	edges.Close() // the subject's end
	if err != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM)
	}
	if werr := cmd.Wait(); werr != nil {
		err = errors.Join(err, fmt.Errorf("subject: %w: %s", werr, bytes.TrimSpace(told.Bytes())))
	}
	m.Subject = lastReport(told.Bytes())
	return m, err
}

// pipes makes both pipes; files are the subject's ends. They block, so that Go's
// poller does not watch them: it would be woken by every answer, and to wake it, on
// another processor, would be the work of whoever writes the answer.
func pipes() (edges, answers *os.File, files [2]*os.File, err error) {
	var there, back [2]int
	if err := unix.Pipe2(there[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, files, fmt.Errorf("make pipe: %w", err)
	}
	if err := unix.Pipe2(back[:], unix.O_CLOEXEC); err != nil {
		return nil, nil, files, errors.Join(fmt.Errorf("make pipe: %w", err), unix.Close(there[0]), unix.Close(there[1]))
	}
	files = [2]*os.File{os.NewFile(uintptr(there[0]), "edges"), os.NewFile(uintptr(back[1]), "answers")}
	return os.NewFile(uintptr(there[1]), "edges"), os.NewFile(uintptr(back[0]), "answers"), files, nil
}

// awaitReady waits for the subject's first line.
func awaitReady(answers *os.File) error {
	fds := []unix.PollFd{{Fd: int32(answers.Fd()), Events: unix.POLLIN}}
	for end := time.Now().Add(readyWithin); ; {
		n, err := unix.Poll(fds, int(time.Until(end).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("wait %v for the program under test: %w", readyWithin, errors.Join(err, os.ErrDeadlineExceeded))
		}
		if _, err := answers.Read(make([]byte, 4096)); err != nil {
			return fmt.Errorf("wait for the program under test: %w", err)
		}
		return nil
	}
}

// readyWithin is how long a subject may take until it is ready.
const readyWithin = 10 * time.Second

// drive lets the source of the edges do its work.
func drive(cfg *measureConfig, edges, answers, stamped *os.File) (measurement, error) {
	m := measurement{}
	if err := awaitReady(answers); err != nil {
		return m, err
	}
	time.Sleep(cfg.StartUp)
	fd, err := unix.MemfdCreate("dancer-edges", unix.MFD_CLOEXEC)
	if err != nil {
		return m, fmt.Errorf("keep edges: %w", err)
	}
	results := os.NewFile(uintptr(fd), "dancer-edges")
	defer results.Close()
	cmd := exec.Command(cfg.Probe, "edges", strconv.Itoa(cfg.CPU), strconv.Itoa(cfg.Edges), strconv.Itoa(cfg.Warmup),
		strconv.FormatInt(int64(cfg.Period), 10), strconv.FormatUint(cfg.Seed, 10))
	cmd.ExtraFiles = []*os.File{answers, edges, results}
	if stamped != nil {
		cmd.ExtraFiles = append(cmd.ExtraFiles, stamped)
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return m, fmt.Errorf("source of the edges: %w: %s", err, out)
	}
	m.Refused = string(out)
	if m.Edges, err = readEdges(results); err != nil {
		return m, err
	}
	m.count()
	return m, nil
}

func readEdges(results *os.File) ([]edge, error) {
	if _, err := results.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(results)
	if err != nil || len(text) == 0 {
		return nil, fmt.Errorf("read edges: %w", errors.Join(err, io.ErrUnexpectedEOF))
	}
	all := make([]edge, len(text)/int(unsafe.Sizeof(edge{})))
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&all[0])), len(text)), text)
	return all, nil
}

// count finds the percentiles, by nearest rank.
func (m *measurement) count() {
	var took []int64
	for _, e := range m.Edges {
		took = append(took, e.End-e.Begin)
	}
	m.Count = len(took)
	slices.Sort(took)
	at := func(perMille int) time.Duration {
		return time.Duration(took[min((len(took)*perMille+999)/1000, len(took))-1])
	}
	m.P50, m.P99, m.P999, m.Max = at(500), at(990), at(999), at(1000)
}

var edgeLines = [2][]byte{[]byte("{\"x\":1}\n"), []byte("{\"x\":0}\n")}

// sleepUntil sleeps to a time of CLOCK_MONOTONIC.
func sleepUntil(at time.Duration) {
	ts := unix.NsecToTimespec(int64(at))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// lastReport finds the JSON line of runMeasured in what a subject said.
func lastReport(told []byte) *Measured {
	lines := bytes.Split(bytes.TrimSpace(told), []byte("\n"))
	var m Measured
	if json.Unmarshal(lines[len(lines)-1], &m) != nil {
		return nil
	}
	return &m
}

// buildProbe compiles tools/probe/probe.c.
func buildProbe(t *testing.T) string {
	t.Helper()
	probe := t.TempDir() + "/probe"
	if out, err := exec.Command("gcc", "-O2", "-o", probe, "../../tools/probe/probe.c").CombinedOutput(); err != nil {
		t.Skipf("compile the instrument, which needs gcc: %v: %s", err, out)
	}
	return probe
}
