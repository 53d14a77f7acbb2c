package spine

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// longestLatency bounds what the histogram tells apart; a longer one counts as
// this.
const longestLatency = 10 * time.Second

// latencies counts latencies without allocating, to two digits.
type latencies struct {
	histogram *hdrhistogram.Histogram
	longest   time.Duration // exact
}

func (l *latencies) reset() {
	l.histogram = hdrhistogram.New(1, int64(longestLatency), 2)
	l.longest = 0
}

func (l *latencies) record(d time.Duration) {
	d = max(d, 1)
	l.longest = max(l.longest, d)
	// The value is inside the histogram's range, so there is no error.
	_ = l.histogram.RecordValue(int64(min(d, longestLatency)))
}

// Latency is a summary of many latencies.
type Latency struct {
	Count                int64
	P50, P99, P999, Most time.Duration
}

func (l *latencies) summary() Latency {
	at := func(q float64) time.Duration { return time.Duration(l.histogram.ValueAtQuantile(q)) }
	return Latency{l.histogram.TotalCount(), at(50), at(99), at(99.9), l.longest}
}
