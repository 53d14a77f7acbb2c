package brain_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/storage"
	"dancer/storage/bolt"
)

// calibration is the stored record, as any program can read it.
type calibration struct {
	Manual      string             `json:"manual"`
	Calibration dancer.Calibration `json:"calibration"`
}

// TestOutcomesCalibrateAcrossARestart: outcomes are counted while the robot runs,
// the count is in the decisions, and a new brain goes on with it.
func TestOutcomesCalibrateAcrossARestart(t *testing.T) {
	r := start(t, gasRobot("learner", "alone", "{off: true}"), gasManual, "at 1h gas = 1\n")
	r.control("start tester")
	counted := func() (n int) {
		for _, d := range r.newestDecisions(1) {
			if d.Calibration != nil {
				n = d.Calibration.Outcomes()
			}
		}
		return n
	}
	r.until(30*time.Second, "three outcomes are counted", func() bool { return counted() >= 3 })
	before := counted()
	time.Sleep(1500 * time.Millisecond) // the store is written within a second
	r.killBrain()
	r.until(20*time.Second, "a new brain decides", func() bool { return r.has("brain", map[string]any{"state": "died"}) && len(r.newestDecisions(1)) > 0 })
	r.until(20*time.Second, "the new brain goes on counting", func() bool { return counted() >= before })
	store := r.read()
	repository := storage.NewRepository[calibration](store, storage.TableState, storage.KindState)
	stored, err := repository.Get("calibration")
	if err != nil || stored.Calibration.Check() != nil || stored.Calibration.Outcomes() < 3 || !strings.HasPrefix(stored.Manual, "sha256:") {
		t.Fatalf("stored %+v: %v", stored, err)
	}
	for _, b := range stored.Calibration.Bins {
		if b.Bin != dancer.CalibrationBins-1 || b.Successes != b.Outcomes {
			t.Errorf("bin %+v of a robot that is sure and to whom nothing happens", b)
		}
	}
}

// newestDecisions asks the robot's page; nil while it does not answer.
func (r *robot) newestDecisions(n int) []dancer.Decision {
	r.t.Helper()
	var out struct {
		Decisions []dancer.Decision `json:"decisions"`
	}
	if err := r.get(fmt.Sprintf("/api/v1/decisions?limit=%d", n), &out); err != nil {
		return nil
	}
	return out.Decisions
}

// TestDamagedCalibrationStartsAnew: and says so; decisions go on.
func TestDamagedCalibrationStartsAnew(t *testing.T) {
	for name, damage := range map[string]func(*bolt.Store) error{
		"counts that cannot be": func(store *bolt.Store) error {
			bad := calibration{Manual: "sha256:00", Calibration: dancer.Calibration{Version: 9, Bins: []dancer.CalibrationBin{{Bin: 3, Outcomes: 2, Successes: 5}}}}
			return storage.NewRepository[calibration](store, storage.TableState, storage.KindState).Put(context.Background(), "calibration", bad)
		},
		"bytes that are no record": func(store *bolt.Store) error {
			return store.Write(context.Background(), storage.Change{Table: storage.TableState, Key: "calibration", Value: []byte("DRgarbage")})
		},
	} {
		t.Run(name, func(t *testing.T) {
			data, err := os.MkdirTemp("", "dancer-brain-")
			if err != nil {
				t.Fatal(err)
			}
			store, err := bolt.Open(data, "robot")
			if err != nil {
				t.Fatal(err)
			}
			if err := damage(store); err != nil {
				t.Fatal(err)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
			r := startIn(t, data, gasRobot("damaged", "alone", "{off: true}"), gasManual, "at 1h gas = 1\n")
			r.until(20*time.Second, "it decides", func() bool { return len(r.newestDecisions(1)) > 0 })
			if d := r.newestDecisions(1)[0]; d.Calibration != nil {
				t.Errorf("a decision with %+v", d.Calibration)
			}
			text, _ := os.ReadFile(r.stderr.Name())
			if !bytes.Contains(text, []byte("read calibration: it starts anew")) {
				t.Errorf("it does not say so:\n%s", text)
			}
		})
	}
}

// TestModelErrorWidensAndIsTold: a leak that the model knows nothing of, so that
// the disturbance of gas is widened to its limit: told once, in the robot's state
// and status, and in the decisions.
func TestModelErrorWidensAndIsTold(t *testing.T) {
	robotYAML := strings.Replace(gasRobot("misfit", "alone", "{off: true}"), `"fan > 0 ? gas * 0.9 : gas"`, `"gas + 7 ppm"`, 1)
	r := start(t, robotYAML, gasManual, "at 1h gas = 1\n")
	r.until(30*time.Second, "the model's misfit is told", func() bool {
		return r.has("model", map[string]any{"signal": "gas", "capped": true})
	})
	r.until(10*time.Second, "decisions allow for it", func() bool {
		ds := r.newestDecisions(1)
		return len(ds) > 0 && ds[0].Widening != nil && ds[0].Widening.Ranges[0] == dancer.DisturbanceRange{Signal: "gas", Minimum: 0, Maximum: 5.5}
	})
	var status struct {
		Problems []string `json:"problems"`
	}
	r.until(5*time.Second, "the status says what to do", func() bool {
		return r.get("/api/v1/status", &status) == nil && strings.Contains(strings.Join(status.Problems, "\n"), "the model does not fit gas")
	})
	var agents json.RawMessage
	r.until(5*time.Second, "the state has the figures", func() bool {
		return r.get("/api/v1/agents", &agents) == nil && bytes.Contains(agents, []byte(`"widened":[0,5.5]`))
	})
	if n := len(r.events("model")); n > 3 {
		t.Errorf("told %d times", n)
	}
	text := r.text("/metrics")
	for _, want := range []string{
		"dancer_agents_alive 1\n", // itself, though its mesh is off
		"# TYPE dancer_decisions_total counter\n", "# TYPE dancer_decision_confidence_ratio gauge\n",
		"dancer_model_widened{signal=\"gas\"} 1\n", "# TYPE dancer_model_capped_total counter\n",
		"# TYPE dancer_recording_messages_total counter\n", "dancer_recording_lost_total 0\n", "dancer_recording_stopped 0\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics has no %q:\n%s", want, text)
		}
	}
	page, err := os.ReadFile("../../docs/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile(`(?m)^# TYPE (\S+) (\S+)$`).FindAllStringSubmatch(text, -1) {
		if !bytes.Contains(page, []byte("`"+found[1]+"`")) {
			t.Errorf("docs/http-api.md does not have the metric %s", found[1])
		}
		if (found[2] == "counter") != strings.HasSuffix(found[1], "_total") {
			t.Errorf("the metric %s is a %s", found[1], found[2])
		}
	}
}
