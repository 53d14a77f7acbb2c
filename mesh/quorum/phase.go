package quorum

import (
	"fmt"
	"time"
)

// Phase is one step of a cascade: a set of nodes that is asked together, with its
// own quorum and window.
type Phase struct {
	Tier     Tier
	Classes  uint8         // for TierAgent: bit c selects class c; 0 selects all
	Rule     Rule          // over all nodes that the phase selects
	Window   time.Duration // from its opening; closes earlier once it is settled
	Limit    time.Duration // how far the window may be extended; at least Window
	At       time.Duration // T, when its nodes act; 0: they only pass on, or only learn
	Continue bool          // a phase that misses its quorum is noted and the cascade goes on
}

// selects says whether the phase asks agents of a class.
func (p *Phase) selects(class uint8) bool {
	return p.Classes == 0 || p.Classes>>class&1 != 0
}

// Wave asks sectors, then clusters, then agents; each tier waits for the quorum
// of the one above. The specification gave thresholds for the sectors alone and
// reported success whatever came back from the other two. at is T for the agents.
func Wave(at time.Duration) []Phase {
	return []Phase{
		{Tier: TierSector, Rule: RuleSectors, Window: 400 * time.Millisecond, Limit: 800 * time.Millisecond},
		{Tier: TierCluster, Rule: RuleClusters, Window: time.Second, Limit: 2 * time.Second},
		{Tier: TierAgent, Rule: RuleAgents, Window: 2 * time.Second, Limit: 4 * time.Second, At: at},
	}
}

// Parallel asks every agent at once.
func Parallel(at time.Duration) []Phase {
	return []Phase{{Tier: TierAgent, Rule: RuleParallel, Window: time.Second, Limit: 2 * time.Second, At: at}}
}

// PriorityFirst asks the agents class by class: GPU, persistent, serverless, edge,
// local. People are addressed with the first, as they take longest, and agents of
// unknown class with the last. A class that misses its quorum is noted and the
// next is asked; the whole still needs its own (Options.Overall).
func PriorityFirst(at time.Duration) []Phase {
	const window, limit = time.Second, 2 * time.Second
	phase := func(rule Rule, selected ...uint8) Phase {
		p := Phase{Tier: TierAgent, Rule: rule, Window: window, Limit: limit, At: at, Continue: true}
		for _, c := range selected {
			p.Classes |= 1 << c
		}
		return p
	}
	return []Phase{
		phase(RuleGPU, ClassGPU, ClassHuman),
		phase(RulePersistent, ClassPersistent),
		phase(RuleServerless, ClassServerless),
		phase(RuleEdge, ClassEdge),
		phase(RuleLocal, ClassLocal, ClassUnknown),
	}
}

// DefaultCancelLead is the cancel lead of a plan that gives none: a cancellation
// that is decided at T reaches nobody in time.
const DefaultCancelLead = 200 * time.Millisecond

// Options of a plan. The zero value is good.
type Options struct {
	// Overall is the quorum over everybody whom the phases with Continue select,
	// together; RuleParallel when it is the zero value.
	Overall Rule
	// CancelLead is how long before T the decision is due, so that a cancellation
	// still reaches whoever holds for T: the slowest path, up to MaxLength;
	// DefaultCancelLead when it is 0.
	CancelLead time.Duration
	// Confirm says that the agents act only with a confirmation, which the caller
	// sends on PlanCommitted and PlanDegraded. It costs one message an agent and
	// is for what must never happen without a quorum: without it, whoever holds for
	// T acts unless a cancellation arrives, also when the coordinator dies before it
	// has decided. All phases then have the same T, or none.
	Confirm bool
	// Summaries says that agents are counted by their cluster's reports
	// (Plan.Summary) and not one by one: 16 bytes a cluster instead of three bits
	// an agent. Phases by class are then not possible.
	Summaries bool
}

// maxPhases bounds a plan.
const maxPhases = 16

func (o *Options) validate(phases []Phase) error {
	if o.Overall == (Rule{}) {
		o.Overall = RuleParallel
	}
	if err := o.Overall.Validate(); err != nil {
		return err
	}
	if o.CancelLead == 0 {
		o.CancelLead = DefaultCancelLead
	}
	if o.CancelLead < 0 || o.CancelLead > MaxLength {
		return fmt.Errorf("%w: a cancel lead of %s; up to %s are possible", ErrRule, o.CancelLead, MaxLength)
	}
	if len(phases) == 0 || len(phases) > maxPhases {
		return fmt.Errorf("%w: %d phases; 1 to %d are possible", ErrRule, len(phases), maxPhases)
	}
	at := time.Duration(0)
	for i := range phases {
		if err := phases[i].validate(o.Summaries); err != nil {
			return fmt.Errorf("phase %d: %w", i+1, err)
		}
		if t := phases[i].At; o.Confirm && t > 0 && at > 0 && t != at {
			return fmt.Errorf("%w: phase %d acts at %s and another at %s: one confirmation serves one moment", ErrRule, i+1, t, at)
		}
		at = max(at, phases[i].At)
	}
	return nil
}

func (p *Phase) validate(summaries bool) error {
	if err := p.Rule.Validate(); err != nil {
		return err
	}
	if err := lengths(p.Window, p.Limit); err != nil {
		return err
	}
	switch {
	case p.Tier == TierNone || p.Tier >= tiers:
		return fmt.Errorf("%w: it has no tier", ErrTopology)
	case p.Classes != 0 && p.Tier != TierAgent:
		return fmt.Errorf("%w: only agents have classes", ErrTopology)
	case p.Classes>>classes != 0:
		return fmt.Errorf("%w: it selects a class that is not known", ErrTopology)
	case p.Classes != 0 && summaries:
		return fmt.Errorf("%w: a cluster's summary does not tell classes apart", ErrTopology)
	case p.At < 0:
		return fmt.Errorf("%w: it acts at %s", ErrRule, p.At)
	}
	return nil
}
