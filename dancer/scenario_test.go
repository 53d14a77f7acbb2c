package dancer_test

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
)

// TestScenarios runs whole decisions (forecast, tiers, verdict) over the robots
// of testdata/robot-*.txt. The first block of a file is the manual; each block
// after it is a state "signal=value ... | output=value ..." with optional lines
// "stale NAME", "nan NAME", "age NAME D".
func TestScenarios(t *testing.T) {
	paths, err := filepath.Glob("testdata/robot-*.txt")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no scenario files: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			var m *dancer.Manual
			var p partner.Partner
			transcript(t, path, func(t *testing.T, input []string) string {
				if m == nil {
					m = parseManual(t, input)
					return ""
				}
				in := parseInput(t, m, input)
				d := dancer.Decide(m, in, p.Corners, p.Forecast)
				checkReplay(t, m, d)
				return summary(&d)
			})
		})
	}
}

// parseInput reads a state; the robot's clock and seed are fixed.
func parseInput(t *testing.T, m *dancer.Manual, lines []string) dancer.Input {
	t.Helper()
	p := &manualText{t: t, m: m}
	in := dancer.Input{Robot: "r1", Monotonic: time.Minute, Seed: 7, Rollouts: 64}
	in.Values = make([]float64, len(m.Signals)+len(m.Outputs))
	in.Age = make([]time.Duration, len(m.Signals))
	for range m.Signals {
		in.Validity = append(in.Validity, hal.Valid)
	}
	for _, line := range lines {
		word, rest, _ := strings.Cut(line, " ")
		f := strings.Fields(rest)
		switch word {
		case "stale":
			in.Validity[p.signal(f[0])] = hal.Stale
		case "never":
			in.Validity[p.signal(f[0])] = hal.NeverSeen
		case "nan":
			in.Values[p.signal(f[0])] = math.NaN()
		case "age":
			in.Age[p.signal(f[0])] = p.duration(f[1])
		default:
			p.state(line, in.Values)
		}
	}
	return in
}

func (p *manualText) state(line string, values []float64) {
	signals, outputs, _ := strings.Cut(line, "|")
	for _, word := range strings.Fields(signals) {
		name, value, _ := strings.Cut(word, "=")
		values[p.signal(name)] = p.number(value)
	}
	for _, word := range strings.Fields(outputs) {
		name, value, _ := strings.Cut(word, "=")
		values[len(p.m.Signals)+p.output(name)] = p.number(value)
	}
}

// summary is what the tables assert of a decision.
func summary(d *dancer.Decision) string {
	v := &d.Verdict
	lines := []string{fmt.Sprintf("%s %s, tier %d, by %s, confidence %.2f", v.Outcome, v.Option, d.Tier, v.DecidedBy, v.Confidence)}
	lines = append(lines, "survivors: "+strings.Join(v.Survivors, ", "))
	for _, because := range v.Because {
		lines = append(lines, "asks: "+because)
	}
	for i := range d.Assessments {
		lines = append(lines, assessmentLine(&d.Assessments[i]))
	}
	return strings.Join(lines, "\n")
}

func assessmentLine(a *dancer.Assessment) string {
	name := a.Option
	if a.Inaction {
		name += "*"
	}
	text := fmt.Sprintf("  %-12s", name)
	for _, x := range a.Indices {
		text += fmt.Sprintf(" %5.2f", x.Worst)
		if x.Unknown {
			text += "?"
		}
	}
	text += fmt.Sprintf("  risk %.2f", a.CascadeRisk)
	if a.FloorBreaksIn > 0 {
		text += fmt.Sprintf(" in %v", a.FloorBreaksIn)
	}
	if !a.Recoverable {
		text += " no way back"
	}
	return text
}
