package dancer_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"dancer/dancer"
)

// TestQuestionsInAnyOrder plays 2,000 random histories of verdicts, rulings,
// restarts and passing time against the rules of the design's part 4, written
// down once more from what was said alone.
func TestQuestionsInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(8, 8))
	seen := map[string]int{}
	for history := range 2000 {
		h := newHistory(random)
		for range 60 {
			h.step()
			if h.fault != "" {
				t.Fatalf("history %d: %s\n%s", history, h.fault, h.log)
			}
		}
		for what, n := range h.seen {
			seen[what] += n
		}
	}
	for _, what := range []string{"command", "hold", "ruling", "timeout", "applied", "kept", "vetoed", "late", "refused", "raised", "revised", "withdrawn", "timed out",
		"least violating while open", "hold vetoed", "time-out action vetoed"} {
		if seen[what] < 20 {
			t.Errorf("%s came %d times in 2,000 histories: they prove little", what, seen[what])
		}
	}
}

// history is one robot's question beside what must be true of it.
type history struct {
	random *rand.Rand
	m      *dancer.Manual
	q      *dancer.Question
	ids    int
	now    time.Duration
	last   *dancer.Decision
	fault  string
	log    string
	seen   map[string]int

	id       string
	revision int
	denied   map[string]bool // questions that were denied
	due      time.Duration
}

func newHistory(random *rand.Rand) *history {
	h := &history{random: random, seen: map[string]int{}, denied: map[string]bool{}, m: &dancer.Manual{
		Values: []dancer.Value{{Name: "safety", HasFloor: true, Floor: 5, Enough: 7}, {Name: "task"}},
		Actions: []dancer.Action{{Name: "halt", Fallback: true}, {Name: "go"}, {Name: "vent", Precedent: true},
			{Name: "leave", Importance: dancer.Critical}},
		Escalation: dancer.EscalationPolicy{Hold: 0, OnTimeout: 3, Deadline: 20 * time.Second, Settle: 2 * time.Second},
	}}
	h.q = dancer.NewQuestion(h.m, h.newID)
	return h
}

func (h *history) newID() string { h.ids++; return fmt.Sprintf("q%d", h.ids) }

func (h *history) say(format string, a ...any) { h.log += fmt.Sprintf(format, a...) + "\n" }

func (h *history) failf(format string, a ...any) {
	if h.fault == "" {
		h.fault = fmt.Sprintf(format, a...)
	}
}

func (h *history) step() {
	h.now += time.Duration(h.random.IntN(4000)) * time.Millisecond
	switch n := h.random.IntN(10); {
	case n < 6 || h.last == nil:
		if h.last == nil || h.random.IntN(3) > 0 {
			d := h.decision()
			h.last = &d
		}
		h.observe()
	case n < 9:
		h.rule()
	default:
		h.q = dancer.RestoreQuestion(h.m, h.newID, h.q.Record())
		h.say("%v restart", h.now)
		h.observe()
	}
	h.effective()
}

func (h *history) decision() dancer.Decision {
	d := dancer.Decision{Monotonic: h.now}
	level := []float64{3, 4.5, 6, 6}[h.random.IntN(4)]
	for i := range h.m.Actions {
		x := level + float64(h.random.IntN(9)-4)/4
		d.Assessments = append(d.Assessments, dancer.Assessment{Option: h.m.Actions[i].Name, Recoverable: true, Reversibility: 1,
			Inaction: i == 1, Indices: []dancer.Index{{Value: "safety", Worst: x, Expected: x}, {Value: "task", Worst: float64(h.random.IntN(4))}}})
	}
	d.Verdict = dancer.Judge(h.m, d.Assessments, []float64{0.3, 1, 1}[h.random.IntN(3)])
	return d
}

