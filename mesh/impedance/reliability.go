package impedance

import (
	"math"
	"time"
)

// ReliabilityMinutes is how far back successes and failures count: the minute
// under way and those before it.
const ReliabilityMinutes = 60

// Reliability counts successes and failures by the minute, over the last hour
// (the minute under way and the 59 before it), in 256 bytes. The zero value is
// empty and ready. It is not safe for use by several goroutines.
type Reliability struct {
	minute [ReliabilityMinutes]tally // a ring, by the number of the minute
	newest int64                     // number of the newest minute
	total  struct{ succeeded, failed uint32 }
}

type tally struct{ succeeded, failed uint16 }

// Add counts one operation.
func (r *Reliability) Add(now time.Duration, succeeded bool) {
	r.advance(now)
	t := &r.minute[r.newest%ReliabilityMinutes]
	if t.succeeded == math.MaxUint16 || t.failed == math.MaxUint16 {
		r.subtract(*t) // half of both keeps the share
		t.succeeded, t.failed = t.succeeded/2, t.failed/2
		r.total.succeeded += uint32(t.succeeded)
		r.total.failed += uint32(t.failed)
	}
	if succeeded {
		t.succeeded++
		r.total.succeeded++
	} else {
		t.failed++
		r.total.failed++
	}
}

// Rate is the share of operations that succeeded, and how many there were. With
// none the share is 1: nothing has failed.
func (r *Reliability) Rate(now time.Duration) (share float64, operations int) {
	r.advance(now)
	n := r.total.succeeded + r.total.failed
	if n == 0 {
		return 1, 0
	}
	return float64(r.total.succeeded) / float64(n), int(n)
}

// advance forgets the minutes that are over an hour old: each once, so that a
// minute costs a constant, however often and however seldom it is called.
func (r *Reliability) advance(now time.Duration) {
	minute := max(int64(now/time.Minute), r.newest) // time does not go back
	for m := max(r.newest+1, minute-ReliabilityMinutes+1); m <= minute; m++ {
		t := &r.minute[m%ReliabilityMinutes]
		r.subtract(*t)
		*t = tally{}
	}
	r.newest = minute
}

func (r *Reliability) subtract(t tally) {
	r.total.succeeded -= uint32(t.succeeded)
	r.total.failed -= uint32(t.failed)
}
