package serial

import "time"

// Backoff says how long to wait between attempts to open a port again, as
// values: the owner of the port keeps the timer.
type Backoff struct {
	First time.Duration // before the first attempt; default 100 ms
	Max   time.Duration // at most; default 2 s, so that a plug is noticed soon
}

// Wait gives the wait before attempt n, counted from 0. It doubles each time up
// to Max. There is no jitter: the ports of one robot share nothing that could
// be overrun.
func (b Backoff) Wait(n int) time.Duration {
	if b.First <= 0 {
		b.First = 100 * time.Millisecond
	}
	if b.Max <= 0 {
		b.Max = 2 * time.Second
	}
	wait := b.First
	for ; n > 0 && wait < b.Max; n-- {
		wait *= 2
	}
	return min(wait, b.Max)
}
