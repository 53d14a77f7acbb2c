package i2c

import (
	"math"
	"time"
)

// VL53L0X, distance by time of flight, up to 2 m. STMicroelectronics DS11555
// revision 5 says what it measures and names no register: what to write comes from
// UM2039 (order of the steps, sections 2 and 5) and the settings of ST's own interface,
// STSW-IMG005 1.0.4. The timing stays as those leave it: a measurement every 33 ms.
var vl53l0xDriver = Driver{
	Name: "vl53l0x", Title: "distance up to 2 m by laser", Datasheet: "STMicroelectronics DS11555 revision 5, UM2039",
	Addresses: flightAddresses, Every: 50 * time.Millisecond, Fastest: 35 * time.Millisecond,
	Keys: []string{KeyNoTarget},
	Fields: func(Settings) []Field {
		return []Field{{Name: "distance", Unit: "m", Maximum: 2}}
	},
	make: func(s Settings, _ []bool) chip { return &vl53l0x{noTarget: s.NoTarget} },
}

// flightAddresses: 0x29 after power-on; whoever holds several of them in reset can
// give them others first.
var flightAddresses = append([]uint16{0x29}, slicesWithout(addresses(0x08, 0x77), 0x29)...)

func slicesWithout(all []uint16, one uint16) []uint16 {
	var rest []uint16
	for _, a := range all {
		if a != one {
			rest = append(rest, a)
		}
	}
	return rest
}

// States of a VL53L0X on its way to measuring.
const (
	l0xIdentify = iota
	l0xMemory   // the references' calibration is being read from its memory
	l0xTune     // settings are being written, some at a time
	l0xSupply   // the first calibration runs
	l0xPhase    // the second calibration runs
	l0xRun
)

const (
	l0xTries = 100 // polls of 5 ms each, until the chip is not ready
	l0xPoll  = 5 * time.Millisecond
	l0xChunk = 16 // settings in one step, 5 ms at 100 kHz: others on the bus wait no longer
)

type vl53l0x struct {
	noTarget float64
	state    int
	tries    int
	tuned    int
	stop     byte // found in the chip, and given back to it at each start
}

func (c *vl53l0x) begin() { c.state, c.tries, c.tuned = l0xIdentify, 0, 0 }

func (c *vl53l0x) step(d *device, values []float64) (time.Duration, bool, error) {
	switch c.state {
	case l0xIdentify:
		return c.next(l0xPoll, c.identify(d))
	case l0xTune:
		return c.tune(d)
	case l0xRun:
		return c.measure(d, values)
	}
	ready, err := c.ready(d)
	if err != nil || !ready {
		return l0xPoll, false, err
	}
	switch c.state {
	case l0xMemory:
		err = c.references(d)
	case l0xSupply:
		err = c.calibrate(d, 0x02, 0x01)
	case l0xPhase:
		err = c.start(d)
	}
	return c.next(l0xPoll, err)
}

// next goes on to the next state.
func (c *vl53l0x) next(wait time.Duration, err error) (time.Duration, bool, error) {
	if err == nil {
		c.state++
		c.tries = 0
	}
	return wait, false, err
}

// ready says whether the chip has done what it was told; while the memory is read
// another register tells.
func (c *vl53l0x) ready(d *device) (bool, error) {
	register, mask := byte(0x13), byte(0x07)
	if c.state == l0xMemory {
		register, mask = 0x83, 0xff
	}
	b, err := d.readByte(register)
	if err != nil || b&mask != 0 {
		return err == nil, err
	}
	if c.tries++; c.tries > l0xTries {
		return false, ErrNotReady
	}
	return false, nil
}

