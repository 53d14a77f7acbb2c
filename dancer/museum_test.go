package dancer_test

import (
	"fmt"
	"testing"

	"dancer/dancer"
	"dancer/partner"
)

// TestMuseumRanges holds the sentence of the design's part 3: with one person
// patrol wins up to about 90 ppm, extinguish from 100 to 370, everything is under
// its floor at 400; whatever the seed, and whatever the robot does now.
func TestMuseumRanges(t *testing.T) {
	m := museumFromTable(t)
	var p partner.Partner
	for _, outputs := range []string{"drive=0 brake=1 extinguisher=0", "drive=0.5 brake=0 extinguisher=0"} {
		for smoke := 0; smoke <= 1000; smoke += 10 {
			want, under := "patrol", false
			switch {
			case smoke > 90 && smoke < 100 || smoke > 370 && smoke < 400:
				continue
			case smoke >= 100:
				want, under = "extinguish", smoke >= 400
			}
			for seed := range uint64(5) {
				in := parseInput(t, m, []string{fmt.Sprintf("range=5 smoke=%d people=1 | %s", smoke, outputs)})
				in.Seed = seed
				d := dancer.Decide(m, in, p.Corners, p.Forecast)
				if got := d.Verdict.Outcome == dancer.OutcomeUnderFloor; got != under {
					t.Errorf("%d ppm, seed %d: under the floor %v", smoke, seed, got)
				}
				// From some 600 ppm on even one step of extinguishing is ruin for
				// all, and lower values choose among equals.
				if d.Verdict.Option != want && smoke < 600 {
					t.Errorf("%d ppm, seed %d: %s, want %s", smoke, seed, d.Verdict.Option, want)
				}
				if !under && want == "extinguish" && d.Verdict.Escalate {
					t.Errorf("%d ppm, seed %d: a clear act asks: %v", smoke, seed, d.Verdict.Because)
				}
			}
		}
	}
}
