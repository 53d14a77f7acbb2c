//go:build linux

package gpio

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// simRoot is where the kernel's own simulated chips (module gpio-sim, Linux
// 5.17 and later) are made.
const simRoot = "/sys/kernel/config/gpio-sim"

// simWorld is a simulated chip of the running kernel.
type simWorld struct {
	t     *testing.T
	lines string // directory of its lines in sysfs
}

var simCount atomic.Int32

// newSimWorld makes a chip of four lines, or skips the test.
func newSimWorld(t *testing.T) (w simWorld, label string) {
	t.Helper()
	if _, err := os.Stat(simRoot); err != nil {
		t.Skipf("the running kernel offers no simulated GPIO chip: load gpio-sim and mount configfs, as root: %v", err)
	}
	label = fmt.Sprintf("dancer-test-%d-%d", os.Getpid(), simCount.Add(1))
	device := filepath.Join(simRoot, label)
	bank := filepath.Join(device, "bank0")
	if err := os.MkdirAll(bank, 0o755); err != nil {
		t.Skipf("a simulated GPIO chip cannot be made: %v", err)
	}
	put(t, filepath.Join(bank, "num_lines"), "4")
	put(t, filepath.Join(bank, "label"), label)
	t.Cleanup(func() {
		put(t, filepath.Join(device, "live"), "0")
		if err := os.Remove(bank); err != nil {
			t.Error(err)
		}
		if err := os.Remove(device); err != nil {
			t.Error(err)
		}
	})
	put(t, filepath.Join(device, "live"), "1")
	name, chip := get(t, filepath.Join(device, "dev_name")), get(t, filepath.Join(bank, "chip_name"))
	return simWorld{t, filepath.Join("/sys/devices/platform", name, chip)}, label
}

func put(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		t.Error(err)
	}
}

func get(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	return strings.TrimSpace(string(text))
}

func (w simWorld) press(line int, level bool) {
	pull := "pull-down"
	if level {
		pull = "pull-up"
	}
	put(w.t, filepath.Join(w.lines, fmt.Sprintf("sim_gpio%d", line), "pull"), pull)
}

func (w simWorld) sense(line int) bool {
	return get(w.t, filepath.Join(w.lines, fmt.Sprintf("sim_gpio%d", line), "value")) == "1"
}

func (simWorld) now() time.Duration { return monotonic() }

// TestConformanceOfKernel runs the suite over the running kernel's character
// device.
func TestConformanceOfKernel(t *testing.T) {
	newSimWorld(t) // skips here, once, where there is none
	conform(t, monotonic, func(t *testing.T) (*kernel, string, world) {
		w, label := newSimWorld(t)
		return system(), label, w
	})
}
