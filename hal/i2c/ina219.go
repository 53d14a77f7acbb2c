package i2c

import (
	"math"
	"time"
)

// INA219, supply voltage and current. Texas Instruments SBOS448G, section 8.6
// (registers) and 8.5.1 (the current follows from shunt voltage and resistance, so the
// chip's own multiplier, which forgets its calibration with every drop of the supply,
// is not used).
var ina219Driver = Driver{
	Name: "ina219", Title: "voltage, current and power of a supply up to 26 V", Datasheet: "Texas Instruments SBOS448G",
	Addresses: addresses(0x40, 0x4f), Every: 100 * time.Millisecond, Fastest: 5 * time.Millisecond,
	Keys: []string{KeyShunt},
	Fields: func(s Settings) []Field {
		return powerFields(32, 0.32/s.Shunt)
	},
	make: func(s Settings, _ []bool) chip { return &ina219{shunt: s.Shunt} },
}

// powerFields are those of both power monitors.
func powerFields(volts, amperes float64) []Field {
	return []Field{
		{Name: "voltage", Unit: "V", Maximum: volts},
		{Name: "current", Unit: "A", Minimum: -amperes, Maximum: amperes},
		{Name: "power", Unit: "W", Minimum: -float64(volts * amperes), Maximum: float64(volts * amperes)},
	}
}

// 32 V range, shunt up to 320 mV, 12 bits, both measured all the time: what the chip
// has after power-on as well (table 8-2).
const ina219Config = 0x399f

type ina219 struct {
	shunt float64
	set   bool
}

func (c *ina219) begin() { c.set = false }

func (c *ina219) step(d *device, values []float64) (time.Duration, bool, error) {
	if !c.set {
		c.set = true
		return 2 * time.Millisecond, false, d.writeWord(0x00, ina219Config) // both conversions take 1.06 ms
	}
	config, err := d.readWord(0x00)
	if err != nil {
		return 0, false, err
	}
	if config != ina219Config {
		return 0, false, ErrReset
	}
	shunt, err := d.readWord(0x01)
	if err != nil {
		return 0, false, err
	}
	bus, err := d.readWord(0x02)
	if err != nil {
		return 0, false, err
	}
	current := math.NaN()                           // at the end of the scale it may be any more
	if s := int16(shunt); s < 32000 && s > -32000 { // 320 mV
		current = float64(s) * 10e-6 / c.shunt // 10 uV a bit
	}
	power(values, float64(bus>>3)*4e-3, current) // 4 mV a bit, from bit 3
	return 0, true, nil
}

// power fills the fields of both power monitors.
func power(values []float64, volts, amperes float64) {
	values[0], values[1], values[2] = volts, amperes, float64(volts*amperes)
}
