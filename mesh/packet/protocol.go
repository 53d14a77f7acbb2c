package packet

import "math"

// Protocol is what the state machines of mesh/coordination say beside what the other
// fields tell everybody: whose seat and term a message belongs to, and which command.
// A message without a seat has none of it. Nodes and children are numbers that the
// members of a seat agree upon by the sorted list of their names.
type Protocol struct {
	Seat    uint32    // digest of the cell and its members; 0: no message of coordination
	Term    uint32    // of the seat, from 1
	Start   uint32    // raised by each start of the sender
	Child   uint32    // the member's number within the seat
	Flags   uint16    // coordination.Flags, and above them those of the edge
	Of      Kind      // ACK: the kind that it answers
	Reason  uint8     // coordination.Reason
	Tier    uint8     // quorum.Tier
	Scope   uint8     // breaker.Scope
	Phase   uint8     //
	Classes uint8     // bit c selects agents of class c
	Command uint64    //
	Value   uint64    //
	Target  Wall      // T by the coordinator's clock; 0: there is none
	Numbers [6]uint32 // as coordination.Message has them
}

// keyProtocol is a key of every body.
const keyProtocol = 6

// protocol is a map of its own, there when there is a seat.
func (c *coder) protocol(p *Protocol) {
	if c.writing {
		if p.Seat == 0 {
			return
		}
		c.put(keyProtocol)
	} else if !c.has(keyProtocol) {
		return
	}
	outer := c.open()
	p.Seat = uint32(c.must(0, uint64(p.Seat), math.MaxUint32))
	p.Term = uint32(c.must(1, uint64(p.Term), math.MaxUint32))
	p.Start = uint32(c.uint(2, uint64(p.Start), math.MaxUint32))
	p.Child = uint32(c.uint(3, uint64(p.Child), math.MaxUint32))
	p.Flags = uint16(c.uint(4, uint64(p.Flags), math.MaxUint16))
	p.Of = Kind(c.uint(5, uint64(p.Of), maxKindKey))
	for i, small := range [...]*uint8{&p.Reason, &p.Tier, &p.Scope, &p.Phase, &p.Classes} {
		*small = uint8(c.uint(6+i, uint64(*small), math.MaxUint8))
	}
	p.Command = c.uint(11, p.Command, math.MaxUint64)
	p.Value = c.uint(12, p.Value, math.MaxUint64)
	p.Target = c.wall(13, p.Target)
	for i := range p.Numbers {
		p.Numbers[i] = uint32(c.uint(14+i, uint64(p.Numbers[i]), math.MaxUint32))
	}
	c.shut(outer)
	if !c.writing {
		c.done()
	}
}
