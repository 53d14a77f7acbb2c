package evdev

import (
	"errors"
	"fmt"
)

// Causes of errors. Every error of this package wraps one of them.
var (
	ErrAbsent     = errors.New("no such input device")        // unplugged, or a wrong name
	ErrPermission = errors.New("permission denied")           // the user may not open it
	ErrNotInput   = errors.New("not an input event device")   // a file, js0, another device
	ErrMissing    = errors.New("the device has no such part") // an axis or a button
	ErrBusy       = errors.New("grabbed by another process")  // EVIOCGRAB
	ErrSetting    = errors.New("setting refused")             // a kernel before 3.4, or no evdev
	ErrGone       = errors.New("device gone")                 // unplugged while open
	ErrClosed     = errors.New("device is closed")            // Close was called
)

// Error is a device's error: what was tried, on which device, why it did not work,
// and what to do.
type Error struct {
	Verb   string // "open", "read"
	Device string // file, or the name that was looked for
	Cause  error  // one of the causes above
	Detail error  // the system's own words, may be nil
	Hint   string
}

// Error says "verb object: cause (hint)".
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Verb, e.Device, e.Cause)
	if e.Detail != nil {
		text += ": " + e.Detail.Error()
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap gives the cause and the system's error.
func (e *Error) Unwrap() []error {
	if e.Detail == nil {
		return []error{e.Cause}
	}
	return []error{e.Cause, e.Detail}
}
