package conflict_test

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"dancer/mesh/conflict"
)

// TestClassify holds the table of the specification, part 5.1, at both sides of
// each threshold.
func TestClassify(t *testing.T) {
	for _, c := range []struct {
		detail conflict.Detail
		want   conflict.Priority
	}{
		{conflict.Detail{Type: conflict.ContextDivergence}, conflict.Medium},
		{conflict.Detail{Type: conflict.ContextDivergence, Depth: 10}, conflict.Medium},
		{conflict.Detail{Type: conflict.ContextDivergence, Depth: 11}, conflict.High},
		{conflict.Detail{Type: conflict.DataContradiction, Affected: 100}, conflict.Medium},
		{conflict.Detail{Type: conflict.DataContradiction, Affected: 101}, conflict.High},
		{conflict.Detail{Type: conflict.DataContradiction, Depth: 99}, conflict.Medium},
		{conflict.Detail{Type: conflict.TemporalParadox}, conflict.Critical},
		{conflict.Detail{Type: conflict.CapabilityMismatch}, conflict.Low},
		{conflict.Detail{Type: conflict.HashMismatch}, conflict.Critical},
		{conflict.Detail{Type: conflict.Type(77)}, conflict.Medium},
	} {
		if have := conflict.Classify(c.detail); have != c.want {
			t.Errorf("%+v: have %v, want %v", c.detail, have, c.want)
		}
	}
}

func TestDeadlines(t *testing.T) {
	want := []time.Duration{conflict.NoDeadline, time.Hour, 10 * time.Minute, time.Minute, 0}
	tells := []string{"", "", "", "sector", "sector orchestrator"}
	for p := conflict.Background; p <= conflict.Critical; p++ {
		if p.Deadline() != want[p] {
			t.Errorf("%v: deadline %v, want %v", p, p.Deadline(), want[p])
		}
		text := ""
		for i, name := range p.Tells().Names() {
			if i > 0 {
				text += " "
			}
			text += name
		}
		if text != tells[p] {
			t.Errorf("%v tells %q, want %q", p, text, tells[p])
		}
	}
	if conflict.Priority(5).Valid() || conflict.Priority(5).String() != "invalid" {
		t.Error("priority 5 is valid")
	}
}

func TestTypeNames(t *testing.T) {
	names := []string{"CONTEXT_DIVERGENCE", "DATA_CONTRADICTION", "TEMPORAL_PARADOX", "CAPABILITY_MISMATCH", "HASH_MISMATCH"}
	for i, kind := range conflict.Types() {
		if kind.String() != names[i] {
			t.Errorf("%v, want %s", kind, names[i])
		}
		data, err := json.Marshal(kind)
		var back conflict.Type
		if err != nil || json.Unmarshal(data, &back) != nil || back != kind {
			t.Errorf("%v does not come back from %s", kind, data)
		}
		s := conflict.StrategyOf(kind)
		if s.Method == "ASK" || len(s.Steps) < 3 || !slices.ContainsFunc(s.Steps, func(s conflict.Step) bool { return s.ByRule }) {
			t.Errorf("%v has the strategy %+v", kind, s)
		}
	}
	for _, bad := range []string{"", "INVALID", "hash_mismatch"} {
		if _, err := conflict.ParseType(bad); err == nil {
			t.Errorf("%q is a type", bad)
		}
	}
	if _, err := json.Marshal(conflict.Type(0)); err == nil {
		t.Error("the zero type is encoded")
	}
}
