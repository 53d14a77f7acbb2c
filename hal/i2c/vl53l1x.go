package i2c

import (
	"encoding/binary"
	"math"
	"time"
)

// VL53L1X, distance by time of flight, up to 4 m. STMicroelectronics DS12385
// revision 7 names no register but the identity (section 4.2): what to write comes from
// UM2510 (order of the steps) and the settings of ST's own driver, STSW-IMG009 3.5.1.
// Long distance, a measurement of 50 ms every 55 ms.
var vl53l1xDriver = Driver{
	Name: "vl53l1x", Title: "distance up to 4 m by laser", Datasheet: "STMicroelectronics DS12385 revision 7, UM2510",
	Addresses: flightAddresses, Every: 60 * time.Millisecond, Fastest: 55 * time.Millisecond,
	Keys: []string{KeyNoTarget},
	Fields: func(Settings) []Field {
		return []Field{{Name: "distance", Unit: "m", Maximum: 4}}
	},
	make: func(s Settings, _ []bool) chip { return &vl53l1x{noTarget: s.NoTarget} },
}

// States of a VL53L1X on its way to measuring.
const (
	l1xBoot = iota
	l1xSettle
	l1xTrial // the first measurement, which calibrates
	l1xRun
)

const (
	l1xIdentity  = 0xeacc
	l1xMeasuring = 0x40
	l1xPeriod    = 55 // ms
	l1xTries     = 100
	l1xPoll      = 5 * time.Millisecond
)

type vl53l1x struct {
	noTarget float64
	state    int
	tries    int
	written  int
}

func (c *vl53l1x) begin() { c.state, c.tries, c.written = l1xBoot, 0, 0 }

func (c *vl53l1x) step(d *device, values []float64) (time.Duration, bool, error) {
	switch c.state {
	case l1xBoot:
		return c.boot(d)
	case l1xSettle:
		return c.settle(d)
	}
	ready, err := c.ready(d)
	if err != nil || !ready {
		return l1xPoll, false, err
	}
	c.tries = 0
	if c.state == l1xTrial {
		err := c.start(d)
		if err == nil {
			c.state = l1xRun
		}
		return l1xPoll, false, err
	}
	return 0, true, c.measure(d, values)
}

// boot waits for the chip's own program, which takes 1.2 ms after power-on.
func (c *vl53l1x) boot(d *device) (time.Duration, bool, error) {
	b, err := d.read16(0x00e5, 1)
	if err != nil {
		return 0, false, err
	}
	if b[0]&1 == 0 {
		return 2 * time.Millisecond, false, c.again()
	}
	if b, err = d.read16(0x010f, 2); err != nil {
		return 0, false, err
	}
	if id := binary.BigEndian.Uint16(b); id != l1xIdentity {
		return 0, false, &chipError{found: id, want: l1xIdentity, is: map[uint16]string{0xebaa: "VL53L4CD"}[id]}
	}
	c.state, c.tries = l1xSettle, 0
	return 0, false, d.write16Byte(0x0087, 0) // it may still measure for a program before us
}

func (c *vl53l1x) again() error {
	if c.tries++; c.tries > l1xTries {
		return ErrNotReady
	}
	return nil
}

// run is a series of registers, written in one transfer.
type run struct {
	register uint16
	values   []byte
}

// l1xSettings are ST's default settings for registers 0x2d to 0x86; lines are pulled
// up at 2.8 V (0x2e, 0x2f), as on all modules.
var l1xSettings = []run{
	{0x002d, []byte{0, 1, 1, 1, 2, 0, 2, 8, 0, 8, 0x10, 1, 1, 0, 0, 0, 0, 0xff, 0}},
	{0x0040, []byte{0x0f, 0, 0, 0, 0, 0, 0x20, 0x0b, 0, 0, 2, 0x0a, 0x21, 0, 0, 5, 0, 0, 0, 0, 0xc8, 0, 0, 0x38, 0xff, 1}},
	{0x005a, []byte{0, 8, 0, 0, 1, 0xcc, 0x0f, 1, 0xf1, 0x0d, 1, 0x68, 0, 0x80, 8, 0xb8}},
	{0x006a, []byte{0, 0, 0, 0, 0x0f, 0x89, 0, 0, 0, 0, 0, 0, 0, 1, 0x0f, 0x0d, 0x0e, 0x0e}},
	{0x007c, []byte{0, 0, 2, 0xc7, 0xff, 0x9b, 0, 0, 0, 1, 0}},
}

// settle writes one series of settings a step, then starts the first measurement.
func (c *vl53l1x) settle(d *device) (time.Duration, bool, error) {
	r := &l1xSettings[c.written]
	if err := d.write16(r.register, r.values); err != nil {
		return 0, false, err
	}
	if c.written++; c.written < len(l1xSettings) {
		return time.Millisecond, false, nil
	}
	err := d.write16Byte(0x0087, l1xMeasuring)
	if err == nil {
		c.state = l1xTrial
	}
	return l1xPoll, false, err
}

// ready says whether a measurement is there: the interrupt line's level, which
// bit 4 of 0x30 makes high.
func (c *vl53l1x) ready(d *device) (bool, error) {
	b, err := d.read16(0x0031, 1)
	if err != nil {
		return false, err
	}
	if b[0]&1 == 1 {
		return true, nil
	}
	return false, c.again()
}

// start ends the first measurement, keeps what it calibrated (0x08, 0x0b), and
// measures on and on.
func (c *vl53l1x) start(d *device) error {
	for _, r := range [...]run{
		{0x0086, []byte{1}}, {0x0087, []byte{0}}, {0x0008, []byte{9}}, {0x000b, []byte{0}},
		{0x005e, []byte{0x00, 0xad}}, {0x0061, []byte{0x00, 0xc6}}, // 50 ms, long distance
	} {
		if err := d.write16(r.register, r.values); err != nil {
			return err
		}
	}
	b, err := d.read16(0x00de, 2) // ticks of its clock in a millisecond
	if err != nil {
		return err
	}
	ticks := uint32(binary.BigEndian.Uint16(b)&0x3ff) * l1xPeriod * 1075 / 1000
	var period [4]byte
	binary.BigEndian.PutUint32(period[:], ticks)
	if err := d.write16(0x006c, period[:]); err != nil {
		return err
	}
	if err := d.write16Byte(0x0086, 1); err != nil {
		return err
	}
	return d.write16Byte(0x0087, l1xMeasuring)
}

// measure reads status (0x89) and distance (0x96) in one transfer and makes room
// for the next.
func (c *vl53l1x) measure(d *device, values []float64) error {
	b, err := d.read16(0x0089, 15)
	if err != nil {
		return err
	}
	status, mm := b[0]&0x1f, binary.BigEndian.Uint16(b[13:])
	if err := d.write16Byte(0x0086, 1); err != nil {
		return err
	}
	values[0] = c.distance(status, mm)
	return nil
}

// distance judges a result: 9 is a sound one, 4 too little light back. Anything
// else, a target beyond the unambiguous distance among it, is no distance at all.
func (c *vl53l1x) distance(status byte, mm uint16) float64 {
	switch status {
	case 9:
		return float64(mm) / 1000
	case 4:
		return c.noTarget
	}
	return math.NaN()
}
