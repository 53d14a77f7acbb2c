//go:build linux

package i2c

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Wire is what a poller needs of a bus: *Bus, or a simulated one.
type Wire interface {
	i2c.BusCloser
	Claim(address uint16) error
}

// Device is one chip of a bus.
type Device struct {
	Name     string // in robot.yaml
	Driver   string
	Address  uint16
	Every    time.Duration // between two readings
	Settings Settings
	Used     []bool // fields that somebody reads, in the driver's order
}

// Config of a poller.
type Config struct {
	Bus     string // device file
	Devices []Device

	// Report hears, on the poller's goroutine, that a device does not answer (an
	// *Error) and that it does again (nil); device -1 is the bus itself. The same
	// cause is told once.
	Report func(device int, err error)

	Now  func() time.Duration           // CLOCK_MONOTONIC
	Open func(bus string) (Wire, error) // nil: Open
}

// StuckAfter is how long a transfer may take until whoever waits for its readings
// gives them up: five times the adapter's own time-out, for those that ignore it.
const StuckAfter = 500 * time.Millisecond

// A device that fails is tried again at its own rate lostAfter times, so that one
// disturbed transfer costs nothing but time. Then it is lost: its signals are invalid
// at once, it is set up anew, and the tries become rarer, up to mostWait. What a person
// has to cure (a bus that is not there, a wrong chip) is tried every longWait in the
// end: those tries allocate a little, and nothing in the spine is collected.
const (
	lostAfter = 3
	firstWait = 50 * time.Millisecond
	mostWait  = 2 * time.Second
	longWait  = 10 * time.Second
)

// stopPatience is how long Close waits for a transfer that does not come back.
const stopPatience = time.Second

// Counters of a bus since its start.
type Counters struct {
	Frames    uint64 // readings of devices
	Transfers uint64 // that were tried
	Bytes     uint64 // read and written
	Errors    uint64 // transfers that failed, time-outs among them
	Timeouts  uint64 // transfers that the adapter gave up, or that lost the bus
	Dropped   uint64 // frames that found the ring full
}

// Poller polls the devices of one bus. Run has one goroutine; Fd, Next, Stuck and
// Counters are for the loop and never wait.
type Poller struct {
	config  Config
	slots   []slot
	wire    Wire // nil: not open
	open    retry
	meter   meter
	ring    ring
	frames  atomic.Uint64
	fd      int
	stop    chan struct{}
	started atomic.Bool
	ended   chan struct{}
	closed  bool
}

// slot is the poller's side of one device.
type slot struct {
	chip    chip
	device  device
	due     time.Duration // of the next step
	planned time.Duration // of the next reading
	fields  int
	claimed bool
	retry   retry
	frame   Frame
}

// retry is the bookkeeping of something that fails.
type retry struct {
	failures int // in a row
	told     error
}

// NewPoller makes a poller that does nothing yet. The error names a driver that does
// not exist; the configuration has been checked before.
func NewPoller(c Config) (*Poller, error) {
	if c.Open == nil {
		k := system() // one for all tries: it remembers what it found out
		c.Open = func(bus string) (Wire, error) { return open(k, bus) }
	}
	if c.Report == nil {
		c.Report = func(int, error) {}
	}
	p := &Poller{config: c, slots: make([]slot, len(c.Devices)), stop: make(chan struct{}), ended: make(chan struct{})}
	p.meter.poller = p
	for i := range c.Devices {
		d := &c.Devices[i]
		driver, known := FindDriver(d.Driver)
		if !known {
			return nil, fmt.Errorf("make device %s: no driver %q", d.Name, d.Driver)
		}
		s := &p.slots[i]
		s.chip = driver.make(d.Settings, d.Used)
		s.fields = len(driver.Fields(d.Settings))
		s.device.conn = &i2c.Dev{Bus: &p.meter, Addr: d.Address}
		s.frame.Device = i
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	p.fd = fd
	return p, nil
}

// Fd is the descriptor for epoll. It becomes readable with each frame and is
// watched for edges: nobody reads it.
func (p *Poller) Fd() int { return p.fd }

// Next takes the oldest frame that the loop does not have (loop); none after Close.
func (p *Poller) Next(f *Frame) bool { return !p.closed && p.ring.take(f) }

// Stuck says whether a transfer began so long ago that nobody should wait for it
// (loop).
func (p *Poller) Stuck(now time.Duration) bool {
	began := time.Duration(p.meter.began.Load())
	return began != 0 && now-began >= StuckAfter
}

// Counters gives the counters (any goroutine).
func (p *Poller) Counters() Counters {
	m := &p.meter
	return Counters{
		Frames: p.frames.Load(), Transfers: m.transfers.Load(), Bytes: m.bytes.Load(), Errors: m.errors.Load(),
		Timeouts: m.timeouts.Load(), Dropped: p.ring.dropped.Load(),
	}
}

// Run polls until the context ends or Close is called.
func (p *Poller) Run(ctx context.Context) {
	if !p.started.CompareAndSwap(false, true) {
		return
	}
	defer close(p.ended)
	defer p.release()
	p.beginAll()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.stop:
			return
		case <-timer.C:
		}
		timer.Reset(p.turn())
	}
}

