//go:build linux

package serial

import (
	"errors"
	"fmt"
	"strings"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/permission"
)

// DefaultBaud is the rate of a port that names none, in bit/s.
const DefaultBaud = 115200

// MaxBaud is the highest rate that Open takes, in bit/s.
const MaxBaud = 12_000_000

// Port is one serial port, 8 data bits, no flow control. One goroutine owns it.
// Between a hang-up and Reopen its calls give ErrGone.
type Port struct {
	device string
	line   hal.Line
	counts lineCounts
	advice permission.Advice
	fd     int // -1: not open
	closed bool
	gone   *Error // prepared, so that the hot path does not allocate
	out    outbox
}

// Open opens a device for reading and writing, without blocking and for this
// process alone. baud is in bit/s, DefaultBaud if 0. What a pseudo-terminal
// still holds from before is read as if it came now; a UART holds nothing.
//
// Errors are *Error: ErrAbsent (with the ports that exist), ErrPermission,
// ErrBusy, ErrNotSerial, ErrSetting.
func Open(device string, baud int) (*Port, error) { return OpenLine(device, hal.Line{Baud: baud}) }

// OpenLine is Open for a line with parity or two stop bits, or with a device that
// needs DTR off. Where parity is checked, the kernel drops bytes that fail it. What
// the device has to be told is the caller's to send.
func OpenLine(device string, line hal.Line) (*Port, error) {
	p := NewLine(device, line)
	if err := p.open(); err != nil {
		return nil, err
	}
	return p, nil
}

// New is a port that is not open yet: Reopen opens it. It serves robots that
// start before their port is plugged in.
func New(device string, baud int) *Port { return NewLine(device, hal.Line{Baud: baud}) }

// NewLine is New for a line with parity or two stop bits.
func NewLine(device string, line hal.Line) *Port {
	if line.Baud == 0 {
		line.Baud = DefaultBaud
	}
	p := &Port{device: device, line: line, fd: -1}
	p.gone = &Error{Verb: "use", Device: device, Cause: ErrGone, Hint: "plug it in again: the port is opened again by itself"}
	p.Reserve(1)
	return p
}

// Reopen closes what is left of the port and opens the device again. Lines that
// were pending are forgotten: they are older than the hang-up. Safe lines stay.
func (p *Port) Reopen() error {
	if p.closed {
		return p.fail("open", ErrClosed, nil, "")
	}
	if p.fd >= 0 { // else closing waits for a device that takes nothing, up to 30 s
		_ = unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH)
	}
	p.release()
	p.out.clear()
	return p.open()
}

// open takes a descriptor of our own first, so that DTR does not drop between
// the steps and a controller board is reset once at most.
func (p *Port) open() error {
	if p.line.Baud < 50 || p.line.Baud > MaxBaud {
		return p.fail("open", ErrSetting, nil, fmt.Sprintf("baud %d is outside 50 to %d", p.line.Baud, MaxBaud))
	}
	fd, err := unix.Open(p.device, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return p.openError(err)
	}
	if err := p.prepare(fd); err != nil {
		unix.Close(fd)
		return err
	}
	p.fd = fd
	return nil
}

// prepare locks and configures the device. TIOCEXCL keeps other users' opens
// out, flock other copies of this program even as root.
func (p *Port) prepare(fd int) error {
	if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err != nil {
		return p.fail("open", ErrNotSerial, nil, correct(List()))
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return p.busy()
	}
	settings, err := bugst.Open(p.device, modeOf(p.line))
	if err != nil {
		return p.openError(err)
	}
	if err := settings.Close(); err != nil {
		return p.fail("open", ErrSetting, err, "")
	}
	if err := unix.IoctlSetInt(fd, unix.TIOCEXCL, 0); err != nil {
		return p.fail("open", ErrSetting, err, "")
	}
	return p.prepareLine(fd)
}

// openError names the cause of a refused open.
func (p *Port) openError(err error) error {
	var port *bugst.PortError
	busy := errors.As(err, &port) && port.Code() == bugst.PortBusy
	denied := errors.As(err, &port) && port.Code() == bugst.PermissionDenied
	switch {
	case busy || errors.Is(err, unix.EBUSY):
		return p.busy()
	case denied || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM):
		return p.fail("open", ErrPermission, nil, p.advice.Cure(p.device, permission.ReadWrite))
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return p.fail("open", ErrAbsent, nil, "plug it in, or "+correct(List()))
	case errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOTTY), errors.Is(err, unix.ENOTDIR):
		return p.fail("open", ErrNotSerial, nil, correct(List()))
	}
	return p.fail("open", ErrSetting, err, fmt.Sprintf("does the device support %d baud?", p.line.Baud))
}

// busy is the error of a port that another program has.
func (p *Port) busy() error {
	return p.fail("open", ErrBusy, nil, "stop the other program, such as ModemManager, a terminal or a second dancer: sudo fuser -v "+p.device+" says which")
}

// correct lists what could be meant.
func correct(ports []string) string {
	if len(ports) == 0 {
		return "correct its device: this machine has no serial port now"
	}
	return "correct its device; serial ports here: " + strings.Join(ports, ", ")
}

func (p *Port) fail(verb string, cause, detail error, hint string) error {
	return &Error{Verb: verb, Device: p.device, Cause: cause, Detail: detail, Hint: hint}
}

// Device is the name that the port was opened by.
func (p *Port) Device() string { return p.device }

// Fd is the descriptor for epoll: readable when Read has something (or the
// device hung up), writable when Flush can go on. -1 while the port is not
// open; Reopen gives another one.
func (p *Port) Fd() int { return p.fd }

// Read reads what is there, up to len(b). Nothing there is (0, nil). ErrGone
// means that the device is unplugged or hung up: Reopen it.
func (p *Port) Read(b []byte) (int, error) {
	if err := p.usable(); err != nil {
		return 0, err
	}
	if len(b) == 0 {
		return 0, nil
	}
	for {
		n, err := unix.Read(p.fd, b)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return 0, nil
		case err != nil || n <= 0: // raw mode with VMIN 1: no bytes means hung up
			return 0, p.gone
		}
		return n, nil
	}
}

// usable gives the error of a port that is not open.
func (p *Port) usable() error {
	if p.closed {
		return ErrClosed
	}
	if p.fd < 0 {
		return p.gone
	}
	return nil
}

// Close closes the port without waiting: what is pending is lost. Halt first
// when it drives something. A second Close does nothing.
func (p *Port) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	p.out.clear()
	return p.release()
}

// release gives the descriptor back. Exclusive use is given up explicitly:
// it would outlive us if someone else has the device open.
func (p *Port) release() error {
	if p.fd < 0 {
		return nil
	}
	_ = unix.IoctlSetInt(p.fd, unix.TIOCNXCL, 0)
	err := unix.Close(p.fd)
	p.fd = -1
	if err != nil && err != unix.EIO { // a device that is gone says EIO and is closed
		return p.fail("close", ErrGone, err, "")
	}
	return nil
}
