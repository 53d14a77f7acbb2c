package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"dancer/hal/i2c"
	"dancer/runtime/config"
)

// looseReadings is why a missing sensor matters: the robot starts without it.
const looseReadings = "its signals stay invalid: reflexes that read them fire, and indices that do are 0"

// busChecks are those of the robot's I2C buses and of the devices on them.
func (m *Machine) busChecks(r *Robot) []check {
	var checks []check
	for i := range r.Buses {
		b := &r.Buses[i]
		checks = append(checks, check{id: "i2c-bus", look: func(context.Context) ([]Finding, error) { return m.lookBus(b) }})
		for k := range b.Devices {
			d := &b.Devices[k]
			checks = append(checks, check{id: "i2c-device", look: func(context.Context) ([]Finding, error) { return m.lookChip(b, d) }})
		}
	}
	return checks
}

// lookBus: the bus is there, and the user's.
func (m *Machine) lookBus(b *config.Bus) ([]Finding, error) {
	const id = "i2c-bus"
	f := Finding{ID: id, Severity: Fault, Subject: b.Device, Why: looseReadings}
	info, err := fs.Stat(m.Root, rooted(m.resolve(b.Device)))
	unit := m.unit()
	switch {
	case absent(err):
		f.Found, f.Cure = "is not there", m.busCure(b.Device)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeCharDevice == 0:
		f.Found, f.Cure = "is not an I2C bus", "ls /dev/i2c-*   # and correct bus in the robot's file"
	case !m.who.may(info, 6):
		f.Found = fmt.Sprintf("user %s may not use it (%s)", m.who.name, m.describe(info))
		f.Cure = m.busGroupCure(b.Device, info)
	case unit.installed && (unit.keys["DevicePolicy"] == "closed" || unit.keys["DevicePolicy"] == "strict") && !strings.Contains(unit.keys["DeviceAllow"], "char-i2c"):
		f.Found, f.Cure = "is closed to dancer@.service (DeviceAllow lacks char-i2c)", "sudo packaging/install"
	default:
		f = ok(id, "is there, and user %s may use it", m.who.name)
		f.Subject = b.Device
	}
	return one(f)
}

// busCure says how a bus comes to be: the adapter may be there without its device
// file, which the module i2c-dev makes.
func (m *Machine) busCure(device string) string {
	switch {
	case m.exists("sys/class/i2c-adapter/" + path.Base(device)):
		return "sudo modprobe i2c-dev && echo i2c-dev | sudo tee /etc/modules-load.d/i2c-dev.conf"
	case strings.HasPrefix(m.board, "raspberry-pi"):
		return "sudo raspi-config nonint do_i2c 0   # that is /dev/i2c-1; others need their dtoverlay"
	}
	return "ls /dev/i2c-*   # plug the adapter in, enable the bus in the device tree, or correct bus in the robot's file"
}

func (m *Machine) busGroupCure(device string, info fs.FileInfo) string {
	if _, gid := owner(info); gid != 0 && info.Mode().Perm()&0o060 == 0o060 {
		return m.groupCure(device, info)
	}
	return "sudo install -m 0644 packaging/60-dancer.rules /etc/udev/rules.d/ && sudo systemd-sysusers packaging/dancer.sysusers && " +
		"sudo usermod -aG i2c " + quote(m.who.name) + " && sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=i2c-dev"
}

// lookChip asks whether somebody answers at a device's address, by reading one byte
// and never by writing one. What is wrong with the bus itself is said there.
func (m *Machine) lookChip(b *config.Bus, d *i2c.Device) ([]Finding, error) {
	const id = "i2c-device"
	if info, err := fs.Stat(m.Root, rooted(m.resolve(b.Device))); err != nil || info.Mode()&fs.ModeCharDevice == 0 {
		return nil, nil
	}
	f := Finding{ID: id, Severity: Fault, Subject: d.Name + " " + b.Device, Why: looseReadings}
	err := m.System.Probe(b.Device, d.Address)
	switch {
	case err == nil:
		f = ok(id, "somebody answers at 0x%02x, where the %s should be", d.Address, d.Driver)
		f.Subject = d.Name + " " + b.Device
	case errors.Is(err, i2c.ErrTaken):
		f.Found = fmt.Sprintf("the kernel's driver %s has address 0x%02x", m.chipDriver(b.Device, d.Address), d.Address)
		f.Cure = "grep -r -E 'dtoverlay|i2c' /boot/firmware/config.txt   # take its overlay out"
	case errors.Is(err, i2c.ErrSilent):
		f.Found = fmt.Sprintf("no %s answers at address 0x%02x", d.Driver, d.Address)
		f.Cure = "i2cdetect -y -r " + busNumber(b.Device) + "   # who answers? Then supply, SDA, SCL and the address pins"
	case errors.Is(err, i2c.ErrStuck):
		f.Found = "the bus is stuck: a device holds SDA or SCL low, or pull-ups are missing"
		f.Cure = "i2cdetect -y -r " + busNumber(b.Device) + "   # after the sensors were without power for a second"
	case errors.Is(err, i2c.ErrPermission):
		if m.System.UID != 0 {
			return nil, fmt.Errorf("%w: %w", fs.ErrPermission, err)
		}
		return nil, err
	default:
		return nil, err
	}
	return one(f)
}

// chipDriver names the kernel's driver at an address, from sysfs.
func (m *Machine) chipDriver(bus string, address uint16) string {
	link, err := fs.ReadLink(m.Root, fmt.Sprintf("sys/bus/i2c/devices/%s-%04x/driver", busNumber(bus), address))
	if err != nil {
		return "(unnamed)"
	}
	return path.Base(link)
}

func busNumber(device string) string {
	return strings.TrimPrefix(path.Base(device), "i2c-")
}
