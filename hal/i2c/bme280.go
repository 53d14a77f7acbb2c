package i2c

import (
	"encoding/binary"
	"math"
	"time"
)

// BME280, temperature, pressure and humidity. Bosch BST-BME280-DS002 revision 1.6,
// sections 4.2.2 and 4.2.3 (calibration and compensation in integers), 5.4 (registers).
var bme280Driver = Driver{
	Name: "bme280", Title: "temperature, pressure and humidity of the air", Datasheet: "Bosch BST-BME280-DS002 revision 1.6",
	Addresses: addresses(0x76, 0x77), Every: time.Second, Fastest: 100 * time.Millisecond,
	Fields: func(Settings) []Field {
		return []Field{
			{Name: "temperature", Unit: "°C", Minimum: -40, Maximum: 85},
			{Name: "pressure", Unit: "hPa", Minimum: 300, Maximum: 1100},
			{Name: "humidity", Unit: "%", Maximum: 100},
		}
	},
	make: func(Settings, []bool) chip { return &bme280{} },
}

const (
	bmeHumidity = 0x01 // ctrl_hum: one sample
	bmeMeasure  = 0x27 // ctrl_meas: one sample each of the others, again and again
	bmeConfig   = 0x20 // config: 62.5 ms between two measurements, no filter
	bmeIdentity = 0x60
	bmeTries    = 10 // of 2 ms each, until the calibration is copied
)

var bmeKnown = map[byte]string{0x56: "BMP280, which has no humidity", 0x57: "BMP280, which has no humidity", 0x58: "BMP280, which has no humidity", 0x61: "BME680"}

type bme280 struct {
	state       int
	tries       int
	calibration bmeCalibration
}

func (c *bme280) begin() { c.state, c.tries = 0, 0 }

func (c *bme280) step(d *device, values []float64) (wait time.Duration, done bool, err error) {
	switch c.state {
	case 0:
		wait, err = c.reset(d)
	case 1:
		wait, err = c.setUp(d)
	default:
		return 0, true, c.measure(d, values)
	}
	return wait, false, err
}

// reset starts the chip anew, which takes 2 ms (table 1).
func (c *bme280) reset(d *device) (time.Duration, error) {
	id, err := d.readByte(0xd0)
	if err == nil && id != bmeIdentity {
		err = &chipError{found: uint16(id), want: bmeIdentity, is: bmeKnown[id]}
	}
	if err == nil {
		err = d.writeByte(0xe0, 0xb6)
	}
	if err == nil {
		c.state = 1
	}
	return 3 * time.Millisecond, err
}

// setUp reads the calibration, once the chip has copied it, and starts measuring.
// ctrl_hum counts from the next write of ctrl_meas on (section 5.4.3), and config may
// be ignored while the chip measures (section 5.4.6), so ctrl_meas comes last.
func (c *bme280) setUp(d *device) (time.Duration, error) {
	status, err := d.readByte(0xf3)
	if err != nil {
		return 0, err
	}
	if status&1 != 0 { // im_update
		if c.tries++; c.tries > bmeTries {
			return 0, ErrNotReady
		}
		return 2 * time.Millisecond, nil
	}
	if err := c.readCalibration(d); err != nil {
		return 0, err
	}
	for _, p := range [...]pair{{0xf2, bmeHumidity}, {0xf5, bmeConfig}, {0xf4, bmeMeasure}} {
		if err := d.writeByte(p.register, p.value); err != nil {
			return 0, err
		}
	}
	c.state = 2
	return 10 * time.Millisecond, nil // 9.3 ms at most (appendix B, 9.1)
}

func (c *bme280) readCalibration(d *device) error {
	b, err := d.read(0x88, 26)
	if err != nil {
		return err
	}
	c.calibration.first(b)
	b, err = d.read(0xe1, 7)
	if err != nil {
		return err
	}
	c.calibration.second(b)
	if c.calibration.t1 == 0 || c.calibration.p1 == 0 {
		return ErrNotReady
	}
	return nil
}

