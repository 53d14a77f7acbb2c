package web

import (
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dancer/mesh"
	"dancer/runtime/latency"
)

// Measurer is a Backend that measures how fast it reacts: a robot.
type Measurer interface {
	Latencies() *Latencies
}

// Latencies are the histograms of a robot's spine.
type Latencies struct {
	// EdgeToOutput: from the time stamp of an input to the output's write, of each
	// reflex that a reading fired and that wrote an output.
	EdgeToOutput Measured
	// WakeUpLateness: how late the loop woke, after its own deadlines and after the
	// kernel's time stamps of edges.
	WakeUpLateness Measured
	LastMinute     time.Duration // what the last minute covers: 60 to 70 s, less after a start of the brain
}

// Measured is one histogram over two times.
type Measured struct {
	SinceStart latency.Histogram // of the spine; never reset
	LastMinute latency.Histogram
}

// Latency is how fast a robot reacts, in figures.
type Latency struct {
	EdgeToOutput   LatencyPeriods `json:"edge_to_output"`
	WakeUpLateness LatencyPeriods `json:"wake_up_lateness"`
	LastMinuteS    float64        `json:"last_minute_s"` // seconds that the last minute covers: 60 to 70, less after a start of the brain
}

// LatencyPeriods are the figures of one histogram over two times.
type LatencyPeriods struct {
	SinceStart mesh.LatencyFigures `json:"since_start"`
	LastMinute mesh.LatencyFigures `json:"last_minute"`
}

// LatencyFigures gives the figures of a histogram in microseconds, to a tenth.
func LatencyFigures(h *latency.Histogram) mesh.LatencyFigures {
	f := h.Figures()
	return mesh.LatencyFigures{
		Count: f.Count, P50US: microseconds(f.P50), P99US: microseconds(f.P99), P999US: microseconds(f.P999), MaxUS: microseconds(f.Most),
	}
}

// microseconds to a tenth, upwards: a figure is never told too low.
func microseconds(d time.Duration) float64 { return math.Ceil(float64(d)/100) / 10 }

// FiguresOf gives what GET /api/v1/status shows of histograms.
func FiguresOf(l *Latencies) *Latency {
	periods := func(m *Measured) LatencyPeriods {
		return LatencyPeriods{SinceStart: LatencyFigures(&m.SinceStart), LastMinute: LatencyFigures(&m.LastMinute)}
	}
	return &Latency{
		EdgeToOutput: periods(&l.EdgeToOutput), WakeUpLateness: periods(&l.WakeUpLateness),
		LastMinuteS: math.Round(10*l.LastMinute.Seconds()) / 10,
	}
}

// latencyCollector gives the histograms since the start to Prometheus, with the
// octaves of their buckets as bounds: 1.024 us, then twice as much each time, up
// to 17.18 s. The counts at these bounds are exact.
type latencyCollector struct {
	source               Measurer
	edgeToOutput, wakeUp *prometheus.Desc
}

func newLatencyCollector(source Measurer) *latencyCollector {
	return &latencyCollector{
		source: source,
		edgeToOutput: prometheus.NewDesc("dancer_edge_to_output_seconds",
			"From the time stamp of an input to the output's write, of each reflex that a reading fired and that wrote an output.", nil, nil),
		wakeUp: prometheus.NewDesc("dancer_wake_up_lateness_seconds",
			"How late the real-time loop woke, after its own deadlines and after the kernel's time stamps of edges.", nil, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *latencyCollector) Describe(to chan<- *prometheus.Desc) { to <- c.edgeToOutput; to <- c.wakeUp }

// Collect implements prometheus.Collector.
func (c *latencyCollector) Collect(to chan<- prometheus.Metric) {
	l := c.source.Latencies()
	to <- constHistogram(c.edgeToOutput, &l.EdgeToOutput.SinceStart)
	to <- constHistogram(c.wakeUp, &l.WakeUpLateness.SinceStart)
}

func constHistogram(desc *prometheus.Desc, h *latency.Histogram) prometheus.Metric {
	bounds := make(map[float64]uint64)
	for bound := latency.Shortest; bound <= latency.Longest; bound *= 2 {
		bounds[bound.Seconds()] = h.AtMost(latency.Index(bound))
	}
	return prometheus.MustNewConstHistogram(desc, h.Count(), h.Sum.Seconds(), bounds)
}
