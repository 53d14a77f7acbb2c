package breaker

import "time"

// Scope is what a breaker, a freeze or a finding is about. The zero value is none.
type Scope uint8

// The scopes.
const (
	ScopeNone Scope = iota
	ScopeCluster
	ScopeSector
	ScopeGlobal // index 0
)

// String names the scope as messages do.
func (s Scope) String() string {
	switch s {
	case ScopeCluster:
		return "cluster"
	case ScopeSector:
		return "sector"
	case ScopeGlobal:
		return "global"
	}
	return "none"
}

// State of a breaker. The zero value is Open: a breaker that nobody has made
// routes nothing.
type State uint8

// The states. A breaker opens from Closed at the last failure of its limit, from
// HalfOpen at fewer; it leaves Open only by a probe that is answered, and HalfOpen
// for Closed when its evaluation ends.
const (
	Open State = iota
	HalfOpen
	Closed
)

// String names the state as messages do.
func (s State) String() string {
	switch s {
	case Open:
		return "OPEN"
	case HalfOpen:
		return "HALF_OPEN"
	case Closed:
		return "CLOSED"
	}
	return "invalid"
}

// Cause says why something happened to a breaker.
type Cause uint8

// The causes, with what the caller does about each.
const (
	CauseNone      Cause = iota
	TooMany              // opened: as many failures within the window as its limit; tell the scope's coordinator
	FailedAgain          // opened again: failures while it was half open or ramping up
	Ordered              // opened by order: CASCADE_FAILURE, an operator, a CIRCUIT message
	Probe                // send a probe to the scope and report it with Breakers.Probed
	ProbeFailed          // the probe was not answered: the next one comes later
	ProbeAnswered        // half open: a part of the traffic is admitted
	FewerSectors         // the mesh is half open: fewer sectors are open than its limit
	Evaluated            // closed: hardly a failure while it was half open; traffic ramps up
	FullyRecovered       // the ramp has ended: all traffic
)

// String names the cause.
func (c Cause) String() string {
	switch c {
	case TooMany:
		return "too-many-failures"
	case FailedAgain:
		return "failed-again"
	case Ordered:
		return "ordered"
	case Probe:
		return "probe"
	case ProbeFailed:
		return "probe-failed"
	case ProbeAnswered:
		return "probe-answered"
	case FewerSectors:
		return "fewer-sectors-open"
	case Evaluated:
		return "evaluated"
	case FullyRecovered:
		return "fully-recovered"
	}
	return "none"
}

// Event is one thing that happened to a breaker, or a probe that is to be sent.
type Event struct {
	At    time.Duration
	Scope Scope
	Index int32
	State State // after it
	Cause Cause
}
