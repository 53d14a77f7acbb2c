package packet

import (
	"math"
	"time"
)

// Wall is a moment by some agent's wall clock, in nanoseconds since 1970-01-01
// UTC; zero means that none is given. Whose clock it is stands at each field: the
// clocks of a cell are not the same, and only the offset that was measured turns
// one agent's moment into another's. The clock must not step while a program
// runs: take the wall clock once, at the start, and add what the monotonic clock
// has run since.
type Wall int64

// WallOf gives the moment of t; zero for times before 1970 and after 2262.
func WallOf(t time.Time) Wall {
	if t.Before(time.Unix(0, 1)) || t.After(time.Unix(0, math.MaxInt64)) {
		return 0
	}
	return Wall(t.UnixNano())
}

// Time gives the moment in UTC, for displays.
func (w Wall) Time() time.Time { return time.Unix(0, int64(w)).UTC() }

// Add gives the moment d later.
func (w Wall) Add(d time.Duration) Wall { return w + Wall(d) }

// Sub gives how much later w is than other. Moments of messages are never
// negative, so the difference always fits.
func (w Wall) Sub(other Wall) time.Duration { return time.Duration(w - other) }
