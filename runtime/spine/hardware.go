package spine

import (
	"errors"
	"fmt"
	"strings"

	"dancer/hal/can"
	"dancer/hal/evdev"
	"dancer/hal/gpio"
	"dancer/hal/i2c"
	"dancer/hal/serial"
	"dancer/hal/sim"
	"dancer/runtime/config"
)

// hardware is everything that moves or measures. It is opened before the loop,
// driven by it, and halted by whoever has the last word.
type hardware struct {
	robot  *config.Robot
	dry    bool // nothing is ever written
	ports  []port
	feeds  []input
	inputs []lineInput
	buses  []bus
	lines  *gpio.Outputs
	pulses pulses
	wires  []wire // per output
	board  *sim.Board
	buffer []byte // one line
	poller *poller
	absent []error // what the robot starts without
}

// wire is where one output goes.
type wire struct {
	line   int // of hardware.lines, or -1
	pwm    int // of hardware.pulses, or -1
	pulse  pulseOf
	port   int // or -1
	slot   int // of the port
	format format
	middle float64 // a line is on above it
}

// openers are the ways to the devices, for tests and measurements to replace.
type openers struct {
	port func(p *config.Port) (stream, error)
	// later is a port that is not open yet; nil: every port must open.
	later    func(p *config.Port) stream
	pulses   func(configs []gpio.PWMConfig) (pulses, error)
	bus      func(device string) (i2c.Wire, error) // nil: the kernel's
	joystick func(c evdev.Config) feed             // not opened yet; nil: evdev.New
	can      func(c can.Config) feed               // not opened yet; nil: can.New
	line     func(c gpio.InputConfig) line         // not requested yet; nil: gpio.NewInput
}

func defaultOpeners() openers {
	return openers{
		port:   func(p *config.Port) (stream, error) { return serial.OpenLine(p.Device, p.Line()) },
		later:  func(p *config.Port) stream { return serial.NewLine(p.Device, p.Line()) },
		pulses: openPulses,
	}
}

// openHardware takes every device, the outputs first and at their safe values.
// On an error nothing stays open.
func openHardware(r *config.Robot, cfg *Config, open openers) (*hardware, error) {
	h := &hardware{robot: r, dry: cfg.DryRun, buffer: make([]byte, 0, serial.MaxWrite)}
	h.wires = make([]wire, len(r.Drives))
	for i := range h.wires {
		o := &r.Manual.Outputs[i]
		h.wires[i] = wire{line: -1, pwm: -1, port: -1, middle: (o.Minimum + o.Maximum) / 2}
	}
	err := errors.Join(h.open(cfg, open), h.openBuses(open, cfg.Log))
	if err != nil { // what could be opened has taken its safe values before it is given back
		return nil, errors.Join(err, h.halt(), h.close())
	}
	return h, nil
}

func (h *hardware) open(cfg *Config, open openers) error {
	if h.robot.Board.Simulated {
		return errors.Join(h.openBoard(cfg), h.openFeeds(cfg, open))
	}
	// Each device that can be had takes its safe values, whatever is wrong with the
	// others: a motor must not run on because a sensor is unplugged.
	if err := errors.Join(h.openLines(), h.openPulses(open), h.openPorts(open)); err != nil {
		return err
	}
	return errors.Join(h.openInputs(open), h.openFeeds(cfg, open))
}

func (h *hardware) openBoard(cfg *Config) error {
	h.ports = make([]port, len(h.robot.Ports)) // named in the files, without a device
	b, err := newBoard(h.robot, cfg)
	h.board = b
	return err
}

func (h *hardware) openLines() error {
	if h.dry {
		return nil
	}
	var configs []gpio.OutputConfig
	for i := range h.robot.Drives {
		d := &h.robot.Drives[i]
		if !d.HasPin || d.PWM > 0 {
			continue
		}
		w := &h.wires[i]
		w.line = len(configs)
		configs = append(configs, gpio.OutputConfig{
			Line: gpioLine(d.Pin.Name, d.Pin.Chip, d.Pin.Offset, d.Pin.LineName), ActiveLow: !d.ActiveHigh,
			Safe: h.robot.Manual.Outputs[i].Safe > w.middle,
		})
	}
	if len(configs) == 0 {
		return nil
	}
	lines, err := gpio.RequestOutputs(configs)
	if err != nil {
		return h.outputError(err)
	}
	h.lines = lines
	return nil
}

func gpioLine(name, chip string, offset int, lineName string) gpio.Line {
	return gpio.Line{Name: name, Chip: chip, Offset: offset, LineName: lineName}
}

func (h *hardware) openPorts(open openers) error {
	h.ports = make([]port, len(h.robot.Ports))
	var errs []error
	for i := range h.robot.Ports {
		if err := h.openPort(i, open); err != nil {
			errs = append(errs, fmt.Errorf("open port %s%s: %w", h.robot.Ports[i].Name, h.drivenThrough(i), err))
		}
	}
	return errors.Join(errs...)
}

