package coordination

import (
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// smooth moves an average, in us, an eighth of the way to a sample (the gain of RFC
// 6298, 2.3). The first one sets it.
func smooth(average *uint32, sample time.Duration) {
	now := min(micros(sample), 1<<31-1)
	if *average == 0 {
		*average = max(now, 1)
		return
	}
	*average += uint32(int32(now-*average) / 8)
}

// Predicted is how long a command of a weight (thousandths) is expected to take from
// its sending until the child is READY: its usual delay, its queue, and its usual
// work, which is that of its class until it has worked. It is the likely value, where
// the lead is one that is seldom exceeded. 0 where the delay was never measured, or
// the child is no agent.
func (c *Coordinator) Predicted(child int, weight uint32) time.Duration {
	if c.config.Tier != quorum.TierAgent || child < 0 || child >= len(c.children) {
		return 0
	}
	x := &c.children[child]
	if x.usualDelay == 0 {
		return 0
	}
	work := float64(span(x.usualWork)) / impedance.WeightFactor(1)
	if x.usualWork == 0 {
		work = float64(c.config.Children[child].Class.BaseProcessing())
	}
	own := time.Duration(work * impedance.WeightFactor(float64(weight)/1000))
	return span(x.usualDelay) + own + time.Duration(x.queue)*time.Duration(work*impedance.WeightFactor(1))
}
