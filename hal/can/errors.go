package can

import (
	"errors"
	"fmt"
)

// Causes of errors. Every error of this package wraps one of them.
var (
	ErrAbsent  = errors.New("no such network interface") // unplugged, its driver not loaded, or a wrong name
	ErrDown    = errors.New("the interface is down")     // nobody has brought it up
	ErrNotCAN  = errors.New("not a CAN interface")       // such as eth0
	ErrSupport = errors.New("no CAN sockets here")       // the kernel has none, or a sandbox forbids them
	ErrSetting = errors.New("setting refused")           // too many filters, or a kernel before 3.6
	ErrGone    = errors.New("interface gone")            // down or unplugged while open
	ErrClosed  = errors.New("bus is closed")             // Close was called
)

// Error is a bus's error: what was tried, on which interface, why it did not work, and
// what to do.
type Error struct {
	Verb      string // "open", "read"
	Interface string
	Cause     error // one of the causes above
	Detail    error // the system's own words, may be nil
	Hint      string
}

// Error says "verb object: cause (hint)".
func (e *Error) Error() string {
	text := fmt.Sprintf("%s CAN interface %s: %v", e.Verb, e.Interface, e.Cause)
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
