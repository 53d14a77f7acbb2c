package reflex

// Kind of a transition. The zero value is no transition.
type Kind uint8

// The transitions of a rule.
const (
	Fired   Kind = iota + 1 // became active
	Ended                   // is no longer active
	Latched                 // stays in force until an operator clears it
	Cleared                 // an operator has cleared it
)

// String names the transition as it appears in events.
func (k Kind) String() string {
	switch k {
	case Fired:
		return "fired"
	case Ended:
		return "ended"
	case Latched:
		return "latched"
	case Cleared:
		return "cleared"
	}
	return "unknown"
}

// Transition is one change of a rule's state.
type Transition struct {
	Rule int
	Kind Kind
}

// movesPerRule bounds the transitions that can wait for TakeTransitions: one
// evaluation makes at most two of a rule.
const movesPerRule = 4

// note records a transition, or counts it as lost where nobody takes them.
func (t *Table) note(rule int, kind Kind) {
	t.changed = true
	if len(t.moves) == cap(t.moves) {
		t.lost++
		return
	}
	t.moves = append(t.moves, Transition{Rule: rule, Kind: kind})
}

// TakeTransitions moves the oldest transitions since the last call into dst and
// gives their number. Call it until it gives less than len(dst), after every
// evaluation: up to four transitions of a rule wait, and more are counted as
// lost.
func (t *Table) TakeTransitions(dst []Transition) int {
	n := copy(dst, t.moves)
	rest := copy(t.moves, t.moves[n:])
	t.moves = t.moves[:rest]
	return n
}

// LostTransitions counts the transitions that nobody took in time. The state of
// the rules is right all the same.
func (t *Table) LostTransitions() uint64 { return t.lost }
