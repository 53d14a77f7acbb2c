package i2c

import (
	"math"
	"time"
)

// ADS1115, four voltages against ground, 16 bits. Texas Instruments SBAS444D,
// sections 9.6.3 (the configuration register), 9.4.2.1 (one conversion at a time) and
// 9.3.3 (full scale). Each conversion is started by writing the whole configuration, so
// that a chip which lost it has it again.
var ads1115Driver = Driver{
	Name: "ads1115", Title: "four voltages, 16 bits", Datasheet: "Texas Instruments SBAS444D",
	Addresses: addresses(0x48, 0x4b), Every: 100 * time.Millisecond, Fastest: 40 * time.Millisecond,
	Keys: []string{KeyFullScale},
	Fields: func(s Settings) []Field {
		fields := make([]Field, 4)
		for i := range fields {
			fields[i] = Field{Name: "a" + string(rune('0'+i)), Unit: "V", Maximum: s.FullScale}
		}
		return fields
	},
	make: func(s Settings, used []bool) chip { return newADS1115(s, used) },
}

// FullScales are what an ADS1115's amplifier can be set to, in V, in the order of
// the bits PGA[2:0].
var FullScales = []float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256}

const (
	ads1115Start = 0x8000               // OS
	ads1115Base  = 0x4183               // against ground, one conversion, 128 a second, no comparator
	ads1115Time  = 9 * time.Millisecond // 1/128 s and 10% for the oscillator, and 25 us to wake up
	ads1115Tries = 10                   // of 1 ms each, until the chip is not ready
)

type ads1115 struct {
	fullScale float64
	gain      uint16
	channels  []int // that somebody wants
	at        int   // index into channels
	started   bool
	tries     int
}

func newADS1115(s Settings, used []bool) *ads1115 {
	c := &ads1115{fullScale: s.FullScale}
	for bits, volts := range FullScales {
		if volts == s.FullScale {
			c.gain = uint16(bits)
		}
	}
	for i, wanted := range used {
		if wanted {
			c.channels = append(c.channels, i)
		}
	}
	return c
}

func (c *ads1115) begin() { c.at, c.started = 0, false }

func (c *ads1115) step(d *device, values []float64) (time.Duration, bool, error) {
	if len(c.channels) == 0 {
		return 0, true, nil
	}
	channel := c.channels[c.at]
	config := ads1115Base | uint16(channel)<<12 | c.gain<<9
	if !c.started {
		if c.at == 0 {
			for i := range values {
				values[i] = math.NaN()
			}
		}
		c.started, c.tries = true, 0
		return ads1115Time, false, d.writeWord(0x01, config|ads1115Start)
	}
	now, err := d.readWord(0x01)
	switch {
	case err != nil:
		return 0, false, err
	case now&^ads1115Start != config:
		return 0, false, ErrReset
	case now&ads1115Start == 0: // it still converts
		if c.tries++; c.tries > ads1115Tries {
			return 0, false, ErrNotReady
		}
		return time.Millisecond, false, nil
	}
	raw, err := d.readWord(0x00)
	if err != nil {
		return 0, false, err
	}
	values[channel] = c.volts(int16(raw))
	c.started = false
	c.at = (c.at + 1) % len(c.channels)
	return 0, c.at == 0, nil
}

// volts is NaN at the end of the scale, where it may be any more. Against ground
// the chip's offset alone can be under 0.
func (c *ads1115) volts(raw int16) float64 {
	if raw == math.MaxInt16 {
		return math.NaN()
	}
	return float64(max(raw, 0)) / 32768 * c.fullScale
}
