package packet

import "time"

// Rates of one source, mesh-30k 9.2: over ten times its normal rate it is limited,
// low priority first.
const (
	// NormalRate is what a source sends that nothing else is said of, in messages a
	// second: a heartbeat, its acknowledgements and questions, with room.
	NormalRate = 10
	// overload is how far above it a source may go.
	overload = 10
	// MaxRate bounds a registered rate, in messages a second.
	MaxRate = 1_000_000
)

// bucket is a token bucket kept as one moment (the generic cell rate algorithm of
// ITU-T I.371): when it will be full again. Whole nanoseconds, so that no rounding
// makes two machines differ. It holds what a second brings.
type bucket struct {
	full time.Duration // on the caller's monotonic clock; in the past: full
}

// depth is how many seconds of the rate the bucket holds.
const depth = time.Second

// take removes a token if enough are left for the priority: critical messages may
// use all of them, and each lower priority a quarter less, so a source that floods
// loses its background messages first and its critical ones last. rate is in tokens
// a second.
func (b *bucket) take(now time.Duration, rate uint32, p Priority) bool {
	each := time.Second / time.Duration(rate)
	full := max(b.full, now) + each
	if full-now > max(depth*time.Duration(p+1)/4, each) {
		return false
	}
	b.full = full
	return true
}

// any says whether a token is left, and takes none.
func (b *bucket) any(now time.Duration, rate uint32) bool {
	return max(b.full, now)+time.Second/time.Duration(rate)-now <= depth
}
