package quorum

import (
	"errors"
	"fmt"
)

// ErrRule says that thresholds cannot make a safe quorum. Correct them; nothing is
// decided with them.
var ErrRule = errors.New("bad quorum rule")

// Rule is the set of thresholds of one quorum. All are shares of the membership
// that the coordination was addressed to, never of those who answered.
type Rule struct {
	Ready    Share // at least so many must be READY; over one half
	Conflict Share // at most so many may be in CONFLICT
	Transit  Share // at most so many may be left unknown when it proceeds
}

// The thresholds of mesh-30k 3.2, 3.3 and 5.2. Where the specification lets the
// ready share fall under 90% the share that may stay unknown is what is left of
// the whole: its general 10% would forbid what its ready share allows.
var (
	RuleSectors    = Rule{Ready: 9800, Conflict: 500, Transit: 1000} // coordinators: who is missing there takes hundreds with it
	RuleClusters   = Rule{Ready: 9500, Conflict: 500, Transit: 1000}
	RuleAgents     = Rule{Ready: 9500, Conflict: 500, Transit: 1000}
	RuleParallel   = Rule{Ready: 9000, Conflict: 500, Transit: 1000} // for speed
	RuleGPU        = Rule{Ready: 9900, Conflict: 500, Transit: 1000}
	RulePersistent = Rule{Ready: 9800, Conflict: 500, Transit: 1000}
	RuleServerless = Rule{Ready: 9500, Conflict: 500, Transit: 1000}
	RuleEdge       = Rule{Ready: 9000, Conflict: 500, Transit: 1000}
	RuleLocal      = Rule{Ready: 8500, Conflict: 500, Transit: 1500}
)

// Validate reports a threshold that is over the whole, or a ready share of one
// half or less: two halves of a partition would both have a quorum.
func (r Rule) Validate() error {
	if r.Ready*2 <= Whole {
		return fmt.Errorf("%w: ready share %s: a quorum takes more than one half, or both halves of a partition have one", ErrRule, r.Ready)
	}
	return errors.Join(r.Ready.validate("ready share"), r.Conflict.validate("conflict share"), r.Transit.validate("transit share"))
}

// Need is how many of total must be READY: the share rounded up, and never less
// than a strict majority, whatever the rule says.
func (r Rule) Need(total int32) int32 {
	return max(r.Ready.atLeast(total), total/2+1)
}

// Decision is what to do about a coordination. The zero value is Wait: nothing
// proceeds that nobody has decided.
type Decision uint8

// The decisions of mesh-30k 5.2.
const (
	Wait             Decision = iota // the unknown can still make it: let the window run, or extend it
	Proceed                          // enough are READY, few in CONFLICT, few unknown
	ResolveConflicts                 // too many in CONFLICT: resolve them first; waiting mends nothing
	Retry                            // not enough READY, and those still unknown will not change it
)

// String names the decision as the specification does.
func (d Decision) String() string {
	switch d {
	case Wait:
		return "WAIT"
	case Proceed:
		return "PROCEED"
	case ResolveConflicts:
		return "RESOLVE_CONFLICTS"
	case Retry:
		return "RETRY"
	}
	return "invalid"
}

// Reason says why a decision was taken.
type Reason uint8

// The reasons.
const (
	Pending      Reason = iota // WAIT: the window is open and the outcome is not settled
	Enough                     // PROCEED
	Unknown                    // WAIT at the end of a window: more than the transit share is unknown; extend it
	Conflicts                  // RESOLVE_CONFLICTS
	Insufficient               // RETRY at the end of a window: too few READY, few unknown; compensate otherwise
	OutOfReach                 // RETRY at once: even if all unknown became READY it would not be enough
	Nobody                     // RETRY: the membership has nobody to count
	NoTime                     // RETRY: nothing could be sent before the decision is due, or nothing confirmed before T
	BadCounts                  // RETRY: the counts contradict each other, nothing follows from them
)

// String gives the reason in words.
func (r Reason) String() string {
	switch r {
	case Pending:
		return "answers are still coming"
	case Enough:
		return "enough are ready"
	case Unknown:
		return "too many are still in transit: extend the window"
	case Conflicts:
		return "too many conflicts: resolve them first"
	case Insufficient:
		return "too few are ready: retry with more lead"
	case OutOfReach:
		return "too few can still become ready"
	case Nobody:
		return "nobody to count"
	case NoTime:
		return "no time left before the decision is due"
	case BadCounts:
		return "the counts contradict each other"
	}
	return "invalid"
}

// Verdict is a decision with what it rests on.
type Verdict struct {
	Counts     Counts
	Need       int32 // how many had to be READY
	Decision   Decision
	Reason     Reason
	Confidence float64 // see Counts.Confidence
}

// Achieved says whether there is a quorum.
func (v Verdict) Achieved() bool { return v.Decision == Proceed }

// Decide judges counts. While the window is open, what is still in transit may
// become anything; when it is closed, nothing more is expected. The sketch of the
// specification differs in what follows:
//
//   - rates are shares of all who were addressed; a total of 0 divided by zero;
//   - its transit_acceptable was computed and never asked: PROCEED asks it;
//   - conflicts over their share were hidden by WAIT while much was in transit;
//     they never become fewer, so they come first;
//   - with few in transit it said RETRY although these few could still bring the
//     quorum, and with many it said WAIT although all of them could not: both go
//     by what is still possible.
func (r Rule) Decide(c Counts, closed bool) Verdict {
	v := Verdict{Counts: c, Need: r.Need(c.Total), Confidence: c.Confidence()}
	v.Decision, v.Reason = r.decide(c, v.Need, closed)
	return v
}

func (r Rule) decide(c Counts, need int32, closed bool) (Decision, Reason) {
	transit := c.Transit()
	few := transit <= r.Transit.atMost(c.Total)
	switch {
	case !c.Valid():
		return Retry, BadCounts
	case c.Total == 0:
		return Retry, Nobody
	case c.Conflict > r.Conflict.atMost(c.Total):
		return ResolveConflicts, Conflicts
	case c.Ready >= need && few:
		return Proceed, Enough
	case c.Ready+transit < need:
		return Retry, OutOfReach
	case !closed:
		return Wait, Pending
	case !few:
		return Wait, Unknown
	}
	return Retry, Insufficient
}

// Settled says whether the answers that are still out can no longer change
// success into failure or failure into success. An agent that takes its READY
// back can still change it; see Window.Broken.
func (r Rule) Settled(c Counts) bool {
	switch r.Decide(c, false).Decision {
	case Proceed:
		return c.Conflict+c.Transit() <= r.Conflict.atMost(c.Total)
	case ResolveConflicts, Retry:
		return true
	}
	return false
}
