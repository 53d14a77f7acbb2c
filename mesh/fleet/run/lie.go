package run

import (
	"time"

	"dancer/mesh"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
)

// Lie implements fleet.Liar: what a byzantine node says instead of the truth. It
// knows the keys of its node, so its messages are valid.
func (w *crew) Lie(lie fleet.Lie, draw uint64, _, _ int32, m *coordination.Message) bool {
	switch lie {
	case fleet.WrongAnswer:
		if m.Kind != coordination.Ack || m.Of != coordination.Coordinate || m.State != mesh.Ready {
			return false
		}
		m.Value = draw | 1
	case fleet.WrongTime:
		if m.Received == 0 {
			return false
		}
		m.Received += time.Duration(fleet.Below(draw, uint64(2*time.Second))) - time.Second
	default:
		return false
	}
	return true
}
