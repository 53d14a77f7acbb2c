package arrival

import "time"

// Rate is the share of messages that is to be on time. The zero value, and any
// that this version does not know, counts as Rate99: too early is safe.
type Rate uint8

// The two rates that a target's state is steered to.
const (
	Rate99 Rate   = iota // on time for 99%
	Rate95               // on time for 95%
	Rates  = iota        // their number, for tables
)

// Share is the rate as a number, 0-1.
func (r Rate) Share() float64 { return 1 - float64(missed[r.known()]) }

// missed is the share that may be late, by rate.
var missed = [Rates]float32{Rate99: 0.01, Rate95: 0.05}

func (r Rate) known() Rate {
	if r >= Rates {
		return Rate99
	}
	return r
}

// Estimator predicts the residual delays (delay one way and processing, without
// queue: see Residual) of the targets of one sender. Targets are dense indices,
// 0 up to the number that it was made for. It is not safe for use by several
// goroutines. No method allocates.
type Estimator interface {
	// Lead is how long before T to send so that the target is READY at T in the
	// share of cases asked for. It is for the next message, after what has been
	// observed until now; 0 when nothing has been observed of the target.
	Lead(target int, rate Rate) time.Duration
	// Point is the one value that the next delay is likely nearest to; 0 when
	// nothing has been observed of the target.
	Point(target int) time.Duration
	// Observe takes the delay of one message that arrived, whether in time or
	// not. Delays of 0 and less are not measurements and change nothing.
	Observe(target int, actual time.Duration)
	// Round says that all that is measured together, as in one beat of the heart,
	// has been observed. Who never calls it loses only what targets have in common.
	Round()
}
