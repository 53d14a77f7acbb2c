package serial

import (
	"errors"
	"fmt"
)

// Causes of errors. Every error of this package wraps one of them.
var (
	ErrAbsent     = errors.New("no such device")                       // unplugged, or a wrong name
	ErrPermission = errors.New("permission denied")                    // the user may not open it
	ErrBusy       = errors.New("in use by another process")            // locked or opened exclusively
	ErrNotSerial  = errors.New("not a serial port")                    // a file, a directory, another device
	ErrSetting    = errors.New("line setting refused")                 // the driver cannot do this rate
	ErrGone       = errors.New("device gone")                          // unplugged or hung up while open
	ErrClosed     = errors.New("port is closed")                       // Close was called
	ErrTooLong    = errors.New("line is longer than a port may write") // more than MaxWrite bytes
	ErrSlot       = errors.New("no such output slot")                  // not reserved
	ErrUnsent     = errors.New("device does not take its safe values") // Halt ran out of time
)

// Error is a port's error: what was tried, on which device, why it did not
// work, and what to do.
type Error struct {
	Verb   string // "open", "read", "write", "halt"
	Device string
	Cause  error // one of the causes above
	Detail error // the system's own words, may be nil
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
