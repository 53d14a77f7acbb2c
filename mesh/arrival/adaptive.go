package arrival

import "time"

// Parameters of Adaptive. They are round numbers in the middle of what works, not
// the best of it: with aimBound as it is, rates and blocks held on every quarter of
// the campaign for each combination of halves and doubles that was tried
// (docs/arrival.md). None is a delay, so that they do not depend on the network.
const (
	entries  = 16  // distinct delays kept of a target
	remember = 128 // observations after which a target's weights are halved
	prior    = 30  // observations that the sender's pool counts for beside a target's own
	doubt    = 20  // observations after which a target's share of repeats is believed by half
	caution  = 0.1 // rounds that count as half new at an age not seen yet: all targets repeat or change together

	senderStep = 0.45 // step of the sender's aim, per round and square root of the share missed
	targetStep = 0.04 // step of a target's aim, per observation and square root of the share missed
	aimBound   = 0.9  // how far each of the two moves the aim, as a part of it
	aimLeast   = 0.1  // the least aim, as a part of the share missed
	aimMost    = 0.5  // the most: what is more probable than this is never missed on purpose
)

// unit is the weight of one observation: it can be halved three times.
const unit = 8

// Adaptive is the estimator of this product: a quantile of the distribution of the
// next delay, steered to its rate by adaptive conformal inference (Gibbs and
// Candes 2021). It needs 116 bytes a target and 2.2 kB a sender.
//
// The next delay repeats the last one to the microsecond, or it is new. How
// probable a new one is, is learnt by the rounds since many of the sender's delays
// changed; where nothing ever repeats it is certain. A new one is drawn from what
// the target had before and, as long as that is little, from what all targets of
// the sender had.
type Adaptive struct {
	targets []state
	pool    pool
}

// NewAdaptive makes one for so many targets. Cold is the lead where there are too
// few observations to tell a quantile from: it counts as one observation that the
// sender has made. 0 means a second.
func NewAdaptive(targets int, cold time.Duration) *Adaptive {
	if cold <= 0 {
		cold = time.Second
	}
	return &Adaptive{targets: make([]state, targets), pool: newPool(whole(cold))}
}

// Lead implements Estimator.
func (e *Adaptive) Lead(target int, rate Rate) time.Duration {
	s := &e.targets[target]
	if s.last == 0 {
		return 0
	}
	return time.Duration(e.pool.lead(s, e.pool.chance(s), rate.known())) * time.Microsecond
}

// Observe implements Estimator.
func (e *Adaptive) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	s, now := &e.targets[target], whole(actual)
	if s.last != 0 {
		e.pool.judge(s, now)
	}
	s.add(now)
	s.round = e.pool.rounds
	e.pool.add(now)
	if e.pool.observed >= 2*len(e.targets) {
		e.pool.round() // nobody says when a round ends
	}
}

// Round implements Estimator.
func (e *Adaptive) Round() { e.pool.round() }

// Reset forgets a target: another agent has its index now.
func (e *Adaptive) Reset(target int) { e.targets[target] = state{} }

// judge compares now with what was predicted for it, and moves the aims so that a
// rate that is missed is asked for more. It is the rule of Gibbs and Candes
// (equation 2) with two steps: a long one for what the sender's targets have in
// common, at the end of the round, and a short one for the target's own.
func (p *pool) judge(s *state, now uint32) {
	fresh := p.chance(s)
	tail := p.tail(s, fresh, now)
	for rate := range Rate(Rates) {
		off := float32(1)
		if tail <= p.aim(s, rate) { // the lead was shorter than now
			off -= 1 / missed[rate]
		}
		p.off[rate] += off
		s.aim[rate] = limit(s.aim[rate]+float32(targetStep*root[rate]*off), -aimBound, aimBound)
	}
	p.judgePoint(s, fresh, now)
	p.judgeRepeat(s, now != s.last)
}

// aim is the share of late messages that the next prediction may have. It is
// never more for the higher rate, wherever the two were steered to.
func (p *pool) aim(s *state, rate Rate) float32 {
	aim := p.steered(s, rate)
	if rate == Rate99 {
		return min(aim, p.steered(s, Rate95))
	}
	return aim
}

func (p *pool) steered(s *state, rate Rate) float32 {
	return limit(p.level[rate]*(1+p.bias[rate])*(1+s.aim[rate]), aimLeast*missed[rate], aimMost)
}

// lead is the least delay that the next one exceeds with no more than the share
// aimed at. It goes down through the target's own delays, the pool's and the last
// one at once, and stops at the first that must not be exceeded.
func (p *pool) lead(s *state, fresh float32, rate Rate) uint32 {
	aim := p.aim(s, rate)
	if fresh <= aim {
		return s.last // nothing but a new delay could exceed it
	}
	mass := float32(float32(s.total-s.weightOf(s.last))/unit) + prior // of new delays
	room := aim / fresh * mass                                        // of them above the lead
	stay := (1 - fresh) / fresh * mass                                // weight of the last delay beside them
	pooled, own := p.known[:p.kinds], int(s.count)-1                  // both go down
	for {
		next, weight := uint32(0), float32(0)
		if own >= 0 {
			next, weight = s.value[own], float32(s.weight[own])/unit
		}
		if len(pooled) > 0 && pooled[0].delay > next {
			next, weight = pooled[0].delay, pooled[0].weight
			pooled = pooled[1:]
		} else {
			own--
		}
		if next <= s.last {
			if room -= stay; room < 0 || next == 0 {
				return s.last
			}
			stay = 0
			if next == s.last {
				weight = 0 // a repeat is no new delay
			}
		}
		if room -= weight; room < 0 {
			return next
		}
	}
}

// tail is the probability that the next delay is at least value. A lead is shorter
// than value exactly when the tail is no more than the aim.
func (p *pool) tail(s *state, fresh float32, value uint32) float32 {
	mass, above := float32(0), p.above[bucket(value)]
	if p.cold >= value {
		above += p.each
	}
	for i := int(s.count) - 1; i >= 0; i-- {
		if s.value[i] == s.last {
			continue
		}
		weight := float32(float32(s.weight[i]) / unit)
		if mass += weight; s.value[i] >= value {
			above += weight
		}
	}
	tail := fresh * above / (mass + prior)
	if s.last >= value {
		tail += 1 - fresh
	}
	return tail
}

func limit(v, low, high float32) float32 { return min(max(v, low), high) }
