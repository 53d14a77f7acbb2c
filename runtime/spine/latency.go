package spine

import (
	"time"

	"dancer/runtime/latency"
	"dancer/runtime/link"
)

// latencies counts into the loop's own histograms, which nobody else can write,
// and publishes each count in the segment.
type latencies struct {
	kinds [2]latency.Histogram // by link.LatencyKind
}

// reset empties them. It writes every word, so that no page fault comes later.
func (l *latencies) reset() {
	for k := range l.kinds {
		h := &l.kinds[k]
		for i := range h.Counts {
			h.Counts[i] = 0
		}
		h.Sum, h.Max = 0, 0
	}
}

// measured counts one latency.
func (c *core) measured(k link.LatencyKind, d time.Duration) {
	h := &c.latencies.kinds[k]
	bucket := h.Record(d)
	c.segment.StoreLatency(k, h, bucket)
}

// measureReflex counts the time from the input's time stamp to the output's
// write of a reflex that fired. Without a reading there is no edge (time alone,
// a command or a lost port fired it), and without a write no output.
func (c *core) measureReflex(d time.Duration, wrote bool) {
	if wrote && c.read && !c.status.DryRun {
		c.measured(link.LatencyReflex, d)
	}
}

// Latency is a summary of many latencies: quantiles are at most 1/32 too high.
type Latency = latency.Figures
