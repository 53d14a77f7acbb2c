package spine

import (
	"context"
	"time"
)

// watched is why a watch over the brain ended.
type watched uint8

// The ways a watch ends.
const (
	watchedStop watched = iota // the spine ends
	watchedEnd                 // the brain has ended
	watchedHang                // the brain lives and does nothing
)

// watch looks at the brain until it ends, hangs, or is to end. It blocks, on the
// supervisor's side; the loop only counts.
func (s *supervisor) watch(ctx context.Context, done <-chan struct{}) watched {
	var tick <-chan time.Time
	if s.patience.look > 0 {
		ticker := time.NewTicker(s.patience.look)
		defer ticker.Stop()
		tick = ticker.C
	}
	w := newHangWatch(s.patience, s.decisions.Load(), s.signs.Load())
	last := time.Now()
	for {
		select {
		case <-done:
			return watchedEnd
		case <-ctx.Done():
			return watchedStop
		case <-tick:
		}
		now := time.Now()
		hangs := w.look(now.Sub(last), s.decisions.Load(), s.signs.Load())
		last = now
		if hangs {
			return watchedHang
		}
	}
}

// hangWatch decides whether a brain that lives hangs. Its sign of life is a
// completed decision, as for the lease: a brain that only wakes the spine, or
// answers on the network, is of no use to the robot. Until its first decision,
// while it opens and mends its store, each wake-up counts.
//
// A brain need not wait for signals: before they come it decides on its fallback.
type hangWatch struct {
	patience         patience
	decisions, signs uint64
	decided          bool
	silent           time.Duration // since the last sign of life
}

func newHangWatch(p patience, decisions, signs uint64) *hangWatch {
	return &hangWatch{patience: p, decisions: decisions, signs: signs}
}

// look takes the counters after a while. A look that comes late counts as two at
// most: if the whole machine, or this process, was stopped, the brain was too, and
// gets time to go on.
func (w *hangWatch) look(passed time.Duration, decisions, signs uint64) (hangs bool) {
	w.silent += min(passed, 2*w.patience.look)
	limit := w.patience.hang
	switch {
	case decisions != w.decisions:
		w.decided, w.silent = true, 0
	case !w.decided:
		limit = w.patience.begin
		if signs != w.signs {
			w.silent = 0
		}
	}
	w.decisions, w.signs = decisions, signs
	return w.silent >= limit
}
