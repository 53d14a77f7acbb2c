package dancer_test

import (
	"reflect"
	"strings"
	"testing"

	"dancer/dancer"
	"dancer/partner"
)

// TestIncomparable: two values, safety with floor 5 and enough 7, and a task;
// samples are listed per pair of roll-outs as the index of the deciding value.
func TestIncomparable(t *testing.T) {
	same := func(n int, x float64) (out []float64) {
		for range n {
			out = append(out, x)
		}
		return out
	}
	join := func(parts ...[]float64) (out []float64) {
		for _, p := range parts {
			out = append(out, p...)
		}
		return out
	}
	tests := []struct {
		name         string
		worst        [2]float64 // of halt and go, on the deciding value
		value        int        // 0 safety, 1 task
		halt, g      []float64
		unknown      string
		incomparable bool
		words        string
	}{
		{"better in every pair", [2]float64{6.5, 5.5}, 0, same(20, 6.5), same(20, 5.5), "", false, ""},
		{"better in 8 of 10 that differ", [2]float64{6, 5.2}, 0, same(10, 6), join(same(8, 5.2), same(2, 7)), "", false, ""},
		{"better in 7 of 10 that differ", [2]float64{6, 5.2}, 0, same(10, 6), join(same(7, 5.2), same(3, 7)), "", true,
			"go and halt cannot be told apart: of 10 paired roll-outs"},
		{"mostly no difference, and both ways when there is", [2]float64{6, 5.2}, 0, same(40, 6), join(same(30, 6.2), same(5, 5.2), same(5, 7)), "", true, "better on safety in 5"},
		{"a curiosity of one corner in forty", [2]float64{6, 5.2}, 0, same(40, 6), join(same(38, 6.2), same(1, 5.2), same(1, 7)), "", false, ""},
		{"above enough there is no difference", [2]float64{7, 6}, 0, same(10, 7), join(same(1, 6), same(9, 9.9)), "", false, ""},
		{"only an unpaired adversary found it", [2]float64{6, 5.2}, 0, same(10, 6), same(10, 6.3), "", false, ""},
		{"one future", [2]float64{6, 5.2}, 0, same(1, 6), same(1, 5.2), "", false, ""},
		{"nothing known of the spread", [2]float64{6, 5.2}, 0, nil, nil, "", false, ""},
		{"on the task", [2]float64{3, 6}, 1, join(same(5, 3), same(5, 9)), same(10, 6), "", true, "better on task in 5"},
		{"a task that cannot be known", [2]float64{0, 6}, 1, nil, nil, "task", true, "task cannot be known"},
		{"a task that neither knows", [2]float64{0, 0}, 1, nil, nil, "both", false, ""},
	}
	for _, test := range tests {
		m := &dancer.Manual{
			Values:  []dancer.Value{{Name: "safety", HasFloor: true, Floor: 5, Enough: 7}, {Name: "task"}},
			Actions: []dancer.Action{{Name: "halt", Fallback: true, Importance: dancer.Critical}, {Name: "go", Importance: dancer.Critical}},
		}
		assess := func(name string, worst float64, samples []float64) dancer.Assessment {
			a := dancer.Assessment{Option: name, Recoverable: true, Reversibility: 1,
				Indices: []dancer.Index{{Value: "safety", Worst: 8, Expected: 8}, {Value: "task", Worst: 5, Expected: 5}}}
			a.Indices[test.value].Worst, a.Indices[test.value].Expected = worst, worst
			a.Indices[test.value].Unknown = test.unknown == "both" || test.unknown != "" && name == "halt"
			for _, x := range samples {
				row := []float64{8, 5}
				row[test.value] = x
				a.Samples = append(a.Samples, row...)
			}
			return a
		}
		as := []dancer.Assessment{assess("halt", test.worst[0], test.halt), assess("go", test.worst[1], test.g)}
		v := dancer.Judge(m, as, 1)
		if turned := dancer.Judge(m, []dancer.Assessment{as[1], as[0]}, 1); !reflect.DeepEqual(v, turned) {
			t.Errorf("%s: the order matters", test.name)
		}
		if got := len(v.Incomparable) > 0; got != test.incomparable {
			t.Errorf("%s: incomparable %v", test.name, v.Incomparable)
			continue
		}
		if !test.incomparable {
			continue
		}
		if !reflect.DeepEqual(v.Incomparable, []string{"go", "halt"}) || !v.Escalate {
			t.Errorf("%s: %v, escalates %v", test.name, v.Incomparable, v.Escalate)
		}
		if because := strings.Join(v.Because, "; "); !strings.Contains(because, "cannot be told apart") {
			t.Errorf("%s: asks because %q", test.name, because)
		}
		why := strings.ReplaceAll(strings.Join(v.Why, "; "), "halt and go", "go and halt")
		if !strings.Contains(why, test.words) || !strings.Contains(why, "the ladder takes "+v.Option) {
			t.Errorf("%s: why %q, want %q in it", test.name, why, test.words)
		}
		for i := range m.Actions {
			m.Actions[i].Importance = dancer.Normal
		}
		for i := range as {
			as[i].Indices[0].Worst = max(as[i].Indices[0].Worst, 5)
		}
		if v := dancer.Judge(m, as, 1); len(v.Incomparable) == 0 || strings.Contains(strings.Join(v.Because, "; "), "told apart") {
			t.Errorf("%s, of normal importance: incomparable %v, asks because %v", test.name, v.Incomparable, v.Because)
		}
	}
}

