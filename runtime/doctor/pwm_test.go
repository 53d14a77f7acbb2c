package doctor

import (
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"dancer/boards"
	"dancer/hal"
	"dancer/runtime/config"
)

// TestPWM looks at one PWM output of a robot on a Raspberry Pi.
func TestPWM(t *testing.T) {
	const export = "sys/bus/platform/devices/fe20c000.pwm/pwm/pwmchip4/export"
	file := func(gid uint32) *fstest.MapFile { return &fstest.MapFile{Mode: 0o220, Sys: &syscall.Stat_t{Gid: gid}} }
	unit := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte("[Service]\n" + text)} }
	for _, c := range []struct {
		name  string
		add   fstest.MapFS
		want  Severity
		found string
		cure  string
	}{
		{"no overlay", nil, Fault, "is not there", "dtoverlay=pwm,pin=18,func=2"},
		{"group of the user", fstest.MapFS{export: file(20)}, OK, "user pi may use it", ""},
		{"of root", fstest.MapFS{export: file(0)}, Fault, "user pi may not write to /" + export, "docs/boards.md"},
		{"closed to the unit", fstest.MapFS{export: file(20), serviceUnit: unit("ProtectKernelTunables=yes\n")}, Warning, "read-only for dancer@.service", "ReadWritePaths=/sys/devices"},
		{"opened to the unit", fstest.MapFS{export: file(20), serviceUnit: unit("ProtectKernelTunables=yes\nReadWritePaths=/var/lib/x\n"), serviceUnit + ".d/pwm.conf": unit("ReadWritePaths=/sys/devices\n")}, OK, "user pi may use it", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := machines(t)["raspberry-pi-4"]
			root := m.Root.(fstest.MapFS)
			delete(root, serviceUnit)
			for name, f := range c.add {
				root[name] = f
			}
			findings := examine(t, m, pwmRobot(t)).Findings
			var found []Finding
			for _, f := range findings {
				if f.ID == "pwm" {
					found = append(found, f)
				}
				if f.ID == "pin" {
					t.Errorf("the pin of a PWM is looked at as a line: %+v", f)
				}
			}
			if len(found) != 1 || found[0].Severity != c.want || !strings.Contains(found[0].Found, c.found) || !strings.Contains(found[0].Cure, c.cure) ||
				found[0].Subject != "output drive fe20c000.pwm" {
				t.Errorf("found %+v", found)
			}
		})
	}
}

func pwmRobot(t *testing.T) *Robot {
	t.Helper()
	r := robotOf(t, machines(t)["raspberry-pi-4"].Root, stable)
	p, err := boards.Get("raspberry-pi-4")
	if err != nil {
		t.Fatal(err)
	}
	line, err := p.Line("GPIO18")
	if err != nil {
		t.Fatal(err)
	}
	chip, _ := p.PWMChip(line)
	r.Inputs = nil
	r.Manual.Outputs = []hal.Output{{Name: "drive", Maximum: 1}}
	r.Drives = []config.Drive{{HasPin: true, Pin: line, PWM: 1000, PWMChip: chip}}
	return r
}
