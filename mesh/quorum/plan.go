package quorum

import (
	"fmt"
	"iter"
	"time"

	"dancer/mesh"
)

// State of a plan. The zero value is Idle.
type State uint8

// The states. Committed, Degraded, Failed and Cancelled are ends; a plan leaves
// Committed and Degraded only for Failed or Cancelled, and only before T.
const (
	Idle      State = iota // made, not started
	Running                // phases are asked one after another
	Committed              // every phase has its quorum: whoever holds for T may act
	Degraded               // phases that may miss theirs did, the whole has its quorum
	Failed                 // a phase or the whole missed its quorum; what was sent is cancelled
	Cancelled              // somebody cancelled it; what was sent is cancelled
)

// String names the state.
func (s State) String() string {
	switch s {
	case Idle:
		return "idle"
	case Running:
		return "running"
	case Committed:
		return "committed"
	case Degraded:
		return "degraded"
	case Failed:
		return "failed"
	case Cancelled:
		return "cancelled"
	}
	return "invalid"
}

// Plan is one cascade as a state machine of phases. It is fed with answers and
// time and says with Step what is to be sent. Three bits an agent and under 1 KB
// a phase; answers are O(1); nothing is allocated after NewPlan. It is not safe
// for use by several goroutines.
//
// Every phase has a deadline, so a cascade whose confirmations never come ends as
// failed; and its decision falls CancelLead before T, so that what was sent can
// still be called back.
type Plan struct {
	topology *Topology
	phases   []Phase
	gates    []gate
	heard    [tiers]states
	summary  *Rollup // of the agents, instead of heard
	byTier   [tiers]int8
	byClass  [classes]int8
	overall  Rule
	lead     time.Duration
	confirm  bool // nobody acts without a confirmation

	state     State
	current   int
	told      []told
	toldState State
	cancelled int  // phases whose cancellation has been told
	confirmed bool // it was decided while a confirmation was still of use
	doubt     bool // an answer was taken back after its phase had closed
	endedAt   time.Duration
	failure   Failure
}

// told is what Step has said of a phase.
type told struct {
	opened, closed bool
	extended       int
}

// Failure says where a cascade failed and why.
type Failure struct {
	Phase   int  // index; -1 when the whole missed its quorum, though each phase may
	Tier    Tier // of the phase
	Verdict Verdict
}

// String is one line for people.
func (f Failure) String() string {
	where := fmt.Sprintf("phase %d at tier %s", f.Phase+1, f.Tier)
	if f.Phase < 0 {
		where = "the whole"
	}
	c := f.Verdict.Counts
	return fmt.Sprintf("%s: %s, %s (%d ready of %d, needed %d; %d in conflict, %d absent, %d in transit)",
		where, f.Verdict.Decision, f.Verdict.Reason, c.Ready, c.Total, f.Verdict.Need, c.Conflict, c.Absent, c.Transit())
}

// NewPlan checks everything and fixes the membership of every phase: all that it
// selects but people. The topology and the phases must not be changed afterwards.
func NewPlan(topology *Topology, phases []Phase, options Options) (*Plan, error) {
	if err := topology.Validate(); err != nil {
		return nil, fmt.Errorf("make plan: %w", err)
	}
	if err := options.validate(phases); err != nil {
		return nil, fmt.Errorf("make plan: %w", err)
	}
	p := &Plan{topology: topology, phases: phases, overall: options.Overall, lead: options.CancelLead, confirm: options.Confirm,
		gates: make([]gate, len(phases)), told: make([]told, len(phases))}
	if err := p.index(); err != nil {
		return nil, fmt.Errorf("make plan: %w", err)
	}
	for i := range phases {
		p.gates[i].rule = phases[i].Rule
	}
	if err := p.enroll(options.Summaries); err != nil {
		return nil, fmt.Errorf("make plan: %w", err)
	}
	return p, nil
}

