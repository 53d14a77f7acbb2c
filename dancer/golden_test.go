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

// TestOldRecords: what was stored before the parts of the confidence, the
// calibration, the widening and the baseline were kept is read, says what it said
// and is written the same. These files are never rewritten.
func TestOldRecords(t *testing.T) {
	same := func(path string, v any) {
		t.Helper()
		old, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		decoder := json.NewDecoder(bytes.NewReader(old))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(v); err != nil {
			t.Fatal(err)
		}
		again, err := json.MarshalIndent(v, "", " ")
		if err != nil || !bytes.Equal(append(again, '\n'), old) {
			t.Errorf("%s comes back as\n%s, %v", path, again, err)
		}
	}
	var d dancer.Decision
	same("testdata/decision-v1.json", &d)
	if d.Verdict.Option != "extinguish" || d.Verdict.Parts != nil || d.Calibration != nil || d.Widening != nil || d.Baseline != "" {
		t.Errorf("read %+v", d)
	}
	text := strings.Join(d.Explain(), "\n")
	if !strings.Contains(text, "confidence: 1;") || strings.Contains(text, "confidence is") {
		t.Errorf("an old record explains what it does not know:\n%s", text)
	}
	var p partner.Partner
	if again := dancer.Decide(museumFromTable(t), d.Input(), p.Corners, p.Forecast); again.Verdict.Option != d.Verdict.Option {
		t.Errorf("decided again: %s", again.Verdict.Option)
	}
	same("testdata/outcome-v1.json", &dancer.Outcome{})
}

// TestDecisionGolden: the stored form of version 1 with all that it can hold,
// which must also come back.
func TestDecisionGolden(t *testing.T) {
	m := museumFromTable(t)
	m.Baseline = "halt"
	in := parseInput(t, m, []string{"range=5 smoke=85 people=1 | drive=0.5 brake=0 extinguisher=0", "age smoke 1400ms"})
	in.Calibration = bins([3]float64{0.55, 40, 31}, [3]float64{0.95, 12, 12})
	in.Widening = &dancer.Widening{Version: 4, Ranges: []dancer.DisturbanceRange{{Signal: "smoke", Minimum: -0.5, Maximum: 2.25}}}
	d := decideAndReplay(t, m, in)
	d.ID, d.At = "01JD0000000000000000000000", time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	d.Running, d.Who, d.Elapsed = d.Verdict.Option, dancer.WhoCommand, 740*time.Microsecond
	got, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/decision-v1-learnt.json", append(got, '\n'))
	golden(t, "testdata/why-learnt.txt", []byte(strings.Join(d.Explain(), "\n")+"\n"))
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
	done := tracker.Feed(d.Monotonic+3*time.Second, []float64{5, 30, 1, 0, 0, 1})
	if len(done) != 1 {
		t.Fatalf("%d outcomes", len(done))
	}
	got, err := json.MarshalIndent(done[0], "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/outcome-v1-scored.json", append(got, '\n'))
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
