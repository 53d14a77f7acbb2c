//go:build linux

package evdev

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestBadHardwarePage: what docs/bad-hardware.md shows of joysticks is what they say,
// and all of it. The kernel's answers are the test's own: this machine has no input
// device.
func TestBadHardwarePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/bad-hardware.md")
	if err != nil {
		t.Fatal(err)
	}
	open := func(fault string, errno unix.Errno) string {
		p := newPad(t)
		p.fault[fault] = errno
		c := p.config()
		c.Grab = true
		c.Kernel.Cure = func(string) string {
			return "user pi is not in group input: sudo usermod -aG input pi, then log in again or restart the service"
		}
		err := New(c).Reopen()
		return strings.ReplaceAll(err.Error(), "/dev/input/event7", "/dev/input/by-id/usb-Logitech_Gamepad_F310-event-joystick")
	}
	says := []string{open("open", unix.ENOENT), open("open", unix.EACCES), open("grab", unix.EBUSY)}
	for _, want := range says {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if n := strings.Count(string(text), "\nopen /dev/input"); n != len(says) {
		t.Errorf("the page has %d messages of joysticks, want %d", n, len(says))
	}
}
