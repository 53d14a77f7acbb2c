package spine

import (
	"math"
	"time"

	"dancer/runtime/link"
)

// never is the deadline of what is not pending.
const never = time.Duration(math.MaxInt64)

// clock reads CLOCK_MONOTONIC without a system call: Go's own monotonic reading
// is the same clock, counted from the process's start.
type clock struct {
	base   time.Time
	offset time.Duration
}

// newClock finds the offset between the two counts, from the tightest of
// several readings.
func newClock() clock {
	c := clock{base: time.Now()}
	best := never
	for range 16 {
		before := time.Since(c.base)
		now := link.Now()
		after := time.Since(c.base)
		if after-before < best {
			best, c.offset = after-before, now-(before+(after-before)/2)
		}
	}
	return c
}

func (c clock) now() time.Duration { return c.offset + time.Since(c.base) }
