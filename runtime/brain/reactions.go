package brain

import (
	"sync"
	"time"

	"dancer/mesh"
	"dancer/runtime/latency"
	"dancer/runtime/link"
	"dancer/runtime/web"
)

// The last minute is the difference to a histogram that was kept a minute ago:
// one is kept every keepEvery, so that the minute has up to 70 s.
const (
	minute    = time.Minute
	keepEvery = 10 * time.Second
	keptMany  = int(minute/keepEvery) + 1
)

// reactions reads the spine's histograms. They count since the spine's start and
// are never reset, whatever brains came and went; what they were a minute ago is
// kept here. Safe for concurrent use.
type reactions struct {
	segment *link.Segment
	mutex   sync.Mutex
	kept    [keptMany]reaction // a ring
	next    int                // the place of the next one; before it is the newest
	full    bool
}

// reaction is what both histograms were at a moment.
type reaction struct {
	at             time.Duration // CLOCK_MONOTONIC
	reflex, wakeUp latency.Histogram
}

func newReactions(segment *link.Segment, now time.Duration) *reactions {
	r := &reactions{segment: segment}
	r.push(now)
	return r
}

func (r *reactions) load(into *reaction, now time.Duration) {
	into.at = now
	r.segment.LoadLatency(link.LatencyReflex, &into.reflex)
	r.segment.LoadLatency(link.LatencyWakeUp, &into.wakeUp)
}

// keep keeps what there is now where the newest is old enough.
func (r *reactions) keep(now time.Duration) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if now-r.kept[(r.next+keptMany-1)%keptMany].at >= keepEvery {
		r.push(now)
	}
}

func (r *reactions) push(now time.Duration) {
	r.load(&r.kept[r.next], now)
	r.next = (r.next + 1) % keptMany
	r.full = r.full || r.next == 0
}

// earlier is the newest that is a minute old, or else the oldest.
func (r *reactions) earlier(now time.Duration) *reaction {
	oldest, many := 0, r.next
	if r.full {
		oldest, many = r.next, keptMany
	}
	found := &r.kept[oldest]
	for i := range many {
		if k := &r.kept[(oldest+i)%keptMany]; now-k.at >= minute {
			found = k
		}
	}
	return found
}

// latencies gives everything, for the page.
func (r *reactions) latencies(now time.Duration) *web.Latencies {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	var is reaction
	r.load(&is, now)
	was := r.earlier(now)
	return &web.Latencies{
		EdgeToOutput:   web.Measured{SinceStart: is.reflex, LastMinute: is.reflex.Since(&was.reflex)},
		WakeUpLateness: web.Measured{SinceStart: is.wakeUp, LastMinute: is.wakeUp.Since(&was.wakeUp)},
		LastMinute:     now - was.at,
	}
}

// sinceStart gives the figures that go into the state.
func (r *reactions) sinceStart() *mesh.StateLatency {
	var is reaction
	r.load(&is, 0)
	return &mesh.StateLatency{EdgeToOutput: web.LatencyFigures(&is.reflex), WakeUpLateness: web.LatencyFigures(&is.wakeUp)}
}
