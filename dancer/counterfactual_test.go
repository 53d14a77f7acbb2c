package dancer_test

import (
	"encoding/json"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/hal"
	"dancer/partner"
)

func always() bool { return true }

// decider decides with a forecaster of its own.
func decider(m *dancer.Manual) func(dancer.Input) dancer.Decision {
	var p partner.Partner
	return func(in dancer.Input) dancer.Decision { return dancer.Decide(m, in, p.Corners, p.Forecast) }
}

func counterfactuals(t *testing.T, m *dancer.Manual, d *dancer.Decision) []dancer.Counterfactual {
	t.Helper()
	all, left, err := dancer.Counterfactuals(m, d, decider(m), always)
	if err != nil || len(left) > 0 || len(all) != len(m.Signals) {
		t.Fatalf("%d counterfactuals, left %v: %v", len(all), left, err)
	}
	return all
}

// TestCounterfactualWords: what people read.
func TestCounterfactualWords(t *testing.T) {
	m := museumFromTable(t)
	transcript(t, "testdata/counterfactual.txt", func(t *testing.T, input []string) string {
		if len(input) == 0 {
			return ""
		}
		d := decider(m)(parseInput(t, m, input))
		lines := []string{d.Verdict.Outcome + " " + d.Verdict.Option}
		for _, c := range counterfactuals(t, m, &d) {
			lines = append(lines, "  "+c.Words)
		}
		return strings.Join(lines, "\n")
	})
}

// TestCounterfactualsAreTrue tries what they say, on random states: the change has
// the verdict that it names, the neighbour towards the recorded value still has the
// recorded one, every limit of a range has its verdict, and so has its middle.
func TestCounterfactualsAreTrue(t *testing.T) {
	m := museumFromTable(t)
	decide := decider(m)
	source := rand.New(rand.NewPCG(1, 2))
	for range 6 {
		in := parseInput(t, m, []string{"range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0"})
		in.Values[0], in.Values[1], in.Values[2] = 8*source.Float64(), 500*source.Float64(), float64(source.IntN(4))
		if source.IntN(3) == 0 {
			in.Validity[source.IntN(3)] = hal.Stale
		}
		d := decide(in)
		all := counterfactuals(t, m, &d)
		for i := range all {
			holdCounterfactual(t, m, &d, i, &all[i])
		}
		if again := counterfactuals(t, m, &d); !reflect.DeepEqual(all, again) {
			t.Errorf("the same decision gives other counterfactuals:\n%+v\n%+v", all, again)
		}
	}
}

func holdCounterfactual(t *testing.T, m *dancer.Manual, d *dancer.Decision, signal int, c *dancer.Counterfactual) {
	t.Helper()
	decide := decider(m)
	at := func(x float64, option, outcome string) {
		t.Helper()
		in := d.Input()
		in.Values[signal], in.Validity[signal] = x, hal.Valid
		if got := decide(in); got.Verdict.Option != option || got.Verdict.Outcome != outcome {
			t.Errorf("%s = %v: %s %s, and the counterfactual of %v says %s %s", c.Signal, x, got.Verdict.Outcome, got.Verdict.Option, in.Values, outcome, option)
		}
	}
	if !c.Read || c.Cut || c.Decisions == 0 || c.Decisions > 256 || len(c.Ranges) == 0 {
		t.Fatalf("%+v", c)
	}
	fine := (m.Signals[signal].Maximum - m.Signals[signal].Minimum) / 1e4
	for i, r := range c.Ranges {
		at(r.From, r.Option, r.Outcome)
		at(r.To, r.Option, r.Outcome)
		at((r.From+r.To)/2, r.Option, r.Outcome)
		if i > 0 && r.From-c.Ranges[i-1].To > fine*1.001 {
			t.Errorf("%s: a gap between %v and %v", c.Signal, c.Ranges[i-1].To, r.From)
		}
	}
	if first, last := c.Ranges[0].From, c.Ranges[len(c.Ranges)-1].To; first != m.Signals[signal].Minimum || last != m.Signals[signal].Maximum {
		t.Errorf("%s was looked at from %v to %v", c.Signal, first, last)
	}
	if c.Validity != "valid" {
		if c.Below != nil || c.Above != nil {
			t.Errorf("an invalid signal has no below and above: %+v", c)
		}
		return
	}
	if c.Below != nil {
		at(c.Below.At, c.Below.Option, c.Below.Outcome)
		at(min(c.Below.At+fine, c.Value), d.Verdict.Option, d.Verdict.Outcome)
	}
	if c.Above != nil {
		at(c.Above.At, c.Above.Option, c.Above.Outcome)
		at(max(c.Above.At-fine, c.Value), d.Verdict.Option, d.Verdict.Outcome)
	}
	if others := len(c.Ranges) > 1; others != (c.Below != nil || c.Above != nil) {
		t.Errorf("%s: %d ranges, below %v, above %v", c.Signal, len(c.Ranges), c.Below, c.Above)
	}
}

