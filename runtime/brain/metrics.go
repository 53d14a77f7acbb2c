package brain

import (
	"github.com/prometheus/client_golang/prometheus"

	"dancer/dancer"
)

// newRegistry gives the robot's own figures for /metrics, beside those that
// package web adds. They are read when somebody asks and cost a decision nothing.
func (b *brain) newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	counter := func(name, help string, value func() uint64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
	}
	registry.MustRegister(
		counter("dancer_decisions_total", "Decisions made.", b.decided.Load),
		counter("dancer_decisions_incomparable_total", "Decisions whose winner and runner-up the forecast could not tell apart.", b.incomparable.Load),
		counter("dancer_overruns_total", "Decision cycles that were missed and decisions over their time.", b.overruns.Load),
		counter("dancer_conflicts_total", "Conflicts reported, each as often as it was.", func() uint64 { return b.conflictCounters().Reports }),
		counter("dancer_conflicts_dropped_total", "Conflicts that could not be logged.", func() uint64 { c := b.conflictCounters(); return c.Dropped + c.Lost + c.Unlogged }),
		counter("dancer_events_left_out_total", "Events that the conductor was not told of, because there were more than 50 in a second.", b.leftOut),
		gauge("dancer_decision_confidence_ratio", "Calibrated confidence of the newest decision, 0 to 1.", func() float64 {
			return of(b.last.Load(), func(d *dancer.Decision) float64 { return d.Verdict.Confidence })
		}),
		gauge("dancer_decision_duration_seconds", "Time that the newest decision took.", func() float64 {
			return of(b.last.Load(), func(d *dancer.Decision) float64 { return d.Elapsed.Seconds() })
		}),
		gauge("dancer_calibration_outcomes", "Outcomes that the confidence rests on.", func() float64 {
			return of(b.last.Load(), func(d *dancer.Decision) float64 { return float64(d.Calibration.Outcomes()) })
		}),
		modelCollector{b}, sourceCollector{b},
	)
	if b.coordinated != nil {
		registry.MustRegister(b.coordinated.metrics(gauge, counter)...)
	}
	if b.recorder != nil {
		registry.MustRegister(b.recordingMetrics(gauge, counter)...)
	}
	return registry
}

// of reads the newest decision; 0 before the first.
func of(d *dancer.Decision, value func(*dancer.Decision) float64) float64 {
	if d == nil {
		return 0
	}
	return value(d)
}

func (b *brain) recordingMetrics(gauge func(name, help string, value func() float64) prometheus.Collector,
	counter func(name, help string, value func() uint64) prometheus.Collector,
) []prometheus.Collector {
	return []prometheus.Collector{
		counter("dancer_recording_messages_total", "Messages written to recordings.", func() uint64 { f, _ := b.recorder.Figures(); return f.Messages }),
		counter("dancer_recording_lost_total", "Readings, decisions and events that are missing in the recordings.", func() uint64 {
			return b.recorder.Lost() + b.ends.Segment.TracesLost()
		}),
		counter("dancer_recording_seals_total", "Times that the last minutes were kept, for a latch or a question.", func() uint64 { f, _ := b.recorder.Figures(); return f.Sealed }),
		gauge("dancer_recording_queue_entries", "Entries that wait to be written, 512 at most.", func() float64 { f, _ := b.recorder.Figures(); return float64(f.Queued) }),
		gauge("dancer_recording_stopped", "1 while a recording is not written because its disk is full or broken.", func() float64 {
			if f, _ := b.recorder.Figures(); f.Stopped {
				return 1
			}
			return 0
		}),
	}
}

// modelCollector gives the model's error by signal; the signals are those of the
// manual, so that nobody outside can make labels.
type modelCollector struct{ b *brain }

var (
	modelResiduals = prometheus.NewDesc("dancer_model_residuals", "Predictions held against readings, the newest 256.", []string{"signal"}, nil)
	modelWidened   = prometheus.NewDesc("dancer_model_widened", "1 while the forecast allows for a wider disturbance than the manual declares.", []string{"signal"}, nil)
	modelCapped    = prometheus.NewDesc("dancer_model_capped_total", "Times that a disturbance came to its limit: the model does not fit.", []string{"signal"}, nil)
	modelJumps     = prometheus.NewDesc("dancer_model_jumps_total", "Readings that jumped: events of the world, not errors of the model.", []string{"signal"}, nil)
)

func (modelCollector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{modelResiduals, modelWidened, modelCapped, modelJumps} {
		to <- d
	}
}

func (c modelCollector) Collect(to chan<- prometheus.Metric) {
	figures := c.b.modelFigures.Load()
	if figures == nil {
		return
	}
	for i := range *figures {
		f := &(*figures)[i]
		tell := func(d *prometheus.Desc, kind prometheus.ValueType, value float64) {
			to <- prometheus.MustNewConstMetric(d, kind, value, f.Signal)
		}
		tell(modelResiduals, prometheus.GaugeValue, float64(f.Residuals))
		if f.HasDisturbance {
			wider := 0.0
			if widened(f) {
				wider = 1
			}
			tell(modelWidened, prometheus.GaugeValue, wider)
		}
		tell(modelCapped, prometheus.CounterValue, float64(f.CappedSoFar))
		tell(modelJumps, prometheus.CounterValue, float64(f.Jumps))
	}
}
