package impedance

import "math"

// MaxScore is the score of an agent that should not be asked at all.
const MaxScore = 1000

// Score is the composite impedance, 0 (at hand) to 1000 (out of reach), of one
// formula:
//
//	wait  = round_trip + processing x (1 + queue)          ms
//	ideal = 100 x log2(1 + wait / 1 ms)                    1 ms 100, 31 ms 500, 1 s 997
//	score = ideal x (1 + drift / 2) / reliability
//
// clamped to 0-1000; 1000 when the agent is not Active or Degraded, when
// reliability is 0, or for a human. A degraded agent counts as twice the wait.
// The scale is logarithmic because delays of a fleet span five decades.
func Score(r Record) uint16 {
	if r.Class == ClassHuman || r.Operation == Offline || r.Operation >= Quarantined || !(r.Reliability > 0) {
		return MaxScore
	}
	wait := r.RoundTripMS + float64(r.ProcessingMS*(1+float64(r.QueueDepth)))
	if r.Operation == Degraded {
		wait *= 2
	}
	score := 100 * math.Log2(1+wait) * (1 + float64(r.Drift/2)) / r.Reliability
	if !(score < MaxScore) { // also NaN
		return MaxScore
	}
	return uint16(math.Round(max(score, 0)))
}
