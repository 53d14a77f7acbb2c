//go:build linux

package gpio

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/hal"
	"dancer/hal/haltest"

	"golang.org/x/sys/unix"
)

const (
	soc    = "fe20c000.pwm"
	period = time.Millisecond
)

// raspberry is a tree with the two channels of a Raspberry Pi 4, and another chip.
func raspberry() (*pwmTree, *pwmChip) {
	c := &pwmChip{device: soc, channels: make([]pwmState, 2)}
	return newTree(&pwmChip{device: "107d517a80.pwm", channels: make([]pwmState, 1)}, c), c
}

func motor() PWMConfig {
	return PWMConfig{Name: "GPIO18", Device: soc, Period: period, Safe: 0, Setup: "dtoverlay=pwm"}
}

// TestPWMStart: whatever state a channel is found in, it is at its safe pulse before
// it is enabled, and the kernel refuses no step of the way.
func TestPWMStart(t *testing.T) {
	ns := int64(period)
	for _, c := range []struct {
		name   string
		before pwmState
		safe   time.Duration
		low    bool
		want   pwmState
		writes string
	}{
		{"new", pwmState{}, 0, false, pwmState{true, false, ns, 0, true, false}, "export=0 period=1000000 duty_cycle=0 enable=1"},
		{"new, safe is on", pwmState{}, period, false, pwmState{true, false, ns, ns, true, false}, "export=0 period=1000000 duty_cycle=1000000 enable=1"},
		{"new, active low", pwmState{}, 0, true, pwmState{true, false, ns, ns, true, false}, "export=0 period=1000000 duty_cycle=1000000 enable=1"},
		{"left running", pwmState{exported: true, period: ns, duty: 700_000, enabled: true}, 0, false, pwmState{true, false, ns, 0, true, false}, "duty_cycle=0 enable=1"},
		{"left running, slower", pwmState{exported: true, period: 5 * ns, duty: 5 * ns, enabled: true}, period / 4, false, pwmState{true, false, ns, ns / 4, true, false}, "duty_cycle=250000 period=1000000 enable=1"},
		{"left running, faster", pwmState{exported: true, period: ns / 4, duty: ns / 4, enabled: true}, period / 2, false, pwmState{true, false, ns, ns / 2, true, false}, "period=1000000 duty_cycle=500000 enable=1"},
		{"left inverted", pwmState{exported: true, period: ns, duty: ns / 2, enabled: true, inversed: true}, 0, false, pwmState{true, false, ns, 0, true, false}, "enable=0 polarity=normal duty_cycle=0 enable=1"},
		{"left disabled", pwmState{exported: true, period: ns, duty: ns}, 0, false, pwmState{true, false, ns, 0, true, false}, "duty_cycle=0 enable=1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, chip := raspberry()
			chip.channels[0] = c.before
			config := motor()
			config.Safe, config.ActiveLow = c.safe, c.low
			p, err := openPWMs(tree.sysfs(), []PWMConfig{config})
			if err != nil {
				t.Fatal(err)
			}
			if chip.channels[0] != c.want {
				t.Errorf("channel is %+v, want %+v", chip.channels[0], c.want)
			}
			if got := strings.Join(tree.writes, " "); got != c.writes {
				t.Errorf("wrote %s, want %s", got, c.writes)
			}
			if err := p.Close(); err != nil || len(tree.files) != 0 {
				t.Errorf("close: %v, %d files open", err, len(tree.files))
			}
			if chip.channels[0] != c.want {
				t.Errorf("after close the channel is %+v, want %+v", chip.channels[0], c.want)
			}
		})
	}
}