// beginAll spreads the first steps over the first milliseconds.
func (p *Poller) beginAll() {
	now := p.config.Now()
	for i := range p.slots {
		p.slots[i].due = now + time.Duration(i)*time.Millisecond
		p.slots[i].planned = p.slots[i].due
	}
}

// turn does one step of the device whose turn it is, if any, and says how long to
// sleep.
func (p *Poller) turn() time.Duration {
	if p.wire == nil {
		if wait := p.openBus(); wait > 0 {
			return wait
		}
	}
	next := p.earliest()
	if now := p.config.Now(); p.slots[next].due > now {
		return p.slots[next].due - now
	}
	p.step(next)
	if p.wire == nil {
		return firstWait
	}
	return max(0, p.slots[p.earliest()].due-p.config.Now())
}

func (p *Poller) earliest() int {
	next := 0
	for i := range p.slots {
		if p.slots[i].due < p.slots[next].due {
			next = i
		}
	}
	return next
}

// openBus opens the bus, or tells why not and says when to try again.
func (p *Poller) openBus() time.Duration {
	wire, err := p.config.Open(p.config.Bus)
	if err != nil {
		p.open.failures++
		p.tell(-1, &p.open, err)
		for i := range p.slots {
			p.lose(i)
		}
		return backOff(p.open.failures, longWait)
	}
	p.wire = wire
	p.tell(-1, &p.open, nil)
	p.open.failures = 0
	now := p.config.Now()
	for i := range p.slots {
		p.slots[i].chip.begin()
		p.slots[i].claimed = false
		p.slots[i].due, p.slots[i].planned = now, now
	}
	return 0
}

// tell reports a cause once.
func (p *Poller) tell(device int, r *retry, err error) {
	if cause := root(err); cause != r.told {
		r.told = cause
		p.config.Report(device, err)
	}
}

// root is the cause at the bottom of an error.
func root(err error) error {
	for {
		below := errors.Unwrap(err)
		if below == nil {
			return err
		}
		err = below
	}
}

// backOff is the wait before the next try, after so many failures.
func backOff(failures int, most time.Duration) time.Duration {
	wait := firstWait
	for n := 1; n < failures && wait < most; n++ {
		wait *= 2
	}
	return min(wait, most)
}

// step lets one device do its next transfers.
func (p *Poller) step(i int) {
	s := &p.slots[i]
	s.frame.At = p.config.Now()
	var wait time.Duration
	var done bool
	err := p.claim(i)
	if err == nil {
		wait, done, err = s.chip.step(&s.device, s.frame.Values[:s.fields])
	}
	switch {
	case err != nil:
		p.failed(i, err)
	case done:
		p.read(i)
	default:
		s.due = p.config.Now() + wait
	}
}

// claim asks once whether a kernel driver has the address.
func (p *Poller) claim(i int) error {
	s := &p.slots[i]
	if s.claimed {
		return nil
	}
	err := p.wire.Claim(p.config.Devices[i].Address)
	s.claimed = err == nil
	return err
}

