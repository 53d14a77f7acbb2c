//go:build linux

package serial

import (
	"unsafe"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"

	"dancer/hal"
)

// modeOf is a line in the words of go.bug.st/serial.
func modeOf(line hal.Line) *bugst.Mode {
	mode := &bugst.Mode{BaudRate: line.Baud, DataBits: 8}
	switch line.Parity {
	case hal.EvenParity:
		mode.Parity = bugst.EvenParity
	case hal.OddParity:
		mode.Parity = bugst.OddParity
	}
	if line.TwoStops {
		mode.StopBits = bugst.TwoStopBits
	}
	return mode
}

// prepareLine sets what go.bug.st/serial leaves out: bytes that fail their parity are
// dropped (it has the kernel hand them on as zeros), and DTR is taken back where the
// device needs that. A line without modem control has no DTR to take back.
func (p *Port) prepareLine(fd int) error {
	if p.line.DropDTR {
		_ = unix.IoctlSetPointerInt(fd, unix.TIOCMBIC, unix.TIOCM_DTR)
	}
	if p.line.Parity == hal.NoParity {
		return nil
	}
	settings, err := unix.IoctlGetTermios(fd, unix.TCGETS2)
	if err == nil {
		settings.Iflag |= unix.INPCK | unix.IGNPAR
		err = unix.IoctlSetTermios(fd, unix.TCSETS2, settings)
	}
	if err != nil {
		return p.fail("open", ErrSetting, err, "does the device support parity?")
	}
	return nil
}

// lineCounts is the kernel's struct serial_icounter_struct (linux/serial.h).
type lineCounts struct {
	_          [6]int32 // modem lines, received, sent
	framing    int32
	overrun    int32
	parity     int32
	breaks     int32
	bufOverrun int32
	_          [9]int32
}

// LineErrors counts what the UART itself found wrong since it was plugged in. false
// where the driver does not count (pseudo-terminals, and many USB devices that are no
// UART). It never blocks and never allocates.
func (p *Port) LineErrors() (count hal.LineErrors, ok bool) {
	if p.usable() != nil {
		return hal.LineErrors{}, false
	}
	c := &p.counts
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(p.fd), unix.TIOCGICOUNT, uintptr(unsafe.Pointer(c)))
	if errno != 0 {
		return hal.LineErrors{}, false
	}
	return c.errors(), true
}

// errors takes the counters of errors out.
func (c *lineCounts) errors() hal.LineErrors {
	return hal.LineErrors{
		Framing: uint32(c.framing), Parity: uint32(c.parity), Breaks: uint32(c.breaks),
		Overruns: uint32(c.overrun) + uint32(c.bufOverrun),
	}
}
