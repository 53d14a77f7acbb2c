package conflict

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// Stamp is when something happened, by two clocks.
type Stamp struct {
	// Wall is the agent's corrected clock, since an epoch that all share.
	Wall time.Duration
	// Error bounds how far Wall may be off, as its agent knows; a negative one is 0.
	Error time.Duration
	// Logical is a Lamport time or the counter of a hybrid clock: greater than that
	// of everything the agent had seen. 0: none.
	Logical uint64
}

// ClockFinding is what ReconcileClocks finds.
type ClockFinding struct {
	Resolution
	// Excess is how much further than their bounds two clocks are apart, at least;
	// 0 unless a clock is wrong.
	Excess time.Duration
	// EffectSuspect and CauseSuspect: whose clock to measure anew. Both, where
	// nothing tells which is wrong.
	EffectSuspect, CauseSuspect bool
}

// ReconcileClocks judges an effect that seems to be earlier than its cause.
//
// Logical time decides where both have it: an agent that had seen the cause
// stamps higher. If it did, the order stands and only a clock is wrong, which is
// no paradox; that differs from the specification's text, where every paradox is
// critical: with clocks that are half a second apart, wall time alone would call
// the orchestrator for every second message. If it did not, no clock explains it.
// Without logical time an overlap of the bounds explains it.
func ReconcileClocks(cause, effect Stamp) ClockFinding {
	gap := time.Duration(0) // by which the effect seems to be early
	if cause.Wall > effect.Wall {
		gap = saturatedSub(cause.Wall, effect.Wall)
	}
	excess := saturatedSub(gap, saturatedAdd(max(0, cause.Error), max(0, effect.Error)))
	logical := cause.Logical != 0 && effect.Logical != 0
	switch {
	case logical && effect.Logical <= cause.Logical:
		return ClockFinding{Resolution: Resolution{Why: "the effect's agent had not seen the cause"}}
	case excess <= 0:
		return ClockFinding{Resolution: Resolution{Explained, "within the error bounds of the clocks"}}
	case !logical:
		return ClockFinding{Resolution: Resolution{Why: "the effect is earlier than the clocks' bounds allow"}, Excess: excess}
	}
	return ClockFinding{
		Resolution: Resolution{Explained, "the order stands by logical time: a clock is off by more than it admits"}, Excess: excess,
		EffectSuspect: effect.Error >= cause.Error, CauseSuspect: cause.Error >= effect.Error,
	}
}

func saturatedSub(a, b time.Duration) time.Duration {
	if b < 0 && a > math.MaxInt64+b {
		return math.MaxInt64
	}
	if b > 0 && a < math.MinInt64+b {
		return math.MinInt64
	}
	return a - b
}

// saturatedAdd adds two that are not negative.
func saturatedAdd(a, b time.Duration) time.Duration {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Event is one link of a causal chain.
type Event struct {
	ID    uint64
	Cause uint64 // ID of what caused it; 0: nothing did
	Stamp Stamp
}

// Chain is events in their causal order, each by its place in the list.
type Chain struct {
	Order   []int // every cause before its effects; else by logical time, wall time, ID
	Orphans []int // events whose cause is not in the list: in Order, as beginnings
	Loops   []int // events that cause themselves through others: not in Order
	Doubles []int // events with the ID of an earlier one: not in Order
}

// Rebuild puts events into causal order, whatever their clocks say.
func Rebuild(events []Event) Chain {
	var c Chain
	at := make(map[uint64]int, len(events))
	sorted := make([]int, 0, len(events))
	for i, e := range events {
		if _, twice := at[e.ID]; twice {
			c.Doubles = append(c.Doubles, i)
			continue
		}
		at[e.ID] = i
		sorted = append(sorted, i)
	}
	slices.SortStableFunc(sorted, func(a, b int) int {
		x, y := &events[a], &events[b]
		return cmp.Or(cmp.Compare(x.Stamp.Logical, y.Stamp.Logical), cmp.Compare(x.Stamp.Wall, y.Stamp.Wall), cmp.Compare(x.ID, y.ID))
	})
	w := walk{events: events, at: at, state: make([]uint8, len(events)), chain: &c}
	for _, i := range sorted {
		w.place(i)
	}
	slices.Sort(c.Orphans)
	slices.Sort(c.Loops)
	return c
}

// walk places events; an event has one cause at most, so that the way back to a
// beginning is a line.
type walk struct {
	events []Event
	at     map[uint64]int
	state  []uint8
	chain  *Chain
	line   []int
}

const (
	unseen uint8 = iota
	onLine
	placed
	looped
)

func (w *walk) place(i int) {
	w.line = w.line[:0]
	for w.state[i] == unseen {
		w.state[i] = onLine
		w.line = append(w.line, i)
		cause := w.events[i].Cause
		next, known := w.at[cause]
		if cause == 0 || !known {
			if cause != 0 {
				w.chain.Orphans = append(w.chain.Orphans, i)
			}
			w.finish(placed)
			return
		}
		i = next
	}
	if w.state[i] == placed {
		w.finish(placed)
	} else { // on this line: a loop; or hanging from an older loop
		w.finish(looped)
	}
}

// finish gives the line its place, from the beginning on.
func (w *walk) finish(state uint8) {
	for k := len(w.line) - 1; k >= 0; k-- {
		i := w.line[k]
		w.state[i] = state
		if state == placed {
			w.chain.Order = append(w.chain.Order, i)
		} else {
			w.chain.Loops = append(w.chain.Loops, i)
		}
	}
}
