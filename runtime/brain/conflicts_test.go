package brain

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
	"dancer/mesh"
	"dancer/mesh/conflict"
	"dancer/runtime/conflicts"
)

// TestDisagreement: what the robot logs of two rulings on its question.
func TestDisagreement(t *testing.T) {
	const question = "01JD8Z7M8R0000000000000000"
	before := func(state dancer.QuestionState, chosen string) dancer.QuestionRecord {
		return dancer.QuestionRecord{ID: question, State: state.String(), Chosen: chosen, Proposed: "extinguish", RuledBy: "Ada"}
	}
	approved, denied := before(dancer.QuestionApproved, "extinguish"), before(dancer.QuestionDenied, "")
	for name, c := range map[string]struct {
		before  dancer.QuestionRecord
		given   mesh.Ruling
		outcome string
		want    string // what a rule makes of it, "" for no conflict
	}{
		"refused":            {denied, mesh.Ruling{Verdict: mesh.RuleApprove, By: "Bo"}, dancer.RulingKept, "keep-expected"},
		"revoked":            {approved, mesh.Ruling{Verdict: mesh.RuleDeny, By: "Bo"}, dancer.RulingApplied, "keep-received"},
		"another option":     {approved, mesh.Ruling{Verdict: mesh.RuleApprove, Option: "halt", By: "Bo"}, dancer.RulingKept, "open"},
		"the same":           {approved, mesh.Ruling{Verdict: mesh.RuleApprove, By: "Bo"}, dancer.RulingKept, ""},
		"a change of mind":   {approved, mesh.Ruling{Verdict: mesh.RuleDeny, By: "Ada"}, dancer.RulingApplied, ""},
		"late":               {approved, mesh.Ruling{Verdict: mesh.RuleDeny, By: "Bo"}, dancer.RulingLate, ""},
		"not understood":     {approved, mesh.Ruling{Verdict: "perhaps", By: "Bo"}, dancer.RulingRefused, ""},
		"nothing stands yet": {before(dancer.QuestionOpen, ""), mesh.Ruling{Verdict: mesh.RuleDeny, By: "Bo"}, dancer.RulingApplied, ""},
	} {
		data, ids := t.TempDir(), mesh.NewIDs(rand.Reader)
		keeper, err := conflicts.Open(conflicts.Options{
			Data: data, Owner: "bot-1", Cell: "hall", Wall: time.Now, Clock: func() time.Duration { return time.Minute }, Log: slog.New(slog.DiscardHandler),
			NewID: func() string { id, _ := ids.Next(time.Now()); return id },
		})
		if err != nil {
			t.Fatal(err)
		}
		b := &brain{conflicts: keeper}
		c.given.Escalation = question
		b.disagreement(&c.before, c.given, dancer.RulingResult{Outcome: c.outcome})
		ended, end := context.WithCancel(context.Background())
		end()
		if err := keeper.Run(ended); err != nil {
			t.Error(err)
		}
		have := ""
		if found, err := conflicts.Read(data, conflicts.Query{}); err != nil {
			t.Error(err)
		} else if len(found.Conflicts) == 1 {
			if have = found.Conflicts[0].Outcome; have == "" {
				have = "open"
			}
		} else if len(found.Conflicts) > 1 {
			t.Errorf("%s: %+v", name, found.Conflicts)
		}
		if have != c.want {
			t.Errorf("%s: %q, want %q", name, have, c.want)
		}
	}
	b := &brain{} // without a log it goes on
	b.disagreement(&denied, mesh.Ruling{Escalation: question, Verdict: mesh.RuleApprove, By: "Bo"}, dancer.RulingResult{Outcome: dancer.RulingKept})
}

// TestTellConflict: a conflict of priority 4 is an event, for the conductor too; one
// of priority 2 is none.
func TestTellConflict(t *testing.T) {
	ids := mesh.NewIDs(rand.Reader)
	b := &brain{hub: newHub(time.Now), log: slog.New(slog.DiscardHandler)}
	keeper, err := conflicts.Open(conflicts.Options{
		Data: t.TempDir(), Owner: "bot-1", Wall: time.Now, Clock: func() time.Duration { return time.Minute }, Told: b.tellConflict,
		NewID: func() string { id, _ := ids.Next(time.Now()); return id },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.conflicts = keeper
	lines, stop := b.hub.subscribe()
	defer stop()
	b.conflict(conflict.Claim{Detail: conflict.Detail{Type: conflict.DataContradiction}, Subject: "quiet", Expected: "1", Received: "2"})
	b.conflict(conflict.Claim{Detail: conflict.Detail{Type: conflict.HashMismatch}, Subject: "loud", Expected: "1", Received: "2", Source: "bot-2"})
	ended, end := context.WithCancel(context.Background())
	end()
	if err := keeper.Run(ended); err != nil {
		t.Error(err)
	}
	if len(lines) != 1 {
		t.Fatalf("%d events", len(lines))
	}
	line := string(<-lines)
	for _, want := range []string{`"kind":"conflict"`, `"event":"opened"`, `"type":"HASH_MISMATCH"`, `"priority":4`, `"subject":"loud"`, `"source":"bot-2"`, `"tell":["sector","orchestrator"]`} {
		if !strings.Contains(line, want) {
			t.Errorf("%s lacks %s", line, want)
		}
	}
	if !toldToConductor(kindConflict) {
		t.Error("the conductor is not told")
	}
}
