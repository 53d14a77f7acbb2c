package fleet

import (
	"errors"
	"fmt"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// ErrFleet says that a fleet cannot be made as it is described.
var ErrFleet = errors.New("bad fleet")

// Bounds of a fleet.
const (
	MaxAgents   = 4_000_000
	MaxDuration = 24 * time.Hour
	// ClusterSize is how many agents a cluster has (mesh-30k 2.1).
	ClusterSize = 30
)

// Orchestrator is the number of the orchestrator's node.
const Orchestrator int32 = 0

// NoNode stands where there is none: above the orchestrator.
const NoNode int32 = -1

// Topology is the hierarchy of mesh-30k 2.1 with one dense number for each node:
// the orchestrator, then the sector coordinators, then the cluster leads, then the
// agents. The orders inside of the tiers are those of quorum.Topology.
type Topology struct {
	quorum.Topology
	children []int32 // first child of each node above the agents, as a node; and one more
}

// classPattern is the shares of mesh-30k 2.2 in one cluster of thirty: 10 A, 8 B,
// 5 C, 2 D, 3 E, 2 F, spread so that a smaller cluster has about the same, and
// begins with machines.
var classPattern = spreadClasses()

func spreadClasses() (pattern [ClusterSize]impedance.Class) {
	shares := [...]int{impedance.ClassEdge: 10, impedance.ClassServerless: 8, impedance.ClassPersistent: 5, impedance.ClassGPU: 2, impedance.ClassLocal: 3, impedance.ClassHuman: 2}
	var given [len(shares)]int
	for i := range pattern {
		best := 0
		for c, share := range shares {
			// The class that is farthest behind its share, the first of equal ones.
			if share*(i+1)-given[c]*ClusterSize > shares[best]*(i+1)-given[best]*ClusterSize {
				best = c
			}
		}
		given[best]++
		pattern[i] = impedance.Class(best)
	}
	return pattern
}

// NewTopology makes the hierarchy of so many agents, 1 to MaxAgents: clusters of
// thirty, the last one smaller; sectors of ten clusters, up to a hundred sectors.
// A fleet over 30,000 has larger sectors, first a hundred of them, then, over
// 300,000, as many sectors as a sector has clusters: three hops are worth more than
// the specification's hundred children, which three tiers cannot keep there.
func NewTopology(agents int) (*Topology, error) {
	if agents < 1 || agents > MaxAgents {
		return nil, fmt.Errorf("%w: %d agents; 1 to %d are possible", ErrFleet, agents, MaxAgents)
	}
	clusters := (agents + ClusterSize - 1) / ClusterSize
	width := 10
	for (clusters+width-1)/width > max(100, width) {
		width++
	}
	t := &Topology{Topology: quorum.Topology{
		Sectors:       int32((clusters + width - 1) / width),
		ClusterSector: make([]int32, clusters),
		AgentCluster:  make([]int32, agents),
		AgentClass:    make([]uint8, agents),
	}}
	for i := range t.ClusterSector {
		t.ClusterSector[i] = int32(i / width)
	}
	for i := range t.AgentCluster {
		t.AgentCluster[i] = int32(i / ClusterSize)
		t.AgentClass[i] = uint8(classPattern[i%ClusterSize])
	}
	t.index()
	return t, nil
}

// index notes where the children of each node begin; they follow each other.
func (t *Topology) index() {
	above := t.Agent(0)
	t.children = make([]int32, 0, above+1)
	t.children = append(t.children, t.Sector(0))
	next := int32(0)
	for s := range t.Sectors {
		t.children = append(t.children, t.Cluster(next))
		for int(next) < len(t.ClusterSector) && t.ClusterSector[next] == s {
			next++
		}
	}
	next = 0
	for c := range t.ClusterSector {
		t.children = append(t.children, t.Agent(next))
		for int(next) < len(t.AgentCluster) && t.AgentCluster[next] == int32(c) {
			next++
		}
	}
	t.children = append(t.children, t.Agent(next))
}

// Nodes is how many there are, in all tiers.
func (t *Topology) Nodes() int32 { return t.Agent(int32(len(t.AgentCluster))) }

// Agents is how many of them are agents.
func (t *Topology) Agents() int32 { return int32(len(t.AgentCluster)) }

// Clusters is how many clusters there are.
func (t *Topology) Clusters() int32 { return int32(len(t.ClusterSector)) }

// Sector gives the node of a sector's coordinator.
func (t *Topology) Sector(i int32) int32 { return 1 + i }

// Cluster gives the node of a cluster's lead.
func (t *Topology) Cluster(i int32) int32 { return 1 + t.Sectors + i }

// Agent gives the node of an agent.
func (t *Topology) Agent(i int32) int32 { return 1 + t.Sectors + int32(len(t.ClusterSector)) + i }

// Place gives the tier of a node and its number in it; TierNone is the orchestrator.
func (t *Topology) Place(node int32) (tier quorum.Tier, index int32) {
	switch {
	case node >= t.Agent(0):
		return quorum.TierAgent, node - t.Agent(0)
	case node >= t.Cluster(0):
		return quorum.TierCluster, node - t.Cluster(0)
	case node >= t.Sector(0):
		return quorum.TierSector, node - t.Sector(0)
	}
	return quorum.TierNone, 0
}

// ParentOf gives the node above a node; NoNode above the orchestrator.
func (t *Topology) ParentOf(node int32) int32 {
	switch tier, i := t.Place(node); tier {
	case quorum.TierAgent:
		return t.Cluster(t.AgentCluster[i])
	case quorum.TierCluster:
		return t.Sector(t.ClusterSector[i])
	case quorum.TierSector:
		return Orchestrator
	}
	return NoNode
}

// Children gives the nodes right below a node: those from first up to, and
// without, end.
func (t *Topology) Children(node int32) (first, end int32) {
	if node < 0 || int(node)+1 >= len(t.children) {
		return 0, 0
	}
	return t.children[node], t.children[node+1]
}

// ClassOf gives the class of a node. Coordinators and leads are servers that
// serve nothing else: their figures are those of the tier (see Conditions).
func (t *Topology) ClassOf(node int32) impedance.Class {
	if tier, i := t.Place(node); tier == quorum.TierAgent {
		return impedance.Class(t.Class(i))
	}
	return impedance.ClassUnknown
}
