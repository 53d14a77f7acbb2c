package brain

import (
	"context"
	"time"
)

// Nothing in a robot is decided by the wall clock, so that a clock that is set
// changes nothing; but whoever reads the robot's times later must know of it.

// How the wall clock is watched.
const (
	wallClockEvery = 250 * time.Millisecond
	// wallClockJump is the least that is told. Clocks that are steered and not set
	// move by less than a thousandth of wallClockEvery.
	wallClockJump = 100 * time.Millisecond
	// wallClockApart bounds how long reading both clocks may take to count.
	wallClockApart = 20 * time.Millisecond
	// wallClockDrift is how far steering may move it until the store is told.
	wallClockDrift = 20 * time.Millisecond
)

// clockEvent tells that the wall clock was set.
type clockEvent struct {
	JumpNS int64     `json:"jump_ns"` // by how much; negative: back
	Was    time.Time `json:"was"`     // what it would say now had it not been set
	Is     time.Time `json:"is"`
}

// wallClock finds jumps of the wall clock: its distance to the monotonic clock
// changes.
type wallClock struct {
	distance time.Duration // of the last look
	known    bool
}

// look takes a reading of the wall clock, between two of the monotonic one, and
// gives the jump since the last look, 0 if there was none. ok is false for a
// reading that is too inexact to count.
func (w *wallClock) look(before time.Duration, wall time.Time, after time.Duration) (jump time.Duration, ok bool) {
	if after-before > wallClockApart {
		return 0, false
	}
	distance := time.Duration(wall.UnixNano()) - (before + (after-before)/2)
	if w.known {
		jump = distance - w.distance
	}
	w.distance, w.known = distance, true
	if jump.Abs() < wallClockJump {
		jump = 0
	}
	return jump, true
}

// wallClockState is the distance as it is stored, so that a brain hears of a jump
// that happened while there was none. It holds for one start of the machine.
type wallClockState struct {
	Boot       string `json:"boot"`
	DistanceNS int64  `json:"distance_ns"`
}

// wallClockKey is where it is stored.
const wallClockKey = "wall-clock"

// watchWallClock tells each jump until the context ends.
func (b *brain) watchWallClock(ctx context.Context) error {
	var w wallClock
	boot := bootID()
	if s, err := b.archive.wallClock.Get(wallClockKey); err == nil && s.Boot == boot && boot != "" {
		w = wallClock{time.Duration(s.DistanceNS), true}
	}
	stored := w
	tick := time.NewTicker(wallClockEvery)
	defer tick.Stop()
	for {
		before := b.clock()
		wall := b.wall()
		if jump, ok := w.look(before, wall, b.clock()); ok && jump != 0 {
			b.wallClockSet(wall, jump)
		}
		if w.known && (!stored.known || (w.distance-stored.distance).Abs() > wallClockDrift) {
			if b.archive.note(b.archive.wallClock.Enqueue(wallClockKey, wallClockState{boot, int64(w.distance)})) == nil {
				stored = w
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (b *brain) wallClockSet(is time.Time, jump time.Duration) {
	is = is.Round(0).UTC() // without its monotonic reading: only what it says counts
	e := clockEvent{JumpNS: int64(jump), Was: is.Add(-jump), Is: is}
	b.log.Warn("the wall clock was set: times that are shown and recorded jump, decisions and deadlines do not", "by", jump.Round(time.Millisecond), "was", e.Was, "is", e.Is)
	b.emit(kindClock, e)
	b.stateChanged()
}
