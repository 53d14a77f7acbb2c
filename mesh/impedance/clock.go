package impedance

import (
	"math"
	"time"
)

// Figures of the clock filter.
const (
	// DefaultMaxDrift is the rate, in parts per million, by which two clocks are
	// taken to run apart at most: PHI of RFC 5905 (appendix A.1.1). It suits
	// clocks that NTP has disciplined. Crystals by themselves are off by 20 to
	// 50, so two of them by up to 100, and a clock that NTP pulls by up to 500:
	// say so then.
	DefaultMaxDrift = 15
	// ClockSamples is how many exchanges the filter looks back at (RFC 5905,
	// NSTAGE).
	ClockSamples = 8
	// firstEpoch and epoch are between what moments drift is measured: the best
	// exchange of one epoch against the newest.
	firstEpoch = 64 * time.Second
	epoch      = 512 * time.Second
)

// Clock estimates how far a peer's clock is ahead of ours, from exchanges of four
// time stamps, and how wrong that can be. It takes 328 bytes and allocates
// nothing. The zero value assumes DefaultMaxDrift. It is not safe for use by
// several goroutines.
//
// Estimate: of the last ClockSamples exchanges the one with the shortest round
// trip, its age taken into account (the clock filter of RFC 5905 section 10;
// queues make trips longer and lopsided, never shorter), carried forward by the
// estimated drift.
//
// Bound: each exchange proves that the offset was within its round trip, however
// lopsided. The filter keeps what all of them allow together, widened by the
// greatest drift since each. While the clocks run apart at no more than that and
// none is set, the true offset is within the bound of the estimate. NTP's root
// distance is half of the best round trip instead, which is mostly wider.
//
// An exchange that contradicts the others proves that a clock was set or ran off
// faster than stated. The filter begins anew with it, and until another exchange
// has agreed with it, the bound covers what was believed before as well: one bad
// time stamp must not move a robot's T. A step too small to contradict anything
// is lost in the bound, and forgotten after ClockSamples exchanges.
type Clock struct {
	maxDrift float64 // s/s; 0: the default
	drift    float64 // s/s, the estimate
	sample   [ClockSamples]bracket
	next     uint8
	count    uint8
	anchored bool // anchor holds the best exchange of the epoch before
	settled  bool // drift was taken over half an epoch at least
	doubtful bool // doubt holds what a contradicted filter believed
	doubt    bracket
	anchor   bracket
	best     bracket       // of the epoch under way
	began    time.Duration // the epoch under way
	steps    uint32
	rejected uint32
}

// NewClock makes a filter for clocks that run apart by at most maxDrift parts per
// million (up to 500, RFC 5905's tolerance of a clock that NTP can still hold);
// DefaultMaxDrift where it is not in that range.
func NewClock(maxDrift float64) Clock {
	if !(maxDrift > 0 && maxDrift <= 500) {
		maxDrift = DefaultMaxDrift
	}
	return Clock{maxDrift: maxDrift / 1e6}
}

func (c *Clock) rate() float64 {
	if c.maxDrift == 0 {
		return DefaultMaxDrift / 1e6
	}
	return c.maxDrift
}

// Observe takes an exchange, in the order of their returns. ErrExchange: it is
// impossible by itself, counted and left out. stepped says that a clock was set
// since the exchange before, and that the filter began anew.
func (c *Clock) Observe(e Exchange) (stepped bool, err error) {
	b, err := e.bracket(c.rate())
	if err != nil {
		c.rejected++
		return false, err
	}
	if c.count > 0 {
		held := c.common(b.at)
		c.doubtful = false
		newest := c.sample[(c.next+ClockSamples-1)%ClockSamples].at
		if stepped = b.at < newest || held.low > b.high || held.high < b.low; stepped {
			c.restart()
			c.doubt, c.doubtful = held, true
		}
	}
	c.sample[c.next] = b
	c.next = (c.next + 1) % ClockSamples
	c.count = min(c.count+1, ClockSamples)
	c.learn(b)
	return stepped, nil
}

// restart forgets the exchanges. The drift stays: setting a clock does not
// change its crystal.
func (c *Clock) restart() {
	c.steps++
	c.count, c.anchored, c.settled, c.best = 0, false, false, bracket{}
}

// common is what all exchanges held say of a moment.
func (c *Clock) common(now time.Duration) bracket {
	all, _ := c.look(now)
	return all
}

// look is what all exchanges held say of a moment, and the one of them that says
// most of it. It is most of the work of a command, so it is one pass.
func (c *Clock) look(now time.Duration) (all, best bracket) {
	rate, least := c.rate(), time.Duration(math.MaxInt64)
	all = bracket{at: now, low: math.MinInt64, high: math.MaxInt64}
	for i := range int(c.count) {
		b := &c.sample[(int(c.next)-1-i)&(ClockSamples-1)]
		g := growth(now-b.at, rate)
		all.low, all.high = max(all.low, b.low-g), min(all.high, b.high+g)
		if distance := b.half() + g; distance < least {
			best, least = *b, distance
		}
	}
	return all, best
}

