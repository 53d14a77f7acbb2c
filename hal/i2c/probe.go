//go:build linux

package i2c

import "fmt"

// Probe asks whether a device answers at an address, by reading one byte: nothing is
// written, so that no register, output line or memory cell changes, whatever the
// device is. An address that a kernel driver has is not asked. The answer is nil, or
// an *Error that wraps ErrAbsent, ErrPermission, ErrNotBus, ErrTaken, ErrSilent,
// ErrStuck or ErrTransfer.
func Probe(device string, address uint16) error { return probe(system(), device, address) }

func probe(k *kernel, device string, address uint16) error {
	bus, err := open(k, device)
	if err != nil {
		return err
	}
	defer bus.Close()
	err = bus.Claim(address)
	if err == nil {
		var in [1]byte
		err = bus.Tx(address, nil, in[:])
	}
	if err != nil {
		return &Error{Verb: "probe", Where: fmt.Sprintf("%s address 0x%02x", device, address), Cause: err, Hint: cure(err, device)}
	}
	return nil
}
