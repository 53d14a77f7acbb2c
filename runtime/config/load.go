package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"dancer/boards"
	"dancer/dancer"
	"dancer/hal"
	"dancer/reflex"
)

// Options of Load. The zero value is what `dancer check` uses.
type Options struct {
	Board     string            // overrides robot.yaml's board; "": as written
	Scenario  string            // overrides robot.yaml's scenario, relative to the working folder; "": as written
	Run       bool              // for `run`: what only a run needs (a device, a PWM) is a fault, not a warning
	Recorded  bool              // the files are from a recording, of a machine that is not here: see LoadRecorded
	Databases map[string][]byte // Recorded: of the DBC files, by CAN bus
	Root      fs.FS             // the machine's file system, for devices and the board's model; nil: the real one
}

func (o Options) root() fs.FS {
	if o.Root != nil {
		return o.Root
	}
	return os.DirFS("/")
}

// Load reads a robot.yaml and the manual that it names, and reports everything
// that is wrong with both. The robot is nil unless Problems.Err is nil: then it
// may be used, and what is left in Problems are warnings.
func Load(path string, opt Options) (*Robot, Problems) {
	data, problem := readFile(path)
	if problem != nil {
		return nil, Problems{*problem}
	}
	return load(path, data, opt, readFile)
}

// source reads a file that another one names.
type source func(path string) ([]byte, *Problem)

func load(path string, data []byte, opt Options, read source) (*Robot, Problems) {
	l := &loader{
		reader: newReader(path), opt: opt, read: read,
		robot: &Robot{Path: path, Bytes: data},
		world: &world{broken: map[string]bool{}},
	}
	problems := l.load(data)
	if problems.Faults() > 0 {
		return nil, problems
	}
	return l.robot, problems
}

// loader reads one robot's files.
type loader struct {
	*reader
	opt   Options
	read  source
	robot *Robot
	world *world
	pins  map[string]string // line -> the signal or output that has it

	canFiles  []canFile          // parallel to the robot's CAN buses
	unplugged []unplugged        // ports without a device
	reserved  map[string]string  // header pin -> the port whose device is on it
	fromCell  *node              // the last signal that is from: cell
	channels  map[string]channel // PWM chip, or channel of one -> the output that has it
}

func (l *loader) load(data []byte) Problems {
	root := l.parse(data)
	if root == nil {
		return l.sorted()
	}
	k := l.section(root, &robotSection, "the robot's file")
	l.robot.Name = k.name("robot", "")
	l.robot.Cell = k.name("cell", defaultCell)
	l.board(k)
	l.ports(k)
	l.chips(k)
	l.joysticks(k)
	l.canBuses(k)
	l.brokers(k)
	l.signals(k)
	l.unreadChips(k)
	l.keepDatabases(k)
	l.outputs(k)
	l.checkUnplugged()
	l.network(k)
	l.robot.Autostart = k.boolean("autostart")
	manual := l.manualFile(k)
	l.readBackRules()
	if manual.Faults() == 0 {
		l.checkTeleoperation(k)
		manual = append(manual, l.checkAdvice()...)
	}
	l.lease(k)
	l.recording(k)
	l.watchdog(k)
	scenario := l.scenario(k)
	l.plant(k)
	return slices.Concat(l.sorted(), manual, scenario)
}

// manualFile reads the manual that the robot's file names.
func (l *loader) manualFile(k keys) Problems {
	path := k.path("manual")
	if path == "" {
		return nil
	}
	data, problem := l.read(path)
	if problem != nil {
		k.fault("manual", "create it, or correct the path: it is relative to this file", "%s", problem.What)
		return nil
	}
	manual, m := readManual(path, data, l.world)
	l.robot.ManualPath, l.robot.ManualBytes, l.robot.Manual = path, data, manual
	if len(m.problems) == 0 && len(l.problems) == 0 {
		checkTables(m, manual)
	}
	return m.sorted()
}

// checkTables builds what the spine will build.
func checkTables(m *reader, manual *dancer.Manual) {
	layout := manual.Layout()
	if _, err := reflex.NewTable(manual.Rules, manual.Outputs, layout.Signals); err != nil {
		m.fault(nil, err.Error(), "correct the reflexes")
	}
	if _, err := reflex.NewWindows(manual.Windows, layout.Signals+layout.Outputs); err != nil {
		m.fault(nil, err.Error(), "correct the functions that look back in time")
	}
}

// board finds the profile; without one, pins are not checked.
func (l *loader) board(k keys) {
	name := l.opt.Board
	if name == "" {
		name = k.text("board", "auto")
	}
	if name == "auto" {
		found, err := boards.Detect(l.opt.root())
		if err != nil {
			k.fault("board", "name the board: see dancer board", "board cannot be detected: %v", err)
			return
		}
		name = found
	}
	p, err := boards.Get(name)
	if err != nil {
		hint := suggest(name, boards.Names(), "boards")
		if l.opt.Board != "" {
			l.fault(nil, fmt.Sprintf("board %s is not known", name), hint)
			return
		}
		k.fault("board", hint, "board %s is not known", name)
		return
	}
	l.robot.BoardName, l.robot.Board = name, p
}

// simulated says whether the robot runs on board sim.
func (l *loader) simulated() bool { return l.robot.Board.Simulated }

