//go:build linux

package gpio

import (
	"errors"
	"strconv"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mostChips is how many numbers of chips are looked at for a line that was refused.
// The kernel gives the lowest one that is free.
const mostChips = 64

// Reopen gives back what is left of the line and requests it again. The chip is looked
// for by its label, and never found by its number where it was found before: numbers
// move when a chip comes back.
//
// Errors are *Error: ErrNoChip (with the chips that there are), ErrNoLine, ErrAmbiguous,
// ErrPermission, ErrBusy (with who has the line), ErrUnsupported, ErrGone. While the
// same stands in the way, the error is the same value, and nothing is allocated: a line
// can be away for months, and nothing in the spine is collected.
func (in *Input) Reopen() error {
	if in.closed {
		return ErrClosed
	}
	_ = in.release() // what is gone cannot be given back
	if in.refused != nil && in.stillRefused() {
		return in.refused
	}
	in.refused = in.request()
	return in.refused
}

func (in *Input) request() error {
	k, line := in.kernel, in.config.Line
	if d := in.config.Debounce; d < 0 || d > MaxDebounce {
		return fail(line, ErrUnsupported, "debounce "+d.String(), "give 0 to "+MaxDebounce.String())
	}
	at, err := k.find(line)
	if err != nil {
		return err
	}
	defer k.close(at.fd)
	r := inputRequest(in.config, at.offset)
	if err := k.request(at.fd, &r); err != nil {
		return k.requestError(line, at, err)
	}
	in.fd, in.sequence = int(r.Fd), 0
	in.remember(at)
	return nil
}

// remember makes a line that was named by its chip's device one of the chip with that
// label: the device can be another chip when this one comes back.
func (in *Input) remember(at place) {
	line := &in.config.Line
	if !isDevice(line.Chip) {
		return
	}
	chip, err := in.kernel.chip(at.fd)
	if err != nil {
		return
	}
	label, _, _ := strings.Cut(string(chip.Label[:]), "\x00")
	if label == "" || isDevice(label) {
		return // it cannot be told from others
	}
	line.Name, line.Chip, line.Offset = line.String(), label, at.offset
}

// stillRefused says whether what refused the line stands in its way still.
func (in *Input) stillRefused() bool {
	now := in.obstacle()
	if errors.Is(in.refused, ErrNoChip) || errors.Is(in.refused, ErrNoLine) {
		return now == ErrNoChip
	}
	return now != nil && errors.Is(in.refused, now)
}

// obstacle says what stands in the way of the line: ErrNoChip, ErrPermission or
// ErrBusy; nil where nothing is seen. It does not allocate.
func (in *Input) obstacle() error {
	k, found := in.kernel, ErrNoChip
	for i := range mostChips {
		path := in.chipPath(i)
		if path == nil {
			break
		}
		fd, err := k.peek(path)
		if err != nil {
			if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
				found = ErrPermission
			}
			continue
		}
		offset, err := k.offset(in.config.Line, fd)
		if err != nil {
			_ = k.close(fd)
			continue
		}
		info, err := k.info(fd, offset)
		_ = k.close(fd)
		if err == nil && info.Flags.IsUsed() {
			return ErrBusy
		}
		return nil
	}
	return found
}

// chipPath is where the line's chip may be, as a path that ends in a zero; nil behind
// the last one.
func (in *Input) chipPath(i int) *byte {
	chip, b := in.config.Line.Chip, in.path[:0]
	switch {
	case isDevice(chip) && i > 0:
		return nil
	case strings.Contains(chip, "/"):
		b = append(b, chip...)
	case isDevice(chip):
		b = append(append(append(b, in.kernel.devices...), '/'), chip...)
	default:
		b = strconv.AppendInt(append(append(b, in.kernel.devices...), "/gpiochip"...), int64(i), 10)
	}
	in.path = append(b, 0)
	return &in.path[0]
}

// peekChip opens a chip. It does not allocate.
func peekChip(path *byte) (int, error) {
	folder := unix.AT_FDCWD
	fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(folder), uintptr(unsafe.Pointer(path)),
		unix.O_RDWR|unix.O_CLOEXEC|unix.O_LARGEFILE, 0, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}
