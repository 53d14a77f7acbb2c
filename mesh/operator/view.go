package operator

import (
	"slices"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// AgentState is how an agent is, as its lead knows.
type AgentState uint8

// The states. The zero value is unknown: never heard, or nobody leads it who could
// have heard it.
const (
	Unknown AgentState = iota
	Active
	Degraded
	Offline
	Quarantined
	agentStates
)

var stateNames = [agentStates]string{"unknown", "active", "degraded", "offline", "quarantined"}

// String names the state.
func (s AgentState) String() string { return stateNames[min(s, agentStates-1)] }

// view is what the desk knows of all agents and of who leads them, from the views of
// their coordinators, as of one moment.
type view struct {
	shape    *Shape
	registry *impedance.Registry
	states   []AgentState
	spiking  []bool          // as its lead says
	heard    []time.Duration // by the desk's time; 0: never
	first    []int32         // of each cluster its first agent
	clusters []group
	sectors  []group
	root     group
	global   breaker.State
	mode     breaker.Mode
	locked   bool
	at       time.Duration
	made     bool
	summary  impedance.Map
}

// group is a cluster, a sector or the whole.
type group struct {
	led     bool
	frozen  bool // by a freeze of its own
	breaker breaker.State
	mode    breaker.Mode
}

func newView(s *Shape) (*view, error) {
	t := s.Topology
	v := &view{shape: s, states: make([]AgentState, len(t.AgentCluster)), spiking: make([]bool, len(t.AgentCluster)),
		heard: make([]time.Duration, len(t.AgentCluster)),
		first: make([]int32, len(t.ClusterSector)+1), clusters: make([]group, len(t.ClusterSector)), sectors: make([]group, t.Sectors)}
	var err error
	if v.registry, err = impedance.NewRegistry(len(t.AgentCluster)); err != nil {
		return nil, err
	}
	for _, sector := range t.ClusterSector {
		if _, err := v.registry.AddCell(impedance.RegionID(sector)); err != nil {
			return nil, err
		}
	}
	last := int32(0)
	for agent, cluster := range t.AgentCluster {
		if cluster < last {
			return nil, fault(ErrInvalid, "", "agents must be in the order of their clusters")
		}
		for ; last < cluster; last++ {
			v.first[last+1] = int32(agent)
		}
		if err := v.registry.Place(impedance.AgentID(agent), impedance.CellID(cluster)); err != nil {
			return nil, err
		}
	}
	for ; int(last) < len(t.ClusterSector); last++ {
		v.first[last+1] = int32(len(t.AgentCluster))
	}
	return v, nil
}

// child is the place of an agent in its lead's list.
func (v *view) child(agent int32) int32 { return agent - v.first[v.shape.Topology.AgentCluster[agent]] }

// agentOf is the agent that a lead has at a place in its list; -1 if none.
func (v *view) agentOf(cluster int32, child uint32) int32 {
	if agent := v.first[cluster] + int32(child); agent < v.first[cluster+1] {
		return agent
	}
	return -1
}

// refresh looks through all coordinators, if what is known is too old.
func (d *Desk) refresh() {
	if now := d.cores.Now(); !d.view.made || now-d.view.at >= d.config.Refresh {
		d.look(now)
	}
}

func (d *Desk) look(now time.Duration) {
	v := d.view
	v.made, v.at = true, now
	for i := range v.sectors {
		v.sectors[i] = group{breaker: breaker.Closed}
	}
	for i := range v.clusters {
		v.clusters[i] = group{breaker: breaker.Closed}
	}
	d.lookAtRoot()
	for s := range v.sectors {
		d.lookAtSector(int32(s))
	}
	for c := range v.clusters {
		d.lookAtCluster(now, int32(c))
	}
	v.registry.Summarize(now, &v.summary)
}

// lookAtRoot takes what who leads everything knows.
func (d *Desk) lookAtRoot() {
	v := d.view
	v.root, v.mode, v.locked, v.global = group{}, breaker.Emergency, false, breaker.Open
	d.cores.With(All, func(now time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
		guard := c.Guard()
		v.root = group{led: true, frozen: c.Frozen(), mode: c.Mode()}
		v.mode, v.locked, v.global = c.Mode(), guard.Modes.Locked(), guard.Breakers.State(breaker.ScopeGlobal, 0)
		if c.Tier() != quorum.TierSector {
			return
		}
		for s := range min(len(v.sectors), c.Children()) {
			child := c.View(now, s)
			v.sectors[s].frozen, v.sectors[s].breaker = child.Frozen, worst(child.Breaker, guard.Breakers.State(breaker.ScopeSector, int32(s)))
		}
	})
}

// lookAtSector takes what a sector's coordinator knows.
func (d *Desk) lookAtSector(s int32) {
	v, g := d.view, &d.view.sectors[s]
	g.led = d.cores.With(d.shape.seat(Place{InSector, s}), func(now time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
		guard := c.Guard()
		g.breaker, g.mode = worst(g.breaker, guard.Breakers.State(breaker.ScopeSector, 0)), c.Mode()
		if c.Tier() != quorum.TierCluster {
			return // a cell: its children are agents
		}
		for i := range c.Children() {
			child := c.View(now, i)
			if cluster := d.clusterOf(s, i); cluster >= 0 {
				v.clusters[cluster].frozen, v.clusters[cluster].breaker = child.Frozen, child.Breaker
			}
		}
	})
}

// clusterOf is the i-th cluster of a sector; -1 if there is none.
func (d *Desk) clusterOf(sector int32, i int) int32 {
	first, _ := slices.BinarySearch(d.shape.Topology.ClusterSector, sector)
	if at := first + i; at < len(d.shape.Topology.ClusterSector) && d.shape.Topology.ClusterSector[at] == sector {
		return int32(at)
	}
	return -1
}

// lookAtCluster takes what a cluster's lead knows of its agents.
func (d *Desk) lookAtCluster(now time.Duration, cluster int32) {
	v := d.view
	g := &v.clusters[cluster]
	g.led = d.cores.With(d.shape.seat(Place{InCluster, cluster}), func(local time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
		g.breaker, g.mode = worst(g.breaker, c.Guard().Breakers.State(breaker.ScopeCluster, 0)), c.Mode()
		for i := range c.Children() {
			if agent := v.agentOf(cluster, uint32(i)); agent >= 0 {
				child := c.View(local, i)
				v.take(now, agent, &child)
			}
		}
	})
	if g.led {
		return
	}
	for agent := v.first[cluster]; agent < v.first[cluster+1]; agent++ {
		v.set(agent, Unknown)
	}
}

func worst(a, b breaker.State) breaker.State { return min(a, b) }

// take takes what a lead knows of one agent.
func (v *view) take(now time.Duration, agent int32, child *coordination.View) {
	state := Active
	switch {
	case child.Quarantined:
		state = Quarantined
	case !child.Known:
		state = Unknown
	case !child.Active:
		state = Offline
	case child.Degraded:
		state = Degraded
	}
	v.spiking[agent] = child.Spiking
	if child.Known {
		v.heard[agent] = max(now-child.Silent, 1)
	}
	if state != Active && state != Degraded {
		v.set(agent, state)
		return
	}
	id := impedance.AgentID(agent)
	if e, _ := v.registry.Read(id); e.Operation == impedance.Quarantined {
		_ = v.registry.Set(id, impedance.Offline, impedance.ByOperator) // as it may: an operator has released it
	}
	operation := impedance.Active
	if state == Degraded {
		operation = impedance.Degraded
	}
	delay := child.Delay
	if delay == 0 { // a lead time is a delay that 99 of 100 messages keep
		delay = max(child.Lead-child.Processing, 0)
	}
	report := impedance.Report{Class: child.Class, Operation: operation, Delay: delay, Processing: child.Work,
		Queue: child.Queue, Reliability: 1, Capabilities: impedance.Capabilities(child.Capabilities)}
	if _, err := v.registry.Update(id, now, report); err != nil {
		state = Unknown // more capabilities than a registry tells apart: it cannot be found by any
	}
	v.states[agent] = state
}

// set notes a state in which an agent cannot be asked.
func (v *view) set(agent int32, state AgentState) {
	v.states[agent] = state
	id := impedance.AgentID(agent)
	e, known := v.registry.Read(id)
	switch {
	case !known:
	case state == Quarantined:
		_ = v.registry.Set(id, impedance.Quarantined, impedance.ByLead)
	case e.Operation == impedance.Quarantined:
		_ = v.registry.Set(id, impedance.Offline, impedance.ByOperator)
	case e.Operation != impedance.Offline:
		_ = v.registry.Set(id, impedance.Offline, impedance.ByLead)
	}
}

// asked says whether an agent can be asked.
func (v *view) asked(agent int32) bool {
	return v.states[agent] == Active || v.states[agent] == Degraded
}

// class of an agent: of the topology, which a lead's list follows.
func (v *view) class(agent int32) impedance.Class {
	return impedance.Class(v.shape.Topology.Class(agent))
}

// frozen says whether an agent's scope is frozen.
func (v *view) frozen(agent int32) bool {
	cluster := v.shape.Topology.AgentCluster[agent]
	return v.root.frozen || v.clusters[cluster].frozen || v.sectors[v.shape.Topology.ClusterSector[cluster]].frozen
}

// frozenScopes names what is frozen.
func (v *view) frozenScopes() []string {
	list := []string{}
	if v.root.frozen {
		list = append(list, "all")
	}
	for s := range v.sectors {
		if v.sectors[s].frozen {
			list = append(list, v.shape.NameOf(Place{InSector, int32(s)}))
		}
	}
	for c := range v.clusters {
		if v.clusters[c].frozen {
			list = append(list, v.shape.NameOf(Place{InCluster, int32(c)}))
		}
	}
	return list
}
