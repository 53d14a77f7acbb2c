package dancer_test

import (
	"fmt"
	"math"
	"reflect"
	"testing"

	"pgregory.net/rapid"

	"dancer/dancer"
)

// slowJudge is the verdict once more, slow and obvious, from the text of the
// design alone: it takes options away from a set until one is left.
func slowJudge(m *dancer.Manual, as []dancer.Assessment) (outcome, winner string, survivors map[string]bool) {
	set := map[string]*dancer.Assessment{}
	for i := range as {
		set[as[i].Option] = &as[i]
	}
	worst := func(a *dancer.Assessment, v int) float64 { return a.Indices[v].Worst }
	keep := func(score func(*dancer.Assessment) float64, tolerance float64) {
		best := -1e300
		for _, a := range set {
			best = max(best, score(a))
		}
		for name, a := range set {
			if score(a) < best-tolerance {
				delete(set, name)
			}
		}
	}
	under := false
	for v, value := range m.Values {
		if !value.HasFloor {
			continue
		}
		above := 0
		for _, a := range set {
			if worst(a, v) >= value.Floor {
				above++
			}
		}
		if above == 0 {
			under = true
			keep(func(a *dancer.Assessment) float64 { return worst(a, v) }, 0.5)
			continue
		}
		for name, a := range set {
			if worst(a, v) < value.Floor {
				delete(set, name)
			}
		}
	}
	survivors = map[string]bool{}
	blind := false
	for name, a := range set {
		survivors[name] = true
		for v, value := range m.Values {
			blind = blind || value.HasFloor && a.Indices[v].Unknown
		}
	}
	if set["halt"] != nil && under && blind {
		set = map[string]*dancer.Assessment{"halt": set["halt"]}
	}
	for _, expected := range []bool{false, true} {
		for _, floored := range []bool{true, false} {
			for v, value := range m.Values {
				if value.HasFloor != floored {
					continue
				}
				keep(func(a *dancer.Assessment) float64 {
					x := a.Indices[v].Worst
					if expected {
						x = a.Indices[v].Expected - a.Indices[v].Repair
					}
					if floored {
						x = min(x, value.Enough)
					}
					return x
				}, 0.5)
			}
		}
	}
	keep(func(a *dancer.Assessment) float64 { return -a.Disruption }, 0)
	keep(func(a *dancer.Assessment) float64 { return a.Reversibility }, 0)
	keep(func(a *dancer.Assessment) float64 { return -float64(a.Changes) }, 0)
	for name := range set {
		if winner == "" || name < winner {
			winner = name
		}
	}
	switch {
	case under:
		outcome = dancer.OutcomeUnderFloor
	case set[winner].Inaction:
		outcome = dancer.OutcomeHold
	default:
		outcome = dancer.OutcomeAct
	}
	return outcome, winner, survivors
}

// slowIncomparable is the definition of Verdict.Incomparable once more: it lists
// every pair of roll-outs and counts.
func slowIncomparable(m *dancer.Manual, winner, runner *dancer.Assessment) bool {
	capped := func(v int, x float64) float64 {
		if m.Values[v].HasFloor {
			return min(x, m.Values[v].Enough)
		}
		return x
	}
	var order []int
	for v := range m.Values {
		if m.Values[v].HasFloor {
			order = append(order, v)
		}
	}
	for v := range m.Values {
		if !m.Values[v].HasFloor {
			order = append(order, v)
		}
	}
	decides := -1
	for _, v := range order {
		blind := winner.Indices[v].Unknown || runner.Indices[v].Unknown
		if blind && m.Values[v].HasFloor {
			return true
		}
		if math.Abs(capped(v, winner.Indices[v].Worst)-capped(v, runner.Indices[v].Worst)) > 0.5 {
			if blind {
				return true
			}
			decides = v
			break
		}
	}
	for i := 0; i < len(order) && decides < 0; i++ {
		v := order[i]
		w, r := &winner.Indices[v], &runner.Indices[v]
		if math.Abs(capped(v, w.Expected-w.Repair)-capped(v, r.Expected-r.Repair)) > 0.5 {
			if w.Unknown || r.Unknown {
				return true
			}
			decides = v
		}
	}
	if decides < 0 {
		return false
	}
	var differences []float64
	for i := decides; i < len(winner.Samples); i += len(m.Values) {
		differences = append(differences, capped(decides, winner.Samples[i])-capped(decides, runner.Samples[i]))
	}
	better, worse := 0, 0
	for _, d := range differences {
		if d > 0.5 {
			better++
		}
		if d < -0.5 {
			worse++
		}
	}
	return worse > 0 && float64(worse)/float64(len(differences)) >= 0.05 && float64(better)/float64(better+worse) < 0.8
}

