package spine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal/serial"
	"dancer/runtime/config"
)

// What the process under a fault campaign is told.
const (
	envData     = "DANCER_TEST_DATA"      // data folder
	envBinary   = "DANCER_TEST_BINARY"    // the real program, for its brain
	envGroup    = "DANCER_TEST_CGROUP"    // cgroup.procs that the brain enters, "" none
	envSameUser = "DANCER_TEST_SAME_USER" // not "": the brain runs as the spine does
)

// Descriptors of the process under a campaign. Those of the wire are none: it is
// a pseudo-terminal, opened as every serial port is.
const (
	edgeIn = 3 + iota
	edgeOut
	floodIn
	floodOut
)

// runSubject is a whole spine in a process of its own, with the brain of the real
// program. Two of its ports are pipes, because a pseudo-terminal passes through a
// kernel worker without real-time priority; the third is a pseudo-terminal.
func runSubject() error {
	for fd := edgeIn; fd <= floodOut; fd++ {
		unix.CloseOnExec(fd) // the brain gets descriptors of its own there
	}
	robot, problems := config.Load(os.Getenv(envRobot), config.Options{})
	if robot == nil {
		return problems
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pipes := map[string]*faultPipe{
		"edge":  {pipeStream: pipeStream{in: edgeIn, out: edgeOut, ended: stop}},
		"flood": {pipeStream: pipeStream{in: floodIn, out: floodOut, ended: stop}},
	}
	cfg := Config{
		Robot: robot, DataDir: os.Getenv(envData), Dedicated: true, OwnBrainUser: os.Getenv(envSameUser) == "",
		Log: slog.New(slog.NewTextHandler(os.Stderr, nil)).With("part", "spine"), Stderr: os.Stderr,
		BrainCommand: func() *exec.Cmd { return realBrain(robot.Path) },
		// A hundred brains die here: without the hook each would wait for ten seconds.
		patience: &patience{first: 50 * time.Millisecond, most: 50 * time.Millisecond, soon: patient, strikes: 3, grace: 3 * time.Second},
		openers: &openers{port: func(p *config.Port) (stream, error) {
			if s := pipes[p.Name]; s != nil {
				return s, s.prepare()
			}
			return serial.Open(p.Device, p.Baud)
		}},
	}
	r, err := open(&cfg)
	if err != nil {
		return err
	}
	for _, s := range pipes {
		s.core = r.loop.core
	}
	_, err = r.run(ctx)
	return errors.Join(err, r.close())
}

// realBrain is what runtime.Run starts, in a cgroup of its own where there is one.
func realBrain(robot string) *exec.Cmd {
	args := []string{os.Getenv(envBinary), "brain", robot, "--data", os.Getenv(envData)}
	cmd := exec.Command(args[0], args[1:]...)
	if group := os.Getenv(envGroup); group != "" {
		script := `echo $$ > "$0" && exec "$@"`
		cmd = exec.Command("/bin/sh", append([]string{"-c", script, group}, args...)...)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// faultPipe is a port over pipes that says, beside each value, what the loop's own
// clock says: until when the lease was valid, when the loop last read from the
// port, and when it wrote.
type faultPipe struct {
	pipeStream
	core *core
	read time.Duration
	line [128]byte
}

func (s *faultPipe) Read(b []byte) (int, error) {
	if s.core != nil {
		s.read = s.core.clock()
	}
	return s.pipeStream.Read(b)
}

func (s *faultPipe) Write(slot int, line []byte) error {
	if s.core == nil {
		return s.pipeStream.Write(slot, line)
	}
	b := append(s.line[:0], bytes.TrimSpace(line)...)
	for _, at := range [...]time.Duration{s.core.leaseUntil, s.read, s.core.clock()} {
		b = strconv.AppendInt(append(b, ' '), int64(at), 10)
	}
	return s.pipeStream.Write(slot, append(b, '\n'))
}

func (s *faultPipe) Halt(time.Duration) error { return nil }

// faultRobot writes the files of the campaign's robot.
func faultRobot(folder, wire, broker, listen string) (robot, manual string) {
	robot = fmt.Sprintf(`robot: fault-bot
board: linux
manual: manual.yaml
ports:
  edge:  {device: /dev/null, framing: json}
  flood: {device: /dev/zero, framing: json}
  wire:  {device: %s, framing: json}
signals:
  x:     {port: edge, range: [0, 1], stale_after: 30m}
  y:     {port: flood, range: [0, 1], stale_after: 30m}
  range: {port: wire, unit: m, range: [0, 8], stale_after: 30m}
outputs:
  echo:  {port: edge, format: "O {value}\n", range: [0, 1], safe: 0}
  drive: {port: edge, format: "D {value}\n", range: [0, 1], safe: 0}
  flow:  {port: flood, format: "F {value}\n", range: [0, 1], safe: 0}
lease: {expires_after: %s, stop: 1}
recording: {keep: 60m, megabytes: 1000}
conductor: {broker: "mqtt://%s"}
mesh: {off: true}
listen: "%s"
`, wire, leaseOfCampaign, broker, listen)
	// The options are worse with what the reflexes set, or inaction (the outputs go on
	// as they are) could hold those against the next edge.
	manual = `values:
  - {name: safety, floor: 5}
  - {name: task}
reflexes:
  - {name: edge, when: "x > 0.5", set: {echo: 1}}
  - {name: flooded, when: "y > 0.5", set: {flow: 1}}
  - {name: lost, when: "range < 0.30 m", set: {drive: 0}, latch: operator}
model: {step: 50ms, next: {x: "x"}, horizon: 500ms}
impact: {safety: "10", task: "10 * drive - 5 * echo - 5 * flow"}
actions:
  - {name: patrol, set: {drive: 0.5, echo: 0, flow: 0}}
  - {name: halt, set: {drive: 0, echo: 0, flow: 0}, fallback: true}
`
	return robot, manual
}

// leaseOfCampaign is how long a lease is valid: short, so that a hundred
// repetitions take minutes, and six steps of the model.
const leaseOfCampaign = 300 * time.Millisecond
