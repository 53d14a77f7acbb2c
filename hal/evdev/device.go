//go:build linux

package evdev

import (
	"errors"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/permission"
)

// chunk is how many events one Read takes at most. Two reports of a game pad with
// everything moving fit; the rest comes with the next.
const chunk = 64

// Control is one axis or button that is a signal.
type Control struct {
	Signal   int     // index of the robot's signal
	Axis     bool    // else a button: 0 or 1
	Code     uint16  // see Axis and Button
	Invert   bool    // axis: the other way round
	Minimum  bool    // axis: it rests at its minimum, like a pedal: 0 to 1; else in the middle: -1 to 1
	DeadZone float64 // axis: share of the way from rest that reads as 0, 0 to 0.9
}

// Config of a device.
type Config struct {
	Path       string // device file; or
	Name       string // what the kernel calls it, e.g. "Xbox Wireless Controller"
	Grab       bool   // nobody else gets its events
	DeadMan    uint16 // button that has to be held for axes to say anything but 0
	HasDeadMan bool
	// Silence is how long the device may say nothing until the dead-man has to be
	// pressed anew. The same time should make its signals stale.
	Silence  time.Duration
	Controls []Control
	Kernel   *Kernel // tests; default the real one
}

// state of one control.
type state struct {
	raw    int32
	low    int32 // of an axis
	high   int32
	pushed bool
}

// Device is one input device. One goroutine owns it. Between an unplug and Reopen its
// calls give ErrGone.
type Device struct {
	config   Config
	kernel   *Kernel
	fd       int // -1: not open
	closed   bool
	gone     *Error // prepared, so that the hot path does not allocate
	absent   *Error // the same, of a device that is looked for by its name
	path     []byte // with a zero at its end
	advice   permission.Advice
	name     [256]byte
	event    [32]byte // path of one that may have the name
	buffer   [chunk * eventSize]byte
	states   []state
	readings []hal.Reading

	pressed  bool          // the dead-man, as the device says
	armed    bool          // it was seen to be pressed, and nothing was missed since
	heard    time.Duration // the newest event
	dropping bool          // the kernel's queue ran over; what comes up to the next report is void
	keys     Bits
	info     AbsInfo
	counters hal.Counters
}

// New is a device that is not open yet: Reopen opens it.
func New(c Config) *Device {
	d := &Device{config: c, kernel: c.Kernel, fd: -1, states: make([]state, len(c.Controls)), readings: make([]hal.Reading, len(c.Controls))}
	if d.kernel == nil {
		d.kernel = system()
	}
	d.gone = &Error{Verb: "read", Device: d.String(), Cause: ErrGone, Hint: "plug it in again: it is opened again by itself"}
	d.absent = &Error{Verb: "open", Device: d.String(), Cause: ErrAbsent, Hint: "plug it in, or correct its name: grep Name /proc/bus/input/devices"}
	d.path = append([]byte(c.Path), 0)
	return d
}

// String is the file or the name that the device is found by.
func (d *Device) String() string {
	if d.config.Path != "" {
		return d.config.Path
	}
	return `"` + d.config.Name + `"`
}

// Fd is the descriptor for epoll, -1 while the device is not open. Reopen gives
// another one.
func (d *Device) Fd() int { return d.fd }

// Counters since New: Frames are reports, Bytes what was read, Errors what made no
// sense, Dropped how often the kernel's queue ran over and the state was asked for.
func (d *Device) Counters() hal.Counters { return d.counters }

// Close gives the device back. A second Close does nothing.
func (d *Device) Close() error {
	d.closed = true
	return d.release()
}

func (d *Device) release() error {
	if d.fd < 0 {
		return nil
	}
	err := unix.Close(d.fd)
	d.fd = -1
	if err != nil && !errors.Is(err, unix.ENODEV) {
		return &Error{Verb: "close", Device: d.String(), Cause: ErrGone, Detail: err}
	}
	return nil
}

// Level gives every control as it is now, without waiting for an event. The dead-man
// does not count as held until it is pressed: one that is taped down never is.
func (d *Device) Level(now time.Duration, report func(at time.Duration, readings []hal.Reading)) error {
	if err := d.usable(); err != nil {
		return err
	}
	d.heard = now
	d.report(now, report)
	return nil
}

func (d *Device) usable() error {
	switch {
	case d.closed:
		return ErrClosed
	case d.fd < 0:
		return d.gone
	}
	return nil
}

