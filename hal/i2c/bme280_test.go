package i2c

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
)

// bosch is the calibration of the worked example that Bosch publishes for the same
// formulas (BST-BMP280-DS001, section 3.12), with humidity words of a real chip.
var bosch = bmeCalibration{
	t1: 27504, t2: 26435, t3: -1000,
	p1: 36477, p2: -10685, p3: 3024, p4: 2855, p5: 140, p6: -7, p7: 15500, p8: -14600, p9: 6000,
	h1: 75, h2: 370, h3: 0, h4: 313, h5: 50, h6: 30,
}

// TestBMECompensation is Bosch's worked example: 25.08 degC and 100653.27 Pa. It prints
// 25767236 as its 1/256 Pa, which are those of the reals; its integer formula, evaluated
// by hand as well, gives 25767233: 0.012 Pa less.
func TestBMECompensation(t *testing.T) {
	hundredths, fine := bosch.temperature(519888)
	if hundredths != 2508 || fine != 128422 {
		t.Errorf("temperature is %d with %d, want 2508 with 128422", hundredths, fine)
	}
	if p := bosch.pressure(415148, fine); p != 25767233 {
		t.Errorf("pressure is %d / 256 Pa, want 25767233", p)
	}
}

// TestBMEIntegersAgreeWithReals: the datasheet gives every formula twice (sections
// 4.2.3 and 8.1); the integers must stay within their resolution of the reals.
func TestBMEIntegersAgreeWithReals(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		rawT, rawP, rawH := 400000+random.Int32N(200000), 250000+random.Int32N(400000), 20000+random.Int32N(25000)
		hundredths, fine := bosch.temperature(rawT)
		exact := realFine(&bosch, float64(rawT))
		if got, want := float64(hundredths)/100, exact/5120; math.Abs(got-want) > 0.011 {
			t.Fatalf("temperature of %d is %v, want %v", rawT, got, want)
		}
		if got, want := float64(bosch.pressure(rawP, fine))/256, realPressure(&bosch, float64(rawP), float64(fine)); math.Abs(got-want) > 0.2 {
			t.Fatalf("pressure of %d is %v, want %v", rawP, got, want)
		}
		if got, want := float64(bosch.humidity(rawH, fine))/1024, realHumidity(&bosch, float64(rawH), float64(fine)); math.Abs(got-want) > 0.02 {
			t.Fatalf("humidity of %d at %d is %v, want %v", rawH, fine, got, want)
		}
	}
}

func realFine(k *bmeCalibration, raw float64) float64 {
	a := (raw/16384 - float64(k.t1)/1024) * float64(k.t2)
	b := raw/131072 - float64(k.t1)/8192
	return a + b*b*float64(k.t3)
}

func realPressure(k *bmeCalibration, raw, fine float64) float64 {
	a := fine/2 - 64000
	b := a * a * float64(k.p6) / 32768
	b += a * float64(k.p5) * 2
	b = b/4 + float64(k.p4)*65536
	a = (float64(k.p3)*a*a/524288 + float64(k.p2)*a) / 524288
	a = (1 + a/32768) * float64(k.p1)
	p := (1048576 - raw - b/4096) * 6250 / a
	return p + (float64(k.p9)*p*p/2147483648+p*float64(k.p8)/32768+float64(k.p7))/16
}

func realHumidity(k *bmeCalibration, raw, fine float64) float64 {
	h := fine - 76800
	h = (raw - (float64(k.h4)*64 + float64(k.h5)/16384*h)) *
		(float64(k.h2) / 65536 * (1 + float64(k.h6)/67108864*h*(1+float64(k.h3)/67108864*h)))
	h *= 1 - float64(k.h1)*h/524288
	return math.Max(0, math.Min(100, h))
}

