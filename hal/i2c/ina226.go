package i2c

import (
	"math"
	"time"
)

// INA226, supply voltage and current. Texas Instruments SBOS547B, section 7.6
// (registers); current from shunt voltage and resistance, as in ina219.go.
var ina226Driver = Driver{
	Name: "ina226", Title: "voltage, current and power of a supply up to 36 V", Datasheet: "Texas Instruments SBOS547B",
	Addresses: addresses(0x40, 0x4f), Every: 100 * time.Millisecond, Fastest: 40 * time.Millisecond,
	Keys: []string{KeyShunt},
	Fields: func(s Settings) []Field {
		return powerFields(40.96, 0.08192/s.Shunt)
	},
	make: func(s Settings, _ []bool) chip { return &ina226{shunt: s.Shunt} },
}

const (
	ina226Config = 0x4527                // means of 16, 1.1 ms each, both all the time
	ina226Cycle  = 38 * time.Millisecond // 16 x (1.1 ms + 1.1 ms), and 8% for the oscillator
	ina226Maker  = 0x5449                // register 0xfe, "TI"
	ina226Die    = 0x2260                // register 0xff, without the revision
)

type ina226 struct {
	shunt float64
	set   bool
}

func (c *ina226) begin() { c.set = false }

func (c *ina226) step(d *device, values []float64) (time.Duration, bool, error) {
	if !c.set {
		err := c.setUp(d)
		c.set = err == nil
		return ina226Cycle, false, err
	}
	config, err := d.readWord(0x00)
	if err != nil {
		return 0, false, err
	}
	if config != ina226Config {
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
	current := math.NaN()
	if s := int16(shunt); s < math.MaxInt16 && s > math.MinInt16 { // 81.92 mV: it may be any more
		current = float64(s) * 2.5e-6 / c.shunt
	}
	power(values, float64(bus)*1.25e-3, current)
	return 0, true, nil
}

func (c *ina226) setUp(d *device) error {
	maker, err := d.readWord(0xfe)
	if err != nil {
		return err
	}
	if maker != ina226Maker {
		return &chipError{found: maker, want: ina226Maker}
	}
	die, err := d.readWord(0xff)
	if err != nil {
		return err
	}
	if die&0xfff0 != ina226Die {
		return &chipError{found: die, want: ina226Die}
	}
	return d.writeWord(0x00, ina226Config)
}
