package i2c

import "time"

// PCF8574 and PCF8574A, eight lines in. NXP PCF8574 revision 5, sections 7.1
// (addresses), 8.1 (a line that is an input is written 1: it is then held up by 100 uA
// and can be pulled to ground) and 8.3 (reading).
var pcf8574Driver = Driver{
	Name: "pcf8574", Title: "eight switches, each to ground", Datasheet: "NXP PCF8574 revision 5",
	Addresses: append(addresses(0x20, 0x27), addresses(0x38, 0x3f)...), Every: 20 * time.Millisecond, Fastest: 2 * time.Millisecond,
	Fields: func(Settings) []Field {
		fields := make([]Field, 8)
		for i := range fields {
			fields[i] = Field{Name: "p" + string(rune('0'+i)), Boolean: true, Maximum: 1}
		}
		return fields
	},
	make: func(Settings, []bool) chip { return &pcf8574{} },
}

type pcf8574 struct{ set bool }

func (c *pcf8574) begin() { c.set = false }

func (c *pcf8574) step(d *device, values []float64) (time.Duration, bool, error) {
	if !c.set {
		d.out[0] = 0xff
		if err := d.conn.Tx(d.out[:1], nil); err != nil {
			return 0, false, err
		}
		c.set = true
	}
	if err := d.conn.Tx(nil, d.in[:1]); err != nil {
		return 0, false, err
	}
	for i := range values {
		values[i] = float64(d.in[0] >> i & 1)
	}
	return 0, true, nil
}
