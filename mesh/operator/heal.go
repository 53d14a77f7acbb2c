package operator

import (
	"fmt"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/quorum"
)

// maxActions is how many actions of a healing are listed.
const maxActions = 100

// healing does for a place what waits for an operator's word: breakers are probed at
// once, who is in quarantine is let out, an emergency is acknowledged. What a breaker
// guards is still watched before it closes, and a mode rises by what it measures:
// nothing here makes a mesh look well that is not.
type healing struct{ led int }

func (h *healing) begin(d *Desk, o *operation) error {
	o.Heal = &HealResult{Actions: []Action{}, Unled: []string{}}
	shape := d.shape
	if o.place == All || shape.seat(o.place) == All {
		h.seat(d, o, All)
	}
	if shape.Root == quorum.TierSector {
		for s := range shape.Topology.Sectors {
			if place := (Place{InSector, s}); h.within(shape, o.place, place) {
				h.seat(d, o, place)
			}
		}
	}
	if shape.Root != quorum.TierAgent {
		for c := range int32(len(shape.Topology.ClusterSector)) {
			if place := (Place{InCluster, c}); h.within(shape, o.place, place) {
				h.seat(d, o, place)
			}
		}
		h.above(d, o)
	}
	if h.led == 0 {
		return unled(o.Kind, o.Scope)
	}
	return nil
}

// within says whether a seat is in a place, or leads the agent that the place is.
func (h *healing) within(s *Shape, p, seat Place) bool {
	switch p.Level {
	case Everywhere:
		return true
	case InSector:
		return seat == p || seat.Level == InCluster && s.Topology.ClusterSector[seat.Index] == p.Index
	case InCluster:
		return seat == p
	}
	return p.Level == AtAgent && seat.Level == InCluster && seat.Index == s.Topology.AgentCluster[p.Index]
}

// above hastens what coordinators above a place keep open for it.
func (h *healing) above(d *Desk, o *operation) {
	t := d.shape.Topology
	switch o.place.Level {
	case InSector:
		h.hasten(d, o, All, []breaker.Scope{breaker.ScopeCluster, breaker.ScopeSector}, o.place.Index, o.place)
	case InCluster:
		sector := t.ClusterSector[o.place.Index]
		first := d.clusterOf(sector, 0)
		h.hasten(d, o, d.shape.seat(Place{InSector, sector}), []breaker.Scope{breaker.ScopeCluster}, o.place.Index-first, o.place)
	}
}

func (h *healing) hasten(d *Desk, o *operation, seat Place, scopes []breaker.Scope, index int32, about Place) {
	d.cores.With(seat, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		for _, scope := range scopes {
			if c.Guard().Breakers.Hasten(now, scope, index) {
				o.Heal.add(d, "probe", about, fmt.Sprintf("the breaker that %s keeps is probed now", d.shape.NameOf(seat)))
				c.Tick(now, out)
			}
		}
	})
}

// seat does it for one coordinator.
func (h *healing) seat(d *Desk, o *operation, seat Place) {
	led := d.cores.With(seat, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		guard := c.Guard()
		if o.place.Level != AtAgent {
			if guard.Modes.Acknowledge() {
				o.Heal.add(d, "acknowledge", seat, "the emergency is acknowledged: the mode rises as agents are active")
			}
			h.breakers(d, o, seat, c, now)
		}
		h.quarantine(d, o, seat, c)
		c.Tick(now, out)
	})
	if led {
		h.led++
		return
	}
	o.Heal.UnledAll++
	if len(o.Heal.Unled) < maxNamed {
		o.Heal.Unled = append(o.Heal.Unled, d.shape.NameOf(seat))
	}
}

// breakers has those of a coordinator probed.
func (h *healing) breakers(d *Desk, o *operation, seat Place, c *coordination.Coordinator, now time.Duration) {
	b := c.Guard().Breakers
	clusters, sectors := int32(c.Children()), int32(1)
	switch c.Tier() {
	case quorum.TierAgent:
		clusters = 1
	case quorum.TierSector:
		sectors = int32(c.Children())
	}
	for _, of := range []struct {
		scope breaker.Scope
		size  int32
	}{{breaker.ScopeCluster, clusters}, {breaker.ScopeSector, sectors}, {breaker.ScopeGlobal, 1}} {
		for i := range of.size {
			if b.Hasten(now, of.scope, i) {
				o.Heal.add(d, "probe", seat, fmt.Sprintf("its breaker of %s %d is probed now", of.scope, i))
			}
		}
	}
}

// quarantine lets out who is in it: agents, or children that are coordinators.
func (h *healing) quarantine(d *Desk, o *operation, seat Place, c *coordination.Coordinator) {
	for i := range int32(c.Children()) {
		child := h.child(d, seat, c, i)
		if o.place.Level == AtAgent && child != o.place {
			continue
		}
		if c.Detector().Release(i) {
			o.Heal.add(d, "release", child, "released from quarantine")
		}
	}
}

// child is the place of a coordinator's i-th child.
func (h *healing) child(d *Desk, seat Place, c *coordination.Coordinator, i int32) Place {
	switch c.Tier() {
	case quorum.TierSector:
		return Place{InSector, i}
	case quorum.TierCluster:
		return Place{InCluster, d.clusterOf(max(seat.Index, 0), int(i))}
	}
	cluster := int32(0)
	if seat.Level == InCluster {
		cluster = seat.Index
	}
	return Place{AtAgent, d.view.agentOf(cluster, uint32(i))}
}

func (r *HealResult) add(d *Desk, what string, place Place, note string) {
	if len(r.Actions) == maxActions {
		r.Left++
		return
	}
	r.Actions = append(r.Actions, Action{what, d.shape.NameOf(place), note})
}

func (h *healing) effect(*Desk, *operation, *coordination.Effect) {}

func (h *healing) tick(d *Desk, o *operation, _ time.Duration) {
	d.view.made = false // what is shown is not what it was
	why := ""
	if len(o.Heal.Actions) == 0 {
		why = "nothing waits for an operator there"
	}
	o.end(Done, why, "")
}

func (h *healing) cancel(*Desk, *operation) error { return nil }
