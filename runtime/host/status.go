package host

import (
	"context"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
)

// Status is how a node stands in its mesh.
type Status struct {
	Name      string
	Now       time.Duration // its clock, since 1970
	Start     uint32
	Term      uint32       // of its seat
	Following bool         // it hears its coordinator
	Lead      string       // whom it follows; "": nobody
	Leading   bool         // it holds a seat
	Mode      breaker.Mode // that holds for it; Emergency while it follows nobody
	Frozen    bool
	Offset    time.Duration // of the coordinator's clock against its own, and
	Bound     time.Duration // by how much that can be wrong
	Measured  bool          // whether it is known at all
	Active    int32         // agents below the seat that it holds, as it knows
	Members   int32         // of the seat: everybody who belongs to it
	Unstored  bool          // a term cannot be stored: nothing is sent
}

// Status asks the node.
func (h *Host) Status(ctx context.Context) (s Status, err error) {
	err = h.do(ctx, func() { s = h.status() })
	return s, err
}

func (h *Host) status() Status {
	s := Status{Name: h.options.Book.Name(h.options.Self), Now: h.now, Start: h.state.Start, Unstored: h.unstored, Mode: breaker.Emergency}
	if a := h.node.Agent; a != nil {
		s.ofAgent(h, a)
	}
	for _, c := range h.node.Coordinators {
		if c.Leading(h.now) {
			s.Leading = true
			s.Active, s.Members = c.Active()
		}
	}
	return s
}

func (s *Status) ofAgent(h *Host, a *coordination.Agent) {
	s.Term, s.Following, s.Mode, s.Frozen = a.Term(), a.Following(), a.Mode(), a.Frozen()
	if s.Following {
		s.Lead = h.options.Book.Name(a.Holder())
	}
	at, bound, known := a.Corrected(h.now)
	s.Offset, s.Bound, s.Measured = at-h.now, bound, known
	s.Members = int32(h.options.Book.Len())
}
