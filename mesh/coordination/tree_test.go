package coordination

import (
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// A small tree: an orchestrator, sectors, clusters and agents, each on its own node.
const (
	treeSectors  = 2
	treeClusters = 2 // of a sector
)

// grove is where everybody is in the tree: node 0 is the orchestrator, then come
// the sectors' coordinators, the clusters' leads, and the agents cluster by cluster.
// Leads take over a sector, agents a cluster, in the order of their numbers.
type grove struct {
	n        *network
	agents   int // of a cluster
	root     *Seat
	sectors  []*Seat
	clusters []*Seat
	config   *AgentConfig
}

func sectorNode(s int) uint32  { return uint32(1 + s) }
func clusterNode(c int) uint32 { return uint32(1 + treeSectors + c) }
func (g *grove) agentNode(c, i int) uint32 {
	return uint32(1 + treeSectors + treeSectors*treeClusters + c*g.agents + i)
}

// tree makes a tree with so many agents in each cluster.
func tree(n *network, agents int) (members int32) {
	g := &grove{n: n, agents: agents, root: &Seat{ID: 1, Line: []uint32{0}}}
	var err error
	if g.config, err = NewAgentConfig(AgentConfig{Random: n.random}); err != nil {
		n.t.Fatal(err)
	}
	for s := range treeSectors {
		seat := &Seat{ID: uint32(10 + s), Line: []uint32{sectorNode(s)}}
		for c := s * treeClusters; c < (s+1)*treeClusters; c++ {
			seat.Line = append(seat.Line, clusterNode(c))
		}
		g.sectors = append(g.sectors, seat)
	}
	for c := range treeSectors * treeClusters {
		seat := &Seat{ID: uint32(100 + c), Line: []uint32{clusterNode(c)}}
		for i := range agents {
			seat.Line = append(seat.Line, g.agentNode(c, i))
		}
		g.clusters = append(g.clusters, seat)
	}
	g.machines()
	n.stands = g.stand
	return int32(treeSectors * treeClusters * agents)
}

// machines adds every node.
func (g *grove) machines() {
	add := func(boot func(n *network, m *machine)) {
		g.n.add(clockOf(g.n), (g.n.random.Float64()-0.5)*10e-6, boot)
	}
	add(func(_ *network, m *machine) { g.lead(m, g.root, 0) })
	for _, seat := range append(append([]*Seat(nil), g.sectors...), g.clusters...) {
		add(func(_ *network, m *machine) { g.lead(m, seat, 0) })
	}
	for c := range g.clusters {
		for i := range g.agents {
			add(func(n *network, m *machine) {
				var err error
				m.Agent, err = NewAgent(m.local(n.now), g.config, Place{Seat: g.clusters[c], Node: m.id, Child: uint32(i), Epoch: m.start, Term: m.terms[g.clusters[c].ID]},
					Described{Class: impedance.ClassLocal, Capabilities: 3, Context: 7})
				if err != nil {
					n.t.Fatal(err)
				}
			})
		}
	}
}

// stand makes the coordinator that members ask for.
func (g *grove) stand(n *network, node uint32, e Effect) {
	m := n.nodes[node]
	for _, c := range m.Coordinators {
		if c.config.Seat.ID == e.Seat {
			return
		}
	}
	for _, seat := range append(append([]*Seat{g.root}, g.sectors...), g.clusters...) {
		if seat.ID == e.Seat {
			g.lead(m, seat, e.Term)
		}
	}
}

// lead gives a node the coordinator of a seat.
func (g *grove) lead(m *machine, seat *Seat, term uint32) {
	config := CoordinatorConfig{Random: g.n.random, Seat: seat, Node: m.id, Epoch: m.start, Term: term, First: uint64(m.start)<<20 | uint64(seat.ID)<<12}
	clusterAgents := [impedance.ClassHuman + 1]int32{impedance.ClassLocal: int32(g.agents)}
	switch {
	case seat.ID == 1:
		config.Tier = quorum.TierSector
		for s := range g.sectors {
			below := Below{Clusters: treeClusters, Agents: clusterAgents}
			below.Agents[impedance.ClassLocal] *= treeClusters
			config.Children = append(config.Children, Child{Node: sectorNode(s), Below: below})
		}
	case seat.ID < 100:
		s := int(seat.ID - 10)
		config.Tier, config.Parent = quorum.TierCluster, &Place{Seat: g.root, Node: m.id, Child: uint32(s), Epoch: m.start, Term: m.terms[1]}
		for c := s * treeClusters; c < (s+1)*treeClusters; c++ {
			config.Children = append(config.Children, Child{Node: clusterNode(c), Below: Below{Agents: clusterAgents}})
		}
	default:
		c := int(seat.ID - 100)
		sector := g.sectors[c/treeClusters]
		config.Tier, config.Parent = quorum.TierAgent, &Place{Seat: sector, Node: m.id, Child: uint32(c % treeClusters), Epoch: m.start, Term: m.terms[sector.ID]}
		for i := range g.agents {
			config.Children = append(config.Children, Child{Node: g.agentNode(c, i), Class: impedance.ClassLocal, Capabilities: 3})
		}
	}
	c, err := NewCoordinator(m.local(g.n.now), config)
	if err != nil {
		g.n.t.Fatal(err)
	}
	m.Coordinators = append(m.Coordinators, c)
}
