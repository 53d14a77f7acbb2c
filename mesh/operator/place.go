package operator

import (
	"fmt"
	"strconv"
	"strings"

	"dancer/mesh/quorum"
)

// Level is what a place is. The zero value is none.
type Level uint8

// The levels.
const (
	Nowhere Level = iota
	Everywhere
	InSector
	InCluster
	AtAgent
)

// Place is a part of a mesh. Index is dense, within its level; 0 for Everywhere.
type Place struct {
	Level Level
	Index int32
}

// All is the whole mesh.
var All = Place{Level: Everywhere}

// Shape is what a mesh consists of, and what its parts are called. It is fixed.
type Shape struct {
	Name      string // of the mesh: a cell's, or what a fleet is called
	Simulated bool   // its agents are not machines
	Topology  *quorum.Topology
	// Root is the tier of the children of who leads everything: TierAgent in a cell,
	// whose lead has the agents for children; TierSector in a whole mesh.
	Root quorum.Tier
	// Names of the parts by index; nil: sector-N, cluster-N, agent-N, from 0.
	Sectors, Clusters, Agents []string
	Capabilities              []string // names of the bits, at most 64
}

// NameOf gives the name of a place.
func (s *Shape) NameOf(p Place) string {
	names, word := []string(nil), "nowhere"
	switch p.Level {
	case Everywhere:
		return "all"
	case InSector:
		names, word = s.Sectors, "sector"
	case InCluster:
		names, word = s.Clusters, "cluster"
	case AtAgent:
		names, word = s.Agents, "agent"
	default:
		return word
	}
	if int(p.Index) < len(names) {
		return names[p.Index]
	}
	return word + "-" + strconv.Itoa(int(p.Index))
}

// Find gives the place of a name: all, the mesh's own name, SECTOR-N, cluster 7, or
// the name of an agent. Case does not matter, nor whether a space or a dash is
// before a number.
func (s *Shape) Find(name string) (Place, error) {
	plain := strings.ToLower(strings.TrimSpace(name))
	if plain == "" || plain == "all" || plain == strings.ToLower(s.Name) {
		return All, nil
	}
	for i, names := range [...][]string{s.Agents, s.Clusters, s.Sectors} {
		for at := range names {
			if strings.ToLower(names[at]) == plain {
				return Place{AtAgent - Level(i), int32(at)}, nil
			}
		}
	}
	if p, ok := s.numbered(plain); ok {
		return p, nil
	}
	return Place{}, fault(ErrUnknown, s.places(), "no place or agent %q in %s", clip(name), s.Name)
}

// numbered reads a level and a number.
func (s *Shape) numbered(plain string) (Place, bool) {
	at := strings.IndexAny(plain, " -")
	if at < 0 {
		return Place{}, false
	}
	n, err := strconv.ParseInt(plain[at+1:], 10, 32)
	if err != nil || n < 0 {
		return Place{}, false
	}
	p := Place{Index: int32(n)}
	size := int32(0)
	switch plain[:at] {
	case "sector":
		p.Level, size = InSector, s.Topology.Sectors
	case "cluster":
		p.Level, size = InCluster, int32(len(s.Topology.ClusterSector))
	case "agent":
		p.Level, size = AtAgent, int32(len(s.Topology.AgentCluster))
	}
	return p, p.Index < size
}

// places says what there is to name.
func (s *Shape) places() string {
	if s.Root == quorum.TierAgent {
		return fmt.Sprintf("give all, or an agent: %s to %s", s.NameOf(Place{AtAgent, 0}), s.NameOf(Place{AtAgent, int32(len(s.Topology.AgentCluster)) - 1}))
	}
	return fmt.Sprintf("give all, sector-0 to sector-%d, cluster-0 to cluster-%d or agent-0 to agent-%d",
		s.Topology.Sectors-1, len(s.Topology.ClusterSector)-1, len(s.Topology.AgentCluster)-1)
}

// has says whether an agent is in a place.
func (s *Shape) has(p Place, agent int32) bool {
	switch p.Level {
	case Everywhere:
		return true
	case InSector:
		return s.Topology.ClusterSector[s.Topology.AgentCluster[agent]] == p.Index
	case InCluster:
		return s.Topology.AgentCluster[agent] == p.Index
	}
	return p.Level == AtAgent && p.Index == agent
}

// seat is the place whose coordinator answers for a place: in a small mesh who leads
// everything is also who leads a sector, or a cluster.
func (s *Shape) seat(p Place) Place {
	if s.Root == quorum.TierAgent || s.Root == quorum.TierCluster && p.Level == InSector {
		return All
	}
	return p
}

// lead is the seat of an agent's lead.
func (s *Shape) lead(agent int32) Place {
	return s.seat(Place{InCluster, s.Topology.AgentCluster[agent]})
}

// capability gives the bit of a name.
func (s *Shape) capability(name string) (int, error) {
	for i, known := range s.Capabilities {
		if strings.EqualFold(known, name) {
			return i, nil
		}
	}
	hint := "there are none here"
	if len(s.Capabilities) > 0 {
		hint = "there are " + strings.Join(s.Capabilities, ", ")
	}
	return 0, fault(ErrUnknown, hint, "no capability %q in %s", clip(name), s.Name)
}

// clip keeps what a stranger wrote short.
func clip(text string) string {
	if len(text) > 80 {
		return strings.ToValidUTF8(text[:80], "") + "..."
	}
	return text
}