func (l *loader) lease(k keys) {
	x := l.section(k.node("lease"), &leaseSection, "lease")
	step := defaultStep
	if l.robot.Manual != nil && l.robot.Manual.Model.Step > 0 {
		step = l.robot.Manual.Model.Step
	}
	l.robot.Lease = Lease{
		ExpiresAfter: x.duration("expires_after", max(leaseSteps*step, 10*time.Millisecond)),
		Stop:         leaseStop(x.choice("stop", "1")),
		HasRamp:      x.has("ramp"),
		Ramp:         x.duration("ramp", 0),
	}
	l.checkLeaseRamp(x)
	if l.robot.Manual != nil && l.robot.Lease.ExpiresAfter < step {
		x.fault("expires_after", fmt.Sprintf("give at least %s; three steps is usual", formatSeconds(seconds(step))),
			"expires_after of lease is %s, shorter than one step of the model: no decision could keep it", formatSeconds(seconds(l.robot.Lease.ExpiresAfter)))
	}
}

// checkLeaseRamp reports a ramp that could do nothing.
func (l *loader) checkLeaseRamp(x keys) {
	moves := func(o hal.Output) bool { return !o.Switch }
	switch {
	case !x.has("ramp"):
	case l.robot.Lease.Stop == reflex.Stop0:
		x.fault("ramp", "give stop: 1 or 2, or remove ramp", "lease has a ramp, and stop category 0 is at once")
	case len(l.world.outputs) > 0 && !slices.ContainsFunc(l.world.outputs, moves):
		l.warn(x.where("ramp"), "lease has a ramp, and all outputs are on or off", "remove it: they take their safe values at once")
	}
}

func (l *loader) recording(k keys) {
	x := l.section(k.node("recording"), &recordingSection, "recording")
	l.robot.Recording = Recording{
		Keep:   x.duration("keep", defaultKeep),
		Bytes:  int64(x.integer("megabytes", defaultMegabytes)) * 1_000_000,
		Sealed: x.integer("sealed", defaultSealed),

		SealedBytes: int64(x.integer("sealed_megabytes", defaultSealedMegabytes)) * 1_000_000,
	}
}

// watchdog is off unless it is there: opening the device arms the machine's reset.
func (l *loader) watchdog(k keys) {
	if k.node("watchdog") == nil {
		return
	}
	x := l.section(k.node("watchdog"), &watchdogSection, "watchdog")
	w := Watchdog{
		Device: x.text("device", ""), Timeout: x.duration("timeout", defaultWatchdog), Pretimeout: x.duration("pretimeout", 0),
	}
	if w.Device != "" && !filepath.IsAbs(w.Device) {
		x.fault("device", "name the device file, e.g. /dev/watchdog0", "device of watchdog is %q: not an absolute path", w.Device)
	}
	if w.Pretimeout > 0 && w.Pretimeout >= w.Timeout {
		x.fault("pretimeout", "make it shorter than timeout", "pretimeout of watchdog is %s, and its timeout %s",
			formatSeconds(seconds(w.Pretimeout)), formatSeconds(seconds(w.Timeout)))
	}
	l.robot.Watchdog = w
}

func leaseStop(text string) reflex.StopCategory { return stopOf(text) }

// plant reads the simulated board's physics. It is read on every board, because
// `--board sim` runs the same file.
func (l *loader) plant(k keys) {
	x := l.section(k.node("plant"), &plantSection, "plant")
	if k.node("plant") == nil {
		return
	}
	step, derived := defaultStep, 0
	if l.robot.Manual != nil {
		step, derived = l.robot.Manual.Model.Step, len(l.robot.Manual.Windows)
	}
	p := &Plant{Step: x.duration("step", step)}
	scope := worldScope(l.world, derived)
	addStep(scope, p.Step)
	p.Next = x.next(l.world, words{scope: scope, world: l.world}, "plant")
	l.robot.Plant = p
}

// path gives a file's path, relative to the file that names it; "" when absent.
func (k keys) path(name string) string {
	text := k.text(name, "")
	if text == "" || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(filepath.Dir(k.r.file), text)
}

// existing gives a file's path and reports a file that cannot be read.
func (k keys) existing(name string, read source) string {
	path := k.path(name)
	if path == "" {
		return ""
	}
	if _, problem := read(path); problem != nil {
		k.fault(name, "create it, or correct the path: it is relative to this file", "%s", problem.What)
	}
	return path
}

// readFile reads a file of bounded size.
func readFile(path string) ([]byte, *Problem) {
	data, err := readBounded(path)
	if err == nil {
		return data, nil
	}
	p := &Problem{File: path, What: fmt.Sprintf("read %s: %v", path, cause(err)), Hint: "check the path and who may read it", Unread: true}
	if errors.Is(err, fs.ErrNotExist) {
		p.What = fmt.Sprintf("file %s does not exist", path)
		p.Hint = "check the path"
	}
	return nil, p
}

func cause(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

var errNotFile = errors.New("not a regular file")

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errNotFile
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	return data, errors.Join(err, f.Close())
}

// addSignal and addOutput keep the lists of robot and manual in step (the manual's
// derived signals come behind the robot's).
func (l *loader) addSignal(s hal.Signal, in Input) {
	l.world.signals = append(l.world.signals, s)
	l.robot.Inputs = append(l.robot.Inputs, in)
}

func (l *loader) addOutput(o hal.Output, d Drive, onOff bool) {
	o.Switch = onOff
	l.world.outputs = append(l.world.outputs, o)
	l.robot.Drives = append(l.robot.Drives, d)
}
