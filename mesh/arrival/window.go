package arrival

import (
	"math"
	"slices"
	"time"
)

// windowSize is how many of the newest delays Window keeps.
const windowSize = 64

// windowStep is the step of Gibbs and Candes (2021, equation 2), as they use it.
const windowStep = 0.005

// Window is adaptive conformal inference with nothing added: a quantile of the
// last 64 delays of the target, at a share that each message on time or late
// moves. It shows what Adaptive gains. 268 bytes a target.
type Window struct{ targets []window }

type window struct {
	values      [windowSize]float32 // us
	next, count uint8
	share       [Rates]float32 // aimed at, less the rate's own
}

// NewWindow makes one for so many targets.
func NewWindow(targets int) *Window { return &Window{make([]window, targets)} }

// Lead implements Estimator.
func (e *Window) Lead(target int, rate Rate) time.Duration {
	rate = rate.known()
	w := &e.targets[target]
	if w.count == 0 {
		return 0
	}
	sorted := w.values
	slices.Sort(sorted[:w.count])
	return duration(w.quantile(sorted[:w.count], rate))
}

// quantile has the rank of a conformal one, the longest delay where there are too
// few for it.
func (w *window) quantile(sorted []float32, rate Rate) float32 {
	share := missed[rate] + w.share[rate]
	rank := int(math.Ceil(float64((1 - share) * float32(w.count+1))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// Point implements Estimator: the median.
func (e *Window) Point(target int) time.Duration {
	w := &e.targets[target]
	if w.count == 0 {
		return 0
	}
	sorted := w.values
	slices.Sort(sorted[:w.count])
	return duration(sorted[(w.count-1)/2])
}

// Observe implements Estimator.
func (e *Window) Observe(target int, actual time.Duration) {
	if actual <= 0 {
		return
	}
	w, now := &e.targets[target], micros(actual)
	if w.count > 0 {
		sorted := w.values
		slices.Sort(sorted[:w.count])
		for rate := range Rate(Rates) {
			w.share[rate] += float32(windowStep * missed[rate])
			if now > w.quantile(sorted[:w.count], rate) {
				w.share[rate] -= windowStep
			}
		}
	}
	w.values[w.next] = now
	w.next = (w.next + 1) % windowSize
	w.count = min(w.count+1, windowSize)
}

// Round implements Estimator.
func (*Window) Round() {}
