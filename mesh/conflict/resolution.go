package conflict

import "errors"

// Errors of this package, by what the caller can do about them.
var (
	// ErrInvalid: a record, name or argument that is out of its range. Drop it and count.
	ErrInvalid = errors.New("invalid conflict")
	// ErrFull: a bound is reached. What was refused is counted; resolve something.
	ErrFull = errors.New("full")
	// ErrShare: one agent has filled its share of a bound. Look at that agent.
	ErrShare = errors.New("one agent's share is full")
	// ErrUnknown: no such conflict or quarantined item is there (any more).
	ErrUnknown = errors.New("unknown conflict")
	// ErrNobody: a decision without a name. Every decision says by whom.
	ErrNobody = errors.New("a decision by nobody: every decision says by whom")
)

// Outcome of a rule. The zero value decides nothing.
type Outcome uint8

// The outcomes.
const (
	Undecided    Outcome = iota // the evidence does not decide: the next tier or a person does
	KeepExpected                // the value that was there stays; the received one is refused
	KeepReceived                // the received value replaces the one that was there
	Explained                   // both stay: there is no contradiction, and the reason says why
)

var outcomeNames = [...]string{"undecided", "keep-expected", "keep-received", "explained"}

// String names the outcome as records have it.
func (o Outcome) String() string {
	if int(o) >= len(outcomeNames) {
		return "invalid"
	}
	return outcomeNames[o]
}

// Resolution is what a rule makes of a conflict.
type Resolution struct {
	Outcome Outcome
	Why     string // one constant phrase, for people: rules do not allocate
}

// Decided says whether nobody needs to be asked.
func (r Resolution) Decided() bool { return r.Outcome != Undecided }

// Strategy is how conflicts of one type are resolved.
type Strategy struct {
	Method string // as records have it
	Steps  []Step
}

// Step of a strategy.
type Step struct {
	Do     string
	ByRule bool // a function of this package does it; else the agents or a person
}

// StrategyOf gives the strategy for a type. The specification words three of
// them; those for CAPABILITY_MISMATCH and HASH_MISMATCH are ours: the first is an
// error of the map and not of the agent, so that the map is corrected where the
// task is routed anew; the second may be an attack, so that the content is kept
// apart, read again from a source that proves good, and told in any case.
func StrategyOf(t Type) Strategy {
	switch t {
	case ContextDivergence:
		return Strategy{"BRANCH_AND_RECONCILE", []Step{
			{"keep both contexts as branches, each goes on by itself", false},
			{"find the point of convergence, the newest version that both have (Converge)", true},
			{"merge what only one branch has changed (Reconcile)", true},
			{"ask a person about what both have changed differently", false},
		}}
	case DataContradiction:
		return Strategy{"PROVENANCE_TRACE", []Step{
			{"trace both values to their origins (Diverged)", true},
			{"name the hop at which they part", true},
			{"prefer the value with the stronger provenance (Trace)", true},
			{"correct who has the weaker one", false},
		}}
	case TemporalParadox:
		return Strategy{"CLOCK_RECONCILIATION", []Step{
			{"compare logical time stamps, then clocks with their error bounds (ReconcileClocks)", true},
			{"name the clock that is off by more than it admits", true},
			{"rebuild the order from cause to effect (Rebuild)", true},
			{"ask a person about an effect that no clock explains", false},
		}}
	case CapabilityMismatch:
		return Strategy{"REROUTE", []Step{
			{"take the capability from the agent in the map (Reroute)", true},
			{"route the task to the best agent that has it (Reroute)", true},
			{"tell the sender if nobody has it", false},
		}}
	case HashMismatch:
		return Strategy{"QUARANTINE_AND_REREAD", []Step{
			{"quarantine what was received, and what its source sends until this is over", false},
			{"read again from the other sources and verify each (Reread)", true},
			{"replace the damaged copies by the good one", false},
			{"ask a person where no source proves good", false},
		}}
	}
	return Strategy{"ASK", []Step{{"ask a person: this version does not know the type", false}}}
}
