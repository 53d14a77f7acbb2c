package swarm_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/dancer"
	"dancer/dancer/swarm"
	"dancer/hal"
)

var rewrite = flag.Bool("rewrite", false, "write golden files; review them as a diff")

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

var signals = []hal.Signal{
	{Name: "range", Unit: "m", Maximum: 8}, {Name: "smoke", Unit: "ppm", Maximum: 1000},
	{Name: "bumper", Boolean: true, Maximum: 1}, {Name: "count"},
}

func decision(values ...float64) *dancer.Decision {
	d := &dancer.Decision{Robot: "r1", ID: "d1", ManualHash: "sha256:a", At: noon}
	for i, x := range values {
		d.Signals = append(d.Signals, dancer.SignalSnapshot{Name: signals[i].Name, Value: x, Validity: "valid"})
	}
	return d
}

func TestSituation(t *testing.T) {
	tests := []struct {
		name string
		d    *dancer.Decision
		text string
	}{
		{"bins", decision(3, 90, 1, 2.7), "bumper=1 count=2 range=7 smoke=1"},
		{"the top belongs to the last bin", decision(8, 1000, 0, 0), "bumper=0 count=0 range=19 smoke=19"},
		{"out of range", decision(-1, 5000, 0, 0), "bumper=0 count=0 range=0 smoke=19"},
	}
	for _, test := range tests {
		if got := swarm.SituationOf(signals, test.d); got.Text != test.text || len(got.Key) != 16 {
			t.Errorf("%s: %+v, want %q", test.name, got, test.text)
		}
	}
}

// TestSituationIsOfTheWorldAlone: another manual, other outputs, another order of
// the signals and a small move leave it as it is; another bin does not.
func TestSituationIsOfTheWorldAlone(t *testing.T) {
	base := swarm.SituationOf(signals, decision(3, 90, 1, 2))
	other := decision(3.1, 92, 1, 2)
	other.ManualHash, other.Outputs = "sha256:b", []dancer.NamedValue{{Name: "drive", Value: 1}}
	other.Signals[0], other.Signals[3] = other.Signals[3], other.Signals[0]
	other.Signals = append(other.Signals, dancer.SignalSnapshot{Name: "mean(smoke, 2s)", Value: 80, Validity: "valid"}) // derived by that manual
	if got := swarm.SituationOf(signals, other); got != base {
		t.Errorf("%+v, want %+v", got, base)
	}
	moved := decision(3.3, 92, 1, 2)
	if got := swarm.SituationOf(signals, moved); got.Key == base.Key {
		t.Error("another bin is the same situation")
	}
	moved.Signals[0].Validity = "stale"
	if got := swarm.SituationOf(signals, moved); got.Text != "bumper=1 count=2 range=invalid smoke=1" {
		t.Errorf("invalid: %q", got.Text)
	}
}

func ruled(robot, option string, weight swarm.Weight) swarm.Ruled {
	return swarm.Ruled{Robot: robot, Cell: "east", Decision: "d-" + robot, Situation: swarm.Situation{Key: "k", Text: "smoke=4"},
		Option: option, Outcome: dancer.OutcomeAct, Weight: weight, At: noon}
}

func TestCompare(t *testing.T) {
	elsewhere, under, place := ruled("b", "vent", 1), ruled("b", "halt", 1), ruled("b", "vent", 1)
	elsewhere.Cell = "west"
	under.Outcome = dancer.OutcomeUnderFloor
	place.Situation.Key = "other"
	tests := []struct {
		name    string
		a, b    swarm.Ruled
		teacher string
	}{
		{"another option", ruled("a", "halt", 1), ruled("b", "vent", 1), "a"},
		{"the higher weight teaches", ruled("a", "halt", 0), ruled("b", "vent", 1), "b"},
		{"the same option", ruled("a", "halt", 1), ruled("b", "halt", 1), ""},
		{"the same robot", ruled("a", "halt", 1), ruled("a", "vent", 1), ""},
		{"another cell", ruled("a", "halt", 1), elsewhere, ""},
		{"another situation", ruled("a", "halt", 1), place, ""},
		{"one under the floor", ruled("a", "halt", 1), under, "a"},
		{"nobody", ruled("", "halt", 1), ruled("b", "vent", 1), ""},
	}
	for _, test := range tests {
		m, ok := swarm.Compare(test.a, test.b)
		back, again := swarm.Compare(test.b, test.a)
		if ok != (test.teacher != "") || m.TeacherID != test.teacher || ok != again || !reflect.DeepEqual(m, back) {
			t.Errorf("%s: %v %+v, backwards %v %+v", test.name, ok, m, again, back)
		}
	}
}

func TestMarkerIDIgnoresWeight(t *testing.T) {
	a, _ := swarm.Compare(ruled("a", "halt", 1), ruled("b", "vent", 0))
	b, _ := swarm.Compare(ruled("a", "halt", 0), ruled("b", "vent", 1))
	c, _ := swarm.Compare(ruled("a", "vent", 0), ruled("b", "halt", 1))
	if a.MarkerID != b.MarkerID || a.MarkerID == c.MarkerID {
		t.Errorf("ids %s %s %s", a.MarkerID, b.MarkerID, c.MarkerID)
	}
}

