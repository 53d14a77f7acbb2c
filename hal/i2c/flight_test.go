package i2c

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"testing"
)

// laser is a VL53L0X: pages of registers (0xff), a memory of its factory's
// calibration, two calibrations that must come in their order, and results that have
// to be acknowledged.
type laser struct {
	*registers8
	t      *testing.T
	done   []string // what it was made to do
	ready  int      // polls until the interrupt
	mm     uint16
	status byte
	dead   bool // no measurement ever ends
}

func newLaser(t *testing.T) *laser {
	l := &laser{registers8: &registers8{}, t: t, mm: 450, status: 11}
	l.values[0xc0], l.values[0x91] = 0xee, 0x3c
	copy(l.values[0xb0:], []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	l.values[0x92] = 0x80 | 5 // five diodes, with an aperture
	page := byte(0)
	l.onWrite = func(register, value byte) {
		switch {
		case register == 0xff:
			page = value
		case register == 0x83 && value == 0 && page == 7:
			l.ready = 2
			l.do("memory")
		case register == 0x00 && page == 0:
			l.begin(value)
		case register == 0x0b && page == 0 && value == 1:
			l.values[0x13] = 0
			if !l.dead {
				l.ready = 3
			}
		}
	}
	l.onRead = func(register byte) {
		switch {
		case register == 0x83 && page == 7:
			if l.ready--; l.ready <= 0 {
				l.values[0x83] = 1
			}
		case register == 0x13:
			if l.ready--; l.ready <= 0 && !l.dead {
				l.values[0x13] = 4
			}
		case register == 0x14:
			l.values[0x14] = l.status << 3
			binary.BigEndian.PutUint16(l.values[0x14+10:], l.mm)
		}
	}
	return l
}

// begin is what writing to SYSRANGE_START does, by the steps that are switched on.
func (l *laser) begin(value byte) {
	l.ready = 3
	switch {
	case value == 0x41 && l.values[0x01] == 0x01:
		l.do("supply")
	case value == 0x01 && l.values[0x01] == 0x02:
		l.do("phase")
	case value == 0x02 && l.values[0x01] == 0xe8:
		l.do("range")
		if l.values[0x91] != 0x3c {
			l.t.Errorf("started with the stop variable 0x%02x, which is not the chip's 0x3c", l.values[0x91])
		}
	case value&1 == 1:
		l.t.Errorf("started with 0x%02x and steps 0x%02x", value, l.values[0x01])
	}
}

func (l *laser) do(what string) { l.done = append(l.done, what) }

func TestVL53L0X(t *testing.T) {
	chip := newLaser(t)
	b := newBench(t, vl53l0xDriver, DefaultSettings(), nil, over(chip))
	near(t, "distance", b.read()[0], 0.45)
	if got := fmt.Sprint(chip.done); got != "[memory supply phase range]" {
		t.Errorf("the chip was made to do %s", got)
	}
	ordered(t, chip.written, "ff=07", "94=6b", "b6=b4", "b0=00", "ff=01", "52=96", "0a=04", "01=01", "00=41", "0b=01", "01=02", "00=01", "01=e8", "91=3c", "00=02")
	// five diodes from the twelfth on
	if got := fmt.Sprintf("% x", chip.values[0xb0:0xb6]); got != "00 f0 01 00 00 00" {
		t.Errorf("reference diodes are %s", got)
	}
	for _, c := range []struct {
		status byte
		mm     uint16
		want   float64
		target float64 // with no_target: 3
	}{
		{11, 1234, 1.234, 1.234},
		{11, 8190, math.NaN(), 3},
		{4, 8191, math.NaN(), 3},
		{6, 8190, math.NaN(), 3},
		{6, 600, math.NaN(), math.NaN()},
		{8, 15, math.NaN(), math.NaN()}, // too near: never nothing
		{1, 20, math.NaN(), math.NaN()},
	} {
		chip.status, chip.mm = c.status, c.mm
		near(t, fmt.Sprintf("status %d, %d mm", c.status, c.mm), b.read()[0], c.want)
		near(t, fmt.Sprintf("status %d, %d mm with no_target", c.status, c.mm), (&vl53l0x{noTarget: 3}).distance(c.status, int(c.mm)), c.target)
	}
	chip.dead, chip.ready = true, 1<<30
	chip.values[0x13] = 0
	if err := b.fails(); !errors.Is(err, ErrNotReady) {
		t.Errorf("a chip that measures no more is %v", err)
	}
	chip.values[0xc0] = 0xea
	b.chip.begin()
	if err := b.fails(); !errors.Is(err, ErrWrongChip) {
		t.Errorf("a VL53L1X is %v", err)
	}
}

// TestVL53L0XLeavesTheBus: no step writes more than a few registers, so that other
// devices on the bus wait milliseconds and not the 40 ms of all settings.
func TestVL53L0XLeavesTheBus(t *testing.T) {
	chip := newLaser(t)
	b := newBench(t, vl53l0xDriver, DefaultSettings(), nil, over(chip))
	for done := false; !done; {
		before := len(chip.written)
		var err error
		if done, err = b.step(); err != nil {
			t.Fatal(err)
		}
		if n := len(chip.written) - before; n > 30 {
			t.Errorf("%d registers in one step", n)
		}
	}
}

func TestKeepReferences(t *testing.T) {
	for _, c := range []struct {
		count    int
		aperture bool
		want     string
	}{{3, false, "150000000000"}, {0, true, "000000000000"}, {2, true, "005000000000"}, {48, false, "555555555555"}} {
		diodes := [6]byte{0x55, 0x55, 0x55, 0x55, 0x55, 0x55} // every other one is good
		keepReferences(&diodes, c.count, c.aperture)
		if got := fmt.Sprintf("%x", diodes); got != c.want {
			t.Errorf("%d, %v: %s, want %s", c.count, c.aperture, got, c.want)
		}
	}
}

// newLongLaser is a VL53L1X, which boots, measures while 0x87 says so, and takes no
// settings meanwhile.
func newLongLaser(t *testing.T) *long {
	c := &long{}
	c.values[0x10f], c.values[0x110] = 0xea, 0xcc
	binary.BigEndian.PutUint16(c.values[0xde:], 0x8000|400) // the upper bits are something else
	boot, ready := 3, 0
	c.onWrite = func(register uint16, value byte) {
		switch {
		case register == 0x87 && value == 0x40:
			if c.values[0x30] != 1 || c.values[0x46] != 0x20 {
				t.Error("started before its settings were written")
			}
			ready = 3
		case register == 0x86 && value == 1:
			c.values[0x31], ready = 2, 3
		case register != 0x87 && register != 0x86 && c.values[0x87] == 0x40:
			t.Errorf("register 0x%04x is written while the chip measures", register)
		}
	}
	c.onRead = func(register uint16) {
		switch register {
		case 0xe5:
			if boot--; boot <= 0 {
				c.values[0xe5] = 3
			}
		case 0x31:
			if ready--; ready == 0 && c.values[0x87] == 0x40 {
				c.values[0x31] = 3
			}
		}
	}
	c.values[0x89] = 9
	binary.BigEndian.PutUint16(c.values[0x96:], 2345)
	return c
}

func TestVL53L1X(t *testing.T) {
	chip := newLongLaser(t)
	b := newBench(t, vl53l1xDriver, DefaultSettings(), nil, over(chip))
	near(t, "distance", b.read()[0], 2.345)
	ordered(t, chip.written, "0087=00", "0030=01", "0085=01", "0087=40", "0086=01", "0087=00", "0008=09", "000b=00", "005f=ad", "0062=c6", "0086=01", "0087=40")
	if got, want := binary.BigEndian.Uint32(chip.values[0x6c:]), uint32(400*55*1075/1000); got != want {
		t.Errorf("the period is %d ticks, want %d", got, want)
	}
	far := &vl53l1x{noTarget: 4}
	for _, c := range []struct {
		status       byte
		want, target float64
	}{{9, 2.345, 2.345}, {4, math.NaN(), 4}, {8, math.NaN(), math.NaN()}, {5, math.NaN(), math.NaN()}, {7, math.NaN(), math.NaN()}, {31, math.NaN(), math.NaN()}} {
		chip.values[0x89] = 0xe0 | c.status // the upper bits are something else
		near(t, fmt.Sprintf("status %d", c.status), b.read()[0], c.want)
		near(t, fmt.Sprintf("status %d with no_target", c.status), far.distance(c.status, 2345), c.target)
	}
	chip.values[0x10f] = 0xeb
	b.chip.begin()
	if err := b.fails(); !errors.Is(err, ErrWrongChip) {
		t.Errorf("another chip is %v", err)
	}
	chip.onRead = nil
	chip.values[0xe5] = 0
	b.chip.begin()
	if err := b.fails(); !errors.Is(err, ErrNotReady) {
		t.Errorf("a chip that never boots is %v", err)
	}
}
