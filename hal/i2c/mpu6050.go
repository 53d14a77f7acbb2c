package i2c

import (
	"encoding/binary"
	"time"
)

// MPU-6050, acceleration, rotation and the chip's temperature. InvenSense
// RM-MPU-6000A-00 revision 4.2 (register map), sections 4.17 to 4.21, and
// PS-MPU-6000A-00 revision 3.4, section 6 (sensitivities).
var mpu6050Driver = Driver{
	Name: "mpu6050", Title: "acceleration up to 4 g, rotation up to 500 deg/s", Datasheet: "InvenSense RM-MPU-6000A-00 revision 4.2",
	Addresses: addresses(0x68, 0x69), Every: 20 * time.Millisecond, Fastest: 5 * time.Millisecond,
	Fields: func(Settings) []Field {
		const a, r = 4 * gravity, 500
		return []Field{
			{Name: "acceleration_x", Unit: "m/s^2", Minimum: -a, Maximum: a},
			{Name: "acceleration_y", Unit: "m/s^2", Minimum: -a, Maximum: a},
			{Name: "acceleration_z", Unit: "m/s^2", Minimum: -a, Maximum: a},
			{Name: "rotation_x", Unit: "deg/s", Minimum: -r, Maximum: r},
			{Name: "rotation_y", Unit: "deg/s", Minimum: -r, Maximum: r},
			{Name: "rotation_z", Unit: "deg/s", Minimum: -r, Maximum: r},
			{Name: "temperature", Unit: "°C", Minimum: -40, Maximum: 85},
		}
	},
	make: func(Settings, []bool) chip { return &mpu6050{} },
}

// gravity is the standard acceleration of free fall, m/s^2 (CGPM 1901).
const gravity = 9.80665

const (
	mpuPower    = 0x6b // PWR_MGMT_1
	mpuIdentity = 0x68 // WHO_AM_I, whatever the address pin says
	mpuAwake    = 0x01 // not asleep, clock of the gyroscope's X axis as section 4.28 advises
)

// mpuKnown are other chips in the same package with the same registers up to a
// point; their scales and start-up times are not this driver's.
var mpuKnown = map[byte]string{0x70: "MPU-6500", 0x71: "MPU-9250", 0x73: "MPU-9255", 0x98: "ICM-20689", 0x19: "MPU-6886"}

// mpuSettings: 200 samples a second, low pass 44 Hz, 500 deg/s, 4 g.
var mpuSettings = []pair{{0x19, 4}, {0x1a, 3}, {0x1b, 0x08}, {0x1c, 0x08}}

type mpu6050 struct{ state int }

func (c *mpu6050) begin() { c.state = 0 }

func (c *mpu6050) step(d *device, values []float64) (time.Duration, bool, error) {
	switch c.state {
	case 0:
		id, err := d.readByte(0x75)
		if err == nil && id != mpuIdentity {
			err = &chipError{found: uint16(id), want: mpuIdentity, is: mpuKnown[id]}
		}
		if err == nil {
			err = d.writeByte(mpuPower, 0x80) // reset
		}
		if err != nil {
			return 0, false, err
		}
		c.state++
		return 100 * time.Millisecond, false, nil // section 4.28
	case 1:
		err := d.writeByte(mpuPower, mpuAwake) // first: asleep it takes no other setting
		if err == nil {
			err = d.writeAll(mpuSettings)
		}
		if err != nil {
			return 0, false, err
		}
		c.state++
		return 35 * time.Millisecond, false, nil // the gyroscope starts in 30 ms (PS section 6.1)
	}
	power, err := d.readByte(mpuPower)
	if err != nil {
		return 0, false, err
	}
	if power != mpuAwake { // after a drop of the supply it is asleep, and all its values are 0
		return 0, false, ErrReset
	}
	b, err := d.read(0x3b, 14)
	if err != nil {
		return 0, false, err
	}
	mpuValues(b, values)
	return 0, true, nil
}

// mpuValues reads acceleration, temperature and rotation, in the order of the
// registers, two bytes each.
func mpuValues(b []byte, values []float64) {
	word := func(i int) float64 { return float64(int16(binary.BigEndian.Uint16(b[2*i:]))) }
	for i := range 3 {
		values[i] = word(i) / 8192 * gravity // 8192 a g
		values[3+i] = word(4+i) / 65.5       // 65.5 a degree per second
	}
	values[6] = word(3)/340 + 36.53 // section 4.18
}
