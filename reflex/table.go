package reflex

import (
	"errors"
	"math/bits"
	"time"

	"dancer/hal"
	"dancer/reflex/program"
)

// ErrStillTrue refuses to clear a latch whose cause is still there, or is not
// known to be gone because the rule has not been evaluated yet or reads an
// invalid signal.
var ErrStillTrue = errors.New("the cause is still there")

// ErrNoRule refuses an index that is no rule of the table.
var ErrNoRule = errors.New("no such rule")

// Table holds the rules of a robot and their state. It is not safe for
// concurrent use: the one thread of the spine owns it. No method allocates.
//
// A rule's condition is true if one of the slots that its When reads is NaN, or
// When is not false. The rule fires, and is active, once the condition has been
// true for Debounce and for Confirm readings in a row. It ends when the
// condition is false and Until, if there is one, is true; an Until that reads an
// invalid slot does not end it. A latched rule acts on the outputs until Clear.
type Table struct {
	rules    []Rule
	slots    int // signals and outputs
	words    int // of 64 rules
	scratch  []float64
	limits   limits         // conditions that are limits on single slots
	programs []int          // rules with any other condition
	read     []int          // slots that any When reads
	near     [][]int        // slot -> slots that the rules which read it read
	readers  []uint64       // slot*words -> rules whose When or Until reads it
	strict   []uint64       // slot*words -> rules whose When reads it
	awaited  []bool         // slots whose first reading is awaited
	word     []stateOfWords // per 64 rules
	states   []state        // per rule

	outputs []hal.Output
	setters [][]setter    // output -> rules that set it
	ramps   [][]ramp      // of each rule
	present []float64     // output -> the value on the wire
	merged  []choice      // output -> the value now in force
	changed bool          // merged must be computed anew
	now     time.Duration // of the last call that gave a time

	moves []Transition // for TakeTransitions
	lost  uint64
}

// stateOfWords is the state of 64 rules, one bit each.
type stateOfWords struct {
	condition uint64 // as last evaluated, waiting or not; all ones at first
	waiting   uint64 // reads a slot whose first reading is awaited
	active    uint64
	latched   uint64
	pending   uint64 // condition true, not yet fired
	timed     uint64 // pending, and its debounce still runs
	stopping  uint64 // in the controlled part of a stop of category 1
}

// state is the state of one rule beside its bits.
type state struct {
	due      time.Duration // end of the debounce, if pending
	counted  time.Duration // when the last reading was counted
	readings int           // in a row, if pending
	stopped  time.Duration // end of the controlled part, if stopping
	began    time.Duration // of the controlled part
	step     time.Duration // of the ramp, the next one; never if there is none
}

// Evaluate evaluates all rules. The slots hold the signals and then the outputs,
// NaN where invalid. It counts as a new reading for every rule with Confirm.
func (t *Table) Evaluate(now time.Duration, slots []float64) {
	t.now = now
	t.limits.look(t.read, slots, t.word)
	for _, i := range t.programs {
		t.word[i>>6].put(t.when(i, slots), 1<<(i&63))
	}
	for w := range t.word {
		t.attend(w, t.word[w].attention(), now, slots)
	}
	t.settle()
}

// Changed evaluates the rules that read the slot, after a new reading of it. For
// several readings at one time call it for each, with the same now: Confirm
// counts them as one.
func (t *Table) Changed(now time.Duration, slot int, slots []float64) {
	t.now = now
	t.limits.look(t.near[slot], slots, t.word)
	readers := t.readers[slot*t.words : (slot+1)*t.words]
	for _, i := range t.programs {
		if readers[i>>6]>>(i&63)&1 != 0 {
			t.word[i>>6].put(t.when(i, slots), 1<<(i&63))
		}
	}
	for w, mask := range readers {
		t.attend(w, t.word[w].attention()&mask, now, slots)
	}
	t.settle()
}

// Lost is Changed for a slot that is invalid because its readings have stopped,
// or its device is gone: Confirm waits for no more of them. Debounce applies.
func (t *Table) Lost(now time.Duration, slot int, slots []float64) {
	t.Changed(now, slot, slots)
	for w, mask := range t.strict[slot*t.words : (slot+1)*t.words] {
		for mask &= t.word[w].pending; mask != 0; mask &= mask - 1 {
			i := w<<6 | bits.TrailingZeros64(mask)
			t.states[i].readings = max(t.states[i].readings, t.rules[i].Confirm)
			t.step(i, now, slots, false)
		}
	}
	t.settle()
}

// attention gives the rules that have something to do.
func (w *stateOfWords) attention() uint64 {
	return (w.condition&^w.waiting ^ w.active) | w.pending | w.stopping
}

// put sets or clears one bit of the conditions.
func (w *stateOfWords) put(is bool, bit uint64) {
	w.condition &^= bit
	if is {
		w.condition |= bit
	}
}

// attend steps the rules of one word, after a new reading.
func (t *Table) attend(w int, rules uint64, now time.Duration, slots []float64) {
	for ; rules != 0; rules &= rules - 1 {
		t.step(w<<6|bits.TrailingZeros64(rules), now, slots, true)
	}
}

// Tick lets time pass without a new reading: debounces end, ramps move on, and
// controlled stops reach their safe values. Call it at [Table.NextDeadline].
func (t *Table) Tick(now time.Duration) {
	t.now = now
	for w := range t.word {
		attention := t.word[w].timed | t.word[w].stopping
		for ; attention != 0; attention &= attention - 1 {
			t.step(w<<6|bits.TrailingZeros64(attention), now, nil, false)
		}
	}
	t.settle()
}

