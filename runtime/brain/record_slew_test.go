package brain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/runtime/link"
	"dancer/runtime/replay"
)

// slowMuseum is the museum's robot with a rate, a controlled lease stop, a line
// that is read back and a counter that may be stuck.
func slowMuseum(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for file, change := range map[string]*strings.Replacer{
		"robot-sim.yaml": strings.NewReplacer(
			"signals:\n", "signals:\n  wheel: {range: [0, 1], stale_after: 1s, start: 0}\n",
			"range: [0, 1], safe: 0}", "range: [0, 1], safe: 0, rate: 1, read_back: {signal: wheel, within: 300ms}}",
			"stop: 1}", "stop: 1, ramp: 250ms}",
			"people: {", "people: {stuck_after: 6s, ",
		),
		"manual.yaml":   strings.NewReplacer("reflexes:\n", "reflexes:\n  - {name: crowd, when: \"people > 40\", set: {brake: 1}, confirm: 1000}\n"),
		"fire.scenario": strings.NewReplacer(),
	} {
		text, err := os.ReadFile("../../examples/museum/" + file)
		if err != nil {
			t.Fatal(err)
		}
		changed := change.Replace(string(text))
		if changed == string(text) && file != "fire.scenario" {
			t.Fatalf("%s has not what is replaced", file)
		}
		if err := os.WriteFile(filepath.Join(folder, file), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, "robot-sim.yaml")
}

// TestRatesAndStopsReplay: a recording of outputs with a rate, of controlled lease
// stops, of a stuck signal and of a torn line comes out again to the last byte.
func TestRatesAndStopsReplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slow.mcap")
	between, fired := 0, map[string]bool{}
	stuck, told := false, ""
	s := simulateRobot(t, slowMuseum(t), 30*time.Second, path, "", func(s *simulation) {
		s.stopped = func(at time.Duration) bool { // the brain says nothing for half a second
			s.world.torn = at > 2*time.Second && at < 6*time.Second
			if v := s.spine.Output(0); v > 0 && v < 0.45 {
				between++
			}
			for i := range s.manual.Rules {
				if active, _ := s.brain.ends.Segment.LoadRule(i); active {
					fired[s.manual.Rules[i].Name] = true
				}
			}
			for i := range s.manual.Signals {
				if _, _, v := s.brain.ends.Segment.LoadSignal(i); s.manual.Signals[i].Name == "people" && v == hal.Stuck {
					stuck, told = true, strings.Join(s.brain.signalProblems(), "\n")
				}
			}
			return at > 23*time.Second && at < 23500*time.Millisecond
		}
	})
	r := replayed(t, replay.Options{}, path)
	if describe(t, r); !r.Identical() || r.Gaps != 0 || r.Reflexes.Skipped != 0 {
		t.Error("it differs")
	}
	if between < 20 {
		t.Errorf("drive was on its way at %d looks", between)
	}
	if !fired["read-back-drive"] || !fired["crowd"] || !stuck {
		t.Errorf("fired %v, people stuck %v", fired, stuck)
	}
	if !strings.Contains(told, "signal people is stuck: it has not changed for 6s") {
		t.Errorf("the status says %q", told)
	}
	checkStuckIsExplained(t, s)
}

// checkStuckIsExplained makes a decision of a robot whose people counter is stuck.
func checkStuckIsExplained(t *testing.T, s *simulation) {
	t.Helper()
	in := dancer.Input{Robot: "slow", Values: make([]float64, len(s.manual.Signals)+len(s.manual.Outputs)), Validity: make([]hal.Validity, len(s.manual.Signals)), Age: make([]time.Duration, len(s.manual.Signals))}
	for i := range s.manual.Signals {
		if in.Validity[i] = hal.Valid; s.manual.Signals[i].Name == "people" {
			in.Validity[i] = hal.Stuck
		}
	}
	d := dancer.Decide(s.manual, in, s.brain.partner.Corners, s.brain.partner.Forecast)
	if text := strings.Join(d.Explain(), "\n"); !strings.Contains(text, "signal people: stuck, not used") {
		t.Errorf("why says\n%s", text)
	}
	e := link.Event{Kind: link.EventSignal, Flags: uint8(hal.Stuck)}
	if body, ok := s.brain.signalBody(0, &e).(signalEvent); !ok || body.State != "stuck" || body.Value != nil {
		t.Errorf("the event says %+v", body)
	}
}