// TestPWMRefused: each cause is said with what to do, and nothing stays open.
func TestPWMRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		world  func(tree *pwmTree, chip *pwmChip)
		config func(c *PWMConfig)
		cause  error
		says   string
	}{
		{"no overlay", nil, func(c *PWMConfig) { c.Device = "3f20c000.pwm" }, ErrNoPWM,
			"open PWM GPIO18: no such PWM: 3f20c000.pwm; here: 107d517a80.pwm, fe20c000.pwm (dtoverlay=pwm)"},
		{"no PWM at all", func(tree *pwmTree, _ *pwmChip) { clear(tree.chips) }, nil, ErrNoPWM,
			"open PWM GPIO18: no such PWM: fe20c000.pwm; this machine has none (dtoverlay=pwm)"},
		{"no such channel", nil, func(c *PWMConfig) { c.Channel = 2 }, ErrNoPWM,
			"open PWM GPIO18: no such PWM: channel 2 of fe20c000.pwm, which has 2 (dtoverlay=pwm)"},
		{"a fan has it", func(_ *pwmTree, chip *pwmChip) { chip.channels[0].kernel = true }, nil, ErrBusy, "a driver of the kernel has channel 0 of fe20c000.pwm"},
		{"may not export", func(tree *pwmTree, _ *pwmChip) { tree.deny["/export"] = unix.EACCES }, nil, ErrPermission, "usermod -aG gpio"},
		{"may not write", func(tree *pwmTree, _ *pwmChip) { tree.deny["/duty_cycle"] = unix.EACCES }, nil, ErrPermission, "pwm0 (run as a user of the group"},
		{"read-only", func(tree *pwmTree, _ *pwmChip) { tree.deny["/export"] = unix.EROFS }, nil, ErrPermission, "ReadWritePaths=/sys/devices"},
		{"too slow", func(_ *pwmTree, chip *pwmChip) { chip.longest = 500_000 }, nil, ErrUnsupported, "fe20c000.pwm does not take a period of 1ms (try another pwm frequency"},
		{"period of the other channel", func(_ *pwmTree, chip *pwmChip) {
			chip.shared = true
			chip.channels[1] = pwmState{exported: true, period: 77}
		}, nil, ErrUnsupported, "does not take a period of 1ms"},
		{"unbound", func(tree *pwmTree, _ *pwmChip) { tree.gone = true }, nil, ErrPWMGone, "PWM channel gone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tree, chip := raspberry()
			config := motor()
			if c.world != nil {
				c.world(tree, chip)
			}
			if c.config != nil {
				c.config(&config)
			}
			p, err := openPWMs(tree.sysfs(), []PWMConfig{config})
			if p != nil || !errors.Is(err, c.cause) || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("got %v, %v, want %v: %s", p, err, c.cause, c.says)
			}
			if len(tree.files) != 0 {
				t.Errorf("files stay open: %v", tree.files)
			}
		})
	}
}

// TestPWMsAllOrNone: where one channel cannot be had, the others, before it and behind
// it, are left at their safe pulse, and their files are closed.
func TestPWMsAllOrNone(t *testing.T) {
	tree, chip := raspberry()
	running := pwmState{exported: true, period: int64(period), duty: int64(period), enabled: true}
	chip.channels[0], chip.channels[1] = running, running
	absent, other := motor(), motor()
	absent.Device, other.Channel = "none", 1
	p, err := openPWMs(tree.sysfs(), []PWMConfig{motor(), absent, other})
	if p != nil || !errors.Is(err, ErrNoPWM) {
		t.Fatalf("got %v, %v", p, err)
	}
	if len(tree.files) != 0 || chip.channels[0].duty != 0 || chip.channels[1].duty != 0 {
		t.Errorf("%d files open, channels %+v", len(tree.files), chip.channels)
	}
}

// TestPWMWaitsForUdev: the group of a new channel's files is set by udev after the
// export; nobody waits for a channel that was there before.
func TestPWMWaitsForUdev(t *testing.T) {
	tree, _ := raspberry()
	tree.udev = 3
	if _, err := openPWMs(tree.sysfs(), []PWMConfig{motor()}); err != nil || tree.waited != 3*udevStep {
		t.Errorf("%v after %v", err, tree.waited)
	}
	tree, _ = raspberry()
	tree.deny["/duty_cycle"] = unix.EACCES
	if _, err := openPWMs(tree.sysfs(), []PWMConfig{motor()}); !errors.Is(err, ErrPermission) || tree.waited != udevPatience {
		t.Errorf("%v after %v, want an error after %v", err, tree.waited, udevPatience)
	}
	tree, chip := raspberry()
	chip.channels[0].exported = true
	tree.deny["/duty_cycle"] = unix.EACCES
	if _, err := openPWMs(tree.sysfs(), []PWMConfig{motor()}); !errors.Is(err, ErrPermission) || tree.waited != 0 {
		t.Errorf("%v after %v, want an error at once", err, tree.waited)
	}
}

