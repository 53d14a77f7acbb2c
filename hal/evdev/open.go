//go:build linux

package evdev

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dancer/hal/permission"
)

// mostEvents is how many /dev/input/event* are looked at for a name.
const mostEvents = 64

// Reopen closes what is left of the device and opens it again: it asks for time stamps
// of the monotonic clock, finds the axes' extents and reads the state. The dead-man has
// to be pressed anew.
//
// Errors are *Error: ErrAbsent, ErrPermission, ErrNotInput, ErrMissing (with what the
// device has), ErrBusy, ErrSetting.
func (d *Device) Reopen() error {
	if d.closed {
		return ErrClosed
	}
	_ = d.release() // it is gone
	d.armed, d.pressed, d.dropping, d.heard = false, false, false, 0
	fd, err := d.find()
	if err != nil {
		return err
	}
	if err := d.prepare(fd); err != nil {
		unix.Close(fd)
		return err
	}
	d.fd = fd
	if err := d.ask(); err != nil {
		_ = d.release()
		return d.fail(ErrGone, err, "")
	}
	d.armed = false // held, but by whom is not known
	for i := range d.config.Controls {
		if s := &d.states[i]; d.config.Controls[i].Axis && s.low >= s.high {
			_ = d.release()
			return d.fail(ErrMissing, nil, fmt.Sprintf("its axis %s has no extent: %d to %d", nameOf(d.config.Controls[i].Code, axes), s.low, s.high))
		}
	}
	return nil
}

// find opens the device by its path or looks for its name.
func (d *Device) find() (int, error) {
	if d.config.Path != "" {
		fd, err := d.kernel.Open(&d.path[0])
		if err != nil {
			return -1, d.openError(err, d.config.Path)
		}
		return fd, nil
	}
	refused := -1
	for i := range mostEvents {
		// Strings would be garbage that nobody collects in the spine.
		b := strconv.AppendUint(append(d.event[:0], "/dev/input/event"...), uint64(i), 10)
		b = append(b, 0)
		fd, err := d.kernel.Open(&b[0])
		if err != nil {
			if errors.Is(err, unix.EACCES) {
				refused = i
			}
			continue
		}
		if n, err := d.kernel.Name(fd, d.name[:]); err == nil && d.called(d.name[:n]) {
			return fd, nil
		}
		unix.Close(fd)
	}
	if refused >= 0 { // it may be the one
		return -1, d.openError(unix.EACCES, fmt.Sprintf("/dev/input/event%d", refused))
	}
	return -1, d.absent
}

// called compares a name of the kernel, which ends in a zero.
func (d *Device) called(name []byte) bool {
	if n := len(name); n > 0 && name[n-1] == 0 {
		name = name[:n-1]
	}
	return string(name) == d.config.Name // compared without a copy
}

// prepare checks that a descriptor is an input device with all parts that are wanted.
func (d *Device) prepare(fd int) error {
	if err := d.kernel.Monotonic(fd); err != nil {
		if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
			return d.fail(ErrNotInput, err, "name a file such as /dev/input/by-id/...-event-joystick, not js0")
		}
		return d.fail(ErrSetting, err, "")
	}
	var keys, abs Bits
	if err := d.kernel.Parts(fd, typeKey, &keys); err != nil {
		return d.fail(ErrNotInput, err, "")
	}
	if err := d.kernel.Parts(fd, typeAbs, &abs); err != nil {
		return d.fail(ErrNotInput, err, "")
	}
	if d.config.HasDeadMan && !keys.Has(d.config.DeadMan) {
		return d.missing("button", nameOf(d.config.DeadMan, buttons), &keys, buttons)
	}
	for _, c := range d.config.Controls {
		switch {
		case c.Axis && !abs.Has(c.Code):
			return d.missing("axis", nameOf(c.Code, axes), &abs, axes)
		case !c.Axis && !keys.Has(c.Code):
			return d.missing("button", nameOf(c.Code, buttons), &keys, buttons)
		}
	}
	if d.config.Grab {
		if err := d.kernel.Grab(fd); err != nil {
			return d.fail(ErrBusy, err, "stop the other program, such as a desktop or a second dancer, or remove grab")
		}
	}
	return nil
}

func (d *Device) missing(kind, name string, has *Bits, among []named) error {
	var there []string
	for i := range among {
		if has.Has(among[i].code) {
			there = append(there, among[i].name)
		}
	}
	hint := fmt.Sprintf("it has no %s at all: is it the right one of the device's files?", kind)
	if len(there) > 0 {
		hint = "it has " + strings.Join(there, ", ")
	}
	return d.fail(ErrMissing, fmt.Errorf("%s %s", kind, name), hint)
}

// openError names the cause of a refused open.
func (d *Device) openError(err error, path string) error {
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		if d.kernel.Cure != nil {
			return d.fail(ErrPermission, nil, d.kernel.Cure(path))
		}
		return d.fail(ErrPermission, nil, d.advice.Cure(path, permission.Read))
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return d.fail(ErrAbsent, nil, "plug it in, or correct its device: ls -l /dev/input/by-id/")
	}
	return d.fail(ErrNotInput, err, "")
}

func (d *Device) fail(cause, detail error, hint string) error {
	return &Error{Verb: "open", Device: d.String(), Cause: cause, Detail: detail, Hint: hint}
}