// Two ways around a person: along the wall the person may step out, across the
// hall the floor may be wet. Which is worse hangs on the disturbance alone.
var twoWays = []string{
	"signal person m 0 20", "signal wet - 0 10",
	"output way 0 2 safe 0",
	"value human_safety 3", "value task",
	"disturb person -0.1 0.02", "disturb wet 0 0.1",
	"next person = max(person + (way > 0 && way < 1.5 ? d.person : 0 m), 0 m)", "next wet = wet + (way > 1.5 ? d.wet : 0)",
	"impact human_safety = way < 0.5 ? 3 : (way < 1.5 ? min(person / 1 m, 10) : 10 - wet)",
	"impact task = way > 0 ? 5 : 0",
	"action wait way=0 fallback", "action wall way=1 critical", "action hall way=2 critical",
}

// TestIncomparableInAForecast: the same through the partner, and with the
// disturbance taken out of the model nothing is incomparable.
func TestIncomparableInAForecast(t *testing.T) {
	m := parseManual(t, twoWays)
	m.Values[0].Enough = 10
	d := decideAndReplay(t, m, parseInput(t, m, []string{"person=7.4 wet=2 | way=0"}))
	if !reflect.DeepEqual(d.Verdict.Incomparable, []string{"hall", "wall"}) || !d.Verdict.Escalate {
		t.Errorf("incomparable %v, because %v; %+v", d.Verdict.Incomparable, d.Verdict.Because, d.Assessments)
	}
	if text := strings.Join(d.Explain(), "\n"); !strings.Contains(text, "cannot be told apart: of ") {
		t.Errorf("it does not say why:\n%s", text)
	}
	m.Model.Disturbance = nil
	calm := parseManual(t, replaced(twoWays, map[string]string{"d.person": "0 m", "d.wet": "0", "disturb person -0.1 0.02": "", "disturb wet 0 0.1": ""}))
	calm.Values[0].Enough = 10
	var p partner.Partner
	for person := range 10 {
		for wet := range 10 {
			in := parseInput(t, calm, []string{"person=" + number2(person) + " wet=" + number2(wet) + " | way=0"})
			if d := dancer.Decide(calm, in, p.Corners, p.Forecast); len(d.Verdict.Incomparable) > 0 {
				t.Fatalf("person %d, wet %d: incomparable %v without a disturbance", person, wet, d.Verdict.Incomparable)
			}
		}
	}
}

func number2(n int) string { return string(rune('0' + n)) }

func replaced(lines []string, by map[string]string) (out []string) {
	for _, line := range lines {
		for from, to := range by {
			line = strings.ReplaceAll(line, from, to)
		}
		if line != "" {
			out = append(out, line)
		}
	}
	return out
}
