package spine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// MeasureConfig says what to measure. Subject must be given.
type MeasureConfig struct {
	// Subject makes the program under test: it reads edges as lines on standard
	// input, {"x":1} and {"x":0} in turn, and answers each with one line on
	// standard output. RunMeasured is one; the same loop in C is another.
	Subject func() *exec.Cmd
	// Load makes a program that runs beside it, such as a busy brain; nil: none.
	Load func() *exec.Cmd

	Edges  int           // default 10,000
	Period time.Duration // between edges, default 1 ms
	Jitter float64       // each period is off by up to this share, 0 to 1; default 0.5
	Seed   uint64        // of the jitter
	Warmup int           // edges before those that count; default 200
}

// Measurement is the time from writing an edge into the pipe to having read its
// output line back: two wake-ups (of the subject and of the reader) and what
// the subject does between them.
type Measurement struct {
	Count   int64         `json:"count"`
	Lost    int           `json:"lost"` // edges without an answer within a second
	P50     time.Duration `json:"p50_ns"`
	P99     time.Duration `json:"p99_ns"`
	P999    time.Duration `json:"p999_ns"`
	Most    time.Duration `json:"max_ns"`
	Subject *Measured     `json:"subject,omitempty"` // what RunMeasured tells
	FIFO    bool          `json:"fifo"`              // the reader had real-time priority too
}

// errUnanswered ends a measurement whose subject is gone.
var errUnanswered = errors.New("the program under test does not answer")

// answerWithin is how long one edge waits for its answer.
const answerWithin = time.Second

// MeasureLatency drives edges through the subject, one at a time, and gives the
// distribution of the time to its answers. The calling process should be idle.
func MeasureLatency(ctx context.Context, cfg MeasureConfig) (Measurement, error) {
	if cfg.Edges == 0 {
		cfg.Edges = 10_000
	}
	if cfg.Period == 0 {
		cfg.Period = time.Millisecond
	}
	if cfg.Jitter == 0 {
		cfg.Jitter = 0.5
	}
	if cfg.Warmup == 0 {
		cfg.Warmup = 200
	}
	if cfg.Load != nil {
		end, err := startLoad(cfg.Load())
		if err != nil {
			return Measurement{}, fmt.Errorf("measure latency: start load: %w", err)
		}
		defer end()
	}
	m, err := measure(ctx, &cfg)
	if err != nil {
		return m, fmt.Errorf("measure latency: %w", err)
	}
	return m, nil
}

// startLoad starts a program in a process group of its own, so that what it
// started ends with it.
func startLoad(cmd *exec.Cmd) (end func(), err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its group, not reaped yet
		_ = cmd.Wait()                                      // it was killed
	}, nil
}

func measure(ctx context.Context, cfg *MeasureConfig) (Measurement, error) {
	edges, answers, files, err := pipes()
	if err != nil {
		return Measurement{}, err
	}
	defer answers.Close()
	var told bytes.Buffer
	cmd := cfg.Subject()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = files[0], files[1], &told
	err = cmd.Start()
	files[0].Close()
	files[1].Close()
	if err != nil {
		edges.Close()
		return Measurement{}, fmt.Errorf("start subject: %w", err)
	}
	result := make(chan Measurement, 1)
	failed := make(chan error, 1)
	go func() {
		m, err := drive(ctx, cfg, int(edges.Fd()), int(answers.Fd()))
		result <- m
		failed <- err
	}()
	m, err := <-result, <-failed
	edges.Close() // the subject's end
	if err != nil {
		_ = cmd.Process.Kill()
	}
	if werr := cmd.Wait(); err == nil && werr != nil {
		err = fmt.Errorf("subject: %w: %s", werr, bytes.TrimSpace(told.Bytes()))
	}
	m.Subject = lastReport(told.Bytes())
	return m, err
}

// pipes makes both pipes; files are the subject's ends.
func pipes() (edges, answers *os.File, files [2]*os.File, err error) {
	files[0], edges, err = os.Pipe()
	if err != nil {
		return nil, nil, files, err
	}
	answers, files[1], err = os.Pipe()
	if err != nil {
		edges.Close()
		files[0].Close()
		return nil, nil, files, err
	}
	return edges, answers, files, nil
}

// drive is the thread that writes edges and reads answers.
func drive(ctx context.Context, cfg *MeasureConfig, edges, answers int) (Measurement, error) {
	runtime.LockOSThread() // never unlocked: a real-time thread is not given back
	h := hdrhistogram.New(1, int64(10*time.Second), 3)
	m := Measurement{FIFO: madeRealTime(slog.New(slog.DiscardHandler))}
	random := rand.New(rand.NewPCG(cfg.Seed, 0))
	clock := newClock()
	buffer := make([]byte, 4096)
	if err := await(answers, buffer, 10*time.Second); err != nil { // the first line: ready
		return m, err
	}
	next := clock.now()
	for i := range cfg.Warmup + cfg.Edges {
		if ctx.Err() != nil {
			return m, ctx.Err()
		}
		off := cfg.Jitter * (2*random.Float64() - 1)
		next += time.Duration(float64(cfg.Period) * (1 + off))
		sleepUntil(next)
		begin := clock.now()
		if _, err := unix.Write(edges, edgeLines[i%2]); err != nil {
			return m, fmt.Errorf("write edge: %w", err)
		}
		err := await(answers, buffer, answerWithin)
		took := clock.now() - begin
		switch {
		case errors.Is(err, errUnanswered):
			m.Lost++
		case err != nil:
			return m, err
		case i >= cfg.Warmup:
			_ = h.RecordValue(int64(min(took, 10*time.Second))) // inside the range
			m.Most = max(m.Most, took)
		}
	}
	at := func(q float64) time.Duration { return time.Duration(h.ValueAtQuantile(q)) }
	m.Count, m.P50, m.P99, m.P999 = h.TotalCount(), at(50), at(99), at(99.9)
	return m, nil
}

var edgeLines = [2][]byte{[]byte("{\"x\":1}\n"), []byte("{\"x\":0}\n")}

// await reads the answer to one edge.
func await(fd int, buffer []byte, within time.Duration) error {
	set := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	ts := unix.NsecToTimespec(int64(within))
	for {
		n, err := unix.Ppoll(set, &ts, nil)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait for answer: %w", err)
		case n == 0:
			return errUnanswered
		}
		n, err = unix.Read(fd, buffer)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return fmt.Errorf("read answer: %w", err)
		case n == 0:
			return fmt.Errorf("read answer: %w", io.ErrUnexpectedEOF)
		}
		return nil
	}
}

// sleepUntil sleeps to a time of CLOCK_MONOTONIC.
func sleepUntil(at time.Duration) {
	ts := unix.NsecToTimespec(int64(at))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &ts, nil) == unix.EINTR {
	}
}

// lastReport finds the JSON line of RunMeasured in what a subject said.
func lastReport(told []byte) *Measured {
	lines := bytes.Split(bytes.TrimSpace(told), []byte("\n"))
	var m Measured
	if json.Unmarshal(lines[len(lines)-1], &m) != nil {
		return nil
	}
	return &m
}