func TestAppend(t *testing.T) {
	m, _ := swarm.Compare(ruled("a", "halt", 1), ruled("b", "vent", 1))
	good := swarm.Trial{Success: true, Context: "k", Decision: "x", At: noon}
	tests := []struct {
		robot, option string
		trial         swarm.Trial
		want          bool
	}{
		{"a", "halt", good, true},
		{"b", "vent", swarm.Trial{Context: "k"}, true},
		{"a", "vent", good, false},
		{"c", "halt", good, false},
		{"a", "halt", swarm.Trial{Success: true, Context: "elsewhere"}, false},
	}
	for _, test := range tests {
		if got := m.Append(test.robot, test.option, test.trial); got != test.want {
			t.Errorf("Append(%s, %s, %+v) = %v", test.robot, test.option, test.trial, got)
		}
	}
	if m.TeacherTally != (swarm.Tally{Trials: 1, Successes: 1}) || m.StudentTally != (swarm.Tally{Trials: 1}) || m.EvidenceDelta != 1 {
		t.Errorf("tallies %+v %+v, delta %v", m.TeacherTally, m.StudentTally, m.EvidenceDelta)
	}
	for range 200 {
		m.Append("a", "halt", good)
	}
	if len(m.TeacherOutcomes) != swarm.TrialLimit || m.TeacherTally.Trials != 201 {
		t.Errorf("%d trials kept, %d counted", len(m.TeacherOutcomes), m.TeacherTally.Trials)
	}
	m.ResolvedAt = &noon
	if m.Append("a", "halt", good) {
		t.Error("a resolved marker takes a trial")
	}
}

func TestDetector(t *testing.T) {
	var d swarm.Detector
	if got := d.Observe(ruled("a", "halt", 1)); got != nil {
		t.Fatalf("alone: %+v", got)
	}
	if got := d.Observe(ruled("b", "halt", 1)); got != nil {
		t.Fatalf("agreed: %+v", got)
	}
	got := d.Observe(ruled("c", "vent", 1))
	if len(got) != 2 {
		t.Fatalf("%d markers, want one with each of a and b", len(got))
	}
	if again := d.Observe(ruled("c", "vent", 1)); again != nil {
		t.Errorf("given twice: %+v", again)
	}
	old := ruled("c", "halt", 1)
	old.At = noon.Add(-time.Second)
	d.Observe(old)
	later := ruled("d", "vent", 1)
	if got := d.Observe(later); len(got) != 2 {
		t.Errorf("%d markers, want a and b: what is older than what is known does not count", len(got))
	}
	var restarted swarm.Detector
	restarted.Known(&got[0])
	restarted.Observe(ruled("a", "halt", 1))
	if again := restarted.Observe(ruled("c", "vent", 1)); again != nil {
		t.Errorf("given again after a restart: %+v", again)
	}
}

// TestDetectorOrder: whatever the order in which a cell's rulings arrive, the same
// markers are found, by every robot.
func TestDetectorOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var rulings []swarm.Ruled
		for i := range rapid.IntRange(0, 8).Draw(t, "robots") {
			r := ruled(fmt.Sprintf("r%d", i), rapid.SampledFrom([]string{"halt", "vent", "go"}).Draw(t, "option"), swarm.Weight(rapid.IntRange(-1, 1).Draw(t, "weight")))
			r.Situation.Key = rapid.SampledFrom([]string{"k1", "k2"}).Draw(t, "situation")
			rulings = append(rulings, r)
		}
		all := func(list []swarm.Ruled) map[string]swarm.DecisionMarker {
			var d swarm.Detector
			out := map[string]swarm.DecisionMarker{}
			for _, r := range list {
				for _, m := range d.Observe(r) {
					out[m.MarkerID] = m
				}
			}
			return out
		}
		shuffled := rapid.Permutation(rulings).Draw(t, "order")
		if a, b := all(rulings), all(shuffled); !reflect.DeepEqual(a, b) {
			t.Fatalf("the order matters:\n%+v\n%+v", a, b)
		}
	})
}

func TestDetectorIsBounded(t *testing.T) {
	var d swarm.Detector
	for i := range 3000 {
		r := ruled("a", "halt", 1)
		r.Situation.Key = fmt.Sprint(i)
		d.Observe(r)
	}
	r := ruled("b", "vent", 1)
	r.Situation.Key = "2999"
	if got := d.Observe(r); len(got) != 1 {
		t.Errorf("the newest is forgotten: %d markers", len(got))
	}
	r.Situation.Key = "0"
	if got := d.Observe(r); got != nil {
		t.Errorf("the oldest of 3000 is remembered")
	}
}

// TestMarkerGolden: the stored form of version 1.
func TestMarkerGolden(t *testing.T) {
	m, _ := swarm.Compare(ruled("a", "halt", 1), ruled("b", "vent", 0))
	outcome := &dancer.Outcome{Decision: "d-a", Followed: []dancer.Index{{Worst: 6.5}, {Worst: 4}}}
	m.Append("a", "halt", swarm.TrialOf(m.Situation, outcome, 0.5, noon))
	got, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/marker-v1.json"
	if *rewrite {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(append(got, '\n'), want) {
		t.Errorf("stored form changed:\n%s", got)
	}
	var back swarm.DecisionMarker
	if err := json.Unmarshal(want, &back); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("read back: %+v, %v", back, err)
	}
}
