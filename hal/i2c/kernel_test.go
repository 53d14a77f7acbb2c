//go:build linux

package i2c

import (
	"errors"
	"slices"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// fakeKernel is a kernel with one bus; a transfer goes to what is at its address.
type fakeKernel struct {
	openError error
	functions uint64
	timeout   int
	taken     int
	answer    func(address uint16, w, r []byte) error
	closed    []int
}

// notInGroup is what package permission says on a Raspberry Pi.
const notInGroup = "user pi is not in group i2c: sudo usermod -aG i2c pi, then log in again or restart the service"

func (f *fakeKernel) kernel() *kernel {
	return &kernel{
		open:      func(string) (int, error) { return 7, f.openError },
		cure:      func(string) string { return notInGroup },
		close:     func(fd int) error { f.closed = append(f.closed, fd); return nil },
		functions: func(int) (uint64, error) { return f.functions, nil },
		set: func(_ int, request uint, value int) error {
			switch {
			case request == requestTimeout:
				f.timeout = value
			case request == requestSlave && value == f.taken:
				return unix.EBUSY
			}
			return nil
		},
		transfer: func(fd int, t *transfer) error {
			if fd != 7 {
				return unix.EBADF
			}
			var w, r []byte
			var address uint16
			for _, m := range unsafe.Slice(t.messages, t.count) {
				b := unsafe.Slice((*byte)(m.buffer), m.length)
				if address = m.address; m.flags == flagRead {
					r = b
				} else {
					w = b
				}
			}
			return f.answer(address, w, r)
		},
	}
}

// TestMessageLayout: struct i2c_msg has 16 bytes where a pointer has 8, else 12.
func TestMessageLayout(t *testing.T) {
	size, buffer := unsafe.Sizeof(message{}), unsafe.Offsetof(message{}.buffer)
	if pointer := unsafe.Sizeof(uintptr(0)); size != 8+pointer || buffer != 8 {
		t.Errorf("a message has %d bytes, its buffer at %d", size, buffer)
	}
}

func TestBus(t *testing.T) {
	f := &fakeKernel{functions: functionPlain, taken: 0x68}
	var gotW []byte
	f.answer = func(address uint16, w, r []byte) error {
		if address != 0x40 {
			return unix.EREMOTEIO
		}
		gotW = slices.Clone(w)
		copy(r, []byte{1, 2, 3})
		return nil
	}
	bus, err := open(f.kernel(), "/dev/i2c-1")
	if err != nil {
		t.Fatal(err)
	}
	if f.timeout != 10 { // in 10 ms
		t.Errorf("the adapter's time-out is %d0 ms", f.timeout)
	}
	w, r := []byte{9, 8}, make([]byte, 3)
	if err := bus.Tx(0x40, w, r); err != nil || !slices.Equal(gotW, w) || !slices.Equal(r, []byte{1, 2, 3}) {
		t.Errorf("transferred %v, %v: %v", gotW, r, err)
	}
	if n := testing.AllocsPerRun(100, func() { _ = bus.Tx(0x41, w, r) }); n != 0 {
		t.Errorf("%v allocations a transfer that nobody answers", n)
	}
	if err := bus.Claim(0x68); err != ErrTaken {
		t.Errorf("an address of a kernel driver is %v", err)
	}
	if err := errors.Join(bus.Claim(0x40), bus.Close(), bus.Close()); err != nil || len(f.closed) != 1 {
		t.Errorf("claim, close, close: %v, closed %v", err, f.closed)
	}
	if err := bus.Tx(0x40, w, r); err != ErrClosed {
		t.Errorf("a transfer after Close is %v", err)
	}
}

func TestTransferCauses(t *testing.T) {
	for _, c := range []struct{ err, want error }{
		{nil, nil}, {unix.ENXIO, ErrSilent}, {unix.EREMOTEIO, ErrSilent}, {unix.ETIMEDOUT, ErrStuck}, {unix.EAGAIN, ErrStuck},
		{unix.ENODEV, ErrGone}, {unix.EIO, ErrTransfer}, {unix.EPROTO, ErrTransfer},
	} {
		if got := transferCause(c.err); got != c.want {
			t.Errorf("%v: %v, want %v", c.err, got, c.want)
		}
	}
}

// TestMessages: what an owner reads, with the cure.
func TestMessages(t *testing.T) {
	const device = "/dev/i2c-1"
	ok := func(uint16, []byte, []byte) error { return nil }
	fails := func(err error) func(uint16, []byte, []byte) error {
		return func(uint16, []byte, []byte) error { return err }
	}
	for _, c := range []struct {
		name   string
		kernel fakeKernel
		cause  error
		want   string
	}{
		{"bus missing", fakeKernel{openError: unix.ENOENT}, ErrAbsent,
			"open /dev/i2c-1: no such I2C bus (enable it, on a Raspberry Pi: sudo raspi-config nonint do_i2c 0; ls /dev/i2c-* lists the buses)"},
		{"no permission", fakeKernel{openError: unix.EACCES}, ErrPermission,
			"open /dev/i2c-1: permission denied (" + notInGroup + ")"},
		{"SMBus alone", fakeKernel{functions: 0x10000}, ErrNotBus,
			"open /dev/i2c-1: not an I2C bus (name a bus such as /dev/i2c-1 that does plain I2C transfers; i2cdetect -l lists them)"},
		{"address silent", fakeKernel{functions: functionPlain, answer: fails(unix.EREMOTEIO)}, ErrSilent,
			"probe /dev/i2c-1 address 0x40: no device answers (check its supply, SDA, SCL and the address pins; i2cdetect -y -r 1 lists who answers)"},
		{"stuck", fakeKernel{functions: functionPlain, answer: fails(unix.ETIMEDOUT)}, ErrStuck,
			"probe /dev/i2c-1 address 0x40: the bus is stuck (a device holds SDA or SCL low, or pull-ups are missing: cut the sensors' power for a second)"},
		{"kernel driver", fakeKernel{functions: functionPlain, taken: 0x40, answer: fails(errors.New("asked"))}, ErrTaken,
			"probe /dev/i2c-1 address 0x40: a kernel driver has it (take its overlay out of the boot configuration; ls -l /sys/bus/i2c/devices/*/driver shows which it is)"},
		{"answers", fakeKernel{functions: functionPlain, answer: ok}, nil, ""},
	} {
		err := probe(c.kernel.kernel(), device, 0x40)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if text != c.want || !errors.Is(err, c.cause) {
			t.Errorf("%s:\n got %s\nwant %s", c.name, text, c.want)
		}
	}
}

// TestProbeWritesNothing: whatever is at the address, no byte is sent to it.
func TestProbeWritesNothing(t *testing.T) {
	f := &fakeKernel{functions: functionPlain}
	f.answer = func(_ uint16, w, r []byte) error {
		if len(w) != 0 || len(r) != 1 {
			t.Errorf("the probe writes % x and reads %d bytes", w, len(r))
		}
		return nil
	}
	if err := probe(f.kernel(), "/dev/i2c-1", 0x40); err != nil {
		t.Error(err)
	}
	if len(f.closed) != 1 {
		t.Error("the probe keeps the bus open")
	}
}

// TestOpenRealFiles: what is not a bus on this machine.
func TestOpenRealFiles(t *testing.T) {
	for device, want := range map[string]error{"/dev/i2c-999": ErrAbsent, "/dev/null": ErrNotBus} {
		if _, err := Open(device); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", device, err, want)
		}
	}
}
