package doctor

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"dancer/hal/i2c"
	"dancer/runtime/config"
)

// TestBus: exactly what an owner reads about a bus and the devices on it.
func TestBus(t *testing.T) {
	silent := &i2c.Error{Verb: "probe", Where: "/dev/i2c-1 address 0x40", Cause: i2c.ErrSilent}
	answer := func(err error) func(string, uint16) error {
		return func(bus string, address uint16) error {
			if bus != "/dev/i2c-1" || address != 0x40 {
				return fmt.Errorf("asked %s for 0x%02x", bus, address)
			}
			return err
		}
	}
	put := func(words string) func(*testing.T, *Machine) {
		return func(t *testing.T, m *Machine) {
			name, f := entry(t, strings.Fields(words))
			m.Root.(fstest.MapFS)[name] = f
		}
	}
	there := put("dev/i2c-1 c root:986 0660")
	all := func(changes ...func(*testing.T, *Machine)) func(*testing.T, *Machine) {
		return func(t *testing.T, m *Machine) {
			for _, c := range changes {
				c(t, m)
			}
		}
	}
	probe := func(err error) func(*testing.T, *Machine) {
		return func(_ *testing.T, m *Machine) { m.System.Probe = answer(err) }
	}
	for _, c := range []struct {
		name   string
		change func(*testing.T, *Machine)
		want   []string // severity, id, subject: found; cure
	}{
		{"all well", all(there, probe(nil)), []string{
			"ok i2c-bus /dev/i2c-1: is there, and user pi may use it; ",
			"ok i2c-device battery /dev/i2c-1: somebody answers at 0x40, where the ina219 should be; ",
		}},
		{"bus missing", probe(fmt.Errorf("asked without a bus")), []string{
			"fault i2c-bus /dev/i2c-1: is not there; sudo raspi-config nonint do_i2c 0   # that is /dev/i2c-1; others need their dtoverlay",
		}},
		{"bus without its device file", all(put("sys/class/i2c-adapter/i2c-1/name"), probe(nil)), []string{
			"fault i2c-bus /dev/i2c-1: is not there; sudo modprobe i2c-dev && echo i2c-dev | sudo tee /etc/modules-load.d/i2c-dev.conf",
		}},
		{"a file", all(put("dev/i2c-1 f root:root 0666"), probe(nil)), []string{
			"fault i2c-bus /dev/i2c-1: is not an I2C bus; ls /dev/i2c-*   # and correct bus in the robot's file",
		}},
		{"no permission", all(put("dev/i2c-1 c root:root 0600"), probe(&i2c.Error{Verb: "probe", Where: "/dev/i2c-1 address 0x40", Cause: i2c.ErrPermission})), []string{
			"fault i2c-bus /dev/i2c-1: user pi may not use it (root:root 0600); sudo install -m 0644 packaging/60-dancer.rules /etc/udev/rules.d/ && sudo systemd-sysusers packaging/dancer.sysusers && sudo usermod -aG i2c pi && sudo udevadm control --reload && sudo udevadm trigger --subsystem-match=i2c-dev",
			"note i2c-device : could not look: permission denied: probe /dev/i2c-1 address 0x40: permission denied; sudo dancer doctor",
		}},
		{"address silent", all(there, probe(silent)), []string{
			"ok i2c-bus /dev/i2c-1: is there, and user pi may use it; ",
			"fault i2c-device battery /dev/i2c-1: no ina219 answers at address 0x40; i2cdetect -y -r 1   # who answers? Then supply, SDA, SCL and the address pins",
		}},
		{"stuck", all(there, probe(&i2c.Error{Cause: i2c.ErrStuck})), []string{
			"ok i2c-bus /dev/i2c-1: is there, and user pi may use it; ",
			"fault i2c-device battery /dev/i2c-1: the bus is stuck: a device holds SDA or SCL low, or pull-ups are missing; i2cdetect -y -r 1   # after the sensors were without power for a second",
		}},
		{"kernel driver", all(there, probe(&i2c.Error{Cause: i2c.ErrTaken}), put("sys/bus/i2c/devices/1-0040/driver -> ../../../drivers/ina2xx")), []string{
			"ok i2c-bus /dev/i2c-1: is there, and user pi may use it; ",
			"fault i2c-device battery /dev/i2c-1: the kernel's driver ina2xx has address 0x40; grep -r -E 'dtoverlay|i2c' /boot/firmware/config.txt   # take its overlay out",
		}},
		{"otherwise", all(there, probe(&i2c.Error{Verb: "probe", Where: "/dev/i2c-1 address 0x40", Cause: i2c.ErrTransfer})), []string{
			"ok i2c-bus /dev/i2c-1: is there, and user pi may use it; ",
			"warning i2c-device : could not look: probe /dev/i2c-1 address 0x40: transfer failed; ",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machines(t)["raspberry-pi-4"]
			r := robotOf(t, m.Root, stable)
			r.Buses = []config.Bus{{Device: "/dev/i2c-1", Devices: []i2c.Device{{Name: "battery", Driver: "ina219", Address: 0x40}}}}
			c.change(t, &m)
			report := examine(t, m, r)
			complete(t, report)
			var got []string
			for _, f := range append(ofID(report, "i2c-bus"), ofID(report, "i2c-device")...) {
				got = append(got, fmt.Sprintf("%s %s %s: %s; %s", f.Severity, f.ID, f.Subject, f.Found, f.Cure))
			}
			if strings.Join(got, "\n") != strings.Join(c.want, "\n") {
				t.Errorf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}
