//go:build linux

package evdev

import (
	"encoding/binary"
	"errors"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// eventSize is that of struct input_event: two longs of time, type, code, value.
const (
	longSize  = int(unsafe.Sizeof(uintptr(0)))
	eventSize = 2*longSize + 8
)

// event is one struct input_event.
type event struct {
	at    time.Duration
	kind  uint16
	code  uint16
	value int32
}

// decode reads an event of the machine's own byte order.
func decode(b []byte) event {
	var seconds, micro int64
	if longSize == 8 {
		seconds, micro = int64(binary.NativeEndian.Uint64(b)), int64(binary.NativeEndian.Uint64(b[8:]))
	} else { // unsigned since Linux 4.16, good until 2106, and this is the monotonic clock
		seconds, micro = int64(binary.NativeEndian.Uint32(b)), int64(binary.NativeEndian.Uint32(b[4:]))
	}
	b = b[2*longSize:]
	return event{
		at:   time.Duration(seconds)*time.Second + time.Duration(micro)*time.Microsecond,
		kind: binary.NativeEndian.Uint16(b), code: binary.NativeEndian.Uint16(b[2:]), value: int32(binary.NativeEndian.Uint32(b[4:])),
	}
}

// AbsInfo is struct input_absinfo of linux/input.h.
type AbsInfo struct{ Value, Minimum, Maximum, Fuzz, Flat, Resolution int32 }

// Bits is a set of keys or axes, as the kernel gives it: longs of the machine's byte
// order.
type Bits [(maxKey + 8) / 8]byte

// Has says whether a code is in the set.
func (b *Bits) Has(code uint16) bool { return b[place(code)]&(1<<(code%8)) != 0 }

// Add puts a code into the set.
func (b *Bits) Add(code uint16) { b[place(code)] |= 1 << (code % 8) }

// place is the byte of a code.
func place(code uint16) int {
	if nativeBig {
		return int(code)/8 ^ (longSize - 1)
	}
	return int(code) / 8
}

// nativeBig says that this machine is big endian.
var nativeBig = binary.NativeEndian.Uint16([]byte{0, 1}) == 1

// Kernel is what a device asks of the kernel besides read. Tests put their own answers
// in: no pipe answers an ioctl.
type Kernel struct {
	Open      func(path *byte) (int, error)                  // path ends in a zero
	Monotonic func(fd int) error                             // EVIOCSCLKID
	Grab      func(fd int) error                             // EVIOCGRAB
	Name      func(fd int, into []byte) (int, error)         // EVIOCGNAME
	Parts     func(fd int, kind uint16, into *Bits) error    // EVIOCGBIT of EV_KEY (1) or EV_ABS (3)
	Keys      func(fd int, into *Bits) error                 // EVIOCGKEY
	Axis      func(fd int, code uint16, into *AbsInfo) error // EVIOCGABS
	Cure      func(path string) string                       // of a device that may not be read; nil: package permission's
}

// system is the real one.
func system() *Kernel {
	return &Kernel{
		Open: open,
		Monotonic: func(fd int) error {
			clock := int32(unix.CLOCK_MONOTONIC)
			return ask(fd, request(iocWrite, 0xa0, 4), unsafe.Pointer(&clock))
		},
		Grab: func(fd int) error { return unix.IoctlSetInt(fd, uint(request(iocWrite, 0x90, 4)), 1) },
		Name: func(fd int, into []byte) (int, error) {
			n, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request(iocRead, 0x06, len(into)), uintptr(unsafe.Pointer(&into[0])))
			if errno != 0 {
				return 0, errno
			}
			return int(n), nil
		},
		Parts: func(fd int, kind uint16, into *Bits) error {
			return ask(fd, request(iocRead, 0x20+uintptr(kind), len(into)), unsafe.Pointer(into))
		},
		Keys: func(fd int, into *Bits) error {
			return ask(fd, request(iocRead, 0x18, len(into)), unsafe.Pointer(into))
		},
		Axis: func(fd int, code uint16, into *AbsInfo) error {
			return ask(fd, request(iocRead, 0x40+uintptr(code), int(unsafe.Sizeof(*into))), unsafe.Pointer(into))
		},
	}
}

// Directions of asm-generic/ioctl.h, which every architecture that this program is
// built for has.
const (
	iocWrite = 1
	iocRead  = 2
)

// request makes the number of an ioctl of the input layer.
func request(direction, number uintptr, size int) uintptr {
	return direction<<30 | uintptr(size)<<16 | 'E'<<8 | number
}

func ask(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// open takes a path with a zero at its end and does not allocate: a device that is
// away for months is looked for every two seconds.
func open(path *byte) (int, error) {
	folder := unix.AT_FDCWD
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(folder), uintptr(unsafe.Pointer(path)),
		unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC|unix.O_LARGEFILE, 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

// readNow reads what is there: 0 when that is nothing.
func readNow(fd int, b []byte) (int, error) {
	for {
		n, err := unix.Read(fd, b)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return 0, nil
		case err != nil:
			return 0, err
		case n <= 0:
			return 0, unix.ENODEV
		}
		return n, nil
	}
}
