package breaker

import (
	"math/rand/v2"
	"time"
)

// BackOff is exponential back-off with full jitter: the delay before retry n is
// uniform between 0 and First x 2^n, at most Max. Of the usual jitters it makes
// the fewest calls collide (Brooker, "Exponential Backoff And Jitter", 2015).
type BackOff struct{ First, Max time.Duration }

// DefaultBackOff starts at 100 ms, a long round trip of a cell, and ends where an
// agent counts as crashed.
var DefaultBackOff = BackOff{First: 100 * time.Millisecond, Max: 30 * time.Second}

// Ceiling is the longest delay before retry n, which counts from 0.
func (b BackOff) Ceiling(n int) time.Duration {
	d := b.First
	for ; n > 0 && d < b.Max; n-- {
		d *= 2
	}
	return max(0, min(d, b.Max))
}

// Delay draws the delay before retry n, which counts from 0.
func (b BackOff) Delay(n int, random *rand.Rand) time.Duration {
	return time.Duration(random.Int64N(int64(b.Ceiling(n)) + 1))
}
