package dancer_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"dancer/dancer"
)

// TestQuestions runs the life cycle of questions from testdata/question-*.txt.
// A block starting with "scene NAME" lists assessments as in verdict.txt. Other
// blocks are commands, and what came of each:
//
//	at T SCENE          a decision at time T
//	at T SCENE every D until T2   the same, repeated; only what changes is printed
//	at T rule ID VERDICT [OPTION] [by NAME]
//	restart             the brain restarts: the question is stored and read back
func TestQuestions(t *testing.T) {
	var s *questionScript
	transcript(t, "testdata/question.txt", func(t *testing.T, input []string) string {
		switch {
		case strings.HasPrefix(input[0], "value"):
			s = newQuestionScript(t, input)
			return ""
		case strings.HasPrefix(input[0], "scene"):
			name := strings.Fields(input[0])[1]
			s.scenes[name], _ = parseAssessments(t, s.m, input[1:])
			return ""
		case input[0] == "fresh":
			s.fresh()
			input = input[1:]
		}
		var out []string
		for _, line := range input {
			out = append(out, s.command(t, line)...)
		}
		return strings.Join(out, "\n")
	})
}

type questionScript struct {
	m      *dancer.Manual
	scenes map[string][]dancer.Assessment
	q      *dancer.Question
	newID  func() string
	last   string
}

func newQuestionScript(t *testing.T, manual []string) *questionScript {
	s := &questionScript{m: parseManual(t, manual), scenes: map[string][]dancer.Assessment{}}
	s.fresh()
	return s
}

func (s *questionScript) fresh() {
	n := 0
	s.newID = func() string { n++; return fmt.Sprintf("q%d", n) }
	s.q, s.last = dancer.NewQuestion(s.m, s.newID), ""
}

func (s *questionScript) command(t *testing.T, line string) []string {
	t.Helper()
	f := strings.Fields(line)
	if f[0] == "restart" {
		s.q = dancer.RestoreQuestion(s.m, s.newID, s.q.Record())
		return nil
	}
	now := duration(t, f[1])
	if f[2] == "rule" {
		return append([]string{s.rule(now, f[3:])}, s.running(now)...)
	}
	until, step := now, time.Second
	if len(f) > 3 {
		step, until = duration(t, f[4]), duration(t, f[6])
	}
	var out []string
	for ; now <= until; now += step {
		out = append(out, s.observe(now, f[2])...)
	}
	return out
}

func (s *questionScript) observe(now time.Duration, scene string) []string {
	d := dancer.Decision{Assessments: s.scenes[scene]}
	d.Verdict = dancer.Judge(s.m, d.Assessments, 1)
	var out []string
	for _, c := range s.q.Observe(now, d) {
		line := fmt.Sprintf("%v: %s revision %d %s, proposes %s", now, c.ID, c.Revision, c.State, c.Proposed)
		if c.State.Awaits() {
			line += fmt.Sprintf(", due %v", c.Due)
		}
		out = append(out, line+", because "+strings.Join(c.Because, " and "))
	}
	return append(out, s.running(now)...)
}

// running prints what runs when that has changed.
func (s *questionScript) running(now time.Duration) []string {
	option, who := s.q.Effective(now)
	state, id := s.q.State()
	line := fmt.Sprintf("%s by %s, question %s %s", option, who, state, id)
	if line == s.last {
		return nil
	}
	s.last = line
	return []string{fmt.Sprintf("%v: ", now) + line}
}

func (s *questionScript) rule(now time.Duration, f []string) string {
	r := dancer.Ruling{Question: f[0], Verdict: f[1], By: "anna"}
	for i := 2; i < len(f); i++ {
		if f[i] == "by" {
			r.By = ""
			if i+1 < len(f) {
				r.By = f[i+1]
			}
			break
		}
		r.Option = f[i]
	}
	result := s.q.Rule(now, r)
	return fmt.Sprintf("%v: %s, %s", now, result.Outcome, result.Why)
}

// A fire that grows step by step is told no more often than the settling time,
// and another value under its floor is told at once.
func TestGrowingWorseIsToldAtTheSettlingTime(t *testing.T) {
	m := &dancer.Manual{Values: []dancer.Value{{Name: "safety", Floor: 5, HasFloor: true}, {Name: "art", Floor: 3, HasFloor: true}},
		Actions: []dancer.Action{{Name: "halt", Fallback: true}}, Escalation: dancer.EscalationPolicy{Settle: time.Second}}
	q := dancer.NewQuestion(m, func() string { return "q" })
	at := func(now time.Duration, safety, art float64) []dancer.Change {
		d := dancer.Decision{Verdict: dancer.Verdict{Outcome: dancer.OutcomeUnderFloor, Option: "halt", Survivors: []string{"halt"}, Escalate: true},
			Assessments: []dancer.Assessment{{Option: "halt", Indices: []dancer.Index{{Value: "safety", Worst: safety}, {Value: "art", Worst: art}}}}}
		return q.Observe(now, d)
	}
	told := len(at(0, 4.9, 9))
	for now := 100 * time.Millisecond; now < time.Second; now += 100 * time.Millisecond {
		told += len(at(now, 4.9-3*now.Seconds(), 9))
	}
	if told != 1 {
		t.Errorf("told %d times within the settling time, want the question alone", told)
	}
	if n := len(at(time.Second, 1.9, 9)); n != 1 {
		t.Errorf("told %d times when the settling time was over, want 1", n)
	}
	if n := len(at(1100*time.Millisecond, 1.9, 2)); n != 1 {
		t.Errorf("another value under its floor was told %d times, want at once", n)
	}
}