// newBME is a BME280 with Bosch's calibration: it copies it after a reset, ignores
// ctrl_hum until ctrl_meas is written, and config while it measures.
func newBME(t *testing.T) *registers8 {
	c := &registers8{}
	c.values[0xd0], c.values[0xf3] = 0x60, 0
	copying := 0
	c.onWrite = func(register, value byte) {
		switch register {
		case 0xe0:
			if value != 0xb6 {
				t.Errorf("reset with 0x%02x", value)
			}
			copying = 2
			c.values[0xf2], c.values[0xf4], c.values[0xf5] = 0, 0, 0
		case 0xf4:
			if c.values[0xf2] == 0 || c.values[0xf5] == 0 {
				t.Error("ctrl_meas is written before ctrl_hum and config, which then do not count")
			}
			if value&3 == 3 {
				measured(c, 415148, 519888, 27000)
			}
		case 0xf5:
			if c.values[0xf4]&3 != 0 {
				t.Error("config is written while the chip measures")
			}
		}
	}
	c.onRead = func(register byte) {
		switch register {
		case 0xf3:
			c.values[0xf3] = 0
			if copying > 0 {
				c.values[0xf3] = 1
				copying--
			}
		case 0x88:
			if copying > 0 {
				t.Error("the calibration is read before it is copied")
			}
			calibrate(c, &bosch)
		}
	}
	measured(c, 0x80000, 0x80000, 0x8000)
	return c
}

func calibrate(c *registers8, k *bmeCalibration) {
	for i, v := range []uint16{k.t1, uint16(k.t2), uint16(k.t3), k.p1, uint16(k.p2), uint16(k.p3), uint16(k.p4), uint16(k.p5), uint16(k.p6), uint16(k.p7), uint16(k.p8), uint16(k.p9)} {
		binary.LittleEndian.PutUint16(c.values[0x88+2*i:], v)
	}
	c.values[0xa1] = k.h1
	binary.LittleEndian.PutUint16(c.values[0xe1:], uint16(k.h2))
	c.values[0xe3] = k.h3
	c.values[0xe4], c.values[0xe5], c.values[0xe6] = byte(k.h4>>4), byte(k.h4&0x0f)|byte(k.h5&0x0f)<<4, byte(k.h5>>4)
	c.values[0xe7] = byte(k.h6)
}

func measured(c *registers8, p, t, h int32) {
	copy(c.values[0xf7:], []byte{byte(p >> 12), byte(p >> 4), byte(p << 4), byte(t >> 12), byte(t >> 4), byte(t << 4), byte(h >> 8), byte(h)})
}

func TestBME280(t *testing.T) {
	chip := newBME(t)
	b := newBench(t, bme280Driver, Settings{}, nil, over(chip))
	v := b.read()
	near(t, "temperature", v[0], 25.08)
	near(t, "pressure", v[1], 25767233.0/256/100)
	if want := realHumidity(&bosch, 27000, 128422); math.Abs(v[2]-want) > 0.02 {
		t.Errorf("humidity is %v, want %v", v[2], want)
	}
	ordered(t, chip.written, "e0=b6", "f2=01", "f5=20", "f4=27")

	measured(chip, 0x80000, 519888, 0x8000) // only the temperature was measured
	v = b.read()
	near(t, "temperature alone", v[0], 25.08)
	near(t, "no pressure", v[1], math.NaN())
	near(t, "no humidity", v[2], math.NaN())
	chip.values[0xf4] = 0
	if _, err := b.step(); !errors.Is(err, ErrReset) {
		t.Errorf("lost settings are %v", err)
	}
	chip.values[0xd0] = 0x58
	b.chip.begin()
	if want := "another chip answers: its identity is 0x58, not 0x60, as of a BMP280, which has no humidity"; b.fails().Error() != want {
		t.Errorf("a BMP280 is not %q", want)
	}
}

// TestBMENegativeWords: h4, h5 and h6 have signs of their own.
func TestBMENegativeWords(t *testing.T) {
	var k bmeCalibration
	want := bmeCalibration{h2: -5, h3: 7, h4: -300, h5: -2, h6: -30}
	c := &registers8{}
	calibrate(c, &want)
	k.second(c.values[0xe1:0xe8])
	if k != want {
		t.Errorf("got %+v, want %+v", k, want)
	}
}
