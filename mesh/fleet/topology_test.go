package fleet

import (
	"errors"
	"testing"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

func topology(t testing.TB, agents int) *Topology {
	t.Helper()
	made, err := NewTopology(agents)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestTopologySpecification has the numbers of mesh-30k 2.1 and 2.2.
func TestTopologySpecification(t *testing.T) {
	made := topology(t, 30_000)
	if made.Sectors != 100 || made.Clusters() != 1000 || made.Agents() != 30_000 || made.Nodes() != 31_101 {
		t.Errorf("%d sectors, %d clusters, %d agents, %d nodes", made.Sectors, made.Clusters(), made.Agents(), made.Nodes())
	}
	var counts [7]int
	for _, c := range made.AgentClass {
		counts[c]++
	}
	if want := [7]int{0, 10_000, 8_000, 5_000, 2_000, 3_000, 2_000}; counts != want {
		t.Errorf("classes %v, want %v", counts, want)
	}
}

// TestTopologyTree: of every size, children and parents agree, each node but the
// orchestrator is the child of one, and what quorum says of it holds.
func TestTopologyTree(t *testing.T) {
	for _, agents := range []int{1, 5, 29, 30, 31, 299, 301, 3_000, 30_001, 300_000, 1_000_000} {
		made := topology(t, agents)
		if err := made.Validate(); err != nil {
			t.Fatalf("%d agents: %v", agents, err)
		}
		next := int32(1)
		for node := range made.Nodes() {
			first, end := made.Children(node)
			if tier, _ := made.Place(node); tier == quorum.TierAgent {
				if first != end {
					t.Fatalf("%d agents: agent %d has children", agents, node)
				}
				continue
			}
			if first != next || end <= first {
				t.Fatalf("%d agents: children of %d are %d to %d, want from %d", agents, node, first, end, next)
			}
			for child := first; child < end; child++ {
				if made.ParentOf(child) != node {
					t.Fatalf("%d agents: parent of %d is %d, want %d", agents, child, made.ParentOf(child), node)
				}
			}
			next = end
		}
		if next != made.Nodes() {
			t.Errorf("%d agents: %d of %d nodes have a parent", agents, next, made.Nodes())
		}
		machines := 0
		for _, c := range made.AgentClass {
			if impedance.Class(c).Counted() {
				machines++
			}
		}
		if machines*2 <= agents {
			t.Errorf("%d agents: only %d are machines", agents, machines)
		}
	}
	for _, agents := range []int{-1, 0, MaxAgents + 1} {
		if _, err := NewTopology(agents); !errors.Is(err, ErrFleet) {
			t.Errorf("%d agents: %v", agents, err)
		}
	}
}
