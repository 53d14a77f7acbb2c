//go:build linux

package i2c

import (
	"context"
	"math"
	"testing"
	"time"

	"dancer/hal"
	"dancer/hal/haltest"
)

// chipRig is a poller over two simulated chips: the voltage of an INA219, of which a
// volt is a metre, and one switch.
type chipRig struct {
	*Poller
	bus    *lockedBus
	ina    *words
	pins   *pins
	lost   [2]bool
	closed bool
	frame  Frame
}

func (r *chipRig) Stimulate(signal int, value float64) {
	r.bus.change(func(*simulatedBus) {
		if signal == 0 {
			r.ina.values[0x02] = uint16(math.Round(value/4e-3)) << 3
		} else {
			r.pins.in = byte(value)
		}
	})
}

func (r *chipRig) Collect(emit func(hal.Reading)) {
	time.Sleep(time.Millisecond)
	for r.Next(&r.frame) {
		f := &r.frame
		r.lost[f.Device] = f.Lost
		if !f.Lost {
			emit(hal.Reading{Signal: f.Device, Value: f.Values[0], At: f.At})
		}
	}
}

func (r *chipRig) Drive(int, float64) error  { return ErrUnsupported }
func (r *chipRig) World(int) (float64, bool) { return 0, false }
func (r *chipRig) Turn() {
	for r.Next(&r.frame) {
	}
}

// Halt has nothing to make safe.
func (r *chipRig) Halt() error {
	if r.closed {
		return ErrClosed
	}
	return nil
}

func (r *chipRig) Close() error {
	r.closed = true
	return r.Poller.Close()
}

// Silence takes both chips off the bus.
func (r *chipRig) Silence(on bool) {
	r.bus.change(func(b *simulatedBus) {
		b.chips = map[uint16]simulated{}
		if !on {
			b.chips = map[uint16]simulated{0x40: r.ina, 0x20: r.pins}
		}
	})
}

// Break unplugs the bus itself, a USB adapter say; the poller opens it again.
func (r *chipRig) Break() {
	r.bus.change(func(b *simulatedBus) { b.fail = func(uint16) error { return ErrGone } })
}

func (r *chipRig) Broken() bool { return r.lost[0] && r.lost[1] }

func (r *chipRig) Mend() error {
	r.bus.change(func(b *simulatedBus) { b.fail = nil })
	return nil
}

func TestConformance(t *testing.T) {
	haltest.Suite{
		Signals: []hal.Signal{{Name: "range", Minimum: 0, Maximum: 8}, {Name: "bumper", Boolean: true}},
		Now:     monotonic, Sampled: true, Goroutines: 1,
		Open: func(t *testing.T) haltest.Rig {
			rig := &chipRig{bus: &lockedBus{}, ina: &words{values: map[byte]uint16{}, quiet: true}, pins: &pins{}}
			rig.Silence(false)
			var err error
			rig.Poller, err = NewPoller(Config{
				Bus: "/dev/i2c-1", Now: monotonic, Open: func(string) (Wire, error) { return rig.bus, nil },
				Devices: []Device{
					{Name: "battery", Driver: "ina219", Address: 0x40, Every: time.Millisecond, Settings: DefaultSettings(), Used: make([]bool, 3)},
					{Name: "front", Driver: "pcf8574", Address: 0x20, Every: time.Millisecond, Settings: DefaultSettings(), Used: make([]bool, 8)},
				},
			})
			if err != nil {
				t.Fatal(err)
			}
			go rig.Run(context.Background())
			t.Cleanup(func() { rig.Close() })
			return rig
		},
	}.Run(t)
}
