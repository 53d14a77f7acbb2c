package coordination

import (
	"time"

	"dancer/mesh/breaker"
)

// orders are the newest freeze or thaw of each scope that a node belongs to, 48
// bytes. Of a scope's orders the one with the highest sequence holds, of equal ones
// the freeze: as with breaker.Freezes, which is for whole meshes. Sequences are
// raised by who gives orders over all scopes, so the highest one says whether two
// nodes know the same.
type orders [3]freezeOrder

type freezeOrder struct {
	sequence uint64
	frozen   bool
}

// command takes one; it reports whether it was new.
func (o *orders) command(m *Message) bool {
	i := int(m.Scope) - int(breaker.ScopeCluster)
	if i < 0 || i >= len(o) || m.Value < o[i].sequence || (m.Value == o[i].sequence && (m.Kind == Thaw || o[i].frozen)) {
		return false
	}
	o[i] = freezeOrder{m.Value, m.Kind == Freeze}
	return true
}

func (o *orders) frozen() bool { return o[0].frozen || o[1].frozen || o[2].frozen }

func (o *orders) highest() uint64 { return max(o[0].sequence, o[1].sequence, o[2].sequence) }

// write makes the message of the i-th scope's order; false if there never was one.
func (o *orders) write(i int, m *Message) bool {
	if o[i].sequence == 0 {
		return false
	}
	m.Kind = Thaw
	if o[i].frozen {
		m.Kind = Freeze
	}
	m.Scope, m.Value = breaker.ScopeCluster+breaker.Scope(i), o[i].sequence
	return true
}

// tell gives all orders upward, to a coordinator that has not heard them.
func (o *orders) tell(now time.Duration, l *link, out *Outbox) {
	for i := range o {
		var m Message
		if o.write(i, &m) {
			kind := m.Kind
			l.head(now, &m, kind, l.seat.Holder(l.term))
			out.Messages = append(out.Messages, m)
		}
	}
}
