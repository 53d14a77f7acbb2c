package spine

import (
	"sync/atomic"
	"time"

	"dancer/runtime/link"
)

// heart is the loop's side of the watchdogs. After a completed cycle, and at most
// once a period, the loop leaves a beat in it; the feeder passes that on. The
// loop does not speak to the watchdogs itself: the driver of a hardware watchdog
// may sleep (I2C, IPMI), and a datagram to systemd takes kernel memory, which can
// wait for the disk when memory is short. A beat is two atomic stores and a write
// to an eventfd.
type heart struct {
	wake   *link.Wake    // of the feeder
	period time.Duration // between two beats; never: nobody watches
	next   time.Duration // loop: when the next beat is due

	beats  atomic.Uint64 // loop
	at     atomic.Int64  // loop: CLOCK_MONOTONIC of the newest beat
	flaws  atomic.Uint64 // loop: beats withheld because the core did not prove itself
	vitals atomic.Uint64 // loop: mode, lease and why, packed

	now   vitals // loop
	ready bool   // loop: the vitals have moved since the last poke
}

// vitals is what the service manager is told of the robot.
type vitals struct {
	mode     link.Mode
	lease    link.LeaseState
	modeWhy  link.Reason
	leaseWhy link.Reason
}

func (v vitals) pack() uint64 {
	return uint64(v.mode) | uint64(v.lease)<<8 | uint64(uint16(v.modeWhy))<<16 | uint64(uint16(v.leaseWhy))<<32
}

func unpackVitals(bits uint64) vitals {
	return vitals{
		mode: link.Mode(bits & 0xff), lease: link.LeaseState(bits >> 8 & 0xff),
		modeWhy: link.Reason(bits >> 16 & 0xffff), leaseWhy: link.Reason(bits >> 32 & 0xffff),
	}
}

func newHeart() (*heart, error) {
	wake, err := link.NewWake()
	if err != nil {
		return nil, err
	}
	return &heart{wake: wake, period: never, next: never}, nil
}

// start makes the heart beat, where somebody watches. The first beat is due at once.
func (h *heart) start(now, period time.Duration) {
	if period != never {
		h.period, h.next = period, now
	}
}

// note takes the reasons of mode and lease (loop).
func (h *heart) note(e *link.Event) {
	switch e.Kind {
	case link.EventMode:
		h.now.mode, h.now.modeWhy = link.Mode(e.Flags), link.Reason(e.Cause)
	case link.EventLease:
		h.now.lease, h.now.leaseWhy = link.LeaseState(e.Flags), link.Reason(e.Cause)
	default:
		return
	}
	h.vitals.Store(h.now.pack())
	h.ready = true
}

// poke tells the feeder of new vitals (loop).
func (h *heart) poke() {
	if h.ready {
		h.ready = false
		_ = h.wake.Signal() // a full counter wakes as well
	}
}

// beat ends a cycle (loop): where a beat is due, the core proves itself, and the
// watchdogs may know.
func (l *loop) beat(now time.Duration) {
	h := l.heart
	if now < h.next {
		return
	}
	if h.next += h.period; h.next <= now {
		h.next = now + h.period
	}
	if !l.core.prove(now) {
		h.flaws.Add(1)
	} else {
		h.at.Store(int64(now))
		h.beats.Add(1)
	}
	_ = h.wake.Signal() // a full counter wakes as well
}

// notes gives what the core notes to the log and to the heart.
type notes struct {
	*keeper
	heart *heart
}

func (n notes) note(e *link.Event, by []byte) {
	n.heart.note(e)
	n.keeper.note(e, by)
}
