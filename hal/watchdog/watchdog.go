package watchdog

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Shortest and Longest time-out that Open takes. Drivers count whole seconds, and
// with one second a restart of the program could not come in time.
const (
	Shortest = 2 * time.Second
	Longest  = 10 * time.Minute
)

// Config of a watchdog. Device and Timeout must be given.
type Config struct {
	Device     string        // /dev/watchdog0
	Timeout    time.Duration // unfed for so long, the machine resets; whole seconds, Shortest to Longest
	Pretimeout time.Duration // the kernel is told so long before the reset (its governor may panic); 0: as the driver has it
}

// Facts are what the device is and what it was set to.
type Facts struct {
	Device     string
	Identity   string        // of the driver
	Timeout    time.Duration // in force; never longer than asked for
	Pretimeout time.Duration // in force; 0: none
	Left       time.Duration // until the reset, read when armed; 0 where the driver cannot tell
	Reset      bool          // this watchdog reset the machine before this boot (WDIOF_CARDRESET)
	BootStatus uint32        // all WDIOF_ bits of the last boot
	Magic      bool          // a death of the process leaves it running
	NoWayOut   bool          // it cannot be turned off once it is armed
	AlarmOnly  bool          // it does not reset the machine by itself
}

// Errors of Open. Each is wrapped with the device and the cure.
var (
	// ErrBusy means that another process has the device, as a rule systemd.
	ErrBusy = errors.New("watchdog is in use")
	// ErrTimeout means that the device does not take the time-out asked for.
	ErrTimeout = errors.New("watchdog does not take this time-out")
	// ErrPretimeout means that the device does not take the pretimeout asked for.
	ErrPretimeout = errors.New("watchdog does not take this pretimeout")
)

// Device is an armed watchdog. It is used by one goroutine at a time.
type Device struct {
	file  file
	facts Facts
	write bool // it is fed by a write: its driver has no WDIOC_KEEPALIVE
}

// Feeding by a write, and the magic character (any other byte only feeds).
var (
	food  = []byte{0}
	magic = []byte{'V'}
)

// Open arms the watchdog and gives it its time-out. After an error it is off
// again, as far as the device can be turned off.
func Open(c Config) (*Device, error) { return open(c, system{}) }

func open(c Config, s opener) (*Device, error) {
	if c.Timeout < Shortest || c.Timeout > Longest {
		return nil, fmt.Errorf("open watchdog %s: %w: %s is not within %s and %s", c.Device, ErrTimeout, c.Timeout, Shortest, Longest)
	}
	f, err := s.open(c.Device)
	if err != nil {
		return nil, openError(c.Device, err)
	}
	d := &Device{file: f, facts: Facts{Device: c.Device, NoWayOut: s.noWayOut(c.Device)}}
	if err := d.set(c); err != nil {
		return nil, errors.Join(fmt.Errorf("open watchdog %s: %w", c.Device, err), d.Disarm())
	}
	return d, nil
}

// openError says who may hold the device and what to do.
func openError(device string, err error) error {
	const off = "or take `watchdog` out of robot.yaml"
	switch {
	case errors.Is(err, unix.EBUSY):
		return fmt.Errorf("open watchdog %s: %w: systemd has it where RuntimeWatchdogSec is set: "+
			"sudo rm /etc/systemd/system.conf.d/dancer-watchdog.conf && sudo systemctl daemon-reexec, %s (sudo fuser %s says who has it)",
			device, ErrBusy, off, device)
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENXIO), errors.Is(err, unix.ENODEV):
		return fmt.Errorf("open watchdog %s: %w: this machine has no such watchdog: load its driver, name another one (ls /dev/watchdog*), %s", device, err, off)
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return fmt.Errorf("open watchdog %s: %w: sudo packaging/install gives it to the group dancer-watchdog and to dancer@.service, %s", device, err, off)
	}
	return fmt.Errorf("open watchdog %s: %w", device, err)
}

// set reads what the device is and sets its times. The first feed comes with it:
// from here on a whole time-out is left.
func (d *Device) set(c Config) error {
	info, err := d.file.support()
	if err != nil {
		return fmt.Errorf("read its abilities: %w", err)
	}
	f := &d.facts
	f.Identity = unix.ByteSliceToString(info.Identity[:])
	f.Magic = info.Options&unix.WDIOF_MAGICCLOSE != 0
	d.write = info.Options&unix.WDIOF_KEEPALIVEPING == 0
	f.AlarmOnly = info.Options&unix.WDIOF_ALARMONLY != 0
	if status, err := d.file.get(unix.WDIOC_GETBOOTSTATUS); err == nil { // a driver without it knows of no reset
		f.BootStatus = uint32(status)
		f.Reset = f.BootStatus&unix.WDIOF_CARDRESET != 0
	}
	if err := d.setTimeout(c.Timeout, info.Options); err != nil {
		return err
	}
	if err := d.setPretimeout(c.Pretimeout, info.Options); err != nil {
		return err
	}
	if err := d.Feed(); err != nil {
		return err
	}
	f.Left, _ = d.TimeLeft() // not every driver can tell
	return nil
}

