package quorum

import (
	"errors"
	"fmt"
)

// ErrTopology says that the parts of a hierarchy do not fit together.
var ErrTopology = errors.New("bad topology")

// Tier is a level of the hierarchy of mesh-30k 2.1. The zero value is none.
type Tier uint8

// The tiers under the orchestrator.
const (
	TierNone    Tier = iota
	TierSector       // sector coordinators
	TierCluster      // cluster leads
	TierAgent
	tiers
)

// String names the tier.
func (t Tier) String() string {
	switch t {
	case TierSector:
		return "sector"
	case TierCluster:
		return "cluster"
	case TierAgent:
		return "agent"
	}
	return "none"
}

// The classes of agents, with the numbers of mesh/impedance.Class (a test holds
// them together; that package imports an encoder, which this one has no use for).
const (
	ClassUnknown uint8 = iota
	ClassEdge
	ClassServerless
	ClassPersistent
	ClassGPU
	ClassLocal
	ClassHuman
	classes
)

// Topology is the hierarchy as arrays over dense indices: 5 bytes an agent. It is
// shared by all plans and must not change while one runs.
type Topology struct {
	Sectors       int32
	ClusterSector []int32 // parent of each cluster
	AgentCluster  []int32 // parent of each agent
	AgentClass    []uint8 // class of each agent; nil: all unknown
}

// Size is how many nodes a tier has.
func (t *Topology) Size(tier Tier) int32 {
	switch tier {
	case TierSector:
		return t.Sectors
	case TierCluster:
		return int32(len(t.ClusterSector))
	case TierAgent:
		return int32(len(t.AgentCluster))
	}
	return 0
}

// Parent gives the parent of a node that is there; -1 for a sector, whose parent
// is the orchestrator.
func (t *Topology) Parent(tier Tier, node int32) int32 {
	switch tier {
	case TierCluster:
		return t.ClusterSector[node]
	case TierAgent:
		return t.AgentCluster[node]
	}
	return -1
}

// Class gives the class of an agent that is there.
func (t *Topology) Class(agent int32) uint8 {
	if t.AgentClass == nil {
		return ClassUnknown
	}
	return t.AgentClass[agent]
}

// Validate reports a parent or a class that is not there.
func (t *Topology) Validate() error {
	if t.Sectors < 0 || t.Sectors > MaxMembers || len(t.ClusterSector) > MaxMembers || len(t.AgentCluster) > MaxMembers {
		return fmt.Errorf("%w: over %d nodes in a tier", ErrTopology, MaxMembers)
	}
	if t.AgentClass != nil && len(t.AgentClass) != len(t.AgentCluster) {
		return fmt.Errorf("%w: %d classes for %d agents", ErrTopology, len(t.AgentClass), len(t.AgentCluster))
	}
	for i, p := range t.ClusterSector {
		if p < 0 || p >= t.Sectors {
			return fmt.Errorf("%w: cluster %d is in sector %d of %d", ErrTopology, i, p, t.Sectors)
		}
	}
	for i, p := range t.AgentCluster {
		if p < 0 || int(p) >= len(t.ClusterSector) {
			return fmt.Errorf("%w: agent %d is in cluster %d of %d", ErrTopology, i, p, len(t.ClusterSector))
		}
	}
	for i, c := range t.AgentClass {
		if c >= classes {
			return fmt.Errorf("%w: agent %d has class %d; 0 to %d are known", ErrTopology, i, c, ClassHuman)
		}
	}
	return nil
}
