package gpio

import (
	"errors"
	"fmt"
)

// Causes of errors. Every error of this package wraps one of them.
var (
	ErrNoChip      = errors.New("no such GPIO chip")          // absent, or the device is something else
	ErrNoLine      = errors.New("no such GPIO line")          // the chip has no such offset or name
	ErrAmbiguous   = errors.New("several lines of this name") // on more than one chip
	ErrPermission  = errors.New("permission denied")          // the user may not open the chip
	ErrBusy        = errors.New("line is in use")             // requested by another process or by the kernel
	ErrUnsupported = errors.New("not supported")              // by this kernel or this chip
	ErrGone        = errors.New("GPIO chip gone")             // unplugged while in use
	ErrNoPWM       = errors.New("no such PWM")                // the controller or the channel is absent
	ErrPWMGone     = errors.New("PWM channel gone")           // unbound while in use
	ErrClosed      = errors.New("line is closed")             // Close was called
)

// Error is a line's error: what was tried, on which line, why it did not work,
// and what to do.
type Error struct {
	Verb   string // "request", "read", "set"
	Kind   string // "": GPIO line; or PWM
	Line   string
	Cause  error // one of the causes above
	Detail string
	Hint   string
}

// Error says "verb object: cause (hint)".
func (e *Error) Error() string {
	kind := e.Kind
	if kind == "" {
		kind = "GPIO line"
	}
	text := fmt.Sprintf("%s %s %s: %v", e.Verb, kind, e.Line, e.Cause)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }
