package config

import (
	"math"
	"slices"
	"testing"
	"time"

	"dancer/hal/i2c"
)

const chipRobot = `robot: bot
board: raspberry-pi-4
manual: manual.yaml
ports: {nav: {device: /dev/ttyUSB0, framing: json}}
i2c:
  battery: {bus: /dev/i2c-1, driver: ina219, address: 0x41, shunt: 0.01}
  front: {bus: /dev/i2c-0, driver: vl53l0x, no_target: 2, every: 100ms}
  board: {bus: /dev/i2c-1, driver: pcf8574, address: 32}
  air: {bus: /dev/i2c-1, driver: bme280}
signals:
  range: {i2c: front, field: distance, unit: m, range: [0, 1.5], stale_after: 300ms}
  voltage: {i2c: battery, range: [9, 13]}
  amperes: {i2c: battery, field: current}
  bumper: {i2c: board, field: p3}
  heat: {i2c: air, field: temperature, unit: degC}
outputs: {drive: {pin: GPIO18, safe: 0}}
`

// TestChips: devices come together on their buses, and signals have the chip's unit,
// range and kind.
func TestChips(t *testing.T) {
	r, problems := loadText(chipRobot, testManual, Options{})
	if problems.Faults() > 0 {
		t.Fatal(problems)
	}
	if len(r.Buses) != 2 || r.Buses[0].Device != "/dev/i2c-1" || len(r.Buses[0].Devices) != 3 || len(r.Buses[1].Devices) != 1 {
		t.Fatalf("buses are %+v", r.Buses)
	}
	battery, front := r.Buses[0].Devices[0], r.Buses[1].Devices[0]
	if battery.Address != 0x41 || battery.Settings.Shunt != 0.01 || battery.Every != 100*time.Millisecond || !slices.Equal(battery.Used, []bool{true, true, false}) {
		t.Errorf("battery is %+v", battery)
	}
	if front.Address != 0x29 || front.Settings.NoTarget != 2 || front.Every != 100*time.Millisecond || !math.IsNaN(battery.Settings.NoTarget) {
		t.Errorf("front is %+v", front)
	}
	want := []struct {
		unit      string
		low, high float64
		boolean   bool
		stale     time.Duration
		chip      Chip
	}{
		{"m", 0, 1.5, false, 300 * time.Millisecond, Chip{1, 0, 0}},
		{"V", 9, 13, false, time.Second, Chip{0, 0, 0}},
		{"A", -32, 32, false, time.Second, Chip{0, 0, 1}},
		{"", 0, 1, true, time.Second, Chip{0, 1, 3}},
		{"degC", -40, 85, false, 4 * time.Second, Chip{0, 2, 0}},
	}
	for i, w := range want {
		s, in := r.Manual.Signals[i], r.Inputs[i]
		if s.Unit != w.unit || s.Minimum != w.low || s.Maximum != w.high || s.Boolean != w.boolean || s.StaleAfter != w.stale || in.Chip == nil || *in.Chip != w.chip || in.Port != -1 {
			t.Errorf("%s is %+v from %+v", s.Name, s, in.Chip)
		}
	}
	for i, want := range [][2]string{{"nav", "/dev/ttyUSB0"}, {"i2c-1", "/dev/i2c-1"}, {"i2c-0", "/dev/i2c-0"}} {
		if name, device := r.Source(i); name != want[0] || device != want[1] {
			t.Errorf("source %d is %s on %s, want %v", i, name, device, want)
		}
	}
	if len(problems) != 2 { // neither bus is on this machine: a warning each
		t.Errorf("warnings are %v", problems)
	}
}

// TestChipsOnBoardSim: the same file runs simulated, without any bus.
func TestChipsOnBoardSim(t *testing.T) {
	if _, problems := loadText(chipRobot, testManual, Options{Board: "sim", Run: true}); len(problems) > 0 {
		t.Error(problems)
	}
}

func TestAddressList(t *testing.T) {
	for _, c := range []struct {
		all  []uint16
		want string
	}{
		{[]uint16{0x29, 0x2b, 0x2a, 0x10}, "0x10, 0x29 to 0x2b"},
		{[]uint16{0x76}, "0x76"},
	} {
		if got := addressList(c.all); got != c.want {
			t.Errorf("%v: %s, want %s", c.all, got, c.want)
		}
	}
	for _, d := range i2c.Drivers() {
		if addressList(d.Addresses) == "" {
			t.Errorf("%s has none", d.Name)
		}
	}
}