func (h *hardware) openPort(i int, open openers) error {
	p := &h.ports[i]
	var err error
	if p.framer, p.fields, p.signals, err = newFramer(h.robot, i); err != nil {
		return err
	}
	settings := &h.robot.Ports[i]
	line := settings.Line()
	if p.framer != nil {
		p.start = line.Start
	}
	stream, err := open.port(settings)
	p.open = err == nil
	if err != nil && (open.later == nil || !canWait(err) || h.robot.DrivesThrough(i)) {
		return err // p.stream stays nil: an interface that holds a nil port would not be
	}
	if err != nil {
		p.refused = err
		h.absent = append(h.absent, fmt.Errorf("open port %s: %w", settings.Name, err))
		stream = open.later(settings)
	}
	p.stream, p.watch = stream, newPortWatch(stream, line.Baud)
	if !h.dry {
		h.driveThrough(p, i)
	}
	p.stream.Reserve(len(p.outputs) + 1) // the last one is the device's own
	return errors.Join(p.prepareDevice(line.Stop), p.sendSafe(h))
}

// drivenThrough names the outputs that go through a port, for the error that nobody
// would know them to be safe.
func (h *hardware) drivenThrough(i int) string {
	var names []string
	for o := range h.robot.Drives {
		if d := &h.robot.Drives[o]; !d.HasPin && d.Port == i {
			names = append(names, h.robot.Manual.Outputs[o].Name)
		}
	}
	if names == nil {
		return ""
	}
	return ", which drives " + strings.Join(names, ", ")
}

// driveThrough takes the outputs that go through a port.
func (h *hardware) driveThrough(p *port, i int) {
	for o := range h.robot.Drives {
		if d := &h.robot.Drives[o]; !d.HasPin && d.Port == i {
			h.wires[o].port, h.wires[o].slot, h.wires[o].format = i, len(p.outputs), newFormat(d.Format)
			p.outputs = append(p.outputs, o)
		}
	}
}

// sendSafe stores the safe line of each output in the port, for Halt, and sends
// it: nothing on this port is older.
func (p *port) sendSafe(h *hardware) error {
	for _, o := range p.outputs {
		line := h.wires[o].format.append(h.buffer[:0], h.robot.Manual.Outputs[o].Safe)
		if err := p.stream.SetSafe(h.wires[o].slot, line); err != nil {
			return err
		}
		if err := p.stream.Write(h.wires[o].slot, line); err != nil {
			return err
		}
	}
	return nil
}

// write drives one output (driver). What the device cannot take waits in the
// port; a port that is gone is found by its descriptor.
func (h *hardware) write(output int, value float64) (driven bool) {
	if h.dry {
		return true
	}
	w := &h.wires[output]
	switch {
	case h.board != nil:
		_ = h.board.Drive(output, value) // clipped to its range: cannot be refused
	case w.line >= 0:
		return h.lines.Set(w.line, value > w.middle) == nil
	case w.pwm >= 0:
		return h.pulses.Set(w.pwm, w.pulse.at(value)) == nil
	case w.port >= 0 && h.ports[w.port].open:
		// An error means that the device hung up, which epoll tells as well.
		_ = h.ports[w.port].stream.Write(w.slot, w.format.append(h.buffer[:0], value))
	}
	return true
}

// commit watches ports that could not take everything (driver).
func (h *hardware) commit() {
	for i := range h.ports {
		h.watchWriting(i)
	}
}

func (h *hardware) watchWriting(i int) {
	p := &h.ports[i]
	if !p.open || h.poller == nil {
		return
	}
	if pending := p.stream.Pending(); pending != p.writing {
		p.writing = pending
		h.poller.rearm(p.stream.Fd(), tokenPort+i, pending)
	}
}

// halt makes every output safe and waits, within haltBudget, until the devices
// have taken that. It is the last word of every run, orderly or not.
func (h *hardware) halt() error {
	defer h.stopDevices()
	if h.dry {
		return nil
	}
	var errs []error
	if h.lines != nil {
		errs = append(errs, h.lines.Halt())
	}
	if h.pulses != nil {
		errs = append(errs, h.pulses.Halt())
	}
	if h.board != nil {
		errs = append(errs, h.board.Halt())
	}
	for i := range h.ports {
		p := &h.ports[i]
		if p.stream == nil || len(p.outputs) == 0 {
			continue
		}
		if !p.open {
			errs = append(errs, fmt.Errorf("halt port %s: %w", h.robot.Ports[i].Name, serial.ErrGone))
			continue
		}
		errs = append(errs, p.stream.Halt(haltBudget))
	}
	return errors.Join(errs...)
}

// close gives every device back.
func (h *hardware) close() error {
	errs := []error{h.closeBuses()}
	for i := range h.inputs {
		errs = append(errs, h.inputs[i].line.Close())
	}
	if h.lines != nil {
		errs = append(errs, h.lines.Close())
	}
	if h.pulses != nil {
		errs = append(errs, h.pulses.Close())
	}
	if h.board != nil {
		errs = append(errs, h.board.Close())
	}
	for i := range h.feeds {
		errs = append(errs, h.feeds[i].feed.Close())
	}
	for i := range h.ports {
		if h.ports[i].stream != nil {
			errs = append(errs, h.ports[i].stream.Close())
		}
	}
	return errors.Join(errs...)
}