func drawManual(t *rapid.T) *dancer.Manual {
	m := &dancer.Manual{Actions: []dancer.Action{{Name: "halt", Fallback: true}}}
	for v := range rapid.IntRange(1, 4).Draw(t, "values") {
		value := dancer.Value{Name: fmt.Sprintf("v%d", v), HasFloor: rapid.Bool().Draw(t, "has floor")}
		if value.HasFloor {
			value.Floor = float64(rapid.IntRange(1, 8).Draw(t, "floor"))
			value.Enough = value.Floor + float64(rapid.IntRange(0, 2).Draw(t, "enough"))
		}
		m.Values = append(m.Values, value)
	}
	return m
}

// drawOptions draws few and close values, so that bands, floors and ties matter.
func drawOptions(t *rapid.T, m *dancer.Manual) []dancer.Assessment {
	quarter := func(label string) float64 { return float64(rapid.IntRange(8, 28).Draw(t, label)) / 4 }
	names := []string{"halt", "a", "b", "c", "d", "e", "f", "g"}
	as := make([]dancer.Assessment, rapid.IntRange(1, len(names)).Draw(t, "options"))
	inaction := rapid.IntRange(0, len(as)-1).Draw(t, "inaction")
	blind := rapid.IntRange(0, 9).Draw(t, "blind") == 0
	for i := range as {
		a := &as[i]
		a.Option, a.Inaction, a.Recoverable = names[i], i == inaction, true
		for v := range m.Values {
			x := dancer.Index{Value: m.Values[v].Name, Worst: quarter("worst"), Expected: quarter("expected")}
			if blind && v == 0 {
				x = dancer.Index{Value: x.Value, Unknown: true}
			}
			a.Indices = append(a.Indices, x)
		}
		a.Disruption = float64(rapid.IntRange(0, 2).Draw(t, "disruption"))
		a.Reversibility = float64(rapid.IntRange(0, 2).Draw(t, "reversibility")) / 2
		a.Changes = rapid.IntRange(0, 2).Draw(t, "changes")
	}
	return as
}

func TestJudgeAgainstSlow(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManual(t)
		as := drawOptions(t, m)
		v := dancer.Judge(m, as, 1)
		outcome, winner, survivors := slowJudge(m, as)
		if v.Outcome != outcome || v.Option != winner {
			t.Fatalf("%s %s, want %s %s", v.Outcome, v.Option, outcome, winner)
		}
		if len(v.Survivors) != len(survivors) {
			t.Fatalf("survivors %v, want %v", v.Survivors, survivors)
		}
		for _, s := range v.Survivors {
			if !survivors[s] {
				t.Fatalf("survivors %v, want %v", v.Survivors, survivors)
			}
		}
	})
}

// TestJudgeOrder: the order of the options never matters, to the last field.
func TestJudgeOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManual(t)
		as := drawOptions(t, m)
		shuffled := rapid.Permutation(as).Draw(t, "order")
		if a, b := dancer.Judge(m, as, 1), dancer.Judge(m, shuffled, 1); !reflect.DeepEqual(a, b) {
			t.Fatalf("the order matters:\n%+v\n%+v", a, b)
		}
	})
}

