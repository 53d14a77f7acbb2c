package conductor

import (
	"encoding/json"
	"errors"
	"testing"

	"dancer/mesh"
	"dancer/mesh/conflict"
)

// claims gives the conflicts of a ruling.
func claims(t *testing.T, r *Register, n int, by, verdict, option string) []conflict.Claim {
	t.Helper()
	_, effects, err := r.Rule(at(n), id(1), id(n), mesh.Ruling{Verdict: verdict, Option: option, By: by})
	if err != nil && !errors.Is(err, ErrStands) {
		t.Fatal(err)
	}
	return effects.Conflicts
}

func TestRulingsThatDisagree(t *testing.T) {
	for name, c := range map[string]struct {
		first, second [3]string // by, verdict, option
		want          conflict.Outcome
		none          bool
	}{
		"refused":                {[3]string{"Ada", mesh.RuleDeny}, [3]string{"Bo", mesh.RuleApprove, "halt"}, conflict.KeepExpected, false},
		"refused to oneself":     {[3]string{"Ada", mesh.RuleDeny}, [3]string{"Ada", mesh.RuleApprove, "halt"}, conflict.KeepExpected, false},
		"revoked":                {[3]string{"Ada", mesh.RuleApprove}, [3]string{"Bo", mesh.RuleDeny}, conflict.KeepReceived, false},
		"another option":         {[3]string{"Ada", mesh.RuleApprove, "halt"}, [3]string{"Bo", mesh.RuleApprove, "patrol"}, conflict.Undecided, false},
		"the same":               {[3]string{"Ada", mesh.RuleApprove, "halt"}, [3]string{"Bo", mesh.RuleApprove, "halt"}, 0, true},
		"the same, not said":     {[3]string{"Ada", mesh.RuleApprove}, [3]string{"Bo", mesh.RuleApprove, "halt"}, 0, true},
		"both deny":              {[3]string{"Ada", mesh.RuleDeny}, [3]string{"Bo", mesh.RuleDeny}, 0, true},
		"a change of mind":       {[3]string{"Ada", mesh.RuleApprove}, [3]string{"Ada", mesh.RuleDeny}, 0, true},
		"nothing final before":   {[3]string{"Ada", mesh.RuleDefer}, [3]string{"Bo", mesh.RuleApprove}, 0, true},
		"deferred after approve": {[3]string{"Ada", mesh.RuleApprove}, [3]string{"Bo", mesh.RuleDefer}, conflict.KeepReceived, false},
	} {
		r := New(Limits{})
		raise(t, r, 1, escalation(1, 1, "bot-1", "open"))
		if first := claims(t, r, 2, c.first[0], c.first[1], c.first[2]); len(first) != 0 {
			t.Errorf("%s: the first ruling: %+v", name, first)
		}
		have := claims(t, r, 3, c.second[0], c.second[1], c.second[2])
		switch {
		case c.none && len(have) == 0:
		case len(have) != 1 || c.none || have[0].Type != conflict.DataContradiction || have[0].Rule.Outcome != c.want || have[0].Subject != "ruling on question "+id(1):
			t.Errorf("%s: %+v", name, have)
		}
	}
}

func TestSameRevisionWithOtherContent(t *testing.T) {
	r := New(Limits{})
	raise(t, r, 1, escalation(1, 1, "bot-1", "open"))
	stored, _ := r.Question(id(1))
	raw, err := json.Marshal(stored)
	if err != nil {
		t.Fatal(err)
	}
	var back Question // as after a restart
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	restarted := New(Limits{})
	restarted.Restore([]Question{back})
	for name, r := range map[string]*Register{"running": r, "restarted": restarted} {
		if e := raise(t, r, 2, escalation(1, 1, "bot-1", "open")); len(e.Conflicts) != 0 {
			t.Errorf("%s: the same again: %+v", name, e.Conflicts)
		}
		other := escalation(1, 1, "bot-1", "open")
		other.Proposed = "patrol"
		e := raise(t, r, 3, other)
		if len(e.Conflicts) != 1 || e.Conflicts[0].Type != conflict.HashMismatch || e.Conflicts[0].Source != "bot-1" || e.Conflicts[0].Message != id(3) || len(e.Conflicts[0].Data) == 0 {
			t.Fatalf("%s: %+v", name, e.Conflicts)
		}
		if q, _ := r.Question(id(1)); q.Proposed != "halt" {
			t.Errorf("%s: what was there is gone: %q", name, q.Proposed)
		}
		other.Revision = 2
		if e := raise(t, r, 4, other); len(e.Conflicts) != 0 {
			t.Errorf("%s: a newer revision: %+v", name, e.Conflicts)
		}
		if e := raise(t, r, 5, escalation(1, 1, "bot-1", "open")); len(e.Conflicts) != 0 {
			t.Errorf("%s: an old revision that comes late: %+v", name, e.Conflicts)
		}
	}
}

func TestTwoManuals(t *testing.T) {
	r := New(Limits{})
	said := func(n int, context string) []conflict.Claim {
		return r.Members(at(n), cell, []Member{{Name: "bot-1", Alive: true, Context: context}}).Conflicts
	}
	if have := said(0, "0123456789abcdef"); have != nil {
		t.Errorf("without a state: %+v", have)
	}
	state := mesh.State{Robot: "bot-1", Cell: cell, ManualHash: "sha256:0123456789abcdef0000"}
	if _, err := r.Apply(at(1), cell, "bot-1", envelope(t, 1, mesh.KindState, "bot-1", state)); err != nil {
		t.Fatal(err)
	}
	for n := 1; n < 300; n++ {
		if have := said(n, "0123456789abcdef"); have != nil {
			t.Fatalf("second %d, the same manual: %+v", n, have)
		}
	}
	var when []int
	for n := 300; n < 500; n++ {
		context := "ffff456789abcdef"
		if n == 320 {
			context = "" // a record without it is no word
		}
		for _, c := range said(n, context) {
			if c.Type != conflict.ContextDivergence || c.Subject != "manual of bot-1" || c.Expected != state.ManualHash {
				t.Errorf("%+v", c)
			}
			when = append(when, n)
		}
	}
	if len(when) != 2 || when[0] != 300+90 || when[1] != 300+150 {
		t.Errorf("said at %v", when)
	}
}