// measure reads the newest measurement in one transfer, or its bytes could be of two
// (section 4).
func (c *bme280) measure(d *device, values []float64) error {
	b, err := d.read(0xf2, 4)
	if err != nil {
		return err
	}
	if b[0]&7 != bmeHumidity || b[2] != bmeMeasure || b[3]&0xfc != bmeConfig {
		return ErrReset
	}
	b, err = d.read(0xf7, 8)
	if err != nil {
		return err
	}
	pressure := int32(b[0])<<12 | int32(b[1])<<4 | int32(b[2])>>4
	temperature := int32(b[3])<<12 | int32(b[4])<<4 | int32(b[5])>>4
	humidity := int32(b[6])<<8 | int32(b[7])
	values[0], values[1], values[2] = math.NaN(), math.NaN(), math.NaN()
	if temperature == 0x80000 { // not measured; the others need it
		return nil
	}
	k := &c.calibration
	hundredths, fine := k.temperature(temperature)
	values[0] = float64(hundredths) / 100
	if p := k.pressure(pressure, fine); pressure != 0x80000 && p > 0 {
		values[1] = float64(p) / 256 / 100
	}
	if humidity != 0x8000 {
		values[2] = float64(k.humidity(humidity, fine)) / 1024
	}
	return nil
}

// bmeCalibration are the words of table 16.
type bmeCalibration struct {
	t1, p1                         uint16
	t2, t3                         int16
	p2, p3, p4, p5, p6, p7, p8, p9 int16
	h1, h3                         uint8
	h2, h4, h5                     int16
	h6                             int8
}

// first reads registers 0x88 to 0xa1, little endian.
func (k *bmeCalibration) first(b []byte) {
	word := func(i int) uint16 { return binary.LittleEndian.Uint16(b[2*i:]) }
	k.t1, k.t2, k.t3, k.p1 = word(0), int16(word(1)), int16(word(2)), word(3)
	for i, p := range []*int16{&k.p2, &k.p3, &k.p4, &k.p5, &k.p6, &k.p7, &k.p8, &k.p9} {
		*p = int16(word(4 + i))
	}
	k.h1 = b[25]
}

// second reads registers 0xe1 to 0xe7; h4 and h5 have 12 bits and share 0xe5.
func (k *bmeCalibration) second(b []byte) {
	k.h2, k.h3 = int16(binary.LittleEndian.Uint16(b)), b[2]
	k.h4 = int16(int8(b[3]))<<4 | int16(b[4]&0x0f)
	k.h5 = int16(int8(b[5]))<<4 | int16(b[4]>>4)
	k.h6 = int8(b[6])
}

// temperature gives hundredths of a degree, and the finer one that the others need.
func (k *bmeCalibration) temperature(raw int32) (hundredths, fine int32) {
	offset := raw>>4 - int32(k.t1)
	linear := ((raw>>3 - int32(k.t1)<<1) * int32(k.t2)) >> 11
	square := (((offset * offset) >> 12) * int32(k.t3)) >> 14
	fine = linear + square
	return (fine*5 + 128) >> 8, fine
}

// pressure gives 1/256 Pa; 0 where the calibration makes no sense.
func (k *bmeCalibration) pressure(raw, fine int32) int64 {
	x := int64(fine) - 128000
	square := x*x*int64(k.p6) + (x*int64(k.p5))<<17 + int64(k.p4)<<35
	scale := (x*x*int64(k.p3))>>8 + (x*int64(k.p2))<<12
	scale = ((1<<47 + scale) * int64(k.p1)) >> 33
	if scale == 0 {
		return 0
	}
	p := (((1048576-int64(raw))<<31 - square) * 3125) / scale
	high := (int64(k.p9) * (p >> 13) * (p >> 13)) >> 25
	low := (int64(k.p8) * p) >> 19
	return (p+high+low)>>8 + int64(k.p7)<<4
}

// humidity gives 1/1024 percent, between 0 and 100.
func (k *bmeCalibration) humidity(raw, fine int32) int32 {
	x := fine - 76800
	slope := (((x*int32(k.h6))>>10*((x*int32(k.h3))>>11+32768))>>10+2097152)*int32(k.h2) + 8192
	v := ((raw<<14 - int32(k.h4)<<20 - int32(k.h5)*x + 16384) >> 15) * (slope >> 14)
	v -= ((((v >> 15) * (v >> 15)) >> 7) * int32(k.h1)) >> 4
	return max(0, min(419430400, v)) >> 12
}
