package doctor

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"dancer/runtime/config"
)

// pwmOutput is an output that a hardware PWM drives.
type pwmOutput struct {
	name  string
	drive config.Drive
}

func pwmOutputs(r *config.Robot) []pwmOutput {
	var all []pwmOutput
	for i, d := range r.Drives {
		if d.HasPin && d.PWM > 0 && d.PWMChip.Device != "" {
			all = append(all, pwmOutput{r.Manual.Outputs[i].Name, d})
		}
	}
	return all
}

// lookPWM: the controller is there, and the user and the service may write to it.
func (m *Machine) lookPWM(p pwmOutput) ([]Finding, error) {
	device := p.drive.PWMChip.Device
	f := Finding{ID: "pwm", Severity: Fault, Subject: "output " + p.name + " " + device, Why: "the robot does not start"}
	chips := m.glob("sys/bus/platform/devices/" + device + "/pwm/pwmchip*")
	if len(chips) == 0 {
		f.Found, f.Cure = "is not there", "dancer board   # "+p.drive.Pin.PWM.Setup
		return one(f)
	}
	file := path.Join(chips[0], "export")
	info, err := fs.Stat(m.Root, file)
	if err != nil {
		return nil, err
	}
	u := m.unit()
	switch {
	case !m.who.may(info, 2):
		f.Found = fmt.Sprintf("user %s may not write to /%s (%s)", m.who.name, file, m.describe(info))
		f.Cure = "id " + quote(m.who.name) + "   # docs/boards.md has the rule for udev that gives PWM files to a group"
	case u.installed && is(u.keys["ProtectKernelTunables"], "yes") && !strings.Contains(u.keys["ReadWritePaths"], "/sys"):
		f.Severity = Warning
		f.Found, f.Why = "is read-only for dancer@.service (ProtectKernelTunables)", "the robot does not start as a service"
		f.Cure = "sudo systemctl edit dancer@.service   # [Service] ReadWritePaths=/sys/devices"
	default:
		f = ok("pwm", "is there, and user %s may use it", m.who.name)
		f.Subject = "output " + p.name + " " + device
	}
	return one(f)
}
