package arrival

import "math/bits"

// Sizes of the pool. Delays are counted in quarters of an octave, from 32 us to
// over an hour: a bucket is at most a quarter wide.
const (
	quarters  = 2 // bits of them
	lowest    = 5 // bits of the shortest
	buckets   = (32 - lowest) << quarters
	poolLimit = 8192 // observations after which the pool's counts are halved
	sender    = 100  // observations of a round that its step is meant for; fewer weigh less
)

// root is the square root of the share missed, by rate: steps of both rates are
// alike when measured in deviations of what they sum up.
var root = [Rates]float32{Rate99: 0.1, Rate95: 0.2236068}

// pool is what the targets of one sender have in common. What is learnt within a
// round changes predictions at its end: all targets of a round are judged by what
// could be known before it.
type pool struct {
	repetition
	delays   [buckets]float32     // observations by delay
	total    float32              // of delays
	known    [buckets + 1]portion // delays as of the last round, and cold; descending
	kinds    int                  // of known
	above    [buckets]float32     // weight of the delays of a bucket and the longer ones, without cold
	each     float32              // weight of one observation
	cold     uint32               // us
	level    [Rates]float32       // share of late messages that reaches the rate, if all else is right
	bias     [Rates]float32       // what the sender's aim is more or less than level, as a part of it
	off      [Rates]float32       // of this round: sum of 1, and of 1 - 1/missed for late ones
	observed int                  // in this round
	judged   int                  // of them those that had been predicted
	kept     float32              // points that the last delay was near to, where the usual one was preferred
	moved    float32              // and the usual one
}

// portion of the delays: weight of those that count as this delay, as a part of
// prior.
type portion struct {
	delay  uint32
	weight float32
}

func newPool(cold uint32) pool {
	p := pool{cold: cold, level: missed}
	p.learn()
	p.next(0, 0)
	return p
}

func (p *pool) add(delay uint32) {
	p.delays[bucket(delay)]++
	p.total++
	p.observed++
}

// round ends a round.
func (p *pool) round() {
	for rate := range p.off {
		step := float32(senderStep * root[rate] * p.off[rate] / float32(max(p.judged, sender)))
		p.bias[rate] = limit(p.bias[rate]+step, -aimBound, aimBound)
		p.level[rate] = p.flood(missed[rate], float32(p.judged))
	}
	if p.total >= poolLimit {
		p.total = 0
		for b := range p.delays {
			p.delays[b] = float32(p.delays[b] / 2)
			p.total += p.delays[b]
		}
	}
	p.learn()
	p.next(p.judged, p.changed)
	p.off, p.observed, p.judged, p.changed = [Rates]float32{}, 0, 0, 0
}

// learn makes known from the delays, with cold as one of them: that is the rank
// of a conformal quantile, which is beyond the longest of too few.
func (p *pool) learn() {
	p.each = prior / (p.total + 1)
	p.kinds = 0
	above, cold := float32(0), bucket(p.cold)
	for b := buckets - 1; b >= 0; b-- {
		weight := float32(p.each * p.delays[b])
		if above += weight; weight > 0 {
			p.know(ceiling(b), weight)
		}
		if b == cold {
			p.know(p.cold, p.each)
		}
		p.above[b] = above
	}
}

func (p *pool) know(delay uint32, weight float32) {
	p.known[p.kinds] = portion{delay, weight}
	p.kinds++
}

// bucket that a delay counts in.
func bucket(delay uint32) int {
	delay = max(delay, 1<<lowest)
	octave := bits.Len32(delay) - 1
	return (octave-lowest)<<quarters + int(delay>>(octave-quarters))&(1<<quarters-1)
}

// ceiling is the longest delay of a bucket.
func ceiling(b int) uint32 {
	octave, part := b>>quarters+lowest, uint64(b&(1<<quarters-1))
	return uint32((part+1+1<<quarters)<<(octave-quarters) - 1)
}