// identify looks at the model, sets the bus's voltage and limits, and asks for the
// calibration of the references.
func (c *vl53l0x) identify(d *device) error {
	id, err := d.readByte(0xc0)
	if err == nil && id != 0xee {
		err = &chipError{found: uint16(id), want: 0xee, is: map[byte]string{0xea: "VL53L1X"}[id]}
	}
	if err != nil {
		return err
	}
	if err := c.change(d, 0x89, 0, 0x01); err != nil { // lines pulled up at 2.8 V, as on all modules
		return err
	}
	if err := d.writeAll([]pair{{0x88, 0}, {0x80, 1}, {0xff, 1}, {0x00, 0}}); err != nil {
		return err
	}
	if c.stop, err = d.readByte(0x91); err != nil {
		return err
	}
	if err := d.writeAll([]pair{{0x00, 1}, {0xff, 0}, {0x80, 0}}); err != nil {
		return err
	}
	if err := c.change(d, 0x60, 0, 0x12); err != nil { // no limits of the pre-range
		return err
	}
	// 0.25 million photons a second at least (9.7 bits); all steps of a measurement.
	if err := d.writeAll([]pair{{0x44, 0x00}, {0x45, 0x20}, {0x01, 0xff}, {0x80, 1}, {0xff, 1}, {0x00, 0}, {0xff, 6}}); err != nil {
		return err
	}
	if err := c.change(d, 0x83, 0, 0x04); err != nil {
		return err
	}
	return d.writeAll([]pair{{0xff, 7}, {0x81, 1}, {0x80, 1}, {0x94, 0x6b}, {0x83, 0}})
}

// change turns bits of a register off and on.
func (c *vl53l0x) change(d *device, register, off, on byte) error {
	b, err := d.readByte(register)
	if err != nil {
		return err
	}
	return d.writeByte(register, b&^off|on)
}

// references takes from the memory which diodes serve as references, and turns
// those on.
func (c *vl53l0x) references(d *device) error {
	if err := d.writeByte(0x83, 1); err != nil {
		return err
	}
	info, err := d.readByte(0x92)
	if err != nil {
		return err
	}
	if err := d.writeAll([]pair{{0x81, 0}, {0xff, 6}}); err != nil {
		return err
	}
	if err := c.change(d, 0x83, 0x04, 0); err != nil {
		return err
	}
	if err := d.writeAll([]pair{{0xff, 1}, {0x00, 1}, {0xff, 0}, {0x80, 0}}); err != nil {
		return err
	}
	b, err := d.read(0xb0, 6)
	if err != nil {
		return err
	}
	var diodes [6]byte
	copy(diodes[:], b)
	keepReferences(&diodes, int(info&0x7f), info&0x80 != 0)
	if err := d.writeAll([]pair{{0xff, 1}, {0x4f, 0}, {0x4e, 0x2c}, {0xff, 0}, {0xb6, 0xb4}}); err != nil {
		return err
	}
	for i, v := range diodes {
		if err := d.writeByte(0xb0+byte(i), v); err != nil {
			return err
		}
	}
	return nil
}

// keepReferences leaves on only count good diodes; those with an aperture begin at
// the twelfth.
func keepReferences(diodes *[6]byte, count int, aperture bool) {
	first, on := 0, 0
	if aperture {
		first = 12
	}
	for i := range 48 {
		bit := byte(1) << (i % 8)
		switch {
		case i < first || on == count:
			diodes[i/8] &^= bit
		case diodes[i/8]&bit != 0:
			on++
		}
	}
}

