package doctor

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dancer/runtime/config"
)

// lookCAN: the interface is there, a CAN interface, up, and open to the service. A robot
// starts without it.
func (m *Machine) lookCAN(b *config.CANBus) ([]Finding, error) {
	const id = "can-interface"
	f := Finding{ID: id, Severity: Warning, Subject: b.Name + " " + b.Interface, Why: "its signals are invalid, and rules that read them stop the robot"}
	folder := "sys/class/net/" + b.Interface
	if _, err := fs.Stat(m.Root, folder); absent(err) {
		f.Found, f.Cure = "is not there", "ip -details link show type can   # plug its adapter in, or correct can."+b.Name+".interface"
		return one(f)
	}
	kind, err := m.read(folder + "/type")
	if err != nil {
		return nil, err
	}
	flags, err := m.read(folder + "/flags")
	if err != nil {
		return nil, err
	}
	up, err := strconv.ParseUint(strings.TrimSpace(flags), 0, 32)
	if err != nil {
		return nil, fmt.Errorf("flags of %s: %w", b.Interface, err)
	}
	families, restricted := m.unit().keys["RestrictAddressFamilies"]
	switch {
	case strings.TrimSpace(kind) != strconv.Itoa(unix.ARPHRD_CAN):
		f.Found, f.Cure = "is no CAN interface", "ip -details link show type can   # name one of them"
	case up&unix.IFF_UP == 0:
		f.Found, f.Cure = "is down", "sudo ip link set "+quote(b.Interface)+" up type can bitrate 500000   # with the bus's own bit rate"
	case restricted && !strings.Contains(families, "AF_CAN"):
		f.Found, f.Cure = "is up, and dancer@.service may not open it (RestrictAddressFamilies)", "sudo packaging/install"
	default:
		f = ok(id, "is up")
		f.Subject = b.Name + " " + b.Interface
	}
	return one(f)
}
