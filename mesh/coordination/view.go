package coordination

import (
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// View is what a coordinator knows of one child, for displays and for choosing
// whom to ask. It is a copy.
type View struct {
	Node         uint32
	Class        impedance.Class // of an agent
	Capabilities uint64          // of an agent, one bit each
	Below        Below           // of a coordinator

	Known       bool // heard since this coordinator started
	Active      bool // heard, not crashed, not in quarantine; the rest is the newest that was heard
	Quarantined bool
	Spiking     bool // much slower than it was
	Degraded    bool // says that it works with a fault
	Frozen      bool // its own scope is frozen, at a word given here (FreezeChild)

	Silent     time.Duration // since it was last heard
	Lead       time.Duration // how long before T it needs a standard payload, without its queue; 0: not measured
	Delay      time.Duration // agents: the usual one-way delay; 0: not measured
	Work       time.Duration // agents: what a standard payload usually takes; 0: none has been processed
	Processing time.Duration // agents: of a standard payload, in Lead; coordinators: what they need for all below, beside Lead
	Queue      uint32        // of an agent
	Agents     int32         // active below a coordinator, as it said
	Knows      uint64        // the highest freeze or thaw that it has confirmed
	Breaker    breaker.State // of a coordinator; of an agent that of its cluster
}

// Children is how many children there are.
func (c *Coordinator) Children() int { return len(c.children) }

// Tier is what the children are.
func (c *Coordinator) Tier() quorum.Tier { return c.config.Tier }

// View gives what is known of the i-th child, which is there. It allocates nothing.
func (c *Coordinator) View(now time.Duration, i int) View {
	x, of := &c.children[i], &c.config.Children[i]
	v := View{
		Node: x.node, Class: of.Class, Capabilities: of.Capabilities, Below: of.Below,
		Known: x.known, Active: x.known && c.detector.IsActive(int32(i)), Quarantined: c.detector.Quarantined(int32(i)),
		Spiking: c.detector.Spiking(int32(i)), Degraded: x.degraded, Frozen: x.order.frozen,
		Processing: x.processing, Queue: x.queue, Agents: x.active, Knows: x.knows,
		Breaker: c.guard.Breakers.State(breaker.ScopeCluster, c.part(i)),
	}
	if x.known {
		v.Silent, v.Lead = max(now-x.heard, 0), max(c.estimator.Lead(i, c.rate()), 0)
		if c.config.Tier == quorum.TierAgent {
			v.Delay, v.Work = span(x.usualDelay), span(x.usualWork)
		}
	}
	return v
}

// Progress is how far a command is that was given here.
type Progress struct {
	Phase  int // of Phases, from 0
	Phases int
	Tier   quorum.Tier   // that the phase asks
	Counts quorum.Counts // of the phase, now; late answers are counted
	State  quorum.State
	Target time.Duration // T by this node's clock; 0: none
	Margin time.Duration // before T, when all of the phase are to be READY
}

// Progress of a command; false when it is not from here or forgotten, which it is
// some seconds after T at the earliest.
func (c *Coordinator) Progress(command uint64) (p Progress, ok bool) {
	op := c.operation(command)
	if command == 0 || op == nil || op.cascade == nil {
		return p, false
	}
	k := op.cascade
	return Progress{k.current, len(k.phases), k.phases[k.current].Tier, op.collectors[k.current].counts(), k.state, op.target, span(op.margin)}, true
}

// FreezeSequence is the highest sequence of a freeze or thaw that is known here:
// the next one has to be over it.
func (c *Coordinator) FreezeSequence() uint64 {
	highest := c.freezes.highest()
	for i := range c.children {
		highest = max(highest, c.children[i].order.sequence, c.children[i].knows)
	}
	return highest
}