// Read takes what is there, a bounded number of events, and calls report for each
// report of the device, with the kernel's time stamp (CLOCK_MONOTONIC) and every
// control. The readings are valid during the call. ErrGone means that the device is
// unplugged: Reopen it.
func (d *Device) Read(report func(at time.Duration, readings []hal.Reading)) error {
	if err := d.usable(); err != nil {
		return err
	}
	n, err := readNow(d.fd, d.buffer[:])
	if err != nil {
		return d.gone
	}
	d.counters.Bytes += uint64(n)
	if n%eventSize != 0 { // the kernel never cuts an event
		d.counters.Errors++
	}
	for b := d.buffer[:n-n%eventSize]; len(b) > 0; b = b[eventSize:] {
		if err := d.take(decode(b), report); err != nil {
			return err
		}
	}
	return nil
}

// take does one event.
func (d *Device) take(e event, report func(time.Duration, []hal.Reading)) error {
	if d.config.Silence > 0 && e.at-d.heard >= d.config.Silence {
		d.armed = false // a hand that was lost to a dead link is not a hand that holds
	}
	d.heard = max(d.heard, e.at)
	switch {
	case e.kind == typeSyn && e.code == synDropped:
		d.dropping = true
		d.counters.Dropped++
	case e.kind == typeSyn && e.code == synReport:
		if d.dropping {
			d.dropping = false
			if err := d.ask(); err != nil {
				return d.gone
			}
		}
		d.report(d.heard, report)
	case d.dropping:
	case e.kind == typeKey:
		d.key(e.code, e.value != 0) // 2 is a repetition of what is held
	case e.kind == typeAbs:
		d.abs(e.code, e.value)
	}
	return nil
}

func (d *Device) key(code uint16, pushed bool) {
	if d.config.HasDeadMan && code == d.config.DeadMan {
		d.hold(pushed)
	}
	for i := range d.config.Controls {
		if c := &d.config.Controls[i]; !c.Axis && c.Code == code {
			d.states[i].pushed = pushed
		}
	}
}

// hold takes the dead-man: only a press arms it, a release always disarms it.
func (d *Device) hold(pushed bool) {
	d.armed = pushed && (d.armed || !d.pressed)
	d.pressed = pushed
}

func (d *Device) abs(code uint16, value int32) {
	for i := range d.config.Controls {
		if c := &d.config.Controls[i]; c.Axis && c.Code == code {
			d.states[i].raw = value
		}
	}
}

// ask reads the whole state from the kernel, where events were lost.
func (d *Device) ask() error {
	if err := d.kernel.Keys(d.fd, &d.keys); err != nil {
		return err
	}
	if d.config.HasDeadMan {
		d.hold(d.keys.Has(d.config.DeadMan))
	}
	for i := range d.config.Controls {
		c := &d.config.Controls[i]
		if !c.Axis {
			d.states[i].pushed = d.keys.Has(c.Code)
			continue
		}
		if err := d.kernel.Axis(d.fd, c.Code, &d.info); err != nil {
			return err
		}
		d.states[i].raw, d.states[i].low, d.states[i].high = d.info.Value, d.info.Minimum, d.info.Maximum
	}
	return nil
}

func (d *Device) report(at time.Duration, report func(time.Duration, []hal.Reading)) {
	d.counters.Frames++
	for i := range d.config.Controls {
		d.readings[i] = hal.Reading{Signal: d.config.Controls[i].Signal, Value: d.value(i), At: at}
	}
	report(at, d.readings)
}

// value of a control. Buttons are never held back by the dead-man: one of them may be
// there to stop the robot.
func (d *Device) value(i int) float64 {
	c, s := &d.config.Controls[i], &d.states[i]
	switch {
	case !c.Axis && d.config.HasDeadMan && c.Code == d.config.DeadMan:
		return flag(d.armed)
	case !c.Axis:
		return flag(s.pushed)
	case d.config.HasDeadMan && !d.armed:
		return 0
	}
	return c.normalise(s)
}

func flag(on bool) float64 {
	if on {
		return 1
	}
	return 0
}

// normalise brings an axis to -1..1, or 0..1 where it rests at its minimum. Beyond the
// dead zone it begins at 0, so that nothing jumps at its edge.
func (c *Control) normalise(s *state) float64 {
	low, high := float64(s.low), float64(s.high)
	way := (float64(s.raw) - low) / (high - low) // 0 to 1
	if c.Invert {
		way = 1 - way
	}
	if !c.Minimum {
		way = float64(2*way) - 1
	}
	way = math.Max(-1, math.Min(1, way))
	beyond := math.Abs(way) - c.DeadZone
	if !(beyond > 0) {
		return 0
	}
	return math.Copysign(beyond/(1-c.DeadZone), way)
}
