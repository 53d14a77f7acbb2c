package spine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/serial"
	"dancer/runtime/config"
	"dancer/runtime/latency"
	"dancer/runtime/link"
)

// settled is the edge from which allocations are counted: before it Go still
// makes threads.
const settled = 50

// envMeasured is the specification of a measured program, as JSON.
const envMeasured = "DANCER_TEST_MEASURED"

// measuredSpec says which of the programs under test of MeasureLatency to be.
type measuredSpec struct {
	CPU    int    // the only processor of the loop's thread; -1: any
	Binary string // the real program, of which the brain is a child; "": no brain
	Cell   string // of the brain
	Broker string // of the brain
	Wake   bool   // a rule sets a deadline after each second edge
	Stamps bool   // descriptor 3 takes stamps

	// Shadow is the load that a program without a brain has beside it: this one's
	// spine at normal priority with its brain and edges of its own.
	Shadow bool
	Period time.Duration // of the shadow's edges

	// Together is the usual design: loop and brain in one process. The brain is
	// runtime/brain as it is, with Go's default collector and scheduler; the loop has
	// a thread of its own, with FIFO also the spine's priority and locked memory.
	Together, FIFO bool
}

// command starts this test binary as the program.
func (s measuredSpec) command() *exec.Cmd {
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envBrain+"=measured", envMeasured+"="+string(text))
	if s.Together {
		cmd.ExtraFiles = []*os.File{os.Stderr, os.Stderr, os.Stderr} // in the places of the brain's ends
	}
	return cmd
}

// beMeasured is what the command does.
func beMeasured(text string) error {
	var spec measuredSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("measure spine: %w", err)
	}
	m, err := runMeasured(spec)
	return errors.Join(err, json.NewEncoder(os.Stderr).Encode(m))
}

// Measured is what a measured spine tells about itself at the end, as JSON.
type Measured struct {
	Report      Report `json:"report"`
	Allocations uint64 `json:"allocations"` // heap objects between the 50th edge and the last; a thread that Go makes meanwhile is seven
	Collections uint32 `json:"collections"` // garbage collections meanwhile
	Faults      int64  `json:"faults"`      // page faults of the loop's thread meanwhile, major and minor
	Decisions   uint64 `json:"decisions"`   // commands of the brain that came

	WakeUp latency.Figures `json:"wake_up"` // of the loop meanwhile, from its own histogram
}

