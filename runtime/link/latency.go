package link

import (
	"time"

	"dancer/runtime/latency"
)

// LatencyKind says what a histogram of the segment measures.
type LatencyKind int

// The histograms. Both count since the spine's start and are never reset.
const (
	// LatencyReflex: edge to output, from the time stamp of the input to the
	// output's write, of each reflex that a reading fired in a cycle that wrote an
	// output.
	LatencyReflex LatencyKind = iota
	// LatencyWakeUp: how late the loop woke, after its own deadline or after the
	// kernel's time stamp of the edge that woke it.
	LatencyWakeUp
	latencyKinds
)

// Words of one histogram: the buckets, then sum and longest in nanoseconds.
const latencyWords = latency.Buckets + 2

// StoreLatency publishes that a duration was counted in a bucket of the spine's
// own histogram (spine). What the brain does to the shared words is overwritten
// bucket by bucket and never read.
func (s *Segment) StoreLatency(k LatencyKind, h *latency.Histogram, bucket int) {
	w := s.latency(k)
	w[bucket].Store(h.Counts[bucket])
	w[latency.Buckets].Store(uint64(h.Sum))
	w[latency.Buckets+1].Store(uint64(h.Max))
}

// LoadLatency reads a histogram while the spine goes on counting. No count is
// ever torn or less than it was in an earlier reading; the sum may lack, and the
// longest be shorter than, what was counted meanwhile.
func (s *Segment) LoadLatency(k LatencyKind, h *latency.Histogram) {
	w := s.latency(k)
	h.Sum, h.Max = time.Duration(w[latency.Buckets].Load()), time.Duration(w[latency.Buckets+1].Load())
	for i := range h.Counts {
		h.Counts[i] = w[i].Load()
	}
}

func (s *Segment) latency(k LatencyKind) []word {
	if uint(k) >= uint(latencyKinds) {
		panic("link: index outside the layout")
	}
	o := s.at.latencies + int(k)*latencyWords
	return s.words[o : o+latencyWords]
}
