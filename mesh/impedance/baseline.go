package impedance

// Limits of spike detection.
const (
	// BaselineSamples is over how many scores the long-term average runs: one
	// hour of heartbeats.
	BaselineSamples = 720
	// BaselineMinimum is how many scores there must be before one can be a
	// spike: a minute of heartbeats.
	BaselineMinimum = 12
	// SpikeRise is by how many points a spike is above the average at least,
	// where that is not past the middle of what is left of the scale. Near 0 a
	// single millisecond doubles a score.
	SpikeRise = 50
)

// Baseline is the long-term average of an agent's score, in 8 bytes. The zero
// value is empty and ready.
//
// It goes on learning through a spike, slowly: an agent that stays slow is, after
// one to four hours, no longer suddenly slow.
type Baseline struct {
	average uint32 // 1/65536 points
	count   uint16
}

// Observe takes the score of one heartbeat and says whether it is a spike: over
// twice the average before it (mesh-30k 6.1, IMPEDANCE_SPIKE), or more than half
// of the way from the average to the end of the scale where that is nearer,
// since nothing can be over twice an average of 500. MaxScore is no measurement
// and is ignored.
func (b *Baseline) Observe(score uint16) (spike bool) {
	if score >= MaxScore {
		return false
	}
	s := uint32(score) << 16
	limit := min(max(2*b.average, b.average+SpikeRise<<16), (MaxScore<<16+b.average)/2)
	spike = b.count >= BaselineMinimum && s > limit
	b.count = min(b.count+1, BaselineSamples)
	b.average = uint32(int64(b.average) + (int64(s)-int64(b.average))/int64(b.count))
	return spike
}

// Average of the scores, 0-1000; 0 when there are none.
func (b *Baseline) Average() float64 { return float64(b.average) / (1 << 16) }
