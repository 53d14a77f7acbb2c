//go:build linux

package i2c

import (
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestBadHardwarePage: what docs/bad-hardware.md shows of I2C is what the log of a
// robot gets, and all of it. Kernel and chips are those in memory: this machine has no
// bus.
func TestBadHardwarePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/bad-hardware.md")
	if err != nil {
		t.Fatal(err)
	}
	refused := func(errno unix.Errno) string {
		f := &fakeKernel{openError: errno}
		_, err := open(f.kernel(), "/dev/i2c-1")
		return err.Error()
	}
	says := []string{refused(unix.ENOENT), refused(unix.EACCES)}
	for _, cause := range []error{ErrSilent, ErrStuck, ErrTaken} {
		says = append(says, lost(t, cause))
	}
	for _, want := range says {
		if !strings.Contains(string(text), "\n"+want+"\n") {
			t.Errorf("the page lacks: %s", want)
		}
	}
	if n := strings.Count(string(text), "\nopen /dev/i2c") + strings.Count(string(text), "\nread /dev/i2c"); n != len(says) {
		t.Errorf("the page has %d messages of I2C, want %d", n, len(says))
	}
}

// lost is what a poller reports of a battery monitor of which every transfer fails.
func lost(t *testing.T, cause error) (told string) {
	bus := &simulatedBus{chips: map[uint16]simulated{}, taken: map[uint16]bool{0x40: cause == ErrTaken}, fail: func(uint16) error { return cause }}
	now := time.Duration(1)
	p, err := NewPoller(Config{
		Bus: "/dev/i2c-1", Now: func() time.Duration { return now }, Open: func(string) (Wire, error) { return bus, nil },
		Devices: []Device{{Name: "battery", Driver: "ina219", Address: 0x40, Every: time.Millisecond, Settings: DefaultSettings()}},
		Report: func(_ int, err error) {
			if err != nil {
				told = err.Error()
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 10 {
		now += p.turn() + time.Millisecond
	}
	return told
}
