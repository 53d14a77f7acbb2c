package reflex

import "math"

// limits holds the conditions that are nothing but limits on single slots, which
// most reflexes are, and evaluates them by slot: each slot knows the window
// around its last value inside which no limit changes sides. While the value
// stays in it, which is nearly always, one look at the window evaluates every
// limit on the slot. Outside it each limit of the slot is looked at once.
type limits struct {
	windows []window  // per slot
	bySlot  [][]limit // per slot
	tallies []tally   // per rule
}

// window is the range, both ends included, of values for which the limits of a
// slot stand as they do. No NaN is inside, and nothing is inside the empty one.
type window struct{ low, high float64 }

func (w *window) holds(value float64) bool { return value >= w.low && value <= w.high }

// empty is the window before the first reading, and around NaN.
var empty = window{low: math.Inf(1), high: math.Inf(-1)}

// limit is one limit on one slot: sign * value <= limit.
type limit struct {
	limit, sign float64
	rule        int
	side        side
}

// side says where the last value was.
type side uint8

const (
	kept side = iota
	broken
	invalid
)

// tally counts what keeps one rule's condition from being true or false.
type tally struct {
	negated bool // true if any limit is broken, else true if none is
	count   [3]int
}

// condition is true if a limit reads NaN.
func (t *tally) condition() bool {
	return t.count[invalid] > 0 || (t.count[broken] == 0) != t.negated
}

// look evaluates the limits of some slots.
func (l *limits) look(read []int, slots []float64, words []stateOfWords) {
	windows := l.windows
	for _, s := range read {
		if value := slots[s]; !windows[s].holds(value) {
			l.move(s, value, words)
		}
	}
}

// move finds the sides of all limits of a slot and the window around its value.
func (l *limits) move(slot int, value float64, words []stateOfWords) {
	around := window{low: math.Inf(-1), high: math.Inf(1)}
	list := l.bySlot[slot]
	for i := range list {
		limit := &list[i]
		now := limit.sideOf(value)
		around.shrink(limit, now)
		if now == limit.side {
			continue
		}
		t := &l.tallies[limit.rule]
		t.count[limit.side]--
		t.count[now]++
		limit.side = now
		words[limit.rule>>6].put(t.condition(), 1<<(limit.rule&63))
	}
	l.windows[slot] = around
}

func (l *limit) sideOf(value float64) side {
	switch {
	case l.sign*value <= l.limit:
		return kept
	case value != value:
		return invalid
	}
	return broken
}

// shrink keeps the window inside the values for which the limit has one side.
func (w *window) shrink(l *limit, now side) {
	edge := l.sign * l.limit
	switch {
	case now == invalid:
		*w = empty
	case (now == kept) == (l.sign > 0): // below the edge
		if now == broken {
			edge = math.Nextafter(edge, math.Inf(-1))
		}
		w.high = min(w.high, edge)
	default:
		if now == broken {
			edge = math.Nextafter(edge, math.Inf(1))
		}
		w.low = max(w.low, edge)
	}
}

// newLimits collects the rules that are simple and names the others. Every limit
// begins as invalid, so that a rule is true until its slots have been looked at.
func newLimits(rules []Rule, slots int) (l limits, others []int) {
	l.windows = make([]window, slots)
	for i := range l.windows {
		l.windows[i] = empty
	}
	l.bySlot = make([][]limit, slots)
	l.tallies = make([]tally, len(rules))
	for i := range rules {
		bounds, negated, simple := rules[i].When.Bounds()
		if !simple {
			others = append(others, i)
			continue
		}
		l.tallies[i] = tally{negated: negated}
		l.tallies[i].count[invalid] = len(bounds)
		for _, b := range bounds {
			l.bySlot[b.Slot] = append(l.bySlot[b.Slot], limit{limit: b.Limit, sign: b.Sign, rule: i, side: invalid})
		}
	}
	return l, others
}
