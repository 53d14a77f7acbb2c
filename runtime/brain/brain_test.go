package brain_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/partner"
	"dancer/runtime/config"
	"dancer/storage"
	"dancer/storage/bolt"
)

const gasManual = `values:
  - {name: human_safety, floor: 5}
  - {name: resources}
  - {name: task}
reflexes:
  - {name: estop, when: "estop", set: safe, latch: operator, stop: 0}
model:
  step: 50ms
  next: {gas: "gas - (fan > 0 ? 1 ppm : 0 ppm) + d.gas"}
  disturbance: {gas: [0, 1]}
  horizon: 500ms
impact:
  human_safety: "10 - gas / 100 ppm - (gas > 100 ppm ? 2 * drive + 0.3 * fan : 0)"
  resources: "10 - 2 * fan"
  task: "10 * drive"
actions:
  - {name: patrol, set: {drive: 0.5, fan: 0}}
  - {name: halt, set: {drive: 0, fan: 0}, fallback: true}
  - {name: ventilate, set: {drive: 0, fan: 1}, disruption: 3}
escalation: {hold: halt, deadline: 5m, on_timeout: halt}
`

func gasRobot(name, cell, mesh string) string {
	return fmt.Sprintf(`robot: %s
board: sim
cell: %s
manual: manual.yaml
scenario: test.scenario
listen: "%%LISTEN%%"
signals:
  gas:   {unit: ppm, range: [0, 1000], stale_after: 2s, start: 0, publish: true}
  estop: {pin: GPIO27, pull: up, active: high, start: 0}
outputs:
  drive: {pin: GPIO18, pwm: 1kHz, range: [0, 1], safe: 0}
  fan:   {pin: GPIO24, safe: 0}
plant:
  next: {gas: "fan > 0 ? gas * 0.9 : gas"}
lease: {expires_after: 3s, stop: 1}
conductor: {broker: "off"}
mesh: %s
`, name, cell, mesh)
}

// read opens the robot's store after its end.
func (r *robot) read() *bolt.Store {
	r.t.Helper()
	r.end()
	store, err := bolt.Open(r.data, "robot")
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { store.Close() })
	return store
}

func TestDecisionsDriveOutputsAndAreKept(t *testing.T) {
	r := start(t, gasRobot("keeper", "alone", "{off: true}"), gasManual, "at 1h gas = 1\n")
	r.until(20*time.Second, "a first decision", func() bool { return len(r.events("decision")) > 0 })
	if r.has("output", map[string]any{"name": "drive", "value": 0.5}) {
		t.Fatal("it moved before anybody said start")
	}
	r.control("start tester")
	r.until(20*time.Second, "it patrols", func() bool {
		return r.has("output", map[string]any{"name": "drive", "value": 0.5, "who": "command"})
	})
	time.Sleep(time.Second) // the horizon has to pass twice
	r.control("stop tester")
	r.until(5*time.Second, "it stops", func() bool {
		return r.has("mode", map[string]any{"mode": "safe", "why": "operator"})
	})

	store := r.read()
	decisions := storage.NewRepository[dancer.Decision](store, storage.TableDecisions, storage.KindDecision)
	newest, err := decisions.Newest(1000)
	if err != nil || len(newest) < 20 {
		t.Fatalf("%d decisions are stored, want one every 50 ms: %v", len(newest), err)
	}
	for i := range newest {
		if newest[i].ID == "" || len(newest[i].Verdict.Why) == 0 || len(newest[i].Assessments) == 0 {
			t.Fatalf("a decision without its reasons: %+v", newest[i])
		}
	}
	outcomes := storage.NewRepository[dancer.Outcome](store, storage.TableOutcomes, storage.KindOutcome)
	followed, err := outcomes.Newest(10)
	if err != nil || len(followed) == 0 {
		t.Fatalf("no outcome is stored: %v", err)
	}
	for _, o := range followed {
		if o.Option != "patrol" || len(o.Predicted) != 3 || len(o.Followed) != 3 || o.Followed[0].Worst != 10 {
			t.Fatalf("outcome %+v: want patrol with nothing happening to anybody", o)
		}
	}
}

// TestPageTellsWhatTheSpineDoes: who watches the robot's page hears of its
// reflexes and latches, as the stream of --events does.
func TestPageTellsWhatTheSpineDoes(t *testing.T) {
	r := start(t, gasRobot("told", "alone", "{off: true}"), gasManual, "at 3s estop = 1\n")
	var stream *http.Response
	r.until(20*time.Second, "the page", func() (there bool) {
		var err error
		stream, err = http.Get(r.page + "/api/v1/events")
		return err == nil
	})
	defer stream.Body.Close()
	missing := map[string]bool{"reflex": true, "latch": true}
	end := time.AfterFunc(20*time.Second, func() { stream.Body.Close() })
	defer end.Stop()
	for lines := bufio.NewScanner(stream.Body); len(missing) > 0 && lines.Scan(); {
		if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok && strings.Contains(data, `"rule":"estop"`) {
			var e struct{ Kind string }
			if err := json.Unmarshal([]byte(data), &e); err != nil {
				t.Fatal(err)
			}
			delete(missing, e.Kind)
		}
	}
	if len(missing) > 0 {
		t.Errorf("the page did not tell of %v", missing)
	}
}

