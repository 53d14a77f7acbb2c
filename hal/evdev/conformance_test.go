//go:build linux

package evdev

import (
	"math"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/haltest"
)

// padRig is a device with its pad, in the conformance suite.
type padRig struct {
	*Device
	pad  *pad
	emit func(hal.Reading)
	take func(time.Duration, []hal.Reading)
	turn []byte
}

func (r *padRig) Stimulate(signal int, value float64) {
	now := monotonic()
	switch signal {
	case 0:
		r.pad.send(key(now, deadMan, int32(value)), syn(now))
	case 1:
		r.pad.send(key(now, deadMan, 1), abs(now, 0, int32(math.Round(value*100))), syn(now))
	}
}

func (r *padRig) Collect(emit func(hal.Reading)) {
	r.emit = emit
	_ = r.Read(r.take)
}

// Drive, World and Halt: it has no outputs.
func (r *padRig) Drive(int, float64) error { return unix.ENOTSUP }

func (r *padRig) World(int) (float64, bool) { return 0, false }

func (r *padRig) Halt() error { return r.usable() }

func (r *padRig) Turn() {
	_, _ = unix.Write(r.pad.far, r.turn)
	_ = r.Read(r.take)
}

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now)
	return time.Duration(now.Nano()) / time.Microsecond * time.Microsecond
}

func TestConformance(t *testing.T) {
	haltest.Suite{
		Signals: []hal.Signal{{Name: "held", Boolean: true}, {Name: "stick", Minimum: -1, Maximum: 1}},
		Now:     monotonic,
		Open: func(t *testing.T) haltest.Rig {
			p := newPad(t)
			p.axes[0] = AbsInfo{Minimum: -100, Maximum: 100}
			d := New(Config{
				Kernel: p.kernel(), Path: "/dev/input/event0", DeadMan: deadMan, HasDeadMan: true, Silence: time.Minute,
				Controls: []Control{{Signal: 0, Code: deadMan}, {Signal: 1, Axis: true, Code: 0}},
			})
			if err := d.Reopen(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			r := &padRig{Device: d, pad: p, emit: func(hal.Reading) {}, turn: append(abs(s(1), 0, 50), syn(s(1))...)}
			r.take = func(_ time.Duration, readings []hal.Reading) {
				for i := range readings {
					r.emit(readings[i])
				}
			}
			return r
		},
	}.Run(t)
}
