package i2c

import (
	"errors"
	"fmt"
)

// Causes of errors. Every error of this package wraps one of them.
var (
	ErrAbsent      = errors.New("no such I2C bus")             // not enabled, unplugged, or a wrong name
	ErrPermission  = errors.New("permission denied")           // the user may not open it
	ErrNotBus      = errors.New("not an I2C bus")              // a file, or a bus without plain transfers
	ErrSilent      = errors.New("no device answers")           // the address was not acknowledged
	ErrStuck       = errors.New("the bus is stuck")            // a line stays low, or the adapter's time-out passed
	ErrTransfer    = errors.New("transfer failed")             // anything else that the kernel says
	ErrGone        = errors.New("I2C bus gone")                // unplugged while open
	ErrClosed      = errors.New("bus is closed")               // Close was called
	ErrTaken       = errors.New("a kernel driver has it")      // the address belongs to a driver of the kernel
	ErrWrongChip   = errors.New("another chip answers")        // its identity is not the driver's
	ErrReset       = errors.New("the chip lost its settings")  // its supply failed for a moment
	ErrNotReady    = errors.New("the chip does not get ready") // no measurement in time
	ErrUnsupported = errors.New("not supported")               // of the kernel's interface
)

// Error is what went wrong with a bus or a device on it: what was tried, on which,
// why it did not work, and what to do.
type Error struct {
	Verb  string // "open", "read", "probe"
	Where string // /dev/i2c-1, or /dev/i2c-1 address 0x40 (ina219)
	Cause error
	Hint  string
}

// Error says "verb object: cause (hint)".
func (e *Error) Error() string {
	text := fmt.Sprintf("%s %s: %v", e.Verb, e.Where, e.Cause)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// chipError is the cause of a chip that is another one than the driver's.
type chipError struct {
	found, want uint16
	is          string // what the found identity is known for, "" unknown
}

func (e *chipError) Error() string {
	text := fmt.Sprintf("%v: its identity is 0x%02x, not 0x%02x", ErrWrongChip, e.found, e.want)
	if e.is != "" {
		text += ", as of a " + e.is
	}
	return text
}

// Unwrap gives ErrWrongChip.
func (e *chipError) Unwrap() error { return ErrWrongChip }

// cure says what an owner can do about a cause. That of ErrPermission is the kernel's:
// it depends on the device.
func cure(cause error, bus string) string {
	switch {
	case errors.Is(cause, ErrAbsent):
		return "enable it, on a Raspberry Pi: sudo raspi-config nonint do_i2c 0; ls /dev/i2c-* lists the buses"
	case errors.Is(cause, ErrNotBus):
		return "name a bus such as /dev/i2c-1 that does plain I2C transfers; i2cdetect -l lists them"
	case errors.Is(cause, ErrSilent):
		return "check its supply, SDA, SCL and the address pins; i2cdetect -y -r " + number(bus) + " lists who answers"
	case errors.Is(cause, ErrStuck):
		return "a device holds SDA or SCL low, or pull-ups are missing: cut the sensors' power for a second"
	case errors.Is(cause, ErrTaken):
		return "take its overlay out of the boot configuration; ls -l /sys/bus/i2c/devices/*/driver shows which it is"
	case errors.Is(cause, ErrWrongChip):
		return "correct driver or address in the robot's file"
	case errors.Is(cause, ErrReset):
		return "it is set up again by itself; when this repeats, its supply is too weak"
	case errors.Is(cause, ErrGone):
		return "plug it in again: it is opened again by itself"
	}
	return ""
}

// number is the bus's number in its device's name, for i2c-tools.
func number(bus string) string {
	i := len(bus)
	for i > 0 && bus[i-1] >= '0' && bus[i-1] <= '9' {
		i--
	}
	return bus[i:]
}
