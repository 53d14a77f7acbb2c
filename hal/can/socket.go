//go:build linux

package can

import (
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of struct can_frame and struct canfd_frame of linux/can.h. In both the first
// four bytes are the identifier with its flags, the fifth is the length of the data,
// and the data begins at the ninth.
const (
	classicSize  = 16
	flexibleSize = 72
	classicData  = 8
	lengthAt     = 4
	dataAt       = 8
)

// wantedErrors are the classes of error frames that a driver tells the state of its
// controller with (can_change_state and can_restart of drivers/net/can/dev/dev.c).
const wantedErrors = unix.CAN_ERR_CRTL | unix.CAN_ERR_BUSOFF | unix.CAN_ERR_RESTARTED

// controlSize is the room for the one control message that is asked for, SO_RXQ_OVFL.
const controlSize = 64

// Socket is what a bus asks of the kernel besides recvmsg. Tests put a socket pair in
// its place: it carries the same bytes.
type Socket struct {
	// Open gives a socket that is set up and bound. Errors are unix.Errno.
	Open func(b *Bus) (fd int, err error)
}

// system is the real one.
func system() *Socket { return &Socket{Open: openSocket} }

// openSocket opens a raw socket that gives the frames of the bus's messages alone. On
// the way to an interface that is absent or down nothing is allocated: one can be away
// for months, and is looked for every two seconds.
func openSocket(b *Bus) (int, error) {
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		return -1, err
	}
	if err := b.setUp(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func (b *Bus) setUp(fd int) error {
	b.address.Ifindex = 0
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, b.request); err != nil {
		return err
	}
	b.address.Ifindex = int(b.request.Uint32())
	if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, b.filters); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_ERR_FILTER, wantedErrors); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1); err != nil {
		return err
	}
	if err := unix.Bind(fd, b.address); err != nil {
		return err
	}
	// An interface that is down can be bound to; the socket has an error then.
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	return err
}

// receive takes one frame into the buffer: its length, 0 when there is none. lost is
// how many frames found the socket's queue full since it was opened, where known says
// so.
func (b *Bus) receive() (n int, lost uint32, known bool, err error) {
	b.header.SetControllen(controlSize)
	for {
		r, _, errno := unix.Syscall(unix.SYS_RECVMSG, uintptr(b.fd), uintptr(unsafe.Pointer(&b.header)), unix.MSG_DONTWAIT)
		switch {
		case errno == unix.EINTR:
			continue
		case errno == unix.EAGAIN:
			return 0, 0, false, nil
		case errno != 0:
			return 0, 0, false, errno
		case r == 0: // a raw socket never ends; what stands for it in a test does
			return 0, 0, false, unix.ENODEV
		}
		lost, known = lostOf(b.controlBytes()[:min(controlSize, int(b.header.Controllen))])
		return int(r), lost, known, nil
	}
}

func (b *Bus) controlBytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(&b.control)), controlSize)
}

// lostOf finds the count of lost frames among control messages.
func lostOf(control []byte) (lost uint32, known bool) {
	const size = unix.SizeofCmsghdr
	for len(control) >= size {
		h := (*unix.Cmsghdr)(unsafe.Pointer(&control[0]))
		length := int(h.Len)
		if length < size || length > len(control) {
			return 0, false
		}
		if h.Level == unix.SOL_SOCKET && h.Type == unix.SO_RXQ_OVFL && length >= unix.CmsgLen(4) {
			return binary.NativeEndian.Uint32(control[unix.CmsgLen(0):]), true
		}
		control = control[min(len(control), unix.CmsgSpace(length-unix.CmsgLen(0))):]
	}
	return 0, false
}

// isAbsent says of an error of Open that the interface is not there.
func isAbsent(err error) bool { return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO) }
