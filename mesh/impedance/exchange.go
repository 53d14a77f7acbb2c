package impedance

import (
	"errors"
	"math"
	"time"
)

// ErrExchange says that the four times of an exchange contradict each other, or
// are beyond what a clock can say.
var ErrExchange = errors.New("impossible exchange of time stamps")

// Exchange is one question and its answer with the four times of RFC 5905
// section 8. Two are readings of this side's clock, two of the peer's; each side
// may count from wherever it likes, within 73 years.
type Exchange struct {
	Sent     time.Duration // t1, this clock: the question left
	Received time.Duration // t2, the peer's clock: the question arrived there
	Answered time.Duration // t3, the peer's clock: the answer left
	Returned time.Duration // t4, this clock: the answer arrived
}

// RoundTrip is the time on the way, both ways, without the peer's own.
func (e Exchange) RoundTrip() time.Duration {
	return (e.Returned - e.Sent) - (e.Answered - e.Received)
}

// maxReading bounds a clock reading and an offset, so that no sum of a few can
// overflow: 73 years, which the Unix time in nanoseconds is within until 2043.
const maxReading = time.Duration(1 << 61)

// bracket gives the bounds between which the peer's clock is ahead of ours at
// the moment of the return. They hold whatever the two ways took: a question
// cannot arrive before it was sent, nor an answer.
func (e Exchange) bracket(rate float64) (bracket, error) {
	for _, t := range [...]time.Duration{e.Sent, e.Received, e.Answered, e.Returned} {
		if !readable(t) {
			return bracket{}, ErrExchange
		}
	}
	slack := growth(e.Returned-e.Sent, rate) // of the offset, during the exchange
	b := bracket{at: e.Returned, low: e.Answered - e.Returned - slack, high: e.Received - e.Sent + slack}
	if e.Returned < e.Sent || e.Answered < e.Received || b.low > b.high || b.low < -maxReading || b.high > maxReading {
		return bracket{}, ErrExchange
	}
	return b, nil
}

func readable(t time.Duration) bool { return t <= maxReading && t >= -maxReading }

// bracket says that the offset was between low and high when our clock was at.
type bracket struct{ at, low, high time.Duration }

func (b bracket) middle() time.Duration { return b.low + (b.high-b.low)/2 }

func (b bracket) half() time.Duration { return (b.high - b.low + 1) / 2 }

// grown is what the bracket says of another moment.
func (b bracket) grown(now time.Duration, rate float64) bracket {
	g := growth(now-b.at, rate)
	return bracket{at: now, low: b.low - g, high: b.high + g}
}

// growth is by how much an offset can change in a span, rounded up.
func growth(span time.Duration, rate float64) time.Duration {
	return time.Duration(math.Ceil(math.Abs(float64(span) * rate)))
}
