package proof_test

import (
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/proof"
	"dancer/hal"
	"dancer/partner"
	"dancer/reflex"
)

func withForecast(o proof.Options) proof.Options {
	var p partner.Partner
	o.Tier2, o.Tier3 = p.Corners, p.Forecast
	return o
}

func TestWins(t *testing.T) {
	s := stopper()
	s.values = append(s.values, dancer.Value{Name: "task"})
	s.impact = append(s.impact, "10 * drive")
	s.actions = append(s.actions,
		dancer.Action{Name: "roam", Set: []reflex.Setting{set(0, 0.5)}},        // as patrol, whose name comes first
		dancer.Action{Name: "mope", Set: []reflex.Setting{set(0, 0.1)}},        // for when patrol is too fast
		dancer.Action{Name: "reckless", Set: []reflex.Setting{set(0, 0.0001)}}, // never better than halt or mope
	)
	want := map[string]proof.Answer{"patrol": proof.Proved, "halt": proof.Proved, "roam": proof.Refuted, "mope": proof.Proved, "reckless": proof.Undecided}
	m := s.manual(t)
	var p partner.Partner
	for _, f := range run(t, s, proof.Wins, withForecast(proof.Options{States: 300})) {
		if f.Answer != want[f.Subject] {
			t.Errorf("%s: %s: %s", f.Subject, f.Answer, f.Says)
		}
		if f.Answer != proof.Proved {
			continue
		}
		in := dancer.Input{Robot: "test", Monotonic: time.Minute, Rollouts: dancer.DefaultRollouts}
		for _, n := range append(append([]proof.Named(nil), f.Example.Signals...), f.Example.Outputs...) {
			in.Values = append(in.Values, n.Value)
		}
		for _, n := range f.Example.Signals {
			in.Validity, in.Age = append(in.Validity, hal.Valid), append(in.Age, 0)
			if n.Invalid {
				in.Validity[len(in.Validity)-1] = hal.Stale
			}
		}
		if d := dancer.Decide(m, in, p.Corners, p.Forecast); d.Verdict.Option != f.Subject {
			t.Errorf("from %s the verdict picks %s, not %s", f.Example.State(), d.Verdict.Option, f.Subject)
		}
	}
	for _, f := range run(t, s, proof.Wins, proof.Options{}) {
		if f.Answer == proof.Proved || f.States != 0 {
			t.Errorf("without a forecast %s is %s", f.Subject, f.Answer)
		}
	}
}