// NextDeadline gives the earliest time at which a rule can change by time alone:
// the end of a debounce or of the controlled part of a stop, or the next step of
// a ramp.
func (t *Table) NextDeadline() (earliest time.Duration, ok bool) {
	for w := range t.word {
		word := &t.word[w]
		for mask := word.timed; mask != 0; mask &= mask - 1 {
			due := t.states[w<<6|bits.TrailingZeros64(mask)].due
			if !ok || due < earliest {
				earliest, ok = due, true
			}
		}
		for mask := word.stopping; mask != 0; mask &= mask - 1 {
			s := &t.states[w<<6|bits.TrailingZeros64(mask)]
			due := min(s.stopped, s.step)
			if !ok || due < earliest {
				earliest, ok = due, true
			}
		}
	}
	return earliest, ok
}

// when evaluates the condition of one rule, true where it reads an invalid slot.
func (t *Table) when(i int, slots []float64) bool {
	return t.rules[i].When.EvalValid(slots, t.scratch) != 0 // NaN is not 0
}

// until evaluates whether a rule whose condition is false may end.
func (t *Table) until(p *program.Program, slots []float64) bool {
	if p == nil {
		return true
	}
	return p.EvalValid(slots, t.scratch) == 1
}

// step moves one rule on, after its condition has been evaluated or time has
// passed.
func (t *Table) step(i int, now time.Duration, slots []float64, reading bool) {
	word, bit := &t.word[i>>6], uint64(1)<<(i&63)
	condition := word.condition&^word.waiting&bit != 0
	active := word.active&bit != 0
	if word.stopping&bit != 0 {
		t.stopOn(i, now)
	}
	switch {
	case active && !condition && slots != nil && t.until(t.rules[i].Until, slots):
		t.end(i)
	case !active && condition:
		t.wait(i, now, reading)
	case !active && !condition:
		word.pending &^= bit
		word.timed &^= bit
	}
}

// wait filters a condition that has become true, and fires the rule once it has
// stayed so for long enough and for enough readings.
func (t *Table) wait(i int, now time.Duration, reading bool) {
	word, bit := &t.word[i>>6], uint64(1)<<(i&63)
	s, rule := &t.states[i], &t.rules[i]
	if word.pending&bit == 0 {
		word.pending |= bit
		s.due, s.readings, s.counted = now+rule.Debounce, 1, now
	} else if reading && now != s.counted {
		s.readings, s.counted = s.readings+1, now
	}
	if now < s.due {
		word.timed |= bit
		return
	}
	word.timed &^= bit
	if s.readings >= rule.Confirm {
		t.fire(i, now)
	}
}

func (t *Table) fire(i int, now time.Duration) {
	word, bit := &t.word[i>>6], uint64(1)<<(i&63)
	rule := &t.rules[i]
	if rule.Stop == Stop1 && (word.active|word.latched)&bit == 0 {
		word.stopping |= bit
		t.stop(i, now)
	}
	word.pending &^= bit
	word.active |= bit
	t.note(i, Fired)
	if rule.Latch && word.latched&bit == 0 {
		word.latched |= bit
		t.note(i, Latched)
	}
}

func (t *Table) end(i int) {
	word, bit := &t.word[i>>6], uint64(1)<<(i&63)
	word.active &^= bit
	word.stopping &= word.latched | ^bit
	t.note(i, Ended)
}

// Active says whether the rule has fired and not ended.
func (t *Table) Active(rule int) bool { return t.word[rule>>6].active>>(rule&63)&1 != 0 }

// Latched says whether the rule has fired and no operator has cleared it since.
func (t *Table) Latched(rule int) bool { return t.word[rule>>6].latched>>(rule&63)&1 != 0 }

// Clear takes back the latch of a rule. It fails with [ErrStillTrue] while the
// rule is active or its condition is not known to be false, and does nothing to a
// rule that is not latched. It re-arms the rule and moves nothing.
func (t *Table) Clear(rule int) error {
	if rule < 0 || rule >= len(t.rules) {
		return ErrNoRule
	}
	word, bit := &t.word[rule>>6], uint64(1)<<(rule&63)
	switch {
	case word.latched&bit == 0:
		return nil
	case (word.active|word.condition|word.waiting)&bit != 0:
		return ErrStillTrue
	}
	word.latched &^= bit
	word.stopping &^= bit
	t.note(rule, Cleared)
	t.settle()
	return nil
}

// Restore latches a rule again after a restart, with its safe values where its
// stop category ends in them. A rule with Until is active too, because nobody
// knows whether it had ended: so it cannot be cleared before Until is true. It is
// no transition. It panics on an index that is no rule.
func (t *Table) Restore(rule int) {
	word, bit := &t.word[rule>>6], uint64(1)<<(rule&63)
	word.latched |= bit
	if t.rules[rule].Until != nil {
		word.active |= bit
	}
	t.changed = true
	t.settle()
}

// Await says whether the first reading of a slot is still awaited. Until it has
// come, or has been given up, the rules whose When reads the slot neither fire
// nor latch; the caller holds the outputs safe meanwhile. Follow it with Changed
// or Evaluate.
func (t *Table) Await(slot int, awaited bool) {
	t.awaited[slot] = awaited
	for w := range t.word {
		t.word[w].waiting = 0
	}
	for s, waits := range t.awaited {
		if !waits {
			continue
		}
		for w, mask := range t.strict[s*t.words : (s+1)*t.words] {
			t.word[w].waiting |= mask
		}
	}
}
