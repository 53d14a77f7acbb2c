package coordination

import "time"

// Node is all that one machine is in the mesh: an agent, a coordinator or several,
// or both, as the lead of a cell that is a robot itself. It hands each message to
// whom it is for; a node's messages to itself go the same way (loopback).
type Node struct {
	Agent        *Agent // nil: none
	Coordinators []*Coordinator
}

// Receive gives a message to whom it is for. One who coordinates nothing at present
// leaves it to the member at its side, who knows whom to ask.
func (n *Node) Receive(now time.Duration, m *Message, out *Outbox) {
	if m.Flags&FlagUp == 0 {
		n.member(now, m, out)
		return
	}
	if m.Kind == Heartbeat {
		n.hears(now, m)
	}
	for _, c := range n.Coordinators {
		if c.config.Seat.ID == m.Seat && (m.Kind != Heartbeat || c.Leading(now) || !n.follows(m.Seat)) {
			c.Receive(now, m, out)
			return
		}
	}
	n.member(now, m, out)
}

// member gives a message to the node's member of a seat.
func (n *Node) member(now time.Duration, m *Message, out *Outbox) {
	if n.Agent != nil && n.Agent.link.seat.ID == m.Seat {
		n.Agent.Receive(now, m, out)
		return
	}
	for _, c := range n.Coordinators {
		if c.config.Parent != nil && c.link.seat.ID == m.Seat && c.Leading(now) {
			c.Receive(now, m, out)
			return
		}
	}
}

// hears tells the member at this node's side of the term that others are in.
func (n *Node) hears(now time.Duration, m *Message) {
	if n.Agent != nil && n.Agent.link.seat.ID == m.Seat {
		n.Agent.hears(now, m.Term)
	}
	for _, c := range n.Coordinators {
		if c.config.Parent != nil && c.link.seat.ID == m.Seat && c.leading {
			c.hears(now, m.Term)
		}
	}
}

// follows says whether a member of the seat that is on this node follows somebody.
func (n *Node) follows(seat uint32) bool {
	if n.Agent != nil && n.Agent.link.seat.ID == seat {
		return n.Agent.link.following
	}
	for _, c := range n.Coordinators {
		if c.config.Parent != nil && c.link.seat.ID == seat && c.leading {
			return c.link.following
		}
	}
	return false
}

// Tick does what is due.
func (n *Node) Tick(now time.Duration, out *Outbox) {
	if n.Agent != nil && now >= n.Agent.Deadline() {
		n.Agent.Tick(now, out)
	}
	for _, c := range n.Coordinators {
		if now >= c.Deadline() {
			c.Tick(now, out)
		}
	}
}

// Deadline is when Tick has something to do.
func (n *Node) Deadline() time.Duration {
	d := never
	if n.Agent != nil {
		d = n.Agent.Deadline()
	}
	for _, c := range n.Coordinators {
		d = min(d, c.Deadline())
	}
	return d
}