// TestJudgeNoCycles: taking the winner away again and again ranks the options;
// an option that a floor took out never changes who wins among the rest, so no
// chain of comparisons can come back to its start.
func TestJudgeNoCycles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManual(t)
		as := drawOptions(t, m)
		v := dancer.Judge(m, as, 1)
		var only []dancer.Assessment
		for _, a := range as {
			for _, s := range v.Survivors {
				if a.Option == s {
					only = append(only, a)
				}
			}
		}
		if again := dancer.Judge(m, only, 1); again.Option != v.Option || !reflect.DeepEqual(again.Survivors, v.Survivors) {
			t.Fatalf("vetoed options matter: %s of %v, then %s of %v", v.Option, v.Survivors, again.Option, again.Survivors)
		}
		rest := append([]dancer.Assessment(nil), as...)
		for seen := map[string]bool{}; len(rest) > 0; {
			v := dancer.Judge(m, rest, 1)
			if seen[v.Option] {
				t.Fatalf("%s wins twice", v.Option)
			}
			seen[v.Option] = true
			rest = without(rest, v.Option)
			if v.RunnerUp == "" != (len(v.Survivors) == 1) || v.RunnerUp == v.Option {
				t.Fatalf("runner-up %q of survivors %v", v.RunnerUp, v.Survivors)
			}
		}
	})
}

func without(as []dancer.Assessment, name string) []dancer.Assessment {
	var rest []dancer.Assessment
	for _, a := range as {
		if a.Option != name {
			rest = append(rest, a)
		}
	}
	return rest
}

// TestJudgeFloors: nothing that breaks a floor wins while something does not.
func TestJudgeFloors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawManual(t)
		as := drawOptions(t, m)
		breaks := map[string]bool{}
		all := true
		for _, a := range as {
			for v, value := range m.Values {
				if value.HasFloor && a.Indices[v].Worst < value.Floor {
					breaks[a.Option] = true
				}
			}
			all = all && breaks[a.Option]
		}
		v := dancer.Judge(m, as, 1)
		if under := v.Outcome == dancer.OutcomeUnderFloor; under != all {
			t.Fatalf("under the floor %v, but every option breaks one: %v", under, all)
		}
		if breaks[v.Option] && !all {
			t.Fatalf("%s wins under a floor", v.Option)
		}
		if all && !v.Escalate {
			t.Fatal("under the floor and nobody is asked")
		}
	})
}

// TestConfidence counts pairs by hand: 3 of 4 roll-outs speak for the winner.
func TestConfidence(t *testing.T) {
	m := &dancer.Manual{
		Values:  []dancer.Value{{Name: "safety", HasFloor: true, Floor: 5, Enough: 7}, {Name: "task"}},
		Actions: []dancer.Action{{Name: "halt", Fallback: true}},
	}
	option := func(name string, worst, task float64, samples ...float64) dancer.Assessment {
		return dancer.Assessment{Option: name, Recoverable: true, Samples: samples,
			Indices: []dancer.Index{{Value: "safety", Worst: worst}, {Value: "task", Worst: task}}}
	}
	as := []dancer.Assessment{
		// better on safety; equal above enough, task better; worse within the band; worse by more
		option("go", 6.2, 5, 7, 0, 9, 5, 6.2, 5, 6.4, 5),
		option("halt", 6.4, 0, 6, 9, 8, 0, 6.7, 0, 7, 0),
	}
	if v := dancer.Judge(m, as, 1); v.Option != "go" || v.Confidence != 0.75 {
		t.Errorf("%s with confidence %v, want go with 0.75", v.Option, v.Confidence)
	}
	if v := dancer.Judge(m, as, 0.5); v.Confidence != 0.375 {
		t.Errorf("confidence %v with half the freshness, want 0.375", v.Confidence)
	}
}
