package dancer

import "sort"

// residuals holds the last errorWindow figures, in the order in which they came
// and sorted.
type residuals struct {
	n      int
	oldest int // index into came, once full
	came   [errorWindow]float64
	sorted [errorWindow]float64
}

// add takes in a finite figure and drops the oldest beyond the window.
func (w *residuals) add(x float64) {
	if w.n == errorWindow {
		at := sort.SearchFloat64s(w.sorted[:w.n], w.came[w.oldest])
		copy(w.sorted[at:], w.sorted[at+1:w.n])
		w.n--
		w.came[w.oldest] = x
		w.oldest = (w.oldest + 1) % errorWindow
	} else {
		w.came[w.n] = x
	}
	at := sort.SearchFloat64s(w.sorted[:w.n], x)
	copy(w.sorted[at+1:w.n+1], w.sorted[at:w.n])
	w.sorted[at] = x
	w.n++
}

// quantiles gives the conformal quantiles from either end; there is at least one
// figure.
func (w *residuals) quantiles() (low, high float64) {
	rank := min(w.n, ((w.n+1)*errorPercent+99)/100)
	return w.sorted[w.n-rank], w.sorted[rank-1]
}
