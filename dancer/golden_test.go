package dancer_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/partner"
)

// golden holds bytes against a file of testdata, or writes it with -rewrite.
func golden(t *testing.T, path string, got []byte) {
	t.Helper()
	if *rewrite {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%s\nwant\n%s", path, got, want)
	}
}

// museumFromTable takes the manual of the scenario table.
func museumFromTable(t testing.TB) *dancer.Manual {
	t.Helper()
	text, err := os.ReadFile("testdata/robot-museum.txt")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n\n")
	return parseManual(t, inputLines(first))
}

func burning(t *testing.T, state ...string) (*dancer.Manual, dancer.Decision) {
	t.Helper()
	m := museumFromTable(t)
	var p partner.Partner
	d := dancer.Decide(m, parseInput(t, m, state), p.Corners, p.Forecast)
	d.ID, d.At = "01JD0000000000000000000000", time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d.Running, d.Who, d.Elapsed = d.Verdict.Option, dancer.WhoCommand, 740*time.Microsecond
	return m, d
}

// TestDecisionGolden: the stored form of version 1, which must also come back.
func TestDecisionGolden(t *testing.T) {
	_, d := burning(t, "range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0")
	got, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/decision-v1.json", append(got, '\n'))
	var back dancer.Decision
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, d) {
		t.Errorf("read back: %v\n%+v\nwant\n%+v", err, back, d)
	}
}

func TestQuestionRecordGolden(t *testing.T) {
	m, d := burning(t, "range=5 smoke=400 people=1 | drive=0.5 brake=0 extinguisher=0")
	q := dancer.NewQuestion(m, func() string { return "01JD0000000000000000000001" })
	q.Observe(time.Minute, d)
	got, err := json.MarshalIndent(q.Record(), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/question-v1.json", append(got, '\n'))
	var r dancer.QuestionRecord
	if err := json.Unmarshal(got, &r); err != nil {
		t.Fatal(err)
	}
	if back := dancer.RestoreQuestion(m, nil, r).Record(); !reflect.DeepEqual(back, q.Record()) {
		t.Errorf("restored %+v, want %+v", back, q.Record())
	}
	for _, bad := range []dancer.QuestionRecord{{}, {Version: 2, State: "open", ID: "x"}, {Version: 1, State: "?", ID: "x"}, {Version: 1, State: "open"}} {
		if state, id := dancer.RestoreQuestion(m, nil, bad).State(); state != dancer.QuestionNone || id != "" {
			t.Errorf("restored from %+v: %v %s", bad, state, id)
		}
	}
}

func TestOutcomeGolden(t *testing.T) {
	m, d := burning(t, "range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0")
	tracker := dancer.NewTracker(m)
	tracker.Start(&d)
	done := tracker.Feed(d.Monotonic+3*time.Second, []float64{5, 30, 1, 0, 1, 1})
	if len(done) != 1 {
		t.Fatalf("%d outcomes", len(done))
	}
	got, err := json.MarshalIndent(done[0], "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/outcome-v1.json", append(got, '\n'))
}

// TestExplain: what `dancer why` says.
func TestExplain(t *testing.T) {
	var out strings.Builder
	for _, state := range [][]string{
		{"range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0"},
		{"range=5 smoke=60 people=0 | drive=0.5 brake=0 extinguisher=0"},
		{"range=5 smoke=400 people=1 | drive=0.5 brake=0 extinguisher=0"},
		{"range=5 smoke=10 people=1 | drive=0.5 brake=0 extinguisher=0", "stale range"},
	} {
		_, d := burning(t, state...)
		out.WriteString(strings.Join(d.Explain(), "\n") + "\n\n")
	}
	golden(t, "testdata/why.txt", []byte(out.String()))
}