// allowed is where the offset can be at a moment, doubts included, and the exchange
// that says most of it.
func (c *Clock) allowed(now time.Duration) (all, best bracket) {
	all, best = c.look(now)
	if all.low > all.high { // a moment long ago, and clocks that ran faster apart than stated
		all.low, all.high = all.high, all.low
	}
	if c.doubtful {
		d := c.doubt.grown(now, c.rate())
		all.low, all.high = min(all.low, d.low), max(all.high, d.high)
	}
	return all, best
}

// held is the i-th newest exchange.
func (c *Clock) held(i int) bracket {
	return c.sample[(int(c.next)-1-i+2*ClockSamples)%ClockSamples]
}

// shortest is the exchange that says most of a moment.
func (c *Clock) shortest(now time.Duration) bracket {
	_, best := c.look(now)
	return best
}

// Offset is how far the peer's clock is ahead of ours when ours says now, and by
// how much that can be wrong. known is false before the first exchange.
func (c *Clock) Offset(now time.Duration) (offset, bound time.Duration, known bool) {
	if c.count == 0 {
		return 0, 0, false
	}
	all, best := c.allowed(now)
	offset = best.middle() + time.Duration(math.Round(float64(now-best.at)*c.drift))
	offset = max(min(offset, all.high), all.low)
	return offset, max(all.high-offset, offset-all.low), true
}

// learn estimates the drift from the best exchange of an epoch and the best now.
func (c *Clock) learn(b bracket) {
	length := epoch
	if !c.anchored {
		length = firstEpoch
	}
	switch {
	case c.best == (bracket{}):
		c.best, c.began = b, b.at
	case b.at-c.began >= length:
		c.anchor, c.anchored = c.best, true
		c.best, c.began = b, b.at
	case b.half() < c.best.half():
		c.best = b
	}
	if c.anchored {
		c.slope(c.shortest(b.at))
	}
}

// slope takes the drift between the anchor and an exchange: the change of their
// middles, weighed against no drift at all as two Gaussian beliefs are, the
// stated greatest drift against what half of both round trips can hide over
// the time between. A short base once there was a long one says nothing new.
func (c *Clock) slope(b bracket) {
	span := float64(b.at - c.anchor.at)
	if !(span > 0) || (c.settled && span < float64(epoch/2)) {
		return
	}
	c.settled = c.settled || span >= float64(epoch/2)
	slope := float64(b.middle()-c.anchor.middle()) / span
	hidden, prior := float64(b.half()+c.anchor.half())/span, c.rate()
	weight := prior * prior / (float64(prior*prior) + float64(hidden*hidden))
	c.drift = max(min(slope*weight, prior), -prior)
}

// Drift is the estimated drift of the peer's clock against ours, in parts per
// million; 0 until it has been measured.
func (c *Clock) Drift() float64 { return c.drift * 1e6 }

// Steps is how often a clock was set.
func (c *Clock) Steps() uint32 { return c.steps }

// Rejected is how many exchanges were impossible by themselves.
func (c *Clock) Rejected() uint32 { return c.rejected }

// Ours is what our clock says when the peer's says peer, and by how much that
// can be wrong: the T of a coordination, on the clock of who acts. known is false
// before the first exchange, and for a reading that no clock has (73 years).
func (c *Clock) Ours(peer time.Duration) (ours, bound time.Duration, known bool) {
	if c.count == 0 || !readable(peer) {
		return 0, 0, false
	}
	ours = c.held(0).at
	for range 4 { // each step is closer by the drift, 500 parts per million at most
		var offset time.Duration
		offset, bound, _ = c.Offset(ours)
		before := ours
		if ours = peer - offset; ours == before {
			break
		}
	}
	return ours, bound + growth(2*bound, c.rate()), true
}

// There is the one-way delay to the peer of a message that left at sent (our
// clock) and arrived at received (the peer's), and by how much it can be wrong.
func (c *Clock) There(sent, received time.Duration) (delay, bound time.Duration, known bool) {
	arrived, bound, known := c.Ours(received)
	return max(arrived-sent, 0), bound, known
}

// Back is the one-way delay from the peer of a message that left at sent (the
// peer's clock) and arrived at received (ours), and by how much it can be wrong.
func (c *Clock) Back(sent, received time.Duration) (delay, bound time.Duration, known bool) {
	left, bound, known := c.Ours(sent)
	return max(received-left, 0), bound, known
}
