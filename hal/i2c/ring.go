package i2c

import (
	"sync/atomic"
	"time"
)

// ringSize is how many frames wait for the loop at most, a power of two: one bus
// brings a few hundred a second, and the loop takes them as they come.
const ringSize = 64

// Frame is what one poll of one device gave.
type Frame struct {
	Device int           // index into Config.Devices
	At     time.Duration // CLOCK_MONOTONIC, before the transfer that read the values
	Lost   bool          // the device does not answer: there are no values, and its signals are invalid
	Values [maxFields]float64
	Count  int // of Values, in the order of the driver's fields
}

// ring hands frames from the poller's goroutine to the loop, without a lock and
// without waiting on either side.
type ring struct {
	frames  [ringSize]Frame
	put     atomic.Uint64 // by the poller
	taken   atomic.Uint64 // by the loop
	dropped atomic.Uint64
}

// add takes a frame, or drops and counts it when the loop has not taken the others:
// those are in order, and newer ones follow.
func (r *ring) add(f *Frame) bool {
	at := r.put.Load()
	if at-r.taken.Load() == ringSize {
		r.dropped.Add(1)
		return false
	}
	r.frames[at%ringSize] = *f
	r.put.Store(at + 1)
	return true
}

// take gives the oldest frame that was not taken.
func (r *ring) take(f *Frame) bool {
	at := r.taken.Load()
	if at == r.put.Load() {
		return false
	}
	*f = r.frames[at%ringSize]
	r.taken.Store(at + 1)
	return true
}