// TestCounterfactualOfConditions: a truth value is tried the other way round, and
// what nothing reads is not searched.
func TestCounterfactualOfConditions(t *testing.T) {
	m := parseManual(t, inputLines(`
signal dark - 0 1 stale 1s
signal name - 0 1
signal odd - 5 5
output x 0 1 safe 0
value safety 5
value task
impact safety = dark > 0 && x > 0 ? 2 : 8 + 0 * odd
impact task = x
action rest x=0 fallback
action go x=1`))
	m.Signals[0].Boolean = true
	d := decider(m)(parseInput(t, m, []string{"dark=1 name=0 odd=5 | x=0"}))
	all := counterfactuals(t, m, &d)
	for i, want := range []string{
		"if dark were false (it is true), go would be chosen",
		"nothing that decides reads name",
		"odd has no range to look in",
	} {
		if all[i].Words != want {
			t.Errorf("got  %s\nwant %s", all[i].Words, want)
		}
	}
	if all[0].Decisions != 1 || all[1].Decisions != 0 {
		t.Errorf("%d and %d decisions were made", all[0].Decisions, all[1].Decisions)
	}
}

// TestCounterfactualsEnd: a forecast that gives another verdict at every value ends
// at its bound, and one whose time is over says what it left out.
func TestCounterfactualsEnd(t *testing.T) {
	m := museumFromTable(t)
	d := decider(m)(parseInput(t, m, []string{"range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0"}))
	original, calls := d, 0
	wild := func(in dancer.Input) dancer.Decision {
		calls++
		out := original
		if calls > 1 {
			out.Verdict.Option = strings.Repeat("x", calls)
		}
		return out
	}
	all, left, err := dancer.Counterfactuals(m, &d, wild, always)
	if err != nil || len(left) > 0 {
		t.Fatal(left, err)
	}
	for _, c := range all {
		if c.Decisions != 256 || !c.Cut || !strings.Contains(c.Words, "cut short") {
			t.Errorf("%s: %d decisions, cut %v: %s", c.Signal, c.Decisions, c.Cut, c.Words)
		}
	}
	patience := 30
	all, left, err = dancer.Counterfactuals(m, &d, decider(m), func() bool { patience--; return patience > 0 })
	if err != nil || len(all) != 1 || !all[0].Cut || !reflect.DeepEqual(left, []string{"smoke", "people"}) {
		t.Errorf("%d counterfactuals, left %v, %v", len(all), left, err)
	}
}

func TestCounterfactualsOfAnotherManual(t *testing.T) {
	m := museumFromTable(t)
	d := decider(m)(parseInput(t, m, []string{"range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0"}))
	other := *m
	other.Hash = "sha256:other"
	if _, _, err := dancer.Counterfactuals(&other, &d, decider(&other), always); !errors.Is(err, dancer.ErrOtherManual) {
		t.Errorf("another manual: %v", err)
	}
	d.Verdict.Option = "halt"
	if _, _, err := dancer.Counterfactuals(m, &d, decider(m), always); !errors.Is(err, dancer.ErrNotRepeated) {
		t.Errorf("a record that was changed: %v", err)
	}
}

// TestCounterfactualJSON: the names that machines read.
func TestCounterfactualJSON(t *testing.T) {
	m := museumFromTable(t)
	d := decider(m)(parseInput(t, m, []string{"range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0"}))
	got, err := json.MarshalIndent(counterfactuals(t, m, &d)[1], "", " ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/counterfactual-v1.json", append(got, '\n'))
}

// BenchmarkCounterfactuals is the whole search for one decision of the museum:
// three signals, two borders each.
func BenchmarkCounterfactuals(b *testing.B) {
	m := museumFromTable(b)
	decide := decider(m)
	p := &manualText{t: b, m: m}
	in := dancer.Input{Robot: "r1", Seed: 7, Rollouts: 64, Values: make([]float64, 6), Validity: make([]hal.Validity, 3), Age: make([]time.Duration, 3)}
	for i := range in.Validity {
		in.Validity[i] = hal.Valid
	}
	p.state("range=5 smoke=150 people=1 | drive=0.5 brake=0 extinguisher=0", in.Values)
	d := decide(in)
	made := 0
	for b.Loop() {
		all, _, err := dancer.Counterfactuals(m, &d, decide, always)
		if err != nil {
			b.Fatal(err)
		}
		made = 1
		for i := range all {
			made += all[i].Decisions
		}
	}
	b.ReportMetric(float64(made), "decisions/op")
}

// TestCounterfactualOfABaseline: a robot whose manual names what not acting means
// does not "go on".
func TestCounterfactualOfABaseline(t *testing.T) {
	m := museumFromTable(t)
	m.Baseline = "halt"
	d := decider(m)(parseInput(t, m, []string{"range=5 smoke=10 people=1 | drive=0.5 brake=0 extinguisher=0"}))
	said := ""
	for _, c := range counterfactuals(t, m, &d) {
		said += c.Words + "\n"
	}
	if !strings.Contains(said, "it would not act (halt)") || strings.Contains(said, "go on as now") {
		t.Errorf("with the baseline halt it says\n%s", said)
	}
}
