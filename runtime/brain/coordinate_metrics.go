package brain

import (
	"github.com/prometheus/client_golang/prometheus"

	"dancer/mesh/breaker"
	"dancer/mesh/packet"
	"dancer/runtime/host"
)

// metrics are the figures of a robot that coordinates.
func (c *coordinated) metrics(gauge func(name, help string, value func() float64) prometheus.Collector,
	counter func(name, help string, value func() uint64) prometheus.Collector,
) []prometheus.Collector {
	of := func(value func(*host.Status) float64) func() float64 {
		return func() float64 {
			if s := c.status.Load(); s != nil {
				return value(s)
			}
			return 0
		}
	}
	return []prometheus.Collector{
		gauge("dancer_cell_mode", "Mode that holds for the robot in its cell: 4 FULL, 3, 2 and 1 DEGRADED_LIGHT, _MODERATE and _SEVERE, 0 EMERGENCY.", of(func(s *host.Status) float64 { return float64(min(s.Mode, breaker.Full)) })),
		gauge("dancer_cell_following", "1 while the robot follows the lead of its cell.", of(func(s *host.Status) float64 { return flag(s.Following) })),
		gauge("dancer_cell_leading", "1 while the robot leads its cell.", of(func(s *host.Status) float64 { return flag(s.Leading) })),
		gauge("dancer_cell_frozen", "1 while the robot acts on no command of its cell.", of(func(s *host.Status) float64 { return flag(s.Frozen) })),
		gauge("dancer_cell_clock_bound_seconds", "By how much the robot's idea of the lead's clock can be wrong.", of(func(s *host.Status) float64 { return s.Bound.Seconds() })),
		gauge("dancer_cell_members_known", "Members of the cell whose address is known, itself counted.", func() float64 { return float64(c.known.Load() + 1) }),
		counter("dancer_cell_acts_total", "Coordinated commands that were acted on.", c.acts.Load),
		counter("dancer_cell_sent_total", "Datagrams of coordination that were sent.", func() uint64 { return c.host.Network().Sent }),
		counter("dancer_cell_received_total", "Datagrams of coordination that came, whatever became of them.", func() uint64 { return c.host.Network().Received }),
		counter("dancer_cell_dropped_total", "Messages of coordination that came and were refused, or found no room.", c.lost),
	}
}

// lost counts what came and was not taken.
func (c *coordinated) lost() uint64 {
	n, h := c.host.Network(), c.host.Counters()
	sum := n.Lost + h.Overrun + h.Foreign + c.dropped.Load()
	for _, o := range packet.Outcomes() {
		if o.Dropped() {
			sum += n.Counts.Of(o)
		}
	}
	return sum
}

func flag(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
