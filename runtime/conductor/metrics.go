package conductor

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// registerMetrics adds the conductor's own figures to those of package web.
func registerMetrics(registry *prometheus.Registry, s *service) {
	counter := func(name, help string, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		counter("dancer_escalations_total", "Questions received.", func() uint64 { return s.desk.Counters().Escalations }),
		counter("dancer_escalation_revisions_total", "Newer revisions of questions received.", func() uint64 { return s.desk.Counters().Revisions }),
		counter("dancer_escalation_duplicates_total", "Escalations that were here already.", func() uint64 { return s.desk.Counters().Duplicates }),
		counter("dancer_rulings_total", "Rulings given.", func() uint64 { return s.desk.Counters().Rulings }),
		counter("dancer_ruling_acks_total", "Rulings that their robot answered.", func() uint64 { return s.desk.Counters().Acks }),
		counter("dancer_messages_invalid_total", "Messages dropped because they made no sense.", s.post.dropped.Load),
		counter("dancer_mqtt_connects_total", "Connections to the broker.", func() uint64 { return s.client.Status().Connects }),
		counter("dancer_mqtt_received_total", "Messages taken from the broker.", func() uint64 { return s.client.Status().Received }),
		counter("dancer_mqtt_overflowed_total", "Received messages dropped because a queue was full.", func() uint64 { return s.client.Status().Overflowed }),
		counter("dancer_mqtt_failed_total", "Received messages dropped after three errors.", func() uint64 { return s.client.Status().Failed }),
		counter("dancer_store_commits_total", "Transactions written to the disk.", func() uint64 { return s.store.Counters().Commits }),
		counter("dancer_conflicts_total", "Conflicts reported, each as often as it was.", func() uint64 { return s.conflictCounters().Reports }),
		counter("dancer_conflicts_dropped_total", "Conflicts that could not be logged.", func() uint64 { c := s.conflictCounters(); return c.Dropped + c.Lost + c.Unlogged }),
		counter("dancer_store_failed_total", "Changes that a failed commit did not store.", func() uint64 { return s.store.Counters().Failed }),
	)
}
