package impedance

import (
	"math"
	"time"
)

// The scale of scores and its marks.
const (
	// MaxScore is the score of an agent that should not be asked at all, and of
	// no other.
	MaxScore = 1000
	// SlowScore: an agent over it is flagged as slow (mesh-30k 4.2). It is the
	// score of an effective wait of 800 ms.
	SlowScore = 800
	// UnstableDrift: an agent over it is flagged as unstable (mesh-30k 4.2).
	UnstableDrift = 0.5
	// halfScale is the effective wait, in ms, whose score is half of MaxScore.
	halfScale = 200
)

// Score is the composite impedance, 0 (at hand) to 1000 (out of reach), of one
// formula:
//
//	wait      = delay + processing x (1 + queue)           ms
//	effective = wait x (1 + drift / 2) / reliability       ms
//	score     = 1000 x effective / (effective + 200 ms)    1 ms 5, 50 ms 200, 200 ms 500, 800 ms 800
//
// The effective wait is what a caller pays: the mean and half a standard
// deviation, once for every attempt that it takes on average. A degraded agent
// counts as twice the wait. The curve resolves milliseconds where robots of one
// cell differ and still orders agents that take minutes. A machine of any class
// that is idle and steady, at its typical delay, is never over SlowScore; it comes
// to be by a queue, by drift, by failures or by being slow. (A logarithm of the
// wait, with 1 s at the end of the scale, flagged every C and D that did what its
// class does.) testdata/scores.txt is a table of it.
//
// delay is one way; where that is not measured the round trip, which is never
// shorter; where neither is, the upper end of what is typical of the class. What
// processing is not measured is the class's too.
//
// It is 1000 when the agent is not Active or Degraded, when reliability is 0, or
// for a human, who is addressed and never compared; everybody else is at most
// 999. There is no logarithm in it: scores are the same to the last bit on every
// machine.
func Score(r Record) uint16 {
	delay := r.DelayMS
	if delay == 0 {
		delay = r.RoundTripMS
	}
	return score(figures{
		class: r.Class, operation: r.Operation, delay: delay, processing: r.ProcessingMS,
		queue: float64(r.QueueDepth), drift: r.Drift, reliability: r.Reliability,
	})
}

// figures are what a score is made of. Times are in ms, 0 where nothing is
// measured; processing is for a payload of weight 1.
type figures struct {
	class                    Class
	operation                Operation
	delay, processing, queue float64
	drift, reliability       float64
}

func score(f figures) uint16 {
	if !f.class.Counted() || (f.operation != Active && f.operation != Degraded) || !(f.reliability > 0) {
		return MaxScore
	}
	effective := f.wait() * (1 + float64(f.drift*0.5)) / min(f.reliability, 1)
	if !(effective >= 0) { // also NaN
		return MaxScore
	}
	if effective > math.MaxFloat32 { // the quotient below would be NaN
		return MaxScore - 1
	}
	return uint16(min(math.Round(MaxScore*(effective/(effective+halfScale))), MaxScore-1))
}

// wait is the mean time from sending to processed, in ms.
func (f figures) wait() float64 {
	if f.delay == 0 {
		_, top := f.class.TypicalDelay()
		f.delay = milliseconds(top)
	}
	if f.processing == 0 {
		f.processing = milliseconds(f.class.BaseProcessing()) * WeightFactor(1)
	}
	wait := f.delay + float64(f.processing*(1+f.queue))
	if f.operation == Degraded {
		wait *= 2
	}
	return wait
}

func milliseconds(d time.Duration) float64 { return float64(max(d, 0)) / float64(time.Millisecond) }
