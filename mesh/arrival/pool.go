package arrival

import "math/bits"

// Sizes of the pool. Delays are counted in eighths of an octave from 32 us to
// over an hour, so that a bucket is at most an eighth wide.
const (
	eighths   = 3
	lowest    = 5
	buckets   = (32 - lowest) << eighths
	ages      = 32   // rounds since the last change; more count as the last
	poolLimit = 8192 // observations after which the pool's counts are halved
	ageLimit  = 1024 // the same for the rounds of one age
)

// root is the square root of the share missed, by rate: steps of both rates are
// alike in deviations of what they sum up.
var root = [Rates]float32{Rate99: 0.1, Rate95: 0.2236068}

// pool is what the targets of one sender have in common.
type pool struct {
	delays [buckets]float32 // observations by delay
	total  float32          // of delays
	top    int              // highest bucket that was ever used
	did    [ages]float32    // delays that changed, by age
	could  [ages]float32    // and those that would have, had all been new
	age    int              // rounds since many changed, less one

	seen, changed int            // of this round
	late          [Rates]float32 // of this round: sum of 1, or of 1 - 1/goal for a late one
	bias          [Rates]float32 // log of the share of late messages aimed at, over the goal
	kept, moved   float32        // points that were nearer: the last delay, or the usual one
}

// round ends a round: its errors move the aim, and if more than a quarter of the
// delays changed, the sender has measured anew.
func (p *pool) round() {
	if p.seen == 0 {
		return
	}
	for rate := range p.late {
		p.bias[rate] = limit(p.bias[rate]+float32(float32(senderGap*root[rate])*p.late[rate]/float32(max(p.seen, 100))), 3)
	}
	p.age = min(p.age+1, ages-1)
	if 4*p.changed > p.seen {
		p.age = 0
	}
	p.seen, p.changed, p.late = 0, 0, [Rates]float32{}
	if p.total >= poolLimit {
		p.total = halve(p.delays[:])
	}
	for age := range p.could {
		if p.could[age] >= ageLimit {
			p.could[age] /= 2
			p.did[age] /= 2
		}
	}
}

func halve(counts []float32) (sum float32) {
	for i := range counts {
		counts[i] /= 2
		sum += counts[i]
	}
	return sum
}

// chance is the probability that the next round brings new delays: half before
// anything is known.
func (p *pool) chance() float32 { return min(1, (p.did[p.age]+0.5)/(p.could[p.age]+1)) }

func (p *pool) add(delay uint32) {
	b := bucket(delay)
	p.delays[b]++
	p.total++
	p.top = max(p.top, b)
}

// bucket of a delay; ceiling is the longest delay of a bucket.
func bucket(delay uint32) int {
	delay = max(delay, 1<<lowest)
	octave := bits.Len32(delay) - 1
	return (octave-lowest)<<eighths + int(delay>>(octave-eighths))&(1<<eighths-1)
}

func ceiling(b int) uint32 {
	octave, part := b>>eighths+lowest, uint64(b&(1<<eighths-1))
	return uint32((part+1+1<<eighths)<<(octave-eighths) - 1)
}

func limit(v, bound float32) float32 { return min(max(v, -bound), bound) }
