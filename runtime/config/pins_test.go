package config

import (
	"maps"
	"testing"

	"dancer/boards"
	"dancer/hal"
)

// TestReserve: a device takes its pins under each of its names, and one that is not
// on the header takes none.
func TestReserve(t *testing.T) {
	for _, c := range []struct {
		board, device string
		want          []string
	}{
		{"raspberry-pi-4", "/dev/serial0", []string{"8", "10"}},
		{"raspberry-pi-4", "/dev/ttyS0", []string{"8", "10"}},
		{"raspberry-pi-4", "/dev/i2c-1", []string{"3", "5"}},
		{"raspberry-pi-4", "/dev/ttyUSB0", nil},
		{"raspberry-pi-5", "/dev/ttyAMA10", nil},
		{"beaglebone-black", "/dev/ttyO4", []string{"P9_13", "P9_11"}},
		{"jetson-orin-nano", "/dev/i2c-7", []string{"3", "5"}},
		{"linux", "/dev/i2c-1", nil},
	} {
		p, err := boards.Get(c.board)
		if err != nil {
			t.Fatal(err)
		}
		l := &loader{robot: &Robot{Board: p}}
		l.reserve(c.device, "port nav")
		want := map[string]string{}
		for _, pin := range c.want {
			want[pin] = "port nav (" + c.device + ")"
		}
		if !maps.Equal(l.reserved, want) {
			t.Errorf("%s %s: reserved %v, want %v", c.board, c.device, l.reserved, want)
		}
	}
}

// TestSafeLevel: the level of the line in the safe state, where there is one.
func TestSafeLevel(t *testing.T) {
	unit := hal.Output{Maximum: 1}
	for _, c := range []struct {
		safe        float64
		drive       Drive
		high, known bool
	}{
		{0, Drive{ActiveHigh: true}, false, true},
		{1, Drive{ActiveHigh: true}, true, true},
		{0, Drive{}, true, true},
		{1, Drive{}, false, true},
		{0, Drive{ActiveHigh: true, PWM: 50}, false, true},
		{1, Drive{PWM: 50}, false, true},
		{0.5, Drive{ActiveHigh: true, PWM: 50}, false, false},
		{0, Drive{ActiveHigh: true, PWM: 50, Servo: Servo{1000, 2000}}, false, false},
		{7, Drive{ActiveHigh: true}, false, false},
	} {
		o := unit
		o.Safe = c.safe
		if high, known := safeLevel(&o, &c.drive); high != c.high || known != c.known {
			t.Errorf("safe %v of %+v: high %v, known %v", c.safe, c.drive, high, known)
		}
	}
}
