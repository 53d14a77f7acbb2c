package operator_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"dancer/mesh/breaker"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/operator"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

func golden(t *testing.T, name string, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *rewrite {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got != string(want) {
		t.Errorf("%s (write it anew with -rewrite and look at the difference): %v\n%s", name, err, got)
	}
}

// TestTexts: what a person sees of a calm fleet, of one in trouble and of every kind of
// operation. testdata/*.json are the JSON forms of version 1, which stay readable.
func TestTexts(t *testing.T) {
	var text strings.Builder
	var statuses []operator.Status
	reread(t, "statuses.json", &statuses)
	for i := range statuses {
		text.WriteString(strings.Join(statuses[i].Text(nil), "\n") + "\n")
	}
	var operations []operator.Operation
	reread(t, "operations.json", &operations)
	for i := range operations {
		o := &operations[i]
		text.WriteString("== " + string(o.Kind) + " " + o.Scope + ": " + o.Progress() + "\n" + strings.Join(o.Report(nil), "\n") + "\n")
	}
	golden(t, "texts.txt", text.String())
	columns(t, text.String())
}

// reread reads a file and holds that writing gives the same.
func reread(t *testing.T, name string, into any) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	again, err := json.MarshalIndent(into, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, name, string(again)+"\n")
}

// columns holds that a box is 80 columns wide.
func columns(t *testing.T, text string) {
	t.Helper()
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(line, "│") && utf8.RuneCountInString(line) != 80 {
			t.Errorf("%d columns: %s", utf8.RuneCountInString(line), line)
		}
	}
}

// TestTextsOfATrouble: whatever a fleet in trouble has to show fits.
func TestTextsOfATrouble(t *testing.T) {
	b := newBench(t, func(c *run.Config) {
		c.Faults = []fleet.Fault{
			{Kind: fleet.Crash, At: fleet.Place{Kind: fleet.InCluster, Index: 12}, From: 70 * time.Second, For: 10 * time.Minute},
			{Kind: fleet.Crash, At: fleet.Place{Kind: fleet.AtAgent, Index: 3}, From: 70 * time.Second, For: 10 * time.Minute},
		}
		c.Conflict = 100
	})
	for range 3 {
		b.run(30 * time.Second)
		for _, o := range []operator.Order{{Kind: operator.Broadcast, Text: "x"}, {Kind: operator.Ask, Text: "x"}, {Kind: operator.Freeze, Scope: "sector-0"}, {Kind: operator.Thaw, Scope: "sector-0"}, {Kind: operator.Heal}} {
			o.By = "tester"
			op, err := b.desk.Start(o)
			for err == nil && !op.Ended() {
				b.run(100 * time.Millisecond)
				op, err = b.desk.Operation(op.ID)
			}
			if err == nil && len(op.Report(nil)) == 0 {
				t.Errorf("%s says nothing", o.Kind)
			}
		}
		s := b.desk.Status()
		columns(t, strings.Join(s.Text(nil), "\n"))
	}
}

// TestEmergency: what falls into EMERGENCY stays there until heal, and says so.
func TestEmergency(t *testing.T) {
	b := newBench(t, nil)
	emergency := func() {
		for range 3 {
			b.With(operator.All, func(now time.Duration, c *coordination.Coordinator, _ *coordination.Outbox) {
				c.Guard().Modes.Observe(now, 0, 560)
			})
		}
	}
	emergency()
	b.run(2 * time.Second)
	s := b.desk.Status()
	text := strings.Join(s.Text(nil), "\n")
	if s.Mode != breaker.Emergency.String() || !s.Acknowledge || !strings.Contains(text, "dancer heal acknowledges") {
		t.Fatalf("%s %v\n%s", s.Mode, s.Acknowledge, text)
	}
	three := uint8(3)
	_, err := b.desk.Start(operator.Order{Kind: operator.Broadcast, Text: "x", By: "t", Priority: &three})
	if err == nil || !strings.Contains(err.Error(), "--approve") {
		t.Errorf("%v", err)
	}
	op := b.finish(operator.Order{Kind: operator.Heal})
	if len(op.Heal.Actions) != 1 || op.Heal.Actions[0].What != "acknowledge" {
		t.Errorf("%+v", op.Heal)
	}
	b.run(5 * time.Minute) // a minute for each mode
	if s := b.desk.Status(); s.Mode != "FULL" {
		t.Errorf("%s", s.Mode)
	}
}

// TestHostileTexts: nothing that an agent or a server says reaches a terminal raw.
func TestHostileTexts(t *testing.T) {
	evil := "\x1b[2J\u202eevil\x07"
	op := operator.Operation{Kind: operator.Ask, Scope: evil, State: operator.Failed, Why: evil, Hint: evil, Ask: &operator.AskResult{Groups: []operator.Answer{{Answer: evil, Agents: 1, Named: []string{evil}}}}}
	s := operator.Status{Name: evil, Mode: evil, Restrictions: []string{evil}, Frozen: []string{evil}, Impedance: operator.Impedance{Slowest: evil, SlowestMS: 1},
		Breakers: operator.BreakerCounts{Global: evil}, Last: &operator.LastCascade{Outcome: evil}, Classes: []operator.ClassCount{{Class: evil, Name: evil, Members: 1}}}
	d := operator.Operation{Kind: operator.Delegate, State: operator.Done, Delegation: &operator.DelegationResult{Agent: evil, Answer: evil, Class: evil}}
	h := operator.Operation{Kind: operator.Heal, State: operator.Done, Scope: evil, Heal: &operator.HealResult{Actions: []operator.Action{{What: evil, Place: evil, Note: evil}}, Unled: []string{evil}, UnledAll: 1}}
	f := operator.Operation{Kind: operator.Thaw, State: operator.Done, Scope: evil, Freeze: &operator.FreezeResult{Frozen: []string{evil}}}
	bc := operator.Operation{Kind: operator.Broadcast, State: operator.Failed, Broadcast: &operator.BroadcastResult{Verdict: evil, Phases: []operator.PhaseResult{{Tier: evil, Classes: evil, Verdict: evil}}}}
	for _, lines := range [][]string{op.Report(nil), s.Text(nil), d.Report(nil), h.Report(nil), f.Report(nil), bc.Report(nil)} {
		if text := strings.Join(lines, ""); strings.ContainsAny(text, "\x1b\x07\u202e") {
			t.Errorf("%q", text)
		}
	}
}
