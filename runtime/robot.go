package runtime

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"dancer/runtime/brain"
	"dancer/runtime/config"
	"dancer/runtime/link"
	"dancer/runtime/memory"
	"dancer/runtime/spine"
)

// Options of a robot, as on the command line.
type Options struct {
	Robot    string        // path of robot.yaml
	Board    string        // overrides the file's board
	Scenario string        // overrides the file's scenario; board sim alone
	DataDir  string        // default DataFolder of the robot's name
	Events   string        // file, "-" for standard output, "" for none
	Record   string        // recording to write, a new file; "" for none
	For      time.Duration // 0: until a signal
	DryRun   bool
	Version  string // of the binary
}

// Run runs a robot until a signal or its time is over, and leaves every output
// at its safe value. The error is config.Problems when its files have faults.
func Run(parent context.Context, o Options) error {
	memory.Lean()
	robot, err := load(o)
	if err == nil {
		err = prepare(&o, robot)
	}
	if err != nil {
		return errors.Join(err, leaveSafe(o))
	}
	executable, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	ctx, end := StopOnSignal(parent, os.Stderr)
	defer end()
	log := NewLog(os.Stderr, "spine")
	notify, err := spine.NotifyFromEnvironment()
	if err != nil {
		log.Warn("the service manager will not hear everything", "error", err)
	}
	log.Info("robot", "name", robot.Name, "board", robot.BoardName, "manual", robot.Manual.Hash, "data", o.DataDir, "version", o.Version)
	report, err := spine.Run(ctx, spine.Config{
		Robot: robot, DataDir: o.DataDir, RunDir: RunFolder(), DryRun: o.DryRun, For: o.For, Dedicated: true, Log: log, Notify: notify,
		BrainCommand: func() *exec.Cmd { return brainCommand(executable, o) },
		Ready:        func() { log.Info("reflexes armed", "rules", len(robot.Manual.Rules)) },
	})
	if err != nil {
		return err
	}
	log.Info("end", "cycles", report.Cycles, "reflexes", report.Fired, "frames", report.Frames, "overruns", report.Overruns,
		"discarded", report.Discarded, "brain_starts", report.BrainStarts, "events_lost", report.EventsLost, "real_time", report.RealTime)
	return nil
}

// prepare finds the data folder and tries what the brain will write to.
func prepare(o *Options, robot *config.Robot) (err error) {
	if o.DataDir, err = dataFolder(o.DataDir, robot.Name); err != nil {
		return err
	}
	if err := tryEvents(o.Events); err != nil {
		return err
	}
	return tryRecord(o.Record)
}

// leaveSafe is for a start that cannot go on: a spine that died may have left its
// outputs moving, and the fault that keeps this one from starting does not change
// that. Without a name from robot.yaml the folder is known from --data or from
// systemd alone.
func leaveSafe(o Options) error {
	folder := o.DataDir
	if folder == "" {
		folder = os.Getenv("STATE_DIRECTORY")
	}
	if folder == "" || o.DryRun {
		return nil
	}
	done, err := spine.LeaveSafe(folder)
	if err != nil {
		return fmt.Errorf("the outputs of the run before this one may not be safe: %w", err)
	}
	if done != "" {
		fmt.Fprintf(os.Stderr, "the run before this one did not end in order: %s\n", done)
	}
	return nil
}

func load(o Options) (*config.Robot, error) {
	robot, problems := config.Load(o.Robot, config.Options{Board: o.Board, Scenario: o.Scenario, Run: true})
	for _, p := range problems {
		if p.Warning && problems.Err() == nil {
			fmt.Fprintf(os.Stderr, "dancer: warning: %s\n", p.Error())
		}
	}
	return robot, problems.Err()
}

func dataFolder(given, name string) (string, error) {
	dir := given
	if dir == "" {
		var err error
		if dir, err = DataFolder(name); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("make data folder: %w: give another one with --data", err)
	}
	return dir, nil
}

// brainCommand is this program again, as the brain. The spine adds what the two
// share. Standard input is nothing: a brain never reads from a terminal.
func brainCommand(executable string, o Options) *exec.Cmd {
	args := []string{"brain", o.Robot, "--data", o.DataDir}
	for flag, value := range map[string]string{"--board": o.Board, "--scenario": o.Scenario, "--events": o.Events, "--record": o.Record} {
		if value != "" {
			args = append(args, flag, value)
		}
	}
	cmd := exec.Command(executable, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd
}

// RunBrain runs the brain of a robot, started by Run.
func RunBrain(parent context.Context, o Options) error {
	memory.Lean()
	// The terminal's signals are for the spine, which ends the brain in order.
	signal.Ignore(os.Interrupt, syscall.SIGHUP, syscall.SIGPIPE)
	ctx, stop := signal.NotifyContext(parent, syscall.SIGTERM)
	defer stop()
	robot, problems := config.Load(o.Robot, config.Options{Board: o.Board, Scenario: o.Scenario})
	if err := problems.Err(); err != nil {
		return err
	}
	ends, err := link.Inherit(spine.Layout(robot))
	if errors.Is(err, link.ErrLayout) {
		return fmt.Errorf("%w: %s or %s was changed while the robot runs: restart dancer run", err, robot.Path, robot.ManualPath)
	}
	if err != nil {
		return err
	}
	events, closeEvents, err := openEvents(o.Events)
	if err != nil {
		return err
	}
	log := NewLog(os.Stderr, "brain")
	err = brain.Run(ctx, brain.Config{
		Robot: robot, Ends: ends, DataDir: o.DataDir, Events: events, Version: o.Version, Record: o.Record, Log: log,
	})
	return errors.Join(err, closeEvents(), ends.Close())
}

// tryEvents refuses a path that the brain could not write to, before anything
// starts. A pipe is left alone: opening it would wait for its reader, and
// closing it would end that reader.
func tryEvents(name string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil
	}
	_, closeEvents, err := openEvents(name)
	if err != nil {
		return err
	}
	return closeEvents()
}

// tryRecord refuses a recording that cannot be written, before anything starts.
// One that is there is never overwritten.
func tryRecord(name string) error {
	if name == "" {
		return nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("record: %s is there already, and a recording is never overwritten: give --record another name", name)
	}
	if err == nil {
		err = errors.Join(file.Close(), os.Remove(name))
	}
	if err != nil {
		return fmt.Errorf("record: %w: give --record a file that can be written", err)
	}
	return nil
}

// openEvents opens the stream of events. A file is appended to, so that a brain
// that was restarted goes on where the one before was cut off.
func openEvents(name string) (io.Writer, func() error, error) {
	switch name {
	case "":
		return nil, func() error { return nil }, nil
	case "-":
		return os.Stdout, func() error { return nil }, nil
	}
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("open events: %w: give --events a file that can be written", err)
	}
	return file, file.Close, nil
}
