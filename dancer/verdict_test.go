package dancer_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"dancer/dancer"
)

// TestVerdicts runs the table of testdata/verdict.txt. A block without a result
// sets the manual; each block after it lists assessments, a worst index per value:
//
//	NAME[*] INDEX... [exp=A/B/..] [dis=X] [rev=X] [chg=N] [risk=X] [noway] [unknown=VALUE]
//
// where * marks inaction. Every order of the options must give the same verdict.
func TestVerdicts(t *testing.T) {
	var m *dancer.Manual
	transcript(t, "testdata/verdict.txt", func(t *testing.T, input []string) string {
		if strings.HasPrefix(input[0], "value") {
			m = parseManual(t, input)
			return ""
		}
		as, freshness := parseAssessments(t, m, input)
		v := dancer.Judge(m, as, freshness)
		permute(as, func(order []dancer.Assessment) {
			if again := dancer.Judge(m, order, freshness); !reflect.DeepEqual(v, again) {
				t.Errorf("the order of the options matters:\n%+v\n%+v", v, again)
			}
		})
		return verdictLines(&v)
	})
}

func parseAssessments(t *testing.T, m *dancer.Manual, lines []string) (as []dancer.Assessment, freshness float64) {
	t.Helper()
	freshness = 1
	for _, line := range lines {
		f := strings.Fields(line)
		if f[0] == "freshness" {
			freshness = number(t, f[1])
			continue
		}
		name, inaction := strings.CutSuffix(f[0], "*")
		a := dancer.Assessment{Option: name, Inaction: inaction, Reversibility: 1, Recoverable: true}
		if inaction && name != dancer.InactionName {
			a.Aliases = []string{dancer.InactionName}
		}
		for i := range m.Values {
			x := number(t, f[1+i])
			a.Indices = append(a.Indices, dancer.Index{Value: m.Values[i].Name, Worst: x, Expected: x})
		}
		for _, word := range f[1+len(m.Values):] {
			assessmentWord(t, &a, word)
		}
		as = append(as, a)
	}
	return as, freshness
}

func assessmentWord(t *testing.T, a *dancer.Assessment, word string) {
	t.Helper()
	key, value, _ := strings.Cut(word, "=")
	switch key {
	case "exp":
		for i, x := range strings.Split(value, "/") {
			a.Indices[i].Expected = number(t, x)
		}
	case "dis":
		a.Disruption = number(t, value)
	case "rev":
		a.Reversibility = number(t, value)
	case "chg":
		a.Changes = int(number(t, value))
	case "risk":
		a.CascadeRisk = number(t, value)
	case "noway":
		a.Recoverable = false
	case "unknown":
		for i := range a.Indices {
			if a.Indices[i].Value == value {
				a.Indices[i].Unknown = true
			}
		}
	default:
		t.Fatalf("unknown word %q", word)
	}
}

func verdictLines(v *dancer.Verdict) string {
	line := v.Outcome + " " + v.Option
	if v.RunnerUp != "" {
		line += " over " + v.RunnerUp
	}
	line += fmt.Sprintf(" by %s, margin %.2f, confidence %.2f", v.DecidedBy, v.Margin, v.Confidence)
	lines := []string{line}
	for _, veto := range v.Vetoes {
		lines = append(lines, fmt.Sprintf("out: %s, %s %.2f (floor %.2f)", veto.Option, veto.Value, veto.Worst, veto.Floor))
	}
	for _, because := range v.Because {
		lines = append(lines, "asks: "+because)
	}
	return strings.Join(lines, "\n")
}

// permute calls back with every order of up to five assessments.
func permute(as []dancer.Assessment, do func([]dancer.Assessment)) {
	order := append([]dancer.Assessment(nil), as...)
	var step func(k int)
	step = func(k int) {
		if k == len(order) {
			do(order)
			return
		}
		for i := k; i < len(order); i++ {
			order[k], order[i] = order[i], order[k]
			step(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	step(0)
}

func TestJudgeNothing(t *testing.T) {
	m := &dancer.Manual{Actions: []dancer.Action{{Name: "halt", Fallback: true}}}
	v := dancer.Judge(m, nil, 1)
	if v.Outcome != dancer.OutcomeUnderFloor || v.Option != "halt" || !v.Escalate || len(v.Why) == 0 {
		t.Errorf("verdict on nothing: %+v", v)
	}
}

func TestShouldEscalate(t *testing.T) {
	nan := 0.0
	nan /= nan
	tests := []struct {
		confidence float64
		importance dancer.Importance
		want       bool
	}{
		{0.81, dancer.Critical, false}, {0.8, dancer.Critical, false}, {0.7, dancer.Critical, false},
		{0.69, dancer.Critical, true}, {0.4, dancer.Critical, true}, {0, dancer.Critical, true},
		{0.81, dancer.Normal, false}, {0.4, dancer.Normal, false}, {0.39, dancer.Normal, true},
		{0.39, dancer.Experimental, false}, {0.3, dancer.Experimental, false}, {0.29, dancer.Experimental, true},
		{0.9, dancer.Experimental, false},
		{nan, dancer.Normal, true}, {nan, dancer.Critical, true}, {nan, dancer.Experimental, true},
	}
	for _, test := range tests {
		if got := dancer.ShouldEscalate(test.confidence, test.importance); got != test.want {
			t.Errorf("ShouldEscalate(%v, %v) = %v", test.confidence, test.importance, got)
		}
	}
}
