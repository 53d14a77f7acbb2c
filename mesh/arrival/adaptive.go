package arrival

import (
	"math"
	"time"
)

// Parameters of Adaptive, found on the campaign of docs/benchmarks.md with hosts
// and slices held out; what each is for stands in docs/arrival.md. None of them
// is a delay, so that they do not depend on the network.
const (
	entries   = 16   // distinct delays kept of a target
	unit      = 8    // weight of one observation
	remember  = 128  // observations after which the weights of a target are halved
	prior     = 40   // observations that the sender's pool counts for in a target's distribution
	doubt     = 5    // observations after which half of a target's own repeat share is believed
	senderGap = 0.45 // step of the sender's log error share, per round and square root of the goal
	targetGap = 0.04 // and of a target's, per observation
	boundUp   = 0.5  // largest share of late messages at any one prediction
	boundDown = 0.2  // and the smallest, as a share of the goal
	boundBias = 1.5  // bound of a target's log share
)

// pointWidth is how near delays must be to count as one for Point.
const pointWidth = 10 * time.Millisecond / time.Microsecond

// Adaptive is the estimator of this product: a quantile of the distribution that
// the next delay has, steered to its rate by adaptive conformal inference (Gibbs
// and Candes 2021). It needs 112 bytes a target and about 1.2 kB a sender.
//
// The next delay repeats the last one to the microsecond, or it is a new one.
// How probable a new one is, is learnt by rounds since the sender's delays last
// changed together; where nothing ever repeats it is always. A new one is drawn
// from what the target had before, and from what all targets of the sender had
// for as long as the target has little of its own.
type Adaptive struct {
	cold    uint32
	targets []state
	pool    pool
}

// state of one target.
type state struct {
	value  [entries]uint32 // us, ascending, distinct
	weight [entries]uint16 // of value, unit an observation
	last   uint32          // us; 0: nothing observed
	total  uint16          // of weight
	count  uint8           // of value
	bias   [Rates]float32  // log of this target's share of late messages over the sender's
}

// NewAdaptive makes one for so many targets. Cold is the lead while there are too
// few observations to tell a quantile from, as one observation of the sender's
// pool; 0 means a second.
func NewAdaptive(targets int, cold time.Duration) *Adaptive {
	if cold <= 0 {
		cold = time.Second
	}
	return &Adaptive{cold: whole(cold), targets: make([]state, targets)}
}

// Lead implements Estimator.
func (e *Adaptive) Lead(target int, rate Rate) time.Duration {
	s := &e.targets[target]
	if s.last == 0 {
		return 0
	}
	return time.Duration(e.lead(s, e.chanceOfNew(s), rate.known())) * time.Microsecond
}

// Observe implements Estimator.
func (e *Adaptive) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	s, now := &e.targets[target], whole(actual)
	if s.last != 0 {
		e.judge(s, now)
	}
	e.pool.add(now)
	s.add(now)
	if e.pool.seen >= 2*len(e.targets) {
		e.Round() // nobody says when a round ends
	}
}

// judge learns from what was predicted for now.
func (e *Adaptive) judge(s *state, now uint32) {
	fresh := e.chanceOfNew(s)
	for rate := range Rate(Rates) {
		goal := missed[rate]
		off := float32(1)
		if now > e.lead(s, fresh, rate) {
			off -= 1 / goal
		}
		e.pool.late[rate] += off
		s.bias[rate] = limit(s.bias[rate]+float32(float32(targetGap*root[rate])*off), boundBias)
	}
	e.pool.judgePoint(s, fresh, now)
	e.pool.seen++
	repeat := s.repeats()
	e.pool.could[e.pool.age] += 1 - repeat
	if now != s.last {
		e.pool.changed++
		e.pool.did[e.pool.age]++
	}
}

// Round implements Estimator.
func (e *Adaptive) Round() { e.pool.round() }

// chanceOfNew is the probability that the next delay differs from the last: that
// there is a new one, times that it is not what the last one was by chance.
func (e *Adaptive) chanceOfNew(s *state) float32 { return e.pool.chance() * (1 - s.repeats()) }

// share is the share of late messages that is aimed at now.
func (e *Adaptive) aim(s *state, rate Rate) float32 {
	goal := missed[rate]
	aim := goal * float32(math.Exp(float64(e.pool.bias[rate]+s.bias[rate])))
	return min(max(aim, goal*boundDown), boundUp)
}

// lead is the least delay that the next one exceeds with no more than the share
// aimed at. It goes down through the target's own delays and the pool's at once,
// and stops at the first that must not be exceeded.
func (e *Adaptive) lead(s *state, fresh float32, rate Rate) uint32 {
	aim := e.aim(s, rate)
	if fresh <= aim {
		return s.last
	}
	own := float32(s.total-s.weightOf(s.last)) / unit
	room := aim / fresh * (own + prior)         // what may lie above the lead
	stay := (1 - fresh) / fresh * (own + prior) // what lies at the last value
	each := prior / (e.pool.total + 1)          // of one observation in the pool
	cold, i, b := e.cold, int(s.count)-1, e.pool.top
	for {
		next, weight := uint32(0), float32(0)
		if i >= 0 {
			next, weight = s.value[i], float32(s.weight[i])/unit
		}
		from := &i
		if b >= 0 && ceiling(b) > next {
			next, weight, from = ceiling(b), e.pool.delays[b]*each, &b
		}
		if cold > next {
			next, weight = cold, each
		}
		if next <= s.last {
			if room -= stay; room < 0 || next == 0 {
				return s.last
			}
			stay = 0
			if next == s.last {
				weight = 0
			}
		}
		if room -= weight; room < 0 {
			return next
		}
		if next == cold {
			cold = 0
		} else {
			*from--
		}
	}
}