// l0xSettings are ST's default settings, by page (register 0xff).
var l0xSettings = []pair{
	{0xff, 1}, {0x00, 0},
	{0xff, 0}, {0x09, 0}, {0x10, 0}, {0x11, 0}, {0x24, 1}, {0x25, 0xff}, {0x75, 0},
	{0xff, 1}, {0x4e, 0x2c}, {0x48, 0}, {0x30, 0x20},
	{0xff, 0}, {0x30, 9}, {0x54, 0}, {0x31, 4}, {0x32, 3}, {0x40, 0x83}, {0x46, 0x25}, {0x60, 0}, {0x27, 0}, {0x50, 6},
	{0x51, 0}, {0x52, 0x96}, {0x56, 8}, {0x57, 0x30}, {0x61, 0}, {0x62, 0}, {0x64, 0}, {0x65, 0}, {0x66, 0xa0},
	{0xff, 1}, {0x22, 0x32}, {0x47, 0x14}, {0x49, 0xff}, {0x4a, 0},
	{0xff, 0}, {0x7a, 0x0a}, {0x7b, 0}, {0x78, 0x21},
	{0xff, 1}, {0x23, 0x34}, {0x42, 0}, {0x44, 0xff}, {0x45, 0x26}, {0x46, 5}, {0x40, 0x40}, {0x0e, 6}, {0x20, 0x1a}, {0x43, 0x40},
	{0xff, 0}, {0x34, 3}, {0x35, 0x44},
	{0xff, 1}, {0x31, 4}, {0x4b, 9}, {0x4c, 5}, {0x4d, 4},
	{0xff, 0}, {0x44, 0}, {0x45, 0x20}, {0x47, 8}, {0x48, 0x28}, {0x67, 0}, {0x70, 4}, {0x71, 1}, {0x72, 0xfe}, {0x76, 0}, {0x77, 0},
	{0xff, 1}, {0x0d, 1},
	{0xff, 0}, {0x80, 1}, {0x01, 0xf8},
	{0xff, 1}, {0x8e, 1}, {0x00, 1},
	{0xff, 0}, {0x80, 0},
}

// tune writes some of the settings, and after the last of them starts the first
// calibration.
func (c *vl53l0x) tune(d *device) (time.Duration, bool, error) {
	end := min(c.tuned+l0xChunk, len(l0xSettings))
	if err := d.writeAll(l0xSettings[c.tuned:end]); err != nil {
		return 0, false, err
	}
	c.tuned = end
	if end < len(l0xSettings) {
		return time.Millisecond, false, nil
	}
	if err := d.writeByte(0x0a, 4); err != nil { // a sample is ready: register 0x13
		return 0, false, err
	}
	if err := c.change(d, 0x84, 0x10, 0); err != nil {
		return 0, false, err
	}
	return c.next(l0xPoll, c.calibrate(d, 0x01, 0x41))
}

// calibrate acknowledges what was before and starts a calibration alone.
func (c *vl53l0x) calibrate(d *device, steps, how byte) error {
	return d.writeAll([]pair{{0x0b, 1}, {0x00, 0}, {0x01, steps}, {0x00, how}})
}

// start measures on and on, with all steps that ST's settings have (0xe8).
func (c *vl53l0x) start(d *device) error {
	return d.writeAll([]pair{
		{0x0b, 1}, {0x00, 0}, {0x01, 0xe8},
		{0x80, 1}, {0xff, 1}, {0x00, 0}, {0x91, c.stop}, {0x00, 1}, {0xff, 0}, {0x80, 0}, {0x00, 2},
	})
}

func (c *vl53l0x) measure(d *device, values []float64) (time.Duration, bool, error) {
	ready, err := c.ready(d)
	if err != nil || !ready {
		return l0xPoll, false, err
	}
	b, err := d.read(0x14, 12)
	if err != nil {
		return 0, false, err
	}
	status, mm := b[0]&0x78>>3, int(b[10])<<8|int(b[11])
	if err := d.writeByte(0x0b, 1); err != nil {
		return 0, false, err
	}
	c.tries = 0
	values[0] = c.distance(status, mm)
	return 0, true, nil
}

// distance judges a result. 11 is a sound one. 4 and 5 are too little light back;
// 6 and 9 an implausible phase, which with 8190 mm and more is nothing in sight.
// Anything else, a target that is too near among it, is no distance at all.
func (c *vl53l0x) distance(status byte, mm int) float64 {
	switch status {
	case 11:
		if mm < 8190 {
			return float64(mm) / 1000
		}
		return c.noTarget
	case 4, 5:
		return c.noTarget
	case 6, 9:
		if mm >= 8190 {
			return c.noTarget
		}
	}
	return math.NaN()
}
