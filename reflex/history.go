package reflex

import (
	"math"
	"time"
)

// never is the deadline of what does not change by time.
const never = time.Duration(math.MaxInt64)

// A window is divided into so many buckets; one more is being filled.
const (
	divisions = 32
	buckets   = divisions + 1
)

// bucket is a stretch of time: the stretches of a window are numbered from the
// start of the clock, so that none depends on when the robot was started.
type bucket struct {
	index int64         // of the stretch; -1: nothing in it
	at    time.Duration // rate: of its first reading
	value float64       // rate: that reading; mean: value times nanoseconds; lowest and highest: the extreme
}

// reading is one value of an argument.
type reading struct {
	at    time.Duration
	value float64
}

// history is what one window remembers of its argument.
type history struct {
	window *Window
	width  time.Duration // of a bucket
	state  WindowState
	due    time.Duration // when it changes by time alone

	valid bool          // the argument is; all below is meaningless if not
	at    time.Duration // up to which time it is taken in; never goes back
	begun time.Duration // of the first valid argument
	value float64       // of the argument
	since time.Duration // mean: value is the same; held: it is true; since: it was last true

	buckets          []bucket // of rate and mean
	previous, newest reading  // rate; previous is RateOver or more before newest
	before           bool     // rate: previous is one
	waiting          bool     // rate: a second reading is needed; lowest and highest: more time
}

func newHistory(window *Window) history {
	h := history{window: window, width: (window.Length + divisions - 1) / divisions, due: never}
	if window.Kind != HeldWindow && window.Kind != SinceWindow {
		h.buckets = make([]bucket, buckets)
	}
	return h
}

// forget is what an invalid argument does.
func (h *history) forget() {
	h.valid, h.before, h.waiting = false, false, false
	for i := range h.buckets {
		h.buckets[i].index = -1
	}
}

// begin takes the first valid argument.
func (h *history) begin(now time.Duration, x float64) {
	h.valid, h.at, h.begun, h.since, h.value = true, now, now, now, x
	switch h.window.Kind {
	case RateWindow:
		h.newest = reading{now, x}
		h.keep(now, x)
	case LowestWindow, HighestWindow:
		h.reach(now, x)
	}
}

// take takes the next argument.
func (h *history) take(now time.Duration, x float64) {
	switch h.window.Kind {
	case RateWindow:
		h.reading(now, x)
	case MeanWindow:
		h.fill(now)
		if x != h.value {
			h.since = now
		}
	case LowestWindow, HighestWindow:
		h.spread(now)
		h.reach(now, x)
	case HeldWindow:
		if h.value != 1 {
			h.since = now
		}
	case SinceWindow: // it was true until now, or is
		if h.value == 1 || x == 1 {
			h.since = now
		}
	}
	h.value, h.at = x, now
}

// result gives the window's value as of now, NaN for none, and sets the time of
// the next look.
func (h *history) result(now time.Duration) float64 {
	h.due = never
	if !h.valid {
		return math.NaN()
	}
	switch h.window.Kind {
	case RateWindow:
		return h.slope()
	case MeanWindow:
		h.fill(now)
		if h.since > h.begun && now-h.since < h.window.Length {
			h.due = h.next(now)
		}
		return h.mean(now)
	case HeldWindow:
		return h.held(now)
	case LowestWindow, HighestWindow:
		return h.extreme(now)
	}
	if h.value == 1 {
		return 0
	}
	seconds := float64(now-h.since) / float64(time.Second)
	if seconds >= SinceAtMost {
		return SinceAtMost
	}
	h.due = h.next(now)
	return seconds
}

// next is the time of the next look: a multiple of the refresh time, so that all
// windows are looked at together.
func (h *history) next(now time.Duration) time.Duration {
	every := h.window.Refresh
	if every <= 0 {
		every = DefaultRefresh
	}
	return (now/every + 1) * every
}

func (h *history) held(now time.Duration) float64 {
	switch {
	case h.value != 1:
		return 0
	case now-h.since >= h.window.Length:
		return 1
	}
	h.due = h.since + h.window.Length
	return 0
}

// bucket gives the bucket of a stretch, and its number.
func (h *history) bucket(at time.Duration) (*bucket, int64) {
	index := int64(at / h.width)
	return &h.buckets[index%buckets], index
}

// reading takes the next reading of a rate.
func (h *history) reading(now time.Duration, x float64) {
	if now-h.newest.at >= RateOver {
		h.previous, h.before = h.newest, true
	}
	h.newest = reading{now, x}
	h.keep(now, x)
}

// keep keeps the first reading of each stretch; of several at one time the last.
func (h *history) keep(now time.Duration, x float64) {
	if b, index := h.bucket(now); b.index != index || b.at == now {
		*b = bucket{index, now, x}
	}
}

// slope of a straight line from the oldest kept reading to the newest, per
// second.
func (h *history) slope() float64 {
	oldest, found := h.oldest()
	if h.waiting = !found; h.waiting {
		return math.NaN()
	}
	seconds := float64(h.newest.at-oldest.at) / float64(time.Second)
	return (h.newest.value - oldest.value) / seconds
}

// oldest gives the oldest kept reading inside the window, or else the last one
// before the newest.
func (h *history) oldest() (oldest reading, ok bool) {
	from, to := max(h.newest.at-h.window.Length, 0), h.newest.at-RateOver
	_, index := h.bucket(from)
	for position, end := index%buckets, index+buckets; index < end; index++ {
		if b := &h.buckets[position]; b.index == index && b.at >= from && b.at <= to {
			return reading{b.at, b.value}, true
		}
		if position++; position == buckets {
			position = 0
		}
	}
	return h.previous, h.before
}

// fill adds the time up to now, during which the argument had its value, to the
// buckets. What is older than all of them together is left out.
func (h *history) fill(now time.Duration) {
	for at := max(h.at, now-buckets*h.width); at < now; {
		b, index := h.bucket(at)
		if b.index != index {
			b.index, b.value = index, 0
		}
		end := min(time.Duration(index+1)*h.width, now)
		b.value += float64(h.value * float64(end-at))
		at = end
	}
	h.at = now
}

// mean adds the buckets up, the oldest in proportion to the part of it that lies
// inside the window: so the mean is off by at most 1/128 of what the argument
// moved in that one bucket.
func (h *history) mean(now time.Duration) float64 {
	from := max(now-h.window.Length, h.begun)
	if h.since <= from {
		return h.value
	}
	b, index := h.bucket(from)
	begin, end := max(time.Duration(index)*h.width, h.begun), time.Duration(index+1)*h.width
	total := b.value
	if from > begin {
		total *= float64(min(end, now)-from) / float64(min(end, now)-begin)
	}
	for position := index % buckets; end < now; end += h.width {
		if position++; position == buckets {
			position = 0
		}
		total += h.buckets[position].value
	}
	return total / float64(now-from)
}
