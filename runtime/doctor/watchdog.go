package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"dancer/runtime/config"
)

const (
	watchdogID     = "hardware-watchdog"
	watchdogDropIn = "/etc/systemd/system.conf.d/dancer-watchdog.conf"
)

// lookWatchdog: Documentation/watchdog/sysfs. Whoever opens the device makes it
// active: systemd where RuntimeWatchdogSec is set, else a robot whose file names it.
func (m *Machine) lookWatchdog(context.Context) ([]Finding, error) {
	f := Finding{ID: watchdogID, Cure: "write watchdog: {device: /dev/watchdog0} into robot.yaml   # or, for several robots on a board: sudo packaging/install --hardware-watchdog && sudo systemctl daemon-reexec",
		Why: "when the kernel hangs, outputs keep their last level until somebody pulls the plug"}
	folders := m.glob("sys/class/watchdog/watchdog[0-9]*")
	holder, manages := "a robot, or another program", m.managerHolds()
	if manages {
		holder = "systemd (RuntimeWatchdogSec)"
	}
	for _, folder := range folders {
		if state, err := m.read(folder + "/state"); err == nil && state == "active" {
			name, _ := m.read(folder + "/identity")
			timeout, _ := m.read(folder + "/timeout")
			return append([]Finding{ok(watchdogID, "%s is active, timeout %s s, fed by %s", name, timeout, holder)}, m.watchdogFacts(folder)...), nil
		}
	}
	told := len(m.glob("sys/class/watchdog/watchdog[0-9]*/state")) > 0
	switch {
	case len(folders) == 0 && !m.exists("dev/watchdog"):
		f.Severity, f.Found = Note, "this machine has none"
		f.Cure = "sudo modprobe softdog   # only a substitute: it hangs with the kernel. Better a board with a watchdog"
	case manages && !told:
		return one(ok(watchdogID, "RuntimeWatchdogSec is set; its state is not told by this kernel"))
	case manages:
		f.Severity, f.Found = Warning, "RuntimeWatchdogSec is set and nobody feeds it"
		f.Cure = "sudo systemctl daemon-reexec   # then: wdctl"
	default:
		f.Severity, f.Found = Warning, "there is one and nobody feeds it"
	}
	all := []Finding{f}
	if len(folders) > 0 {
		all = append(all, m.watchdogFacts(folders[0])...)
	}
	return all, nil
}

// watchdogFacts tells what an owner of this device should know.
func (m *Machine) watchdogFacts(folder string) []Finding {
	var all []Finding
	if text, err := m.read(folder + "/bootstatus"); err == nil {
		if status, err := strconv.ParseUint(text, 0, 32); err == nil && status&unix.WDIOF_CARDRESET != 0 {
			all = append(all, Finding{ID: watchdogID, Severity: Warning, Subject: path.Base(folder), Found: "reset this machine before this boot",
				Why: "the kernel, systemd or the robot had stopped feeding it", Cure: "journalctl -b -1 -n 200   # the last words before the reset"})
		}
	}
	if text, err := m.read(folder + "/nowayout"); err == nil && text == "1" {
		all = append(all, Finding{ID: watchdogID, Severity: Note, Subject: path.Base(folder), Found: "cannot be turned off once it is armed (nowayout)",
			Why: "stopping the robot resets the machine after the time-out", Cure: "the driver's parameter nowayout=0, where that is not wanted"})
	}
	return all
}

// managerHolds says whether systemd is set up to open the watchdog.
func (m *Machine) managerHolds() bool {
	set := false
	for _, file := range append([]string{"etc/systemd/system.conf"}, m.glob("etc/systemd/system.conf.d/*.conf")...) {
		text, err := m.read(file)
		if err != nil {
			continue
		}
		for line := range strings.Lines(text) {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), "RuntimeWatchdogSec="); found {
				set = value != "0" && value != "off" && value != ""
			}
		}
	}
	return set
}

// lookRobotWatchdog: the robot's own file names the device. One device has one
// owner, and without it the robot does not start.
func (m *Machine) lookRobotWatchdog(w config.Watchdog) ([]Finding, error) {
	f := Finding{ID: "robot-watchdog", Severity: Fault, Subject: w.Device, Why: "the robot does not start"}
	info, err := fs.Stat(m.Root, rooted(m.resolve(w.Device)))
	u := m.unit()
	switch {
	case absent(err):
		f.Found, f.Cure = "is not there", "ls -l /dev/watchdog*   # load its driver (sudo modprobe softdog: only a substitute), or correct watchdog.device"
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeCharDevice == 0:
		f.Found, f.Cure = "is not a device", "ls -l /dev/watchdog*   # correct watchdog.device"
	case m.managerHolds():
		f.Found = "is held by systemd (RuntimeWatchdogSec) as well as named by this robot"
		f.Cure = "sudo rm " + watchdogDropIn + " && sudo systemctl daemon-reexec   # or take watchdog out of robot.yaml"
	case u.installed && (u.keys["DevicePolicy"] == "closed" || u.keys["DevicePolicy"] == "strict") && !strings.Contains(u.keys["DeviceAllow"], "char-watchdog"):
		f.Found, f.Cure = "is closed to dancer@.service (DeviceAllow lacks char-watchdog)", "sudo packaging/install"
	case !m.who.may(info, 2):
		f.Found = fmt.Sprintf("user %s may not use it (%s)", m.who.name, m.describe(info))
		f.Cure = "sudo packaging/install   # gives it to the group dancer-watchdog; by hand: sudo usermod -aG dancer-watchdog " + quote(m.who.name)
	default:
		f = ok("robot-watchdog", "is this robot's, timeout %s", w.Timeout)
		f.Subject = w.Device
	}
	return one(f)
}