// index says which phase asks which node.
func (p *Plan) index() error {
	for i := range p.byTier {
		p.byTier[i] = -1
	}
	for i := range p.byClass {
		p.byClass[i] = -1
	}
	for i := range p.phases {
		ph := &p.phases[i]
		if p.byTier[ph.Tier] >= 0 && ph.Tier != TierAgent {
			return fmt.Errorf("%w: phases %d and %d ask the same tier", ErrTopology, p.byTier[ph.Tier]+1, i+1)
		}
		p.byTier[ph.Tier] = int8(i)
		for c := range classes {
			if ph.Tier != TierAgent || !ph.selects(c) {
				continue
			}
			if p.byClass[c] >= 0 {
				return fmt.Errorf("%w: phases %d and %d ask the same class of agents", ErrTopology, p.byClass[c]+1, i+1)
			}
			p.byClass[c] = int8(i)
		}
	}
	return nil
}

// enroll fixes who is counted where.
func (p *Plan) enroll(summaries bool) error {
	for tier := TierSector; tier < tiers; tier++ {
		phase := p.byTier[tier]
		if phase < 0 {
			continue
		}
		if tier == TierAgent {
			return p.enrollAgents(summaries)
		}
		size := p.topology.Size(tier)
		p.heard[tier] = newStates(size)
		p.gates[phase].counts.Total = size
	}
	return nil
}

func (p *Plan) enrollAgents(summaries bool) (err error) {
	size := p.topology.Size(TierAgent)
	var sizes []int32
	if summaries {
		sizes = make([]int32, p.topology.Size(TierCluster))
	} else {
		p.heard[TierAgent] = newStates(size)
	}
	for i := range size {
		class := p.topology.Class(i)
		phase := p.byClass[class]
		switch {
		case class == ClassHuman && !summaries:
			p.heard[TierAgent].setExempt(i)
		case class == ClassHuman || phase < 0:
		default:
			p.gates[phase].counts.Total++
			if summaries {
				sizes[p.topology.AgentCluster[i]]++
			}
		}
	}
	if summaries {
		p.summary, err = NewRollup(sizes)
	}
	return err
}

// Start begins the first phase; call Step after it. Starting twice changes
// nothing.
func (p *Plan) Start(now time.Duration) {
	if p.state == Idle {
		p.state = Running
		p.open(now)
	}
}

// due is when the decision about the current phase has to be there: CancelLead
// before the earliest T of this phase and those behind it; false without a T.
func (p *Plan) due() (time.Duration, bool) {
	due, found := time.Duration(0), false
	for i := p.current; i < len(p.phases); i++ {
		if at := p.phases[i].At; at > 0 && (!found || at-p.lead < due) {
			due, found = at-p.lead, true
		}
	}
	return due, found
}

// open begins the current phase.
func (p *Plan) open(now time.Duration) {
	ph, g := &p.phases[p.current], &p.gates[p.current]
	p.orphans(ph.Tier)
	deadline, limit := now+ph.Window, now+ph.Limit
	due, bound := p.due()
	if bound && due <= now {
		g.miss(now)
		return
	}
	if bound {
		deadline, limit = min(deadline, due), min(limit, due)
	}
	g.open(now, deadline, limit)
}

// orphans marks the nodes whose parent was asked and is not READY: nobody passes
// the message on to them. They stay in the membership.
func (p *Plan) orphans(tier Tier) {
	if tier == TierSector || p.byTier[tier-1] < 0 || !p.gates[p.byTier[tier-1]].isClosed {
		return
	}
	parents := &p.heard[tier-1]
	if tier == TierAgent && p.summary != nil {
		for c := range p.topology.Size(TierCluster) {
			if parents.get(c) != ready && p.summary.Absent(c) {
				p.gates[p.byTier[tier]].counts = p.summary.Counts()
			}
		}
		return
	}
	for i := range p.topology.Size(tier) {
		if parents.get(p.topology.Parent(tier, i)) != ready {
			p.absent(tier, i)
		}
	}
}