// TestForecastIsCutShort: with far more roll-outs allowed than there is time for,
// every decision still comes, says how many it completed, and can be made again
// from what is stored.
func TestForecastIsCutShort(t *testing.T) {
	t.Setenv(rolloutsOf, "100000")
	manual := strings.Replace(gasManual, "horizon: 500ms", "horizon: 5m", 1)
	r := start(t, gasRobot("hurried", "alone", "{off: true}"), manual, "at 1h gas = 1\n")
	r.until(30*time.Second, "a decision", func() bool { return len(r.events("decision")) > 0 })
	time.Sleep(2 * time.Second)
	decisions, err := storage.NewRepository[dancer.Decision](r.read(), storage.TableDecisions, storage.KindDecision).Newest(1000)
	if err != nil || len(decisions) == 0 {
		t.Fatalf("%d decisions are stored: %v", len(decisions), err)
	}
	d := decisions[0]
	for i := range decisions { // the quickest one to make again
		if decisions[i].Completed < d.Completed {
			d = decisions[i]
		}
		if c := &decisions[i]; c.Completed < 16 || c.Completed >= c.Budget || c.Budget != 100000 || c.Assessments[0].Rollouts != c.Completed {
			t.Errorf("completed %d of %d, %d roll-outs", c.Completed, c.Budget, c.Assessments[0].Rollouts)
		}
	}
	path, _ := files(t, gasRobot("hurried", "alone", "{off: true}"), manual, "at 1h gas = 1\n")
	loaded, problems := config.Load(path, config.Options{})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	var p partner.Partner
	again := dancer.Decide(loaded.Manual, d.Input(), p.Corners, p.Forecast)
	if !reflect.DeepEqual(again.Assessments, d.Assessments) || !reflect.DeepEqual(again.Verdict, d.Verdict) || again.Completed != d.Completed {
		t.Errorf("made again:\n%+v\nstored:\n%+v", again, d)
	}
}

// question waits for the open question and gives its id.
func (r *robot) question() string {
	r.t.Helper()
	var id string
	r.until(20*time.Second, "a question", func() bool {
		for _, e := range r.events("escalation") {
			if e["state"] == "open" {
				id = e["id"].(string)
			}
		}
		return id != ""
	})
	return id
}

func (r *robot) rule(id, verdict, option string) map[string]any {
	r.t.Helper()
	body, _ := json.Marshal(map[string]string{"verdict": verdict, "option": option, "by": "tester"})
	response, err := http.Post(r.page+"/api/v1/escalations/"+id+"/ruling?wait=5s", "application/json", bytes.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	var answer map[string]any
	if err := json.Unmarshal(text, &answer); err != nil {
		r.t.Fatalf("%s: %s", response.Status, text)
	}
	return answer
}

func TestRulingAtTheRobotPassesTheFloors(t *testing.T) {
	r := start(t, gasRobot("asker", "alone", "{off: true}"), gasManual, "at 1s gas = 700\n")
	r.control("start tester")
	id := r.question()
	if !r.has("decision", map[string]any{"running": "halt"}) {
		t.Fatal("the least-violating option does not run while the question is open")
	}
	if answer := fmt.Sprint(r.rule(id, "approve", "patrol")); !strings.Contains(answer, "vetoed") {
		t.Fatalf("approve patrol: %s: a vetoed option must not be approved", answer)
	}
	if answer := fmt.Sprint(r.rule(id, "approve", "ventilate")); !strings.Contains(answer, "applied") {
		t.Fatalf("approve ventilate: %s", answer)
	}
	r.until(10*time.Second, "the fan runs on account of the ruling", func() bool {
		return r.has("output", map[string]any{"name": "fan", "value": 1.0}) && r.has("decision", map[string]any{"running": "ventilate", "who": "ruling"})
	})
}

func TestQuestionOutlivesTheBrain(t *testing.T) {
	r := start(t, gasRobot("survivor", "alone", "{off: true}"), gasManual, "at 1s gas = 700\n")
	id := r.question()
	r.until(10*time.Second, "the question is stored", func() bool {
		response, err := http.Get(r.page + "/api/v1/escalations?state=open")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return bytes.Contains(text, []byte(id))
	})
	time.Sleep(500 * time.Millisecond) // the poster writes within milliseconds
	r.killBrain()
	r.until(20*time.Second, "a new brain decides", func() bool {
		return len(r.events("brain")) >= 2 && r.has("brain", map[string]any{"state": "died"})
	})
	r.until(20*time.Second, "the new brain goes on with the question", func() bool {
		decisions := r.events("decision")
		return len(decisions) > 0 && decisions[len(decisions)-1]["question"] == id && len(r.events("brain")) >= 3
	})
	for _, e := range r.events("escalation") {
		if e["id"] != id {
			t.Fatalf("the same situation raised another question: %v", e["id"])
		}
	}
}

func TestTwoRobotsThatRuleDifferentlyLeaveAMarker(t *testing.T) {
	cell := fmt.Sprintf("cell-%d", time.Now().UnixNano()%1e9)
	bold := strings.Replace(gasManual, "floor: 5", "floor: 1", 1)
	scenario := "at 2s gas = 620\n"
	a := start(t, gasRobot("careful", cell, "{join: auto}"), gasManual, scenario)
	b := start(t, gasRobot("bold", cell, "{join: auto}"), bold, scenario)
	for _, r := range []*robot{a, b} {
		r.until(40*time.Second, "a marker", func() bool { return len(r.events("marker")) > 0 })
	}
	b.killBrain() // a stored marker outlives the brain
	for _, r := range []*robot{a, b} {
		store := r.read()
		markers := storage.NewRepository[swarm.DecisionMarker](store, storage.TableMarkers, storage.KindMarker)
		found, err := markers.Newest(100)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: no marker is stored: %v", r.name, err)
		}
		for _, m := range found {
			sides := m.TeacherID + " " + m.StudentID
			if !strings.Contains(sides, "careful") || !strings.Contains(sides, "bold") || m.Cell != cell {
				t.Errorf("%s: marker of %s in %s", r.name, sides, m.Cell)
			}
		}
	}
}
