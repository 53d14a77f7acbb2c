package operator

import (
	"fmt"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/quorum"
)

// freezing freezes a place or thaws it, and waits until who is in it has confirmed.
type freezing struct {
	frozen   bool
	sequence uint64
	until    time.Duration
	next     time.Duration
}

func (f *freezing) begin(d *Desk, o *operation) error {
	f.frozen = o.Kind == Freeze
	if o.place.Level == AtAgent {
		return invalid(&o.order, "in a cell a single robot is stopped with dancer stop ROBOT", "%s is an agent; what is frozen is a cluster, a sector or all", o.Scope)
	}
	f.sequence = d.sequence() + 1
	f.until = o.started + defaultFreezeWait
	if !f.give(d, o) {
		return unled(o.Kind, o.Scope)
	}
	o.Freeze = &FreezeResult{Sequence: f.sequence, Frozen: []string{}}
	d.view.made = false
	return nil
}

// sequence is the highest that any coordinator knows.
func (d *Desk) sequence() (highest uint64) {
	take := func(_ time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
		highest = max(highest, c.FreezeSequence())
	}
	d.cores.With(All, take)
	if d.shape.Root != quorum.TierAgent {
		for s := range d.shape.Topology.Sectors {
			d.cores.With(d.shape.seat(Place{InSector, s}), take)
		}
	}
	return highest
}

// give gives the order to who keeps the freeze of the place: it survives the death of
// the place's own coordinator.
func (f *freezing) give(d *Desk, o *operation) bool {
	shape := d.shape
	switch seat := shape.seat(o.place); seat.Level {
	case InSector:
		return d.cores.With(All, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
			c.FreezeChild(now, int(seat.Index), f.sequence, f.frozen, out)
		})
	case InCluster:
		sector := shape.Topology.ClusterSector[seat.Index]
		return d.cores.With(shape.seat(Place{InSector, sector}), func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
			c.FreezeChild(now, int(seat.Index-d.clusterOf(sector, 0)), f.sequence, f.frozen, out)
		})
	}
	return d.cores.With(All, func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox) {
		c.Freeze(now, f.sequence, f.frozen, out)
	})
}

func (f *freezing) effect(*Desk, *operation, *coordination.Effect) {}

func (f *freezing) tick(d *Desk, o *operation, now time.Duration) {
	if now < f.next {
		return
	}
	f.next = now + 100*time.Millisecond
	agents, confirmed := f.count(d, o)
	r := o.Freeze
	if agents != r.Agents || confirmed != r.Confirmed {
		r.Agents, r.Confirmed = agents, confirmed
		o.Revision++
	}
	if confirmed < agents && now < f.until {
		return
	}
	d.look(now)
	r.Frozen = d.view.frozenScopes()
	why, hint := "", ""
	if confirmed < agents {
		why = fmt.Sprintf("%d have not confirmed within %s", agents-confirmed, defaultFreezeWait)
		hint = "each learns it with its next heartbeat that is answered"
	}
	o.end(Done, why, hint)
}

// count says how many agents there are in the place, and how many have confirmed.
func (f *freezing) count(d *Desk, o *operation) (agents, confirmed int) {
	t := d.shape.Topology
	for c := range int32(len(t.ClusterSector)) {
		if o.place.Level == InCluster && c != o.place.Index || o.place.Level == InSector && t.ClusterSector[c] != o.place.Index {
			continue
		}
		agents += int(d.view.first[c+1] - d.view.first[c])
		d.cores.With(d.shape.seat(Place{InCluster, c}), func(now time.Duration, lead *coordination.Coordinator, _ *coordination.Outbox) {
			for i := range lead.Children() {
				if lead.View(now, i).Knows >= f.sequence {
					confirmed++
				}
			}
		})
	}
	return agents, confirmed
}

func (f *freezing) cancel(_ *Desk, o *operation) error {
	return fault(ErrRefused, "dancer thaw undoes a freeze", "cancel %s: a %s is not called back", o.ID, o.Kind)
}