// absent marks a node of a tier that is heard one by one.
func (p *Plan) absent(tier Tier, node int32) bool {
	s, phase := &p.heard[tier], p.phaseOf(tier, node)
	if phase < 0 || s.get(node) != transit {
		return false
	}
	s.set(node, absent)
	if !s.exempt(node) {
		p.gates[phase].counts.move(transit, absent)
	}
	return true
}

// phaseOf gives the phase that asks a node; -1 for none.
func (p *Plan) phaseOf(tier Tier, node int32) int {
	if tier == TierNone || tier >= tiers || !p.heard[tier].has(node) {
		return -1
	}
	if tier == TierAgent {
		return int(p.byClass[p.topology.Class(node)])
	}
	return int(p.byTier[tier])
}

// Absent marks a node that cannot be asked: skipped for want of lead, or behind
// an open breaker. It stays in the membership. It reports whether anything
// changed.
func (p *Plan) Absent(now time.Duration, tier Tier, node int32) bool {
	if phase := p.phaseOf(tier, node); phase >= 0 {
		p.gates[phase].overtake(now)
		return p.absent(tier, node)
	}
	return false
}

// Answer counts what a node said at now; call Step after it.
func (p *Plan) Answer(now time.Duration, tier Tier, node int32, said mesh.Trinary) Outcome {
	phase := p.phaseOf(tier, node)
	if phase < 0 {
		return Refused
	}
	g := &p.gates[phase]
	if !g.sent() {
		return Unasked
	}
	g.overtake(now)
	outcome, from, to := p.heard[tier].answer(node, said)
	if from != to {
		g.move(now, from, to)
		p.doubt = p.doubt || (g.isClosed && to == conflict)
	}
	return outcome
}

// Summary takes a cluster's counts of its agents, in a plan with
// Options.Summaries; call Step after it.
func (p *Plan) Summary(now time.Duration, cluster int32, c Counts) Outcome {
	if p.summary == nil {
		return Refused
	}
	g := &p.gates[p.byTier[TierAgent]]
	if !g.sent() {
		return Unasked
	}
	g.overtake(now)
	old := p.summary.Child(cluster)
	outcome := p.summary.Report(cluster, c)
	if outcome == Counted || outcome == Changed {
		g.counts = p.summary.Counts()
		g.heard(now, uint32(max(0, c.Ready-old.Ready)), uint32(max(0, c.Conflict-old.Conflict)))
		p.doubt = p.doubt || (g.isClosed && c.Conflict > old.Conflict)
	}
	return outcome
}

// Targets gives the nodes that the phase asks, in order: people too, and not
// those who are absent.
func (p *Plan) Targets(phase int) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		if phase < 0 || phase >= len(p.phases) {
			return
		}
		tier := p.phases[phase].Tier
		for i := range p.topology.Size(tier) {
			if p.asks(phase, tier, i) && !yield(i) {
				return
			}
		}
	}
}

func (p *Plan) asks(phase int, tier Tier, node int32) bool {
	if tier == TierAgent && p.summary != nil {
		c := p.summary.Child(p.topology.AgentCluster[node])
		return c.Absent == 0 || c.Absent != c.Total
	}
	return p.phaseOf(tier, node) == phase && p.heard[tier].get(node) != absent
}

// Stragglers gives the counted nodes of a phase that were asked and not heard; in
// a plan with Options.Summaries none are known by name.
func (p *Plan) Stragglers(phase int) iter.Seq[int32] {
	return func(yield func(int32) bool) {
		if phase < 0 || phase >= len(p.phases) || !p.gates[phase].sent() {
			return
		}
		tier := p.phases[phase].Tier
		for i := range p.heard[tier].stragglers() {
			if p.phaseOf(tier, i) == phase && !yield(i) {
				return
			}
		}
	}
}
