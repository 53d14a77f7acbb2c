package reflex

import (
	"math"
	"time"
)

// further says whether a value counts where another one is the extreme so far.
func (h *history) further(x, than float64) bool {
	if h.window.Kind == LowestWindow {
		return x < than
	}
	return x > than
}

// reach takes a value into the bucket of a time.
func (h *history) reach(at time.Duration, x float64) {
	if b, index := h.bucket(at); b.index != index || h.further(x, b.value) {
		b.index, b.value = index, x
	}
}

// spread takes the value that the argument had up to now into the buckets of that
// time. What is older than all of them together is left out.
func (h *history) spread(now time.Duration) {
	from := max(h.at, now-divisions*h.width)
	for at := from; at < now; at = (at/h.width + 1) * h.width {
		h.reach(at, h.value)
	}
	h.reach(now, h.value)
	h.at = now
}

// extreme gives the lowest or highest value of the window, NaN until the window has
// been filled once. The next look is when the last bucket with that value leaves the
// window; the value of now never leaves it.
func (h *history) extreme(now time.Duration) float64 {
	if whole := h.begun + h.window.Length; now < whole {
		h.waiting, h.due = true, whole
		return math.NaN()
	}
	h.waiting = false
	h.spread(now)
	result, last := h.value, int64(-1)
	for index := int64((now - h.window.Length) / h.width); index <= int64(now/h.width); index++ {
		b := &h.buckets[index%buckets]
		if b.index != index {
			continue
		}
		if h.further(b.value, result) {
			result, last = b.value, index
		} else if b.value == result && last >= 0 {
			last = index
		}
	}
	if last >= 0 {
		h.due = time.Duration(last+1)*h.width + h.window.Length
	}
	return result
}
