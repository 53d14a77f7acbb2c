package doctor

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"dancer/runtime/spine"
)

// lookWireless: power save lets the access point keep packets for up to three
// beacons.
func (m *Machine) lookWireless(context.Context) ([]Finding, error) {
	const id = "wifi-power-save"
	var findings []Finding
	var failed []error
	for _, folder := range m.glob("sys/class/net/*/wireless") {
		name := path.Base(path.Dir(folder))
		on, err := m.System.PowerSave(name)
		switch {
		case err != nil:
			failed = append(failed, fmt.Errorf("%s: %w: see: iw dev %s get power_save", name, err, quote(name)))
		case on:
			findings = append(findings, Finding{ID: id, Severity: Warning, Subject: name, Found: "on",
				Why:  "messages of the conductor and of other robots come 50 to 300 ms late",
				Cure: "sudo packaging/install --wifi-power-save-off   # until the next boot: sudo iw dev " + quote(name) + " set power_save off"})
		default:
			f := ok(id, "off")
			f.Subject = name
			findings = append(findings, f)
		}
	}
	if len(findings) == 0 && len(failed) == 0 {
		return one(ok(id, "no wireless interface"))
	}
	return findings, errors.Join(failed...)
}

// unit is what dancer@.service grants.
type unit struct {
	installed bool
	realTime  bool
	lock      bool
	keys      map[string]string
}

// unit reads dancer@.service and its drop-ins. A later setting replaces an
// earlier one, but for lists, which grow.
func (m *Machine) unit() unit {
	u := unit{keys: map[string]string{}}
	text, err := m.read(serviceUnit)
	if err != nil {
		return u
	}
	u.installed = true
	for _, file := range m.glob(serviceUnit + ".d/*.conf") {
		more, _ := m.read(file)
		text += "\n" + more
	}
	for line := range strings.Lines(text) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if !found || strings.HasPrefix(key, "#") {
			continue
		}
		if value != "" && (key == "AmbientCapabilities" || key == "DeviceAllow" || key == "ReadWritePaths") {
			value = u.keys[key] + " " + value
		}
		u.keys[key] = value
	}
	capabilities := strings.ToUpper(u.keys["AmbientCapabilities"])
	limit, _ := strconv.Atoi(u.keys["LimitRTPRIO"]) // "infinity" is 0 here and handled below
	u.realTime = strings.Contains(capabilities, "CAP_SYS_NICE") || limit >= spine.Priority || u.keys["LimitRTPRIO"] == "infinity"
	u.lock = strings.Contains(capabilities, "CAP_IPC_LOCK") || u.keys["LimitMEMLOCK"] == "infinity"
	if is(u.keys["RestrictRealtime"], "yes") {
		u.realTime = false
	}
	return u
}

// is compares a boolean of a unit file.
func is(value, want string) bool {
	switch strings.ToLower(value) {
	case "1", "yes", "true", "on":
		return want == "yes"
	case "0", "no", "false", "off":
		return want == "no"
	}
	return false
}

// lookUnit: what packaging/dancer@.service sets up is still so.
func (m *Machine) lookUnit(context.Context) ([]Finding, error) {
	const id = "service-unit"
	u := m.unit()
	if !u.installed {
		return one(Finding{ID: id, Severity: Note, Found: "dancer@.service is not installed",
			Why: "a robot run by hand does not come back after a power cut, and nothing restarts its spine", Cure: "sudo packaging/install"})
	}
	const cure = "sudo packaging/install   # then: systemctl cat dancer@ shows what drop-ins still change"
	var findings []Finding
	say := func(severity Severity, found, why string) {
		findings = append(findings, Finding{ID: id, Severity: severity, Subject: "dancer@.service", Found: found, Why: why, Cure: cure})
	}
	if !u.realTime {
		say(Warning, "grants no real-time priority (AmbientCapabilities=CAP_SYS_NICE or LimitRTPRIO=50)", lateReflex)
	}
	if !u.lock {
		say(Warning, "grants no locked memory (AmbientCapabilities=CAP_IPC_LOCK)", "a reflex can wait for the disk when memory is short")
	}
	if u.keys["Restart"] != "always" {
		say(Fault, "Restart is not always", "when the spine dies, outputs keep their last level: only its restart drives them safe")
	}
	if watchdog := u.keys["WatchdogSec"]; u.keys["Type"] != "notify" || watchdog == "" || watchdog == "0" || watchdog == "infinity" {
		say(Warning, "does not watch the spine (Type=notify, WatchdogSec=2s)", "a spine that hangs leaves the outputs as they are, and nobody starts another")
	}
	if is(u.keys["PrivateDevices"], "yes") {
		say(Fault, "PrivateDevices hides the serial ports and GPIO chips", "the robot has no devices")
	}
	if u.keys["DevicePolicy"] == "closed" || u.keys["DevicePolicy"] == "strict" {
		for _, class := range []string{"char-tty", "char-gpiochip"} {
			if !strings.Contains(u.keys["DeviceAllow"], class) {
				say(Fault, "DeviceAllow lacks "+class, "the robot may not open these devices")
			}
		}
	}
	if user := u.keys["User"]; user != "" {
		if _, err := m.account(user); err != nil {
			say(Fault, "its user "+user+" does not exist", "systemd will not start the robot")
		}
	}
	if len(findings) == 0 {
		return one(ok(id, "dancer@.service has what packaging/install gives it"))
	}
	return findings, nil
}