// read hands a reading over and plans the next one from the last, so that a rate is
// kept; what was missed is left out.
func (p *Poller) read(i int) {
	s := &p.slots[i]
	p.tell(i, &s.retry, nil)
	s.retry.failures = 0
	s.frame.Lost, s.frame.Count = false, s.fields
	p.frames.Add(1)
	p.send(&s.frame)
	now, every := p.config.Now(), p.config.Devices[i].Every
	if s.planned += every; s.planned < now {
		s.planned = now + every - (now-s.planned)%every
	}
	s.due = s.planned
}

// failed plans the next try, and gives the device up when it fails again and again,
// or at once where trying again cannot help.
func (p *Poller) failed(i int, cause error) {
	if errors.Is(cause, ErrGone) {
		p.busGone(cause)
		return
	}
	s, every := &p.slots[i], p.config.Devices[i].Every
	s.retry.failures++
	hopeless := errors.Is(cause, ErrTaken) || errors.Is(cause, ErrWrongChip)
	if s.retry.failures >= lostAfter || hopeless || errors.Is(cause, ErrReset) {
		s.chip.begin()
		s.claimed = false
	}
	if s.retry.failures < lostAfter && !hopeless {
		s.due = p.config.Now() + every
		return
	}
	p.lose(i)
	if root(cause) != s.retry.told {
		d := &p.config.Devices[i]
		where := fmt.Sprintf("%s address 0x%02x (%s %s)", p.config.Bus, d.Address, d.Driver, d.Name)
		p.tell(i, &s.retry, &Error{Verb: "read", Where: where, Cause: cause, Hint: cure(cause, p.config.Bus)})
	}
	most := mostWait
	if hopeless {
		most = longWait
	}
	s.due = p.config.Now() + max(every, backOff(s.retry.failures, most))
	s.planned = s.due
}

// busGone closes a bus that was unplugged; turn opens it again.
func (p *Poller) busGone(cause error) {
	p.release()
	p.open.failures = 1
	p.tell(-1, &p.open, failed("read", p.config.Bus, cause))
	for i := range p.slots {
		p.lose(i)
	}
}

// lose says that a device's signals are not to be used.
func (p *Poller) lose(i int) {
	s := &p.slots[i]
	s.frame.At, s.frame.Lost, s.frame.Count = p.config.Now(), true, 0
	p.send(&s.frame)
}

// one is what an eventfd takes.
var one = [8]byte{1, 0, 0, 0, 0, 0, 0, 0}

func (p *Poller) send(f *Frame) {
	if p.ring.add(f) {
		_, _ = unix.Write(p.fd, one[:]) // a full counter has woken the loop already
	}
}

// release gives the bus back.
func (p *Poller) release() {
	if p.wire != nil {
		_ = p.wire.Close() // there is nothing to do about an error
		p.wire = nil
	}
}

// Close ends Run and waits for it. A transfer that does not come back is left to the
// process's end: then the error wraps ErrStuck. It is the loop's, or whoever follows
// it. A second Close does nothing.
func (p *Poller) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.stop)
	if !p.started.CompareAndSwap(false, true) { // Run was called
		timer := time.NewTimer(stopPatience)
		defer timer.Stop()
		select {
		case <-p.ended:
		case <-timer.C:
			return failed("close", p.config.Bus, ErrStuck)
		}
	}
	return unix.Close(p.fd)
}

// meter passes transfers on to the bus, counts them, and shows when the one in hand
// began.
type meter struct {
	poller    *Poller
	began     atomic.Int64 // CLOCK_MONOTONIC, 0: none
	transfers atomic.Uint64
	bytes     atomic.Uint64
	errors    atomic.Uint64
	timeouts  atomic.Uint64
}

// Tx is periph's.
func (m *meter) Tx(address uint16, w, r []byte) error {
	m.began.Store(max(1, int64(m.poller.config.Now())))
	err := m.poller.wire.Tx(address, w, r)
	m.began.Store(0)
	m.transfers.Add(1)
	if err == nil {
		m.bytes.Add(uint64(len(w) + len(r)))
		return nil
	}
	m.errors.Add(1)
	if errors.Is(err, ErrStuck) {
		m.timeouts.Add(1)
	}
	return err
}

// String is periph's.
func (m *meter) String() string { return m.poller.config.Bus }

// SetSpeed is periph's.
func (m *meter) SetSpeed(physic.Frequency) error { return ErrUnsupported }