// setTimeout reads back what the driver made of it: drivers round, and some have
// one time-out only. A longer one is refused, because the outputs of a robot that
// hangs would keep their level for longer than its owner has said.
func (d *Device) setTimeout(want time.Duration, options uint32) error {
	asked := int(want / time.Second)
	if options&unix.WDIOF_SETTIMEOUT != 0 {
		if err := d.file.set(unix.WDIOC_SETTIMEOUT, asked); err != nil {
			return fmt.Errorf("%w: %d s: %w", ErrTimeout, asked, err)
		}
	}
	got, err := d.file.get(unix.WDIOC_GETTIMEOUT)
	if err != nil {
		return fmt.Errorf("read its time-out back: %w", err)
	}
	d.facts.Timeout = time.Duration(got) * time.Second
	switch {
	case d.facts.Timeout < Shortest:
		return fmt.Errorf("%w: it made %s of %d s", ErrTimeout, d.facts.Timeout, asked)
	case got > asked:
		return fmt.Errorf("%w: it made %d s of %d s: write timeout: %ds, or less than that", ErrTimeout, got, asked, got)
	}
	return nil
}

func (d *Device) setPretimeout(want time.Duration, options uint32) error {
	able := options&unix.WDIOF_PRETIMEOUT != 0
	asked := int(want / time.Second)
	if asked > 0 {
		if !able {
			return fmt.Errorf("%w: %s has none: take pretimeout out of robot.yaml", ErrPretimeout, d.facts.Identity)
		}
		if err := d.file.set(unix.WDIOC_SETPRETIMEOUT, asked); err != nil {
			return fmt.Errorf("%w: %d s: %w", ErrPretimeout, asked, err)
		}
	}
	if !able {
		return nil
	}
	got, err := d.file.get(unix.WDIOC_GETPRETIMEOUT)
	if err == nil {
		d.facts.Pretimeout = time.Duration(got) * time.Second
	}
	if asked > 0 && (err != nil || got != asked) {
		return fmt.Errorf("%w: it made %d s of %d s", ErrPretimeout, got, asked)
	}
	return nil
}

// Facts says what the device is.
func (d *Device) Facts() Facts { return d.facts }

// Feed starts the time-out anew. It allocates nothing.
func (d *Device) Feed() error {
	var err error
	if d.write {
		err = d.file.write(food)
	} else {
		err = d.file.keepAlive()
	}
	if err != nil {
		return fmt.Errorf("feed watchdog %s: %w", d.facts.Device, err)
	}
	return nil
}

// TimeLeft is how long the machine has until the reset, in whole seconds. Not
// every driver knows (an error that wraps unix.EOPNOTSUPP).
func (d *Device) TimeLeft() (time.Duration, error) {
	left, err := d.file.get(unix.WDIOC_GETTIMELEFT)
	if err != nil {
		return 0, fmt.Errorf("read time left of watchdog %s: %w", d.facts.Device, err)
	}
	return time.Duration(left) * time.Second, nil
}

// Disarm turns the watchdog off and closes it, for an end after which nothing can
// move. With NoWayOut the kernel keeps it running all the same.
func (d *Device) Disarm() error {
	err := d.file.write(magic)
	if cerr := d.file.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("turn watchdog %s off: %w", d.facts.Device, err)
	}
	return nil
}

// Abandon closes the device and leaves it running: the machine resets after the
// time-out, unless a process that starts anew opens it before. Without Magic the
// kernel turns it off all the same.
func (d *Device) Abandon() error {
	if err := d.file.close(); err != nil {
		return fmt.Errorf("close watchdog %s: %w", d.facts.Device, err)
	}
	return nil
}

// Warnings are what the owner should know about this device, one sentence each.
func (f *Facts) Warnings() []string {
	var all []string
	if f.AlarmOnly {
		all = append(all, "it only raises an alarm: it does not reset the machine")
	}
	if !f.Magic {
		all = append(all, "its driver turns it off when the process dies: it covers a hang and not a death")
	}
	if f.NoWayOut {
		all = append(all, "it cannot be turned off again (nowayout): stopping the robot resets the machine after the time-out")
	}
	return all
}
