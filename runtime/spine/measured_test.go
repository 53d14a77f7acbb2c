package spine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/serial"
	"dancer/runtime/config"
)

// MeasuredRules is how many rules the measured robot has unless told otherwise.
const MeasuredRules = 100

// settled is the edge from which allocations are counted: before it Go still
// makes threads.
const settled = 50

// Measured is what a measured spine tells about itself at the end, as JSON.
type Measured struct {
	Report      Report `json:"report"`
	Allocations uint64 `json:"allocations"` // heap objects between the 50th edge and the last; a thread that Go makes meanwhile is seven
	Collections uint32 `json:"collections"` // garbage collections meanwhile
}

// RunMeasured is the program under test of MeasureLatency: a whole spine whose
// one port is a pair of pipes. Edges come in as {"x":1} and {"x":0}; the first of
// its rules drives the output with them, as "O 1" and "O 0", and the others are
// evaluated and do not fire. It runs until the input ends and needs the process
// for itself.
func RunMeasured(in, out *os.File, rules int) (Measured, error) {
	folder, err := os.MkdirTemp("", "dancer-measured-")
	if err != nil {
		return Measured{}, fmt.Errorf("measure spine: %w", err)
	}
	defer os.RemoveAll(folder)
	robot, err := measuredRobot(folder, rules)
	if err != nil {
		return Measured{}, fmt.Errorf("measure spine: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	pipes := &pipeStream{in: int(in.Fd()), out: int(out.Fd()), ended: stop}
	report, err := Run(ctx, Config{
		Robot: robot, DataDir: folder, Dedicated: true, Stderr: io.Discard,
		openers: &openers{port: func(*config.Port) (stream, error) { return pipes, pipes.prepare() }},
	})
	return Measured{report, pipes.last.Mallocs - pipes.first.Mallocs, pipes.last.NumGC - pipes.first.NumGC}, err
}

// measuredRobot writes and loads the files of a robot with so many rules.
func measuredRobot(folder string, rules int) (*config.Robot, error) {
	const robot = `robot: measured
board: linux
manual: manual.yaml
ports: {pipe: {device: /dev/null, framing: json}}
signals: {x: {port: pipe, range: [0, 1], stale_after: 60s}}
outputs: {o: {port: pipe, format: "O {value}\n", range: [0, 1], safe: 0}}
`
	var manual strings.Builder
	manual.WriteString("values: [{name: safety, floor: 5}]\nreflexes:\n  - {name: edge, when: \"x > 0.5\", set: {o: 1}}\n")
	for i := range max(rules, 1) - 1 {
		fmt.Fprintf(&manual, "  - {name: idle-%d, when: \"x > %d\", set: {o: 0}}\n", i, i+2)
	}
	manual.WriteString("model: {next: {x: \"x\"}}\nimpact: {safety: \"10\"}\nactions: [{name: halt, set: {o: 0}, fallback: true}]\n")
	for name, text := range map[string]string{"robot.yaml": robot, "manual.yaml": manual.String()} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	r, problems := config.Load(filepath.Join(folder, "robot.yaml"), config.Options{})
	if r == nil {
		return nil, problems
	}
	return r, nil
}

// pipeStream is a stream over two pipes.
type pipeStream struct {
	in, out int
	ended   func()
	reads   int
	over    bool
	first   runtime.MemStats // at the settled-th edge
	last    runtime.MemStats // at the input's end
}

func (s *pipeStream) prepare() error {
	return errors.Join(unix.SetNonblock(s.in, true), unix.SetNonblock(s.out, true))
}

func (s *pipeStream) Fd() int { return s.in }

func (s *pipeStream) Read(b []byte) (int, error) {
	n, err := unix.Read(s.in, b)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil || n <= 0:
		if !s.over {
			s.over = true
			runtime.ReadMemStats(&s.last)
			s.ended()
		}
		return 0, nil
	}
	if s.reads++; s.reads == settled {
		runtime.ReadMemStats(&s.first)
	}
	return n, nil
}

// Write drops what the pipe cannot take: the reader counts what is missing.
func (s *pipeStream) Write(_ int, line []byte) error {
	if _, err := unix.Write(s.out, line); err != nil && err != unix.EAGAIN {
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

// WriteJSON writes the result as one line.
func (m Measured) WriteJSON(w io.Writer) error { return json.NewEncoder(w).Encode(m) }
