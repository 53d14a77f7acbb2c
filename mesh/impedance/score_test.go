package impedance

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// condition is a row of the score table: what is changed on an agent that is
// idle and at its class's typical delay.
type condition struct {
	name   string
	change func(*Record)
}

var conditions = []condition{
	{"unmeasured", func(r *Record) { r.DelayMS, r.ProcessingMS = 0, 0 }},
	{"low delay", func(r *Record) { low, _ := r.Class.TypicalDelay(); r.DelayMS = milliseconds(low) }},
	{"top delay", func(*Record) {}},
	{"the same as a round trip", func(r *Record) { r.RoundTripMS, r.DelayMS = r.DelayMS, 0 }},
	{"drift 0.5", func(r *Record) { r.Drift = 0.5 }},
	{"drift 2", func(r *Record) { r.Drift = 2 }},
	{"reliability 0.9", func(r *Record) { r.Reliability = 0.9 }},
	{"reliability 0.5", func(r *Record) { r.Reliability = 0.5 }},
	{"reliability 0", func(r *Record) { r.Reliability = 0 }},
	{"queue 1", func(r *Record) { r.QueueDepth = 1 }},
	{"queue 3", func(r *Record) { r.QueueDepth = 3 }},
	{"queue 10", func(r *Record) { r.QueueDepth = 10 }},
	{"queue 1000", func(r *Record) { r.QueueDepth = 1000 }},
	{"five times the delay", func(r *Record) { r.DelayMS *= 5 }},
	{"degraded", func(r *Record) { r.Operation = Degraded }},
	{"offline", func(r *Record) { r.Operation = Offline }},
	{"quarantined", func(r *Record) { r.Operation = Quarantined }},
	{"invalid state", func(r *Record) { r.Operation = Quarantined + 1 }},
	{"delay 1 ms, processing 3 ms", func(r *Record) { r.DelayMS, r.ProcessingMS = 1, 3 }},
	{"delay not a number", func(r *Record) { r.DelayMS = math.NaN() }},
	{"drift not a number", func(r *Record) { r.Drift = math.NaN() }},
	{"delay infinite", func(r *Record) { r.DelayMS = math.Inf(1) }},
}

func typical(class Class) Record {
	_, top := class.TypicalDelay()
	return Record{
		Class: class, Operation: Active, Reliability: 1, DelayMS: milliseconds(top),
		ProcessingMS: milliseconds(class.BaseProcessing()) * WeightFactor(1),
	}
}

// TestScoreTable holds the formula: a change of it is a change of this table,
// which `go test ./mesh/impedance -run TestScoreTable -rewrite` writes anew. A
// star marks what is flagged as slow.
func TestScoreTable(t *testing.T) {
	var table bytes.Buffer
	fmt.Fprintf(&table, "%-28s", "class")
	for class := ClassUnknown; class <= ClassHuman; class++ {
		fmt.Fprintf(&table, "%6v", class)
	}
	for _, c := range conditions {
		fmt.Fprintf(&table, "\n%-28s", c.name)
		for class := ClassUnknown; class <= ClassHuman; class++ {
			r := typical(class)
			c.change(&r)
			mark := " "
			if Score(r) > SlowScore {
				mark = "*"
			}
			fmt.Fprintf(&table, "%5d%s", Score(r), mark)
		}
	}
	table.WriteByte('\n')
	path := filepath.Join("testdata", "scores.txt")
	if *rewrite {
		if err := os.WriteFile(path, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(table.Bytes(), want) {
		t.Errorf("have\n%s\nwant\n%s", &table, want)
	}
}

// TestScoreAgainstFlags: a mark that flags agents which do what their class does
// would flag half of a fleet; one that leaves out the overloaded flags nobody.
func TestScoreAgainstFlags(t *testing.T) {
	for class := ClassUnknown; class < ClassHuman; class++ {
		r := typical(class)
		if Score(r) > SlowScore {
			t.Errorf("%v is flagged at its typical delay: %d", class, Score(r))
		}
		r.DelayMS, r.QueueDepth = 5*r.DelayMS, 60
		if Score(r) <= SlowScore {
			t.Errorf("%v is not flagged at five times its delay with 60 in its queue: %d", class, Score(r))
		}
	}
	r := Record{Class: ClassEdge, Operation: Active, Reliability: 1, DelayMS: 799, ProcessingMS: 1}
	if Score(r) != SlowScore {
		t.Errorf("a wait of 800 ms scores %d", Score(r))
	}
}

// TestScoreIsMonotonic: nothing that gets worse lowers the score, and whoever can
// be asked is below MaxScore.
func TestScoreIsMonotonic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Record{
			Class: Class(rapid.IntRange(0, int(ClassLocal)).Draw(t, "class")), Operation: Active, DelayMS: rapid.Float64Range(1e-3, 1e6).Draw(t, "delay"),
			ProcessingMS: rapid.Float64Range(1e-3, 1e6).Draw(t, "processing"), QueueDepth: rapid.Uint32Range(0, 1000).Draw(t, "queue"),
			Drift: rapid.Float64Range(0, 9).Draw(t, "drift"), Reliability: rapid.Float64Range(0.01, 1).Draw(t, "reliability"),
		}
		if Score(r) >= MaxScore {
			t.Fatalf("score %d of an agent that can be asked", Score(r))
		}
		more := rapid.Float64Range(0, 1).Draw(t, "more")
		for name, worse := range map[string]func(*Record){
			"delay": func(r *Record) { r.DelayMS += more * 100 }, "processing": func(r *Record) { r.ProcessingMS += more * 100 },
			"queue": func(r *Record) { r.QueueDepth++ }, "drift": func(r *Record) { r.Drift += more },
			"reliability": func(r *Record) { r.Reliability *= 1 - more/2 }, "operation": func(r *Record) { r.Operation = Degraded },
			"no delay of one way": func(r *Record) { r.RoundTripMS, r.DelayMS = r.DelayMS*(1+more), 0 },
		} {
			w := r
			worse(&w)
			if Score(w) < Score(r) {
				t.Fatalf("%s: %d became %d", name, Score(r), Score(w))
			}
		}
	})
}
