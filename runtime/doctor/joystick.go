package doctor

import (
	"fmt"
	"io/fs"

	"dancer/runtime/config"
)

// lookJoystick: the device is there, is a device, and the user may read it. A robot
// starts without it, and stands still.
func (m *Machine) lookJoystick(j *config.Joystick) ([]Finding, error) {
	const id = "joystick"
	f := Finding{ID: id, Severity: Warning, Subject: j.Name + " " + j.Device, Why: "its signals are invalid, and rules that read them stop the robot"}
	device := m.resolve(j.Device)
	info, err := fs.Stat(m.Root, rooted(device))
	switch {
	case absent(err):
		f.Found, f.Cure = "is not there", "ls -l /dev/input/by-id/   # plug it in, or correct joysticks."+j.Name+".device"
		return one(f)
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeCharDevice == 0:
		f.Found, f.Cure = "is no input device", "ls -l /dev/input/by-id/*-event-joystick   # name one of them"
		return one(f)
	case !m.who.may(info, 4):
		f.Found, f.Cure = fmt.Sprintf("user %s may not read it (%s)", m.who.name, m.describe(info)), m.groupCure(device, info)
		return one(f)
	}
	f = ok(id, "is there, and user %s may read it", m.who.name)
	f.Subject = j.Name + " " + j.Device
	return one(f)
}
