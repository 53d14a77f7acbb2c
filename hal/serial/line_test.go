//go:build linux

package serial

import (
	"strings"
	"testing"
	"time"
	"unsafe"

	bugst "go.bug.st/serial"
	"golang.org/x/sys/unix"

	"dancer/hal"
)

// TestLineOfSBUS opens a line with even parity and two stop bits. A pseudo-terminal
// has no parity bit, so that flag cannot be seen on it; what the kernel does with a
// byte that fails can.
func TestLineOfSBUS(t *testing.T) {
	w := newWire(t)
	p, err := OpenLine(w.name, hal.LineOf("sbus"))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	settings, err := unix.IoctlGetTermios(p.Fd(), unix.TCGETS2)
	if err != nil {
		t.Fatal(err)
	}
	if settings.Ospeed != 100000 || settings.Cflag&unix.CSTOPB == 0 {
		t.Errorf("rate %d, control flags %o", settings.Ospeed, settings.Cflag)
	}
	if settings.Iflag&(unix.INPCK|unix.IGNPAR|unix.PARMRK) != unix.INPCK|unix.IGNPAR {
		t.Errorf("input flags %o: bytes that fail their parity are not dropped", settings.Iflag)
	}
	mode := modeOf(hal.Line{Baud: 100000, Parity: hal.OddParity})
	if even := modeOf(hal.LineOf("sbus")); even.Parity != bugst.EvenParity || even.StopBits != bugst.TwoStopBits || mode.Parity != bugst.OddParity || mode.StopBits != bugst.OneStopBit {
		t.Errorf("%+v and %+v", even, mode)
	}
}

// TestDropDTR: a line without modem control is opened all the same.
func TestDropDTR(t *testing.T) {
	p, err := OpenLine(newWire(t).name, hal.LineOf("rplidar"))
	if err != nil {
		t.Fatal(err)
	}
	p.Close()
}

func TestLineErrors(t *testing.T) {
	if size := unsafe.Sizeof(lineCounts{}); size != 20*4 {
		t.Errorf("struct serial_icounter_struct has 80 bytes, not %d", size)
	}
	c := lineCounts{framing: -1, overrun: 2, parity: 4, breaks: 8, bufOverrun: 16}
	if got, want := c.errors(), (hal.LineErrors{Framing: 1<<32 - 1, Parity: 4, Breaks: 8, Overruns: 18}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if n := (hal.LineErrors{Framing: 3, Parity: 9, Breaks: 8}).Garbling(c.errors()); n != 4 {
		t.Errorf("%d errors since the counter went round, want 4", n)
	}
	p := newWire(t).open()
	if n, ok := p.LineErrors(); ok {
		t.Errorf("a pseudo-terminal counts errors: %+v", n)
	}
	if n := testing.AllocsPerRun(50, func() { p.LineErrors() }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	p.Close()
	if _, ok := p.LineErrors(); ok {
		t.Error("a closed port counts")
	}
}

// TestReopenDoesNotWait: a device that takes nothing does not hold Reopen up, and what
// it was told before is forgotten.
func TestReopenDoesNotWait(t *testing.T) {
	w := newWire(t)
	p := w.open()
	fill(t, p, "M 1\n")
	done := make(chan error, 1)
	go func() { done <- p.Reopen() }()
	select {
	case err := <-done:
		if err != nil || p.Pending() {
			t.Errorf("%v, pending: %v", err, p.Pending())
		}
	case <-time.After(patience):
		t.Fatal("Reopen waits for the device")
	}
}

// TestMessages: what a person reads, with the cure, to the letter.
func TestMessages(t *testing.T) {
	p := NewLine("/dev/ttyUSB0", hal.Line{Baud: 1234567})
	for _, test := range []struct {
		err  error
		want string
	}{
		{p.openError(unix.EBUSY), busyPort},
		{p.openError(unix.ENOENT), "open /dev/ttyUSB0: no such device (plug it in, or correct its device"},
		{p.openError(unix.EINVAL), "open /dev/ttyUSB0: line setting refused: invalid argument (does the device support 1234567 baud?)"},
		{p.gone, "use /dev/ttyUSB0: device gone (plug it in again: the port is opened again by itself)"},
	} {
		if got := test.err.Error(); got != test.want && (strings.HasSuffix(test.want, ")") || !strings.HasPrefix(got, test.want)) {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
	for want, ports := range map[string][]string{
		"correct its device: this machine has no serial port now":         nil,
		"correct its device; serial ports here: /dev/ttyAMA0, /dev/ttyS0": {"/dev/ttyAMA0", "/dev/ttyS0"},
	} {
		if got := correct(ports); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
