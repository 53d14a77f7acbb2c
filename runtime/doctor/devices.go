package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"dancer/runtime/config"
)

// serialPorts gives the ports that robots use, each once, by what the names
// resolve to.
func (m *Machine) serialPorts() []string {
	var ports []string
	for _, name := range config.Devices(m.Root) {
		if port := m.resolve(name); !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports
}

// lookSerial: whose the serial ports are. A console's belongs to the login, which
// takes it back at every start: serial-console says what to do about that.
func (m *Machine) lookSerial(context.Context) ([]Finding, error) {
	consoles, err := m.consoles()
	if err != nil {
		consoles = nil // serial-console says so
	}
	ports := slices.DeleteFunc(m.serialPorts(), func(port string) bool { return slices.Contains(consoles, port) })
	return m.lookPermissions("serial-permission", "no serial port that robots use", "a robot cannot open its port", ports)
}

// lookChips: whose the GPIO chips are. Links are other names of the same chip.
func (m *Machine) lookChips(context.Context) ([]Finding, error) {
	var chips []string
	for _, name := range m.glob("dev/gpiochip[0-9]*") {
		if _, err := fs.ReadLink(m.Root, name); err != nil {
			chips = append(chips, "/"+name)
		}
	}
	if len(chips) == 0 && m.board != "linux" {
		return one(Finding{ID: "gpio-permission", Severity: Warning, Found: "no GPIO chip on a " + m.board,
			Why: "no pin of the header can be used", Cure: "sudo dmesg | grep -i -E 'gpio|pinctrl'"})
	}
	return m.lookPermissions("gpio-permission", "no GPIO chip", "a robot cannot request its pins", chips)
}

// lookPermissions gives one finding for all devices that the user may have, and
// one for each that it may not.
func (m *Machine) lookPermissions(id, none, why string, devices []string) ([]Finding, error) {
	var findings []Finding
	var fine []string
	for _, device := range devices {
		info, err := fs.Stat(m.Root, rooted(device))
		if absent(err) {
			continue // unplugged meanwhile
		}
		if err != nil {
			return findings, err
		}
		if m.who.may(info, 6) {
			fine = append(fine, device)
			continue
		}
		findings = append(findings, Finding{ID: id, Severity: Warning, Subject: device, Found: fmt.Sprintf("user %s may not use it (%s)", m.who.name, m.describe(info)),
			Why: why, Cure: m.groupCure(device, info)})
	}
	switch {
	case len(fine) > 0:
		findings = append(findings, ok(id, "user %s may use %s", m.who.name, strings.Join(fine, ", ")))
	case len(findings) == 0:
		findings = append(findings, ok(id, "%s", none))
	}
	return findings, nil
}

// consoles lists the ports that the kernel writes its messages to, or on which
// a login waits: /proc/consoles (proc(5)) and console= of the command line,
// whose serial0 and serial1 are links of Raspberry Pi OS.
func (m *Machine) consoles() ([]string, error) {
	text, err := m.read("proc/consoles")
	if err != nil && !absent(err) {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) > 0 {
			names = append(names, fields[0])
		}
	}
	command, err := m.read("proc/cmdline")
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(command) {
		if value, found := strings.CutPrefix(word, "console="); found {
			name, _, _ := strings.Cut(value, ",")
			names = append(names, name)
		}
	}
	var ports []string
	for _, name := range names {
		port := m.resolve("/dev/" + name)
		serial := strings.HasPrefix(path.Base(port), "tty") && len(strings.TrimLeft(path.Base(port)[3:], "0123456789")) > 0
		if serial && !slices.Contains(ports, port) {
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// lookConsole: a console on a UART talks into whatever is wired there.
func (m *Machine) lookConsole(context.Context) ([]Finding, error) {
	const id = "serial-console"
	ports, err := m.consoles()
	if err != nil {
		return nil, err
	}
	if len(ports) == 0 {
		return one(ok(id, "no console on a serial port"))
	}
	var findings []Finding
	for _, port := range ports {
		findings = append(findings, Finding{ID: id, Severity: Note, Subject: port, Found: "the kernel's console",
			Why: "a device wired there would get kernel messages and a login instead of commands", Cure: m.consoleCure(port)})
	}
	return findings, nil
}

func (m *Machine) consoleCure(port string) string {
	name := path.Base(port)
	switch {
	case strings.HasPrefix(m.board, "raspberry-pi"):
		return "sudo raspi-config nonint do_serial_hw 0 && sudo raspi-config nonint do_serial_cons 1 && sudo reboot"
	case strings.HasPrefix(m.board, "jetson"):
		return "sudo systemctl disable --now serial-getty@" + name + " nvgetty; sudo sed -i 's/console=" + name + "[^ ]* \\?//' /boot/extlinux/extlinux.conf && sudo reboot"
	}
	return "sudo systemctl disable --now serial-getty@" + quote(name) + "   # and take console=" + quote(name) + " from the kernel's command line"
}

// grabber is a program that opens serial ports which are not its own.
type grabber struct{ name, comm, why, cure string }

var grabbers = []grabber{
	{"ModemManager", "ModemManager", "it sends modem commands to every new USB serial port, which a motor controller may take for its own", "sudo systemctl disable --now ModemManager"},
	{"brltty", "brltty", "it takes USB serial adapters (CH340, CP210x) for braille displays, and the port vanishes", "sudo systemctl mask --now brltty brltty-udev && sudo apt-get remove brltty"},
	{"gpsd", "gpsd", "it opens USB serial ports that look like GPS receivers and changes their speed", "sudo systemctl disable --now gpsd gpsd.socket"},
}

// lookGrabbers: programs that run, and brltty's udev rule, which starts it when
// an adapter is plugged in.
func (m *Machine) lookGrabbers(context.Context) ([]Finding, error) {
	const id = "serial-grabber"
	running := map[string]bool{}
	for _, file := range m.glob("proc/[0-9]*/comm") {
		if comm, err := m.read(file); err == nil { // a process may end meanwhile
			running[comm] = true
		}
	}
	severity := Note
	if len(m.glob("dev/ttyUSB*"))+len(m.glob("dev/ttyACM*")) > 0 {
		severity = Warning
	}
	var findings []Finding
	for _, g := range grabbers {
		found := "is running"
		switch {
		case running[g.comm]:
		case g.name == "brltty" && len(m.glob("usr/lib/udev/rules.d/*brltty*.rules"))+len(m.glob("lib/udev/rules.d/*brltty*.rules")) > 0:
			found = "its udev rule is installed"
		default:
			continue
		}
		findings = append(findings, Finding{ID: id, Severity: severity, Subject: g.name, Found: found, Why: g.why, Cure: g.cure})
	}
	if len(findings) == 0 {
		return one(ok(id, "no ModemManager, brltty or gpsd"))
	}
	return findings, nil
}

// slowTimer is the longest timer of an FTDI chip, in milliseconds, that costs a
// reflex nothing worth a word.
const slowTimer = 2

// lookLatency: an FTDI chip keeps what it received for up to latency_timer
// milliseconds, 16 by default (drivers/usb/serial/ftdi_sio.c).
func (m *Machine) lookLatency(context.Context) ([]Finding, error) {
	const id = "usb-serial-latency"
	var findings []Finding
	for _, file := range m.glob("sys/bus/usb-serial/devices/*/latency_timer") {
		ms, err := m.number(file)
		if err != nil {
			return findings, err
		}
		if ms > slowTimer {
			name := path.Base(path.Dir(file))
			findings = append(findings, Finding{ID: id, Severity: Warning, Subject: "/dev/" + name, Found: strconv.FormatInt(ms, 10) + " ms",
				Why: "the adapter keeps each reading for so long before a reflex sees it",
				Cure: `echo 'ACTION=="add", SUBSYSTEM=="usb-serial", DRIVER=="ftdi_sio", ATTR{latency_timer}="1"' | sudo tee /etc/udev/rules.d/61-dancer-latency.rules && ` +
					"echo 1 | sudo tee /sys/bus/usb-serial/devices/" + quote(name) + "/latency_timer"})
		}
	}
	if len(findings) == 0 {
		return one(ok(id, "no adapter keeps readings back"))
	}
	return findings, nil
}

// holder is a process that has a device open.
type holder struct {
	pid  int
	name string
}

// holders finds who has a device open. hidden says that processes of other
// users could not be looked at.
func (m *Machine) holders(device string) (found []holder, hidden bool) {
	for _, folder := range m.glob("proc/[0-9]*") {
		entries, err := fs.ReadDir(m.Root, folder+"/fd")
		if err != nil {
			hidden = hidden || !absent(err)
			continue
		}
		for _, e := range entries {
			target, err := fs.ReadLink(m.Root, folder+"/fd/"+e.Name())
			if err != nil || target != device {
				continue
			}
			pid, _ := strconv.Atoi(path.Base(folder)) // it matched digits
			name, _ := m.read(folder + "/comm")
			found = append(found, holder{pid, name})
			break
		}
	}
	return found, hidden
}