// runMeasured is the program under test of MeasureLatency: a whole spine whose
// one port is a pair of pipes. Edges come in as {"x":1} and {"x":0}; the first of
// its rules drives the output with them, as "O 1" and "O 0", and the others are
// evaluated and do not fire. It runs until the input ends and needs the process
// for itself.
func runMeasured(spec measuredSpec) (Measured, error) {
	folder, err := os.MkdirTemp("", "dancer-measured-")
	if err != nil {
		return Measured{}, fmt.Errorf("measure spine: %w", err)
	}
	defer os.RemoveAll(folder)
	robot, err := measuredRobot(folder, spec)
	if err != nil {
		return Measured{}, fmt.Errorf("measure spine: %w", err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pipes := &pipeStream{in: 0, out: 1, spec: &spec, ended: stop}
	if spec.Stamps {
		if pipes.stamps, err = mapStamps(stampsFD); err != nil {
			return Measured{}, err
		}
	}
	if spec.Shadow {
		end, err := pipes.feed(spec.Period)
		if err != nil {
			return Measured{}, err
		}
		defer end()
	}
	cfg := Config{
		Robot: robot, DataDir: folder, Dedicated: !spec.Shadow && !spec.Together, Stderr: io.Discard,
		patience: &patience{first: time.Second, most: time.Second, soon: time.Second, strikes: 1, grace: 100 * time.Millisecond},
		openers: &openers{port: func(p *config.Port) (stream, error) {
			if p.Name == "pipe" {
				return pipes, pipes.prepare()
			}
			return newNowhere()
		}},
	}
	if spec.Binary != "" && !spec.Together {
		cfg.BrainCommand = func() *exec.Cmd { return exec.Command(spec.Binary, "brain", robot.Path, "--data", folder) }
	}
	run := runApart
	if spec.Together {
		run = runTogether
	}
	m := Measured{}
	m.Report, m.Decisions, err = run(ctx, cfg, pipes)
	wakeUps := pipes.wakeLast.Since(&pipes.wakeFirst)
	m.WakeUp = wakeUps.Figures()
	m.Allocations, m.Collections = pipes.last.Mallocs-pipes.first.Mallocs, pipes.last.NumGC-pipes.first.NumGC
	m.Faults = pipes.faultsLast - pipes.faultsFirst
	return m, err
}

// runApart is Run, which also tells how many commands came.
func runApart(ctx context.Context, cfg Config, pipes *pipeStream) (report Report, decisions uint64, err error) {
	cfg.Log = slog.New(slog.DiscardHandler)
	r, err := open(&cfg)
	if err != nil {
		return report, 0, err
	}
	pipes.wakeUps = &r.loop.core.latencies.kinds[link.LatencyWakeUp]
	report, err = r.run(ctx)
	decisions = r.loop.core.lastDecision
	return report, decisions, errors.Join(err, r.close())
}

// pipeStream is a stream over two pipes.
type pipeStream struct {
	in, out int
	spec    *measuredSpec
	stamps  *stamps // nil: none
	ended   func()
	reads   int
	over    bool
	first   runtime.MemStats // at the settled-th edge
	last    runtime.MemStats // at the input's end

	faultsFirst, faultsLast int64

	wakeUps             *latency.Histogram // the loop's; nil: not measured
	wakeFirst, wakeLast latency.Histogram  // copies, of the same moments
}

func (s *pipeStream) prepare() error {
	return errors.Join(unix.SetNonblock(s.in, true), unix.SetNonblock(s.out, true))
}

func (s *pipeStream) Fd() int { return s.in }

// Read is called by the loop's thread.
func (s *pipeStream) Read(b []byte) (int, error) {
	if s.stamps != nil {
		s.stamps.read.Store(int64(link.Now()))
	}
	n, err := unix.Read(s.in, b)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil || n <= 0:
		if !s.over {
			s.over = true
			if s.wakeUps != nil {
				s.faultsLast, s.wakeLast = pageFaults(), *s.wakeUps
				runtime.ReadMemStats(&s.last)
			}
			s.ended()
		}
		return 0, nil
	}
	if s.wakeUps == nil { // nothing is measured here
		return n, nil
	}
	switch s.reads++; s.reads {
	case 1:
		s.settle()
	case settled:
		runtime.ReadMemStats(&s.first)
	case settled + 1: // what that took is nobody's figure
		s.faultsFirst, s.wakeFirst = pageFaults(), *s.wakeUps
	}
	return n, nil
}

// settle gives the thread the place that was asked for.
func (s *pipeStream) settle() {
	if s.spec.CPU >= 0 {
		pin(s.spec.CPU)
	}
	if s.spec.Together && s.spec.FIFO {
		madeRealTime(slog.New(slog.DiscardHandler))
		lockMemory(slog.New(slog.DiscardHandler))
	}
	if s.stamps != nil {
		s.stamps.thread.Store(int64(unix.Gettid()))
	}
}

// Write drops what the pipe cannot take: the reader counts what is missing.
func (s *pipeStream) Write(_ int, line []byte) error {
	_, err := unix.Write(s.out, line)
	if s.stamps != nil {
		s.stamps.written.Store(int64(link.Now()))
	}
	if err != nil && err != unix.EAGAIN {
		return serial.ErrGone
	}
	return nil
}

func (s *pipeStream) Flush() error              { return nil }
func (s *pipeStream) Pending() bool             { return false }
func (s *pipeStream) Reserve(int)               {}
func (s *pipeStream) SetSafe(int, []byte) error { return nil }
func (s *pipeStream) Halt(time.Duration) error  { return nil }
func (s *pipeStream) Reopen() error             { return serial.ErrGone }
func (s *pipeStream) Close() error              { return nil }
func (s *pipeStream) Replaced() uint64          { return 0 }

// pageFaults counts the page faults of the calling thread.
func pageFaults() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_THREAD, &u) != nil {
		return -1
	}
	return int64(u.Minflt) + int64(u.Majflt) //nolint:unconvert // 32 bits on arm
}

// pin keeps the calling thread on one processor.
func pin(cpu int) {
	var set unix.CPUSet
	set.Set(cpu)
	_ = unix.SchedSetaffinity(0, &set) // a machine with fewer processors runs it where it can
}

// nowhere is the stream of a port to which outputs are written that nobody
// reads: the brain's actions move them.
type nowhere struct {
	pipeStream
	silent *os.File // never readable
	other  *os.File
}

func newNowhere() (*nowhere, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &nowhere{pipeStream: pipeStream{in: int(r.Fd())}, silent: r, other: w}, nil
}

func (n *nowhere) Read([]byte) (int, error)    { return 0, nil }
func (n *nowhere) Write(_ int, _ []byte) error { return nil }
func (n *nowhere) Close() error                { return errors.Join(n.silent.Close(), n.other.Close()) }

// feed replaces the pipes by a pair that the program itself feeds, with edges at
// the given period, and gives the end of it. It feeds from an ordinary thread.
func (s *pipeStream) feed(period time.Duration) (end func(), err error) {
	edges, answers, files, err := pipes()
	if err != nil {
		return nil, err
	}
	s.in, s.out = int(files[0].Fd()), int(files[1].Fd())
	to, from := int(edges.Fd()), int(answers.Fd()) // once: Fd makes a descriptor block
	if err := errors.Join(unix.SetNonblock(to, true), unix.SetNonblock(from, true)); err != nil {
		return nil, err
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		drained := make([]byte, 4096)
		next := link.Now()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			next = max(next, link.Now()-10*period) + period
			sleepUntil(next)
			_, _ = unix.Write(to, edgeLines[i%2])
			_, _ = unix.Read(from, drained)
		}
	}()
	return func() {
		close(stop)
		<-stopped
		for _, f := range append(files[:], edges, answers) {
			_ = f.Close()
		}
	}, nil
}
