//go:build linux

package can

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/haltest"
)

// busRig is a bus with its wire, in the conformance suite. The wire is a socket pair:
// see wire.
type busRig struct {
	*Bus
	wire   *wire
	broken bool
	emit   func(hal.Reading)
	take   func(time.Duration, []hal.Reading)
	turn   []byte
}

func (r *busRig) Stimulate(signal int, value float64) {
	switch signal {
	case 0:
		r.wire.send(classic(0x100, byte(value)))
	case 1:
		raw := uint16(int16(math.Round(value * 100)))
		r.wire.send(classic(0x101|unix.CAN_EFF_FLAG, byte(raw>>8), byte(raw)))
	}
}

func (r *busRig) Collect(emit func(hal.Reading)) {
	r.emit = emit
	if r.Read(r.take) != nil {
		r.broken = true
	}
}

// Drive, World and Halt: it has no outputs.
func (r *busRig) Drive(int, float64) error { return unix.ENOTSUP }

func (r *busRig) World(int) (float64, bool) { return 0, false }

func (r *busRig) Halt() error { return r.usable() }

func (r *busRig) Turn() {
	_, _ = unix.Write(r.wire.far, r.turn)
	_ = r.Read(r.take)
}

func (r *busRig) Lost() uint64 { return r.Counters().Dropped }

func (r *busRig) Break() { r.wire.unplug() }

func (r *busRig) Broken() bool { return r.broken }

func (r *busRig) Mend() error {
	err := r.Reopen()
	r.broken = err != nil
	return err
}

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano())
}

func TestConformance(t *testing.T) {
	haltest.Suite{
		Signals: []hal.Signal{{Name: "held", Boolean: true}, {Name: "speed", Minimum: -10, Maximum: 10}},
		Now:     monotonic,
		Open: func(t *testing.T) haltest.Rig {
			w := newWire(t)
			b := New(Config{Interface: "can0", Clock: monotonic, Socket: w.socket(), Messages: []Message{
				{ID: 0x100, Entries: []Entry{{Signal: 0, Field: hal.CANField{Length: 1, Factor: 1}}}},
				{ID: 0x101, Extended: true, Entries: []Entry{{Signal: 1, Field: hal.CANField{Start: 7, Length: 16, BigEndian: true, Signed: true, Factor: 0.01}}}},
			}})
			if err := b.Reopen(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			r := &busRig{Bus: b, wire: w, emit: func(hal.Reading) {}, turn: classic(0x100, 1)}
			r.take = func(_ time.Duration, readings []hal.Reading) {
				for i := range readings {
					r.emit(readings[i])
				}
			}
			return r
		},
	}.Run(t)
}
