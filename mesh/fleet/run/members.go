package run

import (
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Members are the members of the seat of a node above the agents, as every fleet of
// that topology has them: a simulated one, or one on the wall clock.
func Members(t *fleet.Topology, node int32) []coordination.Child {
	return (&whole{topology: t}).children(node)
}

// CapabilitiesOf an agent of a class, one bit each; Capabilities names them.
func CapabilitiesOf(class impedance.Class) uint64 { return capabilities(class) }

// Phases of the pattern, with T.
func (p Pattern) Phases(at time.Duration) []quorum.Phase { return p.phases(at) }

// Ahead is how long before T a cascade of the pattern begins by default.
func (p Pattern) Ahead() time.Duration { return p.ahead() }
