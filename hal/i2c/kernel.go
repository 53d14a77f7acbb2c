//go:build linux

package i2c

import (
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"dancer/hal/permission"
)

// Requests and flags of linux/i2c-dev.h and linux/i2c.h.
const (
	requestTimeout   = 0x0702 // I2C_TIMEOUT, in 10 ms
	requestSlave     = 0x0703 // I2C_SLAVE: EBUSY where a kernel driver has the address
	requestFunctions = 0x0705 // I2C_FUNCS
	requestTransfer  = 0x0707 // I2C_RDWR
	functionPlain    = 0x0001 // I2C_FUNC_I2C
	flagRead         = 0x0001 // I2C_M_RD
)

// TransferTimeout is how long the adapter waits for one transfer. It is the
// adapter's own time-out (default 1 s), shared with kernel drivers on the same bus;
// the longest transfer of a driver here, 33 bytes at 100 kHz, takes 3 ms.
const TransferTimeout = 100 * time.Millisecond

// message is struct i2c_msg.
type message struct {
	address uint16
	flags   uint16
	length  uint16
	buffer  unsafe.Pointer
}

// transfer is struct i2c_rdwr_ioctl_data.
type transfer struct {
	messages *message
	count    uint32
}

// kernel is the seam to the system's calls; tests put a small one in its place.
type kernel struct {
	open      func(path string) (int, error)
	cure      func(path string) string // of a bus that may not be opened
	close     func(fd int) error
	functions func(fd int) (uint64, error)
	set       func(fd int, request uint, value int) error
	transfer  func(fd int, t *transfer) error
}

// system is the running kernel.
func system() *kernel {
	advice := new(permission.Advice)
	return &kernel{
		cure:  func(path string) string { return advice.Cure(path, permission.ReadWrite) },
		open:  func(path string) (int, error) { return unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0) },
		close: unix.Close,
		functions: func(fd int) (uint64, error) {
			var f uintptr // unsigned long
			return functions(fd, &f)
		},
		set: unix.IoctlSetInt,
		transfer: func(fd int, t *transfer) error {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), requestTransfer, uintptr(unsafe.Pointer(t)))
			if errno != 0 {
				return errno
			}
			return nil
		},
	}
}

func functions(fd int, f *uintptr) (uint64, error) {
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), requestFunctions, uintptr(unsafe.Pointer(f)))
	if errno != 0 {
		return 0, errno
	}
	return uint64(*f), nil
}

// Bus is one open I2C bus. It is a periph i2c.Bus for one goroutine.
type Bus struct {
	device   string
	kernel   *kernel
	fd       int // -1: closed
	messages [2]message
	transfer transfer
}

var _ i2c.BusCloser = (*Bus)(nil)

// Open opens a bus, such as /dev/i2c-1, and sets its adapter's time-out to
// TransferTimeout. Errors are *Error: ErrAbsent, ErrPermission, ErrNotBus.
func Open(device string) (*Bus, error) { return open(system(), device) }

func open(k *kernel, device string) (*Bus, error) {
	fd, err := k.open(device)
	if err != nil {
		cause := openCause(err)
		if cause == ErrPermission {
			return nil, &Error{Verb: "open", Where: device, Cause: cause, Hint: k.cure(device)}
		}
		return nil, failed("open", device, cause)
	}
	can, err := k.functions(fd)
	if err != nil || can&functionPlain == 0 {
		_ = k.close(fd)
		return nil, failed("open", device, ErrNotBus)
	}
	_ = k.set(fd, requestTimeout, int(TransferTimeout/(10*time.Millisecond))) // an adapter without one keeps its own
	return &Bus{device: device, kernel: k, fd: fd}, nil
}

func failed(verb, device string, cause error) error {
	return &Error{Verb: verb, Where: device, Cause: cause, Hint: cure(cause, device)}
}

func openCause(err error) error {
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return ErrAbsent
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return ErrPermission
	}
	return ErrNotBus
}

// String is the bus's device.
func (b *Bus) String() string { return b.device }

// SetSpeed is part of periph's interface. The kernel sets the clock when it
// starts, for a whole bus, and offers no call for it.
func (b *Bus) SetSpeed(physic.Frequency) error { return ErrUnsupported }

// Tx writes w, then reads r without letting the bus go; one of them may be empty. It
// does not allocate. Errors are ErrSilent, ErrStuck, ErrGone, ErrTransfer and
// ErrClosed.
func (b *Bus) Tx(address uint16, w, r []byte) error {
	if b.fd < 0 {
		return ErrClosed
	}
	n := 0
	if len(w) > 0 {
		b.messages[n] = message{address: address, length: uint16(len(w)), buffer: unsafe.Pointer(&w[0])}
		n++
	}
	if len(r) > 0 {
		b.messages[n] = message{address: address, flags: flagRead, length: uint16(len(r)), buffer: unsafe.Pointer(&r[0])}
		n++
	}
	if n == 0 {
		return nil
	}
	b.transfer = transfer{&b.messages[0], uint32(n)}
	return transferCause(b.kernel.transfer(b.fd, &b.transfer))
}

// transferCause names what an adapter reports (the kernel's i2c/fault-codes).
// Drivers for Raspberry Pi, Tegra and DesignWare say EREMOTEIO for an address that
// nobody acknowledges, others ENXIO.
func transferCause(err error) error {
	switch err {
	case nil:
		return nil
	case unix.ENXIO, unix.EREMOTEIO:
		return ErrSilent
	case unix.ETIMEDOUT, unix.EAGAIN, unix.EBUSY:
		return ErrStuck
	case unix.ENODEV, unix.ESHUTDOWN, unix.EBADF:
		return ErrGone
	}
	return ErrTransfer
}

// Claim says whether an address is free of kernel drivers: ErrTaken where one has it.
func (b *Bus) Claim(address uint16) error {
	if b.fd < 0 {
		return ErrClosed
	}
	if err := b.kernel.set(b.fd, requestSlave, int(address)); err == unix.EBUSY {
		return ErrTaken
	}
	return nil
}

// Close closes the bus. A second Close does nothing.
func (b *Bus) Close() error {
	if b.fd < 0 {
		return nil
	}
	err := b.kernel.close(b.fd)
	b.fd = -1
	return err
}
