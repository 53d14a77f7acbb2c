package spine

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/hal/gpio"
	"dancer/runtime/config"
)

const pwmManual = `
values:
  - {name: human_safety, floor: 5}
impact:
  human_safety: "10 - (range < 0.20 m ? 6 : 0)"
actions:
  - {name: halt, set: safe, fallback: true}
`

// pwmRobot has a motor, an active-low one, and a servo whose neutral is safe.
const pwmRobot = `
robot: test-bot
board: raspberry-pi-5
manual: manual.yaml
signals:
  range: {pin: GPIO17, stale_after: 5s}
outputs:
  drive: {pin: GPIO12, pwm: 1kHz, safe: 0}
  fan:   {pin: GPIO13, pwm: 25kHz, active: low, safe: 1}
  arm:   {pin: GPIO18, servo: [1000, 2000], range: [-45, 45], unit: deg, safe: 0}
`

func loadPWMRobot(t *testing.T) *config.Robot {
	t.Helper()
	return loadRobot(t, pwmRobot, strings.Replace(pwmManual, "range < 0.20 m", "range", 1))
}

// fakePulses keeps what the loop writes.
type fakePulses struct {
	configs []gpio.PWMConfig
	wire    []time.Duration
	calls   []string
	fail    error
}

func (f *fakePulses) open(configs []gpio.PWMConfig) (pulses, error) {
	if f.fail != nil {
		return nil, f.fail
	}
	f.configs = configs
	for _, c := range configs {
		f.wire = append(f.wire, c.Safe)
	}
	return f, nil
}

func (f *fakePulses) Set(output int, pulse time.Duration) error {
	f.wire[output] = pulse
	return f.fail
}

func (f *fakePulses) Halt() error {
	f.calls = append(f.calls, "halt")
	for i, c := range f.configs {
		f.wire[i] = c.Safe
	}
	return nil
}

func (f *fakePulses) Close() error {
	f.calls = append(f.calls, "close")
	return nil
}

// pwmHardware opens the PWM outputs of a robot alone: its input needs a chip.
func pwmHardware(t *testing.T, f *fakePulses, dry bool) (*hardware, error) {
	t.Helper()
	r := loadPWMRobot(t)
	r.Inputs[0].HasPin = false
	return openHardware(r, &Config{DryRun: dry}, openers{pulses: f.open})
}

func TestPulses(t *testing.T) {
	f := &fakePulses{}
	h, err := pwmHardware(t, f, false)
	if err != nil {
		t.Fatal(err)
	}
	if h.lines != nil {
		t.Error("a PWM output is requested as a GPIO line as well")
	}
	want := []gpio.PWMConfig{
		{Name: "GPIO12", Device: "1f00098000.pwm", Channel: 0, Period: time.Millisecond, Safe: 0},
		{Name: "GPIO13", Device: "1f00098000.pwm", Channel: 1, Period: 40 * time.Microsecond, Safe: 40 * time.Microsecond, ActiveLow: true},
		{Name: "GPIO18", Device: "1f00098000.pwm", Channel: 2, Period: 20 * time.Millisecond, Safe: 1500 * time.Microsecond},
	}
	for i := range f.configs {
		want[i].Setup = f.configs[i].Setup
	}
	if !slices.Equal(f.configs, want) || f.configs[0].Setup == "" {
		t.Errorf("opened %+v, want %+v", f.configs, want)
	}
	for _, c := range []struct {
		output int
		value  float64
		want   time.Duration
	}{
		{0, 0.25, 250 * time.Microsecond}, {0, 1, time.Millisecond}, {0, 7, time.Millisecond}, {0, -7, 0}, {0, math.NaN(), 0},
		{1, 0.5, 20 * time.Microsecond}, {1, math.NaN(), 40 * time.Microsecond},
		{2, -45, time.Millisecond}, {2, 45, 2 * time.Millisecond}, {2, 9, 1600 * time.Microsecond}, {2, math.Inf(1), 2 * time.Millisecond}, {2, math.NaN(), 1500 * time.Microsecond},
	} {
		h.write(c.output, c.value)
		if f.wire[c.output] != c.want {
			t.Errorf("output %d at %v: pulse %v, want %v", c.output, c.value, f.wire[c.output], c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { h.write(0, 0.3); h.write(2, 10) }); n != 0 {
		t.Errorf("%v allocations a write", n)
	}
	if err := errors.Join(h.halt(), h.close()); err != nil || strings.Join(f.calls, " ") != "halt close" {
		t.Errorf("%v, calls %v", err, f.calls)
	}
	for i, c := range f.configs {
		if f.wire[i] != c.Safe {
			t.Errorf("after halt output %d has a pulse of %v", i, f.wire[i])
		}
	}
}

// TestPulsesDry: a dry run opens nothing that moves.
func TestPulsesDry(t *testing.T) {
	f := &fakePulses{}
	h, err := pwmHardware(t, f, true)
	if err != nil {
		t.Fatal(err)
	}
	h.write(0, 1)
	if f.configs != nil || h.pulses != nil || errors.Join(h.halt(), h.close()) != nil || f.calls != nil {
		t.Errorf("a dry run opened %+v and called %v", f.configs, f.calls)
	}
}

// TestPulsesRefused: the cause reaches the owner, with the output's part in it.
func TestPulsesRefused(t *testing.T) {
	f := &fakePulses{fail: gpio.ErrNoPWM}
	if _, err := pwmHardware(t, f, false); !errors.Is(err, gpio.ErrNoPWM) || !strings.Contains(err.Error(), "open outputs: ") {
		t.Errorf("got %v", err)
	}
	r := loadPWMRobot(t)
	r.Inputs[0].HasPin, r.Drives[0].Pin.PWM = false, nil
	if _, err := openHardware(r, &Config{}, openers{pulses: f.open}); err == nil || !strings.Contains(err.Error(), "open output drive: no hardware PWM is known to reach GPIO12") {
		t.Errorf("got %v", err)
	}
}

func TestPulseIsRounded(t *testing.T) {
	p := pulseOf{maximum: 3, high: 1e6}
	if got := p.at(1); got != 333_333 {
		t.Errorf("a third of a millisecond is %d ns", got)
	}
}
