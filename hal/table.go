package hal

import (
	"math"
	"time"
)

// never is the deadline of what cannot expire.
const never = time.Duration(math.MaxInt64)

// SignalTable holds the newest reading of every signal and says whether it may
// be used. Invalid signals read as NaN, so that a rule which forgets to ask
// takes its unsafe side. One goroutine owns it; nothing allocates after
// construction.
type SignalTable struct {
	signals []Signal
	values  []float64 // what rules read: NaN unless valid
	state   []signalState
	next    time.Duration // no signal expires before it; may be early, never late
}

// signalState is the bookkeeping of one signal.
type signalState struct {
	raw      float64       // newest reading as it came
	at       time.Duration // of the newest reading, or of Start
	kept     float64       // newest plausible reading that was another one than before; NaN: none yet
	changed  time.Duration // when kept came, later by the time without readings since
	validity Validity
	seen     bool
}

// NewSignalTable makes a table in which no signal has been seen.
func NewSignalTable(signals []Signal) *SignalTable {
	return NewSignalTableOver(make([]float64, len(signals)), signals)
}

// NewSignalTableOver is NewSignalTable with values kept in the first
// len(signals) slots of the caller's slice, which expressions read directly. It
// panics if the slice is too short: that is a broken invariant of the caller.
func NewSignalTableOver(slots []float64, signals []Signal) *SignalTable {
	t := &SignalTable{
		signals: signals,
		values:  slots[:len(signals):len(signals)],
		state:   make([]signalState, len(signals)),
	}
	t.Start(0)
	return t
}

// Start forgets every reading and counts from now: a signal that has not been
// seen within its StaleAfter from here becomes Stale, until then it is
// NeverSeen.
func (t *SignalTable) Start(now time.Duration) {
	for i := range t.state {
		t.state[i] = signalState{raw: math.NaN(), at: now, kept: math.NaN(), changed: now}
		t.values[i] = math.NaN()
	}
	t.next = never
	for i := range t.state {
		t.next = min(t.next, t.deadline(i))
	}
}

// Set takes a reading and reports whether the signal's value or validity is now
// another one. A reading older than the one held, or of a signal that does not
// exist, is ignored.
func (t *SignalTable) Set(r Reading) (changed bool) {
	if r.Signal < 0 || r.Signal >= len(t.state) {
		return false
	}
	s := &t.state[r.Signal]
	if s.seen && r.At < s.at {
		return false
	}
	t.moved(r)
	s.raw, s.at, s.seen = r.Value, r.At, true
	changed = t.apply(r.Signal, t.judge(r.Signal, r.At))
	t.next = min(t.next, t.deadline(r.Signal))
	return changed
}

// unmoved is the share of a signal's range that a reading must move for its value to
// have changed: less is the rounding of numbers that stand for the same value.
const unmoved = 1e-9

// moved notes whether a reading shows that its signal still changes. Only plausible
// readings do, so that a frozen value between two that are none stays frozen; and
// time without readings, in which nobody could have seen a change, is not counted.
func (t *SignalTable) moved(r Reading) {
	s, d := &t.state[r.Signal], &t.signals[r.Signal]
	if s.seen && (s.validity == Stale || d.StaleAfter > 0 && r.At-s.at >= d.StaleAfter) {
		s.changed += r.At - s.at
	}
	if !(math.Abs(r.Value) <= math.MaxFloat64 && d.inRange(r.Value)) {
		return
	}
	least := 0.0
	if !d.Boolean && d.Minimum < d.Maximum {
		least = float64(unmoved * (d.Maximum - d.Minimum))
	}
	if !(math.Abs(r.Value-s.kept) <= least) { // also the first
		s.kept, s.changed = r.Value, r.At
	}
}

// Invalidate marks a signal as not usable at once, for example when its port is
// gone, and reports whether that is news. The next reading brings it back. A
// signal never seen stays so: it is waited for, not feared.
func (t *SignalTable) Invalidate(signal int, why Validity) (changed bool) {
	if signal < 0 || signal >= len(t.state) || why == Valid || !t.state[signal].seen {
		return false
	}
	return t.apply(signal, why)
}

// Expire marks what has become stale or stuck by now and calls changed, which
// may be nil, for each. It is exact: at the time that NextExpiry gives, the
// signal expires.
func (t *SignalTable) Expire(now time.Duration, changed func(signal int)) {
	if now < t.next {
		return
	}
	t.next = never
	for i := range t.state {
		if t.deadline(i) <= now && t.apply(i, t.judge(i, now)) && changed != nil {
			changed(i)
		}
		t.next = min(t.next, t.deadline(i))
	}
}

// NextExpiry gives the time at which Expire is worth calling, false if no
// signal can expire. It may be early, after readings that came meanwhile, and
// is never late.
func (t *SignalTable) NextExpiry() (time.Duration, bool) {
	return t.next, t.next != never
}

// Values gives one value per signal, NaN where the signal is not valid. The
// slice is the table's own: read only, always current.
func (t *SignalTable) Values() []float64 { return t.values }

// Validity says whether signal i may be used.
func (t *SignalTable) Validity(i int) Validity { return t.state[i].validity }

// At gives the time of the newest reading of signal i, or of Start if there is
// none.
func (t *SignalTable) At(i int) time.Duration { return t.state[i].at }

// Raw gives the newest reading of signal i as it came, valid or not; NaN if
// there is none.
func (t *SignalTable) Raw(i int) float64 { return t.state[i].raw }

// Seen says whether signal i has had a reading since Start.
func (t *SignalTable) Seen(i int) bool { return t.state[i].seen }

// Len is the number of signals.
func (t *SignalTable) Len() int { return len(t.state) }

// judge says what signal i is at a time, from its newest reading.
func (t *SignalTable) judge(i int, now time.Duration) Validity {
	s, d := &t.state[i], &t.signals[i]
	switch {
	case d.StaleAfter > 0 && now-s.at >= d.StaleAfter:
		return Stale
	case !s.seen:
		return NeverSeen
	case math.IsNaN(s.raw) || math.IsInf(s.raw, 0):
		return NotANumber
	case !d.inRange(s.raw):
		return OutOfRange
	case d.StuckAfter > 0 && now-s.changed >= d.StuckAfter:
		return Stuck
	}
	return Valid
}

// apply stores a judgement and reports whether rules would see a difference.
func (t *SignalTable) apply(i int, v Validity) (changed bool) {
	s := &t.state[i]
	value := math.NaN()
	if v == Valid {
		value = s.raw
	}
	changed = v != s.validity || !sameReading(value, t.values[i])
	s.validity = v
	t.values[i] = value
	return changed
}

// deadline is when signal i next becomes worse by time alone.
func (t *SignalTable) deadline(i int) time.Duration {
	s, d := &t.state[i], &t.signals[i]
	at := never
	if d.StaleAfter > 0 && s.validity != Stale {
		at = s.at + d.StaleAfter
	}
	if d.StuckAfter > 0 && s.validity == Valid {
		at = min(at, s.changed+d.StuckAfter)
	}
	return at
}

// inRange says whether a value is one that the signal can have. A boolean is 0
// or 1; a range without extent (both ends 0) is not checked.
func (d *Signal) inRange(v float64) bool {
	if d.Boolean {
		return v == 0 || v == 1
	}
	return d.Minimum >= d.Maximum || v >= d.Minimum && v <= d.Maximum
}

// sameReading is equality in which NaN equals NaN.
func sameReading(a, b float64) bool {
	return a == b || a != a && b != b
}
