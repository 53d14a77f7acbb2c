//go:build linux

package gpio

import "github.com/warthog618/go-gpiocdev/uapi"

// Found is a line as the kernel lists it.
type Found struct {
	Chip     string // device of the chip, such as /dev/gpiochip0
	Offset   int
	Used     bool
	Consumer string // who has it; "" when nobody, or when the kernel does not say
}

// Look finds a line and says who has it, without requesting it. Errors are those
// of Input.Reopen.
func Look(line Line) (Found, error) { return look(system(), line) }

func look(k *kernel, line Line) (Found, error) {
	at, err := k.find(line)
	if err != nil {
		return Found{}, err
	}
	defer k.close(at.fd)
	info, err := k.info(at.fd, at.offset)
	if err != nil {
		return Found{}, k.requestError(line, at, err)
	}
	return Found{at.path, at.offset, info.Flags.IsUsed(), uapi.BytesToString(info.Consumer[:])}, nil
}