func TestPWMSet(t *testing.T) {
	tree, chip := raspberry()
	low := motor()
	low.Name, low.Channel, low.ActiveLow = "GPIO19", 1, true
	p, err := openPWMs(tree.sysfs(), []PWMConfig{motor(), low})
	if err != nil || p.Len() != 2 {
		t.Fatal(err)
	}
	for _, c := range []struct {
		pulse time.Duration
		want  int64
	}{{250 * time.Microsecond, 250_000}, {-time.Hour, 0}, {time.Hour, 1_000_000}, {1, 1}} {
		for i := range 2 {
			if err := p.Set(i, c.pulse); err != nil {
				t.Fatal(err)
			}
		}
		if got := chip.channels[0].duty; got != c.want {
			t.Errorf("pulse %v: duty %d, want %d", c.pulse, got, c.want)
		}
		if got := chip.channels[1].duty; got != 1_000_000-c.want {
			t.Errorf("pulse %v, active low: duty %d, want %d", c.pulse, got, 1_000_000-c.want)
		}
	}
	before := len(tree.writes)
	if err := p.Set(0, 1); err != nil || len(tree.writes) != before {
		t.Errorf("the same pulse again: %v, wrote %v", err, tree.writes[before:])
	}
}

// TestPWMGone: a controller that is unbound is an error each time, and a channel
// that comes back gets its pulse although it was the last one asked for.
func TestPWMGone(t *testing.T) {
	tree, chip := raspberry()
	p, err := openPWMs(tree.sysfs(), []PWMConfig{motor()})
	if err != nil {
		t.Fatal(err)
	}
	tree.gone = true
	for range 2 {
		if err := p.Set(0, period/2); !errors.Is(err, ErrPWMGone) || err.Error() != "set PWM GPIO18: PWM channel gone" {
			t.Errorf("got %v", err)
		}
	}
	if err := p.Halt(); !errors.Is(err, ErrPWMGone) {
		t.Errorf("halt: %v", err)
	}
	tree.gone = false
	if err := p.Set(0, period/2); err != nil || chip.channels[0].duty != int64(period/2) {
		t.Errorf("%v, duty %d", err, chip.channels[0].duty)
	}
}

// TestPWMHaltWrites: Halt writes the safe pulse although it was written last: the
// hardware may have lost it.
func TestPWMHaltWrites(t *testing.T) {
	tree, chip := raspberry()
	p, err := openPWMs(tree.sysfs(), []PWMConfig{motor()})
	if err != nil {
		t.Fatal(err)
	}
	chip.channels[0].duty = 9
	if err := p.Halt(); err != nil || chip.channels[0].duty != 0 {
		t.Errorf("%v, duty %d", err, chip.channels[0].duty)
	}
}

// pwmRig is two PWM outputs and no signal, for the conformance suite.
type pwmRig struct {
	*PWMs
	chip *pwmChip
}

func (r *pwmRig) Stimulate(int, float64)    {}
func (r *pwmRig) Collect(func(hal.Reading)) {}
func (r *pwmRig) Drive(output int, value float64) error {
	return r.Set(output, time.Duration(value*float64(period)))
}
func (r *pwmRig) Turn() { _, _ = r.Set(0, period/3), r.Set(0, period/2) }

// World reads the wire; output 1 is active low.
func (r *pwmRig) World(output int) (float64, bool) {
	c := &r.chip.channels[output]
	high := float64(c.duty) / float64(c.period)
	if output == 1 {
		high = 1 - high
	}
	return high, c.enabled
}

func TestPWMConformance(t *testing.T) {
	haltest.Suite{
		Outputs:    []hal.Output{{Name: "drive", Maximum: 1}, {Name: "brake", Maximum: 1, Safe: 1}},
		Now:        func() time.Duration { return 0 },
		StartsSafe: true,
		Open: func(t *testing.T) haltest.Rig {
			tree, chip := raspberry()
			chip.channels[0] = pwmState{exported: true, period: int64(period), duty: int64(period), enabled: true}
			brake := motor()
			brake.Channel, brake.Safe, brake.ActiveLow = 1, period, true
			files := tree.sysfs()
			write := files.write
			files.write = func(fd int, b []byte) error { // the tree allocates, and is not measured
				if strings.HasSuffix(tree.files[fd], "pwm0/duty_cycle") && slices.Contains([]string{"333333", "500000"}, string(b)) {
					return nil
				}
				return write(fd, b)
			}
			p, err := openPWMs(files, []PWMConfig{motor(), brake})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Close() })
			return &pwmRig{p, chip}
		},
	}.Run(t)
}

func BenchmarkPWMSet(b *testing.B) {
	tree, _ := raspberry()
	p, err := openPWMs(tree.sysfs(), []PWMConfig{motor()})
	if err != nil {
		b.Fatal(err)
	}
	p.files.write = func(int, []byte) error { return nil } // what the kernel takes is its own
	b.ReportAllocs()
	for pulse := time.Duration(0); b.Loop(); pulse++ {
		_ = p.Set(0, pulse%period)
	}
}