func (h *history) observe() {
	for _, c := range h.q.Observe(h.now, *h.last) {
		h.say("%v %s %s revision %d, due %v", h.now, c.ID, c.State, c.Revision, c.Due)
		if c.ID != h.id {
			if c.Revision != 1 || c.State != dancer.QuestionOpen || !h.last.Verdict.Escalate {
				h.failf("%s starts with revision %d, %s", c.ID, c.Revision, c.State)
			}
			h.id, h.revision, h.due = c.ID, 0, h.now+20*time.Second
			h.seen["raised"]++
		}
		if c.Revision != h.revision+1 {
			h.failf("revision %d after %d", c.Revision, h.revision)
		}
		h.revision = c.Revision
		switch c.State {
		case dancer.QuestionTimedOut:
			h.seen["timed out"]++
			if h.now < h.due {
				h.failf("timed out at %v, due %v", h.now, h.due)
			}
		case dancer.QuestionWithdrawn:
			h.seen["withdrawn"]++
		default:
			if c.Revision > 1 {
				h.seen["revised"]++
			}
		}
	}
	if state, _ := h.q.State(); h.last.Verdict.Escalate && state == dancer.QuestionNone {
		h.failf("the verdict asks and no question is open")
	}
}

func (h *history) rule() {
	if h.id == "" {
		return
	}
	r := dancer.Ruling{Question: h.id, By: "kim"}
	if h.random.IntN(6) == 0 {
		r.Question = fmt.Sprintf("q%d", h.random.IntN(h.ids+2))
	}
	r.Verdict = []string{dancer.RuleApprove, dancer.RuleApprove, dancer.RuleDeny, dancer.RuleDefer, dancer.RuleReschedule, dancer.RuleEscalate, "maybe"}[h.random.IntN(7)]
	if r.Verdict == dancer.RuleApprove && h.random.IntN(2) == 0 {
		r.Option = []string{"halt", "go", "vent", "leave", "dance"}[h.random.IntN(5)]
	}
	state, id := h.q.State()
	option, who := h.q.Effective(h.now)
	result := h.q.Rule(h.now, r)
	h.say("%v rule %+v: %+v", h.now, r, result)
	h.seen[result.Outcome]++
	after, by := h.q.Effective(h.now)
	over := r.Question != id || state == dancer.QuestionNone || state == dancer.QuestionTimedOut || state.Awaits() && h.now >= h.due
	switch {
	case over && result.Outcome != dancer.RulingLate && result.Outcome != dancer.RulingRefused:
		h.failf("a ruling on what is over is %s", result.Outcome)
	case result.Outcome != dancer.RulingApplied && (after != option || by != who):
		h.failf("a ruling that is %s changed what runs from %s to %s", result.Outcome, option, after)
	case h.denied[id] && result.Outcome == dancer.RulingApplied:
		h.failf("%s was denied, and %s is applied", id, r.Verdict)
	}
	if result.Outcome != dancer.RulingApplied {
		return
	}
	switch r.Verdict {
	case dancer.RuleDeny:
		h.denied[id] = true
	case dancer.RuleDefer, dancer.RuleReschedule, dancer.RuleEscalate:
		h.due = h.q.Due()
		if h.due <= h.now || h.due > h.now+40*time.Second {
			h.failf("due %v at %v", h.due, h.now)
		}
	}
}

// effective checks what runs: nothing that a floor took out, ever; and before and
// after the deadline what the manual says.
func (h *history) effective() {
	option, who := h.q.Effective(h.now)
	v := &h.last.Verdict
	lives := func(name string) bool {
		for _, s := range v.Survivors {
			if s == name {
				return true
			}
		}
		return false
	}
	h.seen[who]++
	if !lives(option) {
		h.failf("%s runs by %s, and the survivors are %v", option, who, v.Survivors)
	}
	want := func(name, account string) {
		if !lives(name) {
			name, account = v.Option, dancer.WhoCommand
		}
		if option != name || who != account {
			h.failf("at %v %s runs by %s, want %s by %s", h.now, option, who, name, account)
		}
	}
	state, id := h.q.State()
	late := state == dancer.QuestionTimedOut || state.Awaits() && h.now >= h.due
	switch {
	case late:
		if !lives("leave") {
			h.seen["time-out action vetoed"]++
		}
		want("leave", dancer.WhoTimeout)
	case h.denied[id]:
		want("halt", dancer.WhoHold)
	case state.Awaits() && v.Outcome == dancer.OutcomeUnderFloor:
		h.seen["least violating while open"]++
		want(v.Option, dancer.WhoCommand)
	case state.Awaits():
		if !lives("halt") {
			h.seen["hold vetoed"]++
		}
		want("halt", dancer.WhoHold)
	case state == dancer.QuestionNone:
		want(v.Option, dancer.WhoCommand)
	}
}
