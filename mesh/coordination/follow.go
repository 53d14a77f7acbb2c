package coordination

// Holder is the node that may coordinate the agent's seat in the term that the agent
// is in: whom it follows, when it follows anybody.
func (a *Agent) Holder() uint32 { return a.link.seat.Holder(a.link.term) }

// Steps is how often the agent has found that its coordinator's clock, or its own, was
// set.
func (a *Agent) Steps() uint32 { return a.link.clock.Steps() }

// FreezeSequence is how the newest freeze or thaw that the agent knows is numbered.
func (a *Agent) FreezeSequence() uint64 { return a.freezes.highest() }
