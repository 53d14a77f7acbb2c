package breaker

import (
	"fmt"
	"time"
)

// Class of a failure (mesh-30k 6.1). The zero value is none.
type Class uint8

// The classes.
const (
	NoFailure Class = iota
	TransientNetwork
	AgentCrash
	ImpedanceSpike
	ContextCorruption
	ByzantineBehavior
	CascadeFailure
	failureClasses
)

// String names the class as the specification does.
func (c Class) String() string {
	if c >= failureClasses {
		return "invalid"
	}
	return [...]string{"NONE", "TRANSIENT_NETWORK", "AGENT_CRASH", "IMPEDANCE_SPIKE", "CONTEXT_CORRUPTION", "BYZANTINE_BEHAVIOR", "CASCADE_FAILURE"}[c]
}

// Remedy is what is done about a failure.
type Remedy uint8

// The remedies.
const (
	NoRemedy            Remedy = iota
	RetryLater                 // again after BackOff.Delay, idempotent messages only
	Replace                    // the cluster lead starts a replacement and brings its state up to date
	RouteAround                // other agents get its work; find out why
	QuarantineAndReload        // no part in anything until it has reloaded a known good context
	QuarantineAndAsk           // no part in anything until people have looked at it
	IsolateSector              // Breakers.Trip of the sector that fails most
)

// String names the remedy.
func (r Remedy) String() string {
	switch r {
	case RetryLater:
		return "retry-with-back-off"
	case Replace:
		return "replace-and-synchronise"
	case RouteAround:
		return "route-around"
	case QuarantineAndReload:
		return "quarantine-and-reload"
	case QuarantineAndAsk:
		return "quarantine-and-ask"
	case IsolateSector:
		return "isolate-sector"
	}
	return "none"
}

// Level is who hears of a failure that is escalated.
type Level uint8

// The levels.
const (
	NoLevel        Level = iota
	ToLead               // the cluster's lead
	ToSector             // the sector's coordinator
	ToOrchestrator       // and with it the operator
)

// String names the level.
func (l Level) String() string {
	switch l {
	case ToLead:
		return "cluster-lead"
	case ToSector:
		return "sector-coordinator"
	case ToOrchestrator:
		return "orchestrator"
	}
	return "nobody"
}

// Entry is one row of the table of failures: how the class is detected, what is
// done about it, and when somebody is told.
type Entry struct {
	Class    Class
	Detected string        // in words
	After    time.Duration // of silence (crash), of a heartbeat's period (transient), of an interval (cascade), or in which contradictions add up (byzantine)
	Ratio    float64       // over the baseline (spike), of one third of the intervals to the next (cascade)
	Count    int           // confirmations in a row (spike), other agents (byzantine), failures at least (cascade)
	Remedy   Remedy
	Escalate int // at this one: failures in a row (transient), crashes (crash), agents of a cluster (spike); 1 is at once
	To       Level
}

// Table has one row for each class, in their order.
type Table [failureClasses - 1]Entry

// DefaultTable is mesh-30k 6.1 with numbers where it has words. "Multiple" agents
// are three for contradictions, so that two liars cannot convict a third, and two
// for slow agents of one cluster.
func DefaultTable() Table {
	return Table{
		{Class: TransientNetwork, Detected: "heartbeat missed (half a period late) or message timed out", After: 5 * time.Second, Remedy: RetryLater, Escalate: 3, To: ToLead},
		{Class: AgentCrash, Detected: "nothing heard for 30 s", After: 30 * time.Second, Remedy: Replace, Escalate: 2, To: ToSector},
		{Class: ImpedanceSpike, Detected: "over twice its average delay, three times in a row", Ratio: 2, Count: 3, Remedy: RouteAround, Escalate: 2, To: ToSector},
		{Class: ContextCorruption, Detected: "hash of its context is not the one it should have", Remedy: QuarantineAndReload, Escalate: 1, To: ToOrchestrator},
		{Class: ByzantineBehavior, Detected: "contradicts three others within a minute", After: time.Minute, Count: 3, Remedy: QuarantineAndAsk, Escalate: 1, To: ToOrchestrator},
		{Class: CascadeFailure, Detected: "failures grow by half and more every 20 s for 70 s, and not in one step", After: 10 * time.Second, Ratio: 1.5, Count: 20, Remedy: IsolateSector, Escalate: 1, To: ToOrchestrator},
	}
}

// Of gives the row of a class; an empty one for none.
func (t *Table) Of(c Class) Entry {
	if c == NoFailure || c >= failureClasses {
		return Entry{}
	}
	return t[c-1]
}

func (t *Table) validate() error {
	for i, e := range t {
		if e.Class != Class(i+1) {
			return fmt.Errorf("%w: row %d of the table of failures is %s", ErrConfig, i+1, e.Class)
		}
		if e.Remedy == NoRemedy || e.To == NoLevel || e.Escalate < 1 || e.Escalate > 100 {
			return fmt.Errorf("%w: %s has no recovery, or nobody to escalate to", ErrConfig, e.Class)
		}
	}
	timed := t.Of(TransientNetwork).After > 0 && t.Of(AgentCrash).After > t.Of(TransientNetwork).After && t.Of(CascadeFailure).After > 0 && t.Of(ByzantineBehavior).After > 0
	if !timed {
		return fmt.Errorf("%w: the times of the table of failures must be over 0, and an agent crashes later than it misses a heartbeat", ErrConfig)
	}
	if n := t.Of(ByzantineBehavior).Count; n < 2 || n > maxContradicted {
		return fmt.Errorf("%w: %s with %d others; 2 to %d are possible", ErrConfig, ByzantineBehavior, n, maxContradicted)
	}
	if e := t.Of(ImpedanceSpike); !(e.Ratio > 1) || e.Count < 1 || e.Count > 100 {
		return fmt.Errorf("%w: %s at %g times, %d in a row", ErrConfig, ImpedanceSpike, e.Ratio, e.Count)
	}
	if e := t.Of(CascadeFailure); !(e.Ratio > 1) || e.Count < 1 {
		return fmt.Errorf("%w: %s at a growth of %g, %d failures", ErrConfig, CascadeFailure, e.Ratio, e.Count)
	}
	return nil
}
