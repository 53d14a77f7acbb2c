package partner_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
	"dancer/reflex"
)

// eight gives the museum five more actions, so that with inaction there are
// eight options.
func eight(t testing.TB) *dancer.Manual {
	m := museum(t)
	for i := range 4 {
		m.Actions = append(m.Actions, dancer.Action{
			Name: fmt.Sprintf("creep-%d", i), Reversibility: 1,
			Set: []reflex.Setting{{Output: 0, Value: 0.1 + 0.05*float64(i)}, {Output: 1, Value: 0}},
		})
	}
	return m
}

// input of one decision, calm but for some smoke.
func input() dancer.Input {
	return dancer.Input{
		Robot: "bench", Values: []float64{5, 60, 1, 0.05, 0, 0}, Rollouts: 64,
		Validity: []hal.Validity{hal.Valid, hal.Valid, hal.Valid}, Age: make([]time.Duration, 3),
	}
}

// BenchmarkDecision is the mark of the design's part 7: a full decision of 8
// options, 64 roll-outs x 30 steps each, p99 at most 1 ms.
func BenchmarkDecision(b *testing.B) { benchmarkDecision(b, eight(b)) }

// BenchmarkDecisionWithRates is the same with outputs that are on their way.
func BenchmarkDecisionWithRates(b *testing.B) {
	m := eight(b)
	m.Outputs[0].Rate, m.Outputs[1].Rate = 0.3, 0.5
	benchmarkDecision(b, m)
}

func benchmarkDecision(b *testing.B, m *dancer.Manual) {
	var p partner.Partner
	in := input()
	options := len(m.Options(in.Values[3:]))
	if options != 8 {
		b.Fatalf("%d options", options)
	}
	took := make([]time.Duration, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		begin := time.Now()
		in.Seed++
		d := dancer.Decide(m, in, p.Corners, p.Forecast)
		if d.Tier != 3 || d.Assessments[0].Rollouts != 64 {
			b.Fatalf("tier %d with %d roll-outs", d.Tier, d.Assessments[0].Rollouts)
		}
		took = append(took, time.Since(begin))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e6, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1e6, "p99-ms")
}
