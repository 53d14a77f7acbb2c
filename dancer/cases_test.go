package dancer_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"dancer/dancer"
	"dancer/partner"
)

// TestCases runs the tables of testdata/cases-*.txt, which are written for a
// safety engineer: the manual, then a situation a paragraph with the reason why
// its verdict is right, the verdict, and the reasons that the robot gives. The
// form of manual and situation is that of TestScenarios.
func TestCases(t *testing.T) {
	paths, err := filepath.Glob("testdata/cases-*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	cases := 0
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var m *dancer.Manual
			var p partner.Partner
			transcript(t, path, func(t *testing.T, input []string) string {
				if m == nil {
					m = parseManual(t, input)
					return ""
				}
				cases++
				d := dancer.Decide(m, parseInput(t, m, input), p.Corners, p.Forecast)
				checkReplay(t, m, d)
				return reasons(&d)
			})
		})
	}
	if cases < 60 {
		t.Errorf("%d cases, the tables held more", cases)
	}
}

// reasons is what the cases assert: the verdict and every reason it gives.
func reasons(d *dancer.Decision) string {
	v := &d.Verdict
	lines := []string{fmt.Sprintf("%s %s, tier %d, by %s", v.Outcome, v.Option, d.Tier, v.DecidedBy)}
	for _, why := range v.Why {
		lines = append(lines, "  "+why)
	}
	return strings.Join(lines, "\n")
}
