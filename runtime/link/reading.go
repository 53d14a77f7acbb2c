package link

import (
	"math"
	"time"
)

// ReadingCapacity is the size of the ring of readings in records, a power of two: four
// windows of what the spine takes at most (see package spine).
const ReadingCapacity = 256

// Reading is a value of a signal that the brain has from the network. It is advice: the
// spine takes it only for signals whose origin is there, of the brain that is running,
// and never as newer than it is.
type Reading struct {
	Signal int32
	Value  float64
	Epoch  uint64        // Status.Epoch as the brain read it: see Command
	At     time.Duration // CLOCK_MONOTONIC when it came
}

// PostReading adds a reading (brain); false when the ring is full, which is counted.
// Wake the spine after it.
func (s *Segment) PostReading(r Reading) bool {
	s.brain.Lock()
	defer s.brain.Unlock()
	rec := record{uint64(uint32(r.Signal)), math.Float64bits(r.Value), r.Epoch, uint64(r.At)}
	rec[requestCheck] = rec.check()
	return s.readings.put(rec[:], 0)
}

// TakeReading takes the oldest reading (spine). One whose check is wrong comes with
// signal -1. Call it a bounded number of times a wake-up: a hostile brain can always
// make another one.
func (s *Segment) TakeReading(r *Reading) bool {
	var rec record
	if !s.readings.take(rec[:]) {
		return false
	}
	if rec[requestCheck] != rec.check() {
		*r = Reading{Signal: -1}
		return true
	}
	*r = Reading{Signal: int32(uint32(rec[0])), Value: math.Float64frombits(rec[1]), Epoch: rec[2], At: time.Duration(rec[3])}
	return true
}

// ReadingsLost is how many readings found the ring full, since a brain first wrote
// (brain).
func (s *Segment) ReadingsLost() uint64 { return s.readings.produced[ringLost].Load() }
