package web

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of /metrics that come from the backend and from the
// handler itself. A process adds its own to the same registry.
type metrics struct {
	requests *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry, b Backend, h *Hub) *metrics {
	m := &metrics{requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "dancer_http_requests_total", Help: "HTTP requests by method and status.",
	}, []string{"method", "status"})}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(m.requests,
		gauge("dancer_agents", "Agents that are known.", func() float64 { return float64(b.Status().Agents) }),
		gauge("dancer_agents_alive", "Agents that are alive.", func() float64 { return float64(b.Status().Alive) }),
		gauge("dancer_escalations_open", "Questions that wait for a ruling.", func() float64 { return float64(b.Status().Open) }),
		gauge("dancer_outbox_messages", "Messages that wait for an acknowledgement.", func() float64 { return float64(b.Status().Outbox) }),
		gauge("dancer_broker_connected", "1 while the broker is connected.", func() float64 { return flag(b.Status().Broker.Connected) }),
		gauge("dancer_event_watchers", "Open streams of events.", func() float64 { return float64(h.Watchers()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dancer_event_watchers_cut_total", Help: "Streams cut off because they fell behind."},
			func() float64 { return float64(h.Cut()) }),
	)
	if robot, ok := b.(Measurer); ok {
		registry.MustRegister(newLatencyCollector(robot))
	}
	return m
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// count counts requests. Unknown methods count as one, so that a peer cannot
// make labels.
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		switch method {
		case http.MethodGet, http.MethodPost, http.MethodDelete, http.MethodHead:
		default:
			method = "other"
		}
		c := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(c, r)
		m.requests.WithLabelValues(method, strconv.Itoa(c.status)).Inc()
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach deadlines and Flush.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
