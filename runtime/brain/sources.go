package brain

import (
	"github.com/prometheus/client_golang/prometheus"

	"dancer/hal"
)

// sourceCollector gives the counters of everything that brings readings: ports,
// joysticks and posts as the spine counts them, MQTT brokers as the brain does. The
// names are those of robot.yaml, so that nobody outside can make labels.
type sourceCollector struct{ b *brain }

var (
	sourceOpen    = prometheus.NewDesc("dancer_source_open", "1 while the port, joystick or broker is there.", []string{"source"}, nil)
	sourceFrames  = prometheus.NewDesc("dancer_source_frames_total", "Complete frames, reports or messages read.", []string{"source"}, nil)
	sourceErrors  = prometheus.NewDesc("dancer_source_errors_total", "Frames or messages that could not be used.", []string{"source"}, nil)
	sourceLine    = prometheus.NewDesc("dancer_source_line_errors_total", "What the UART of a serial port found wrong, by kind: framing and break (as a wrong baud rate gives), parity, overrun. Only where its driver counts.", []string{"source", "kind"}, nil)
	sourceDropped = prometheus.NewDesc("dancer_source_dropped_total", "What was given up because there was too much of it, or because its age is not known (retained messages).", []string{"source"}, nil)
	edgesLost     = prometheus.NewDesc("dancer_edges_lost_total", "Edges of GPIO lines that the kernel had no room for; the newest of a line is never lost.", nil, nil)
	adviceGiven   = prometheus.NewDesc("dancer_advice_readings_total", "Readings of topics and posts given to the spine.", nil, nil)
	adviceBad     = prometheus.NewDesc("dancer_advice_unusable_total", "Readings of topics that were no number.", nil, nil)
	adviceLost    = prometheus.NewDesc("dancer_advice_lost_total", "Readings of topics and posts that the spine had no room for.", nil, nil)
)

func (sourceCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{sourceOpen, sourceFrames, sourceErrors, sourceLine, sourceDropped, edgesLost, adviceGiven, adviceBad, adviceLost} {
		to <- d
	}
}

func (c sourceCollector) Collect(to chan<- prometheus.Metric) {
	tell := func(name string, open bool, frames, errors, dropped uint64) {
		to <- prometheus.MustNewConstMetric(sourceOpen, prometheus.GaugeValue, truth(open), name)
		to <- prometheus.MustNewConstMetric(sourceFrames, prometheus.CounterValue, float64(frames), name)
		to <- prometheus.MustNewConstMetric(sourceErrors, prometheus.CounterValue, float64(errors), name)
		to <- prometheus.MustNewConstMetric(sourceDropped, prometheus.CounterValue, float64(dropped), name)
	}
	for i, name := range c.b.robot.Sources() {
		if p, ok := c.b.ends.Segment.LoadPort(i); ok && name != "" {
			tell(name, p.Open, p.Frames, p.Errors, p.Dropped)
			if p.Counted {
				tellLine(to, name, p.Line)
			}
		}
	}
	a := c.b.advice
	for _, t := range a.brokers {
		s := t.client.Status()
		tell("mqtt-"+t.name, s.Connected, s.Received, s.Failed, s.Overflowed+s.Retained)
	}
	count := func(d *prometheus.Desc, n uint64) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n))
	}
	if s, ok := c.b.ends.Segment.LoadStatus(); ok {
		count(edgesLost, s.EdgesLost)
	}
	count(adviceGiven, a.given.Load())
	count(adviceBad, a.unusable.Load())
	count(adviceLost, c.b.ends.Segment.ReadingsLost())
}

// tellLine gives what a port's UART has counted.
func tellLine(to chan<- prometheus.Metric, name string, line hal.LineErrors) {
	for _, c := range []struct {
		kind  string
		count uint32
	}{{"framing", line.Framing}, {"parity", line.Parity}, {"break", line.Breaks}, {"overrun", line.Overruns}} {
		to <- prometheus.MustNewConstMetric(sourceLine, prometheus.CounterValue, float64(c.count), name, c.kind)
	}
}
