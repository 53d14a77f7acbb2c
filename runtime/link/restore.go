package link

import "dancer/runtime/latency"

// Restore makes whole again what a brain that is gone may have written over: the
// header, which the next brain checks, both ends of each ring, and the mailbox
// (spine). What the brain before asked for and was not taken yet is dropped, and
// so are events where its count of them makes no sense. Slots, rules, ports and
// histograms are the caller's to store again.
func (s *Segment) Restore() {
	for i, w := range s.layout.header(s.at.total) {
		s.words[i].Store(w)
	}
	s.events.restoreProducer()
	s.traces.restoreProducer()
	s.requests.restoreConsumer()
	s.mailbox()[0].Store(s.lastPost)
}

// restoreProducer writes what the producer knows into the shared words.
func (r *ring) restoreProducer() {
	r.words[ringHead].Store(r.position)
	r.words[ringLost].Store(r.lost)
	if r.position-r.words[ringTail].Load() > r.capacity {
		r.words[ringTail].Store(r.position)
	}
}

// restoreConsumer empties a ring whose producer is gone.
func (r *ring) restoreConsumer() {
	r.words[ringHead].Store(r.position)
	r.words[ringTail].Store(r.position)
	r.words[ringLost].Store(0)
}

// StoreLatencies publishes a whole histogram again (spine).
func (s *Segment) StoreLatencies(k LatencyKind, h *latency.Histogram) {
	for i := range h.Counts {
		s.StoreLatency(k, h, i)
	}
}
