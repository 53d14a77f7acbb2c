package i2c

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"periph.io/x/conn/v3/i2c/i2ctest"
)

// near says that two values are the same up to rounding.
func near(t *testing.T, what string, got, want float64) {
	t.Helper()
	if math.IsNaN(got) != math.IsNaN(want) || math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestINA219 has the example of SBOS448G, section 8.5.2.1 and table 8-8: 12 V, 20 mV
// over 2 mOhm are 10 A. The chip of the maker shows 11.98 V in its register.
func TestINA219(t *testing.T) {
	chip := &words{values: map[byte]uint16{0x00: 0x0000, 0x01: 0x07d0, 0x02: 0x5d98}}
	b := newBench(t, ina219Driver, Settings{Shunt: 0.002}, nil, over(chip))
	v := b.read()
	near(t, "voltage", v[0], 11.98)
	near(t, "current", v[1], 10)
	near(t, "power", v[2], 119.8)
	ordered(t, chip.written, "00=399f")
	if len(chip.written) != 1 {
		t.Errorf("written: %v", chip.written)
	}
	negative := int16(-2000)
	chip.values[0x01] = uint16(negative)
	near(t, "current back into the battery", b.read()[1], -10)
	chip.values[0x01] = 32000
	near(t, "current at the end of the scale", b.read()[1], math.NaN())
	near(t, "voltage meanwhile", b.read()[0], 11.98)
	chip.values[0x00] = 0x1234
	if err := b.fails(); !errors.Is(err, ErrReset) {
		t.Errorf("lost settings are %v", err)
	}
}

// TestINA219Playback holds the bytes on the wire, as periph records them.
func TestINA219Playback(t *testing.T) {
	bus := &i2ctest.Playback{DontPanic: true, Ops: []i2ctest.IO{
		{Addr: benchAddress, W: []byte{0x00, 0x39, 0x9f}},
		{Addr: benchAddress, W: []byte{0x00}, R: []byte{0x39, 0x9f}},
		{Addr: benchAddress, W: []byte{0x01}, R: []byte{0x07, 0xd0}},
		{Addr: benchAddress, W: []byte{0x02}, R: []byte{0x5d, 0x98}},
	}}
	near(t, "current", newBench(t, ina219Driver, Settings{Shunt: 0.1}, nil, bus).read()[1], 0.2)
	if err := bus.Close(); err != nil {
		t.Error(err)
	}
}

// TestINA226 has the example of SBOS547B, table 1: 12 V, 20 mV over 2 mOhm.
func TestINA226(t *testing.T) {
	chip := &words{values: map[byte]uint16{0x01: 0x1f40, 0x02: 0x2570, 0xfe: 0x5449, 0xff: 0x2260}}
	b := newBench(t, ina226Driver, Settings{Shunt: 0.002}, nil, over(chip))
	v := b.read()
	near(t, "voltage", v[0], 11.98)
	near(t, "current", v[1], 10)
	near(t, "power", v[2], 119.8)
	ordered(t, chip.written, "00=4527")
	if b.now < 35*time.Millisecond {
		t.Errorf("the first mean of 16 is read after %v, when it is not complete", b.now)
	}
	chip.values[0x01] = 0x7fff
	near(t, "current at the end of the scale", b.read()[1], math.NaN())

	chip.values[0xff] = 0x2270
	if err := newBench(t, ina226Driver, Settings{Shunt: 1}, nil, over(chip)).fails(); !errors.Is(err, ErrWrongChip) {
		t.Errorf("another chip is %v", err)
	}
	chip.values[0xfe] = 0xffff
	err := newBench(t, ina226Driver, Settings{Shunt: 1}, nil, over(chip)).fails()
	if want := "another chip answers: its identity is 0xffff, not 0x5449"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

// pins is a PCF8574: one byte, in which lines that were written 0 stay low.
type pins struct{ out, in byte }

func (c *pins) transfer(w, r []byte) error {
	for _, v := range w {
		c.out = v
	}
	for i := range r {
		r[i] = c.out & c.in
	}
	return nil
}

func TestPCF8574(t *testing.T) {
	chip := &pins{out: 0x00, in: 0b1010_0101} // a program before us left all lines low
	b := newBench(t, pcf8574Driver, Settings{}, nil, over(chip))
	if got := b.read(); !slices.Equal(got, []float64{1, 0, 1, 0, 0, 1, 0, 1}) {
		t.Errorf("lines are %v", got)
	}
	chip.in = 0xff
	if got := b.read(); !slices.Equal(got, []float64{1, 1, 1, 1, 1, 1, 1, 1}) {
		t.Errorf("open switches are %v", got)
	}
}

// converter is an ADS1115: a conversion takes its time, and the configuration tells
// which input it is about.
type converter struct {
	words
	raw     [4]int16
	polls   int // until a conversion is ready
	left    int
	channel int
}

func newConverter() *converter {
	c := &converter{words: words{values: map[byte]uint16{0x01: 0x8583}}, polls: 1}
	c.onWrite = func(register byte, value uint16) {
		if register == 0x01 && value&0x8000 != 0 {
			c.channel, c.left = int(value>>12&7)-4, c.polls
			c.values[0x01] = value &^ 0x8000
		}
	}
	c.onRead = func(register byte) {
		if register != 0x01 {
			return
		}
		if c.left--; c.left <= 0 {
			c.values[0x01] |= 0x8000
			c.values[0x00] = uint16(c.raw[c.channel])
		}
	}
	return c
}

// TestADS1115 has the codes of SBAS444D, table 3, and reads only what is used.
func TestADS1115(t *testing.T) {
	chip := newConverter()
	chip.raw = [4]int16{0x4000, 5, -3, 0x7fff}
	chip.polls = 3
	b := newBench(t, ads1115Driver, DefaultSettings(), []bool{true, false, true, true}, over(chip))
	v := b.read()
	near(t, "a0", v[0], 2.048)
	near(t, "a1, which nobody reads", v[1], math.NaN())
	near(t, "a2, which is ground", v[2], 0)
	near(t, "a3 at the end of the scale", v[3], math.NaN())
	if got := strings.Join(chip.written, " "); got != "01=c383 01=e383 01=f383" {
		t.Errorf("written: %s", got)
	}
	for i, wait := range b.waits {
		if i%4 == 0 && wait < 8*time.Millisecond {
			t.Errorf("a conversion is asked for after %v", wait)
		}
	}
	chip.onWrite = func(byte, uint16) { chip.values[0x01] = 0x8583 } // as after power-on
	if err := b.fails(); !errors.Is(err, ErrReset) {
		t.Errorf("lost settings are %v", err)
	}
	never := newConverter()
	never.polls = 1 << 30
	if err := newBench(t, ads1115Driver, DefaultSettings(), []bool{true}, over(never)).fails(); !errors.Is(err, ErrNotReady) {
		t.Errorf("a conversion without an end is %v", err)
	}
}

func TestADS1115FullScales(t *testing.T) {
	for bits, volts := range FullScales {
		chip := newConverter()
		chip.raw[0] = 16384
		b := newBench(t, ads1115Driver, Settings{FullScale: volts}, []bool{true}, over(chip))
		near(t, "half of the scale", b.read()[0], volts/2)
		if got := int(binary.BigEndian.Uint16([]byte{byte(chip.values[0x01] >> 8), 0}) >> 9 & 7); got != bits {
			t.Errorf("%v V: PGA is %d, want %d", volts, got, bits)
		}
	}
}

// newMPU is an MPU-6050, which takes no setting while it sleeps.
func newMPU(t *testing.T) *registers8 {
	c := &registers8{}
	reset := func() {
		c.values = [256]byte{0x75: 0x68, 0x6b: 0x40}
	}
	reset()
	c.onWrite = func(register, value byte) {
		switch {
		case register == 0x6b && value&0x80 != 0:
			reset()
		case register != 0x6b && c.values[0x6b]&0x40 != 0:
			t.Errorf("register 0x%02x is written while the chip sleeps", register)
		}
	}
	return c
}

// TestMPU6050 has the sensitivities of PS-MPU-6000A-00, tables 6.1 and 6.2, and the
// formula of RM-MPU-6000A-00, section 4.18.
func TestMPU6050(t *testing.T) {
	chip := newMPU(t)
	b := newBench(t, mpu6050Driver, Settings{}, nil, over(chip))
	for done := false; !done; {
		for i, v := range []int16{8192, -8192, 16384, -521, 655, -655, 32750} {
			binary.BigEndian.PutUint16(chip.values[0x3b+2*i:], uint16(v))
		}
		var err error
		if done, err = b.step(); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []float64{9.80665, -9.80665, 19.6133, 10, -10, 500, 36.53 - 521.0/340} {
		near(t, mpu6050Driver.Fields(Settings{})[i].Name, b.values[i], want)
	}
	ordered(t, chip.written, "6b=80", "6b=01", "1a=03")
	ordered(t, chip.written, "6b=01", "19=04")
	ordered(t, chip.written, "6b=01", "1b=08")
	ordered(t, chip.written, "6b=01", "1c=08")
	if b.now < 130*time.Millisecond {
		t.Errorf("the first reading comes after %v, before the gyroscope runs", b.now)
	}
	chip.values = [256]byte{0x75: 0x68, 0x6b: 0x40} // the supply failed for a moment
	if _, err := b.step(); !errors.Is(err, ErrReset) {
		t.Errorf("a chip that sleeps is %v", err)
	}
	b.chip.begin()
	chip.values[0x75] = 0x70
	err := b.fails()
	if want := "another chip answers: its identity is 0x70, not 0x68, as of a MPU-6500"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}
