package dancer_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"dancer/dancer"
)

// TestLadderOn40000Sets holds the ladder's promise on 40,000 random sets of 3 to
// 8 options in random order: the verdict is the one of the slow and obvious
// judge; it never prefers an option that is worse on a higher value, below
// `enough`, by more than the band; it does not depend on the order; taking the
// winner away again and again ranks the options without a cycle; and a robot that
// has taken the winner stays with it.
func TestLadderOn40000Sets(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 40000))
	seen := map[string]int{}
	for set := range 40000 {
		m := randomLadder(random)
		as := randomOptions(random, m)
		v := dancer.Judge(m, as, 1)
		outcome, winner, survivors := slowJudge(m, as)
		if v.Outcome != outcome || v.Option != winner || len(v.Survivors) != len(survivors) {
			t.Fatalf("set %d: %s %s of %v, want %s %s of %v\n%+v\n%+v", set, v.Outcome, v.Option, v.Survivors, outcome, winner, survivors, m.Values, as)
		}
		seen[v.Outcome]++
		if len(v.Incomparable) > 0 {
			seen["incomparable"]++
		}
		random.Shuffle(len(as), func(i, k int) { as[i], as[k] = as[k], as[i] })
		if again := dancer.Judge(m, as, 1); !reflect.DeepEqual(v, again) {
			t.Fatalf("set %d: the order matters:\n%+v\n%+v", set, v, again)
		}
		checkPreference(t, m, as, &v)
		checkIncomparable(t, m, as, &v)
		checkRanking(t, m, as)
		checkStays(t, m, as, &v)
	}
	for _, what := range []string{dancer.OutcomeAct, dancer.OutcomeHold, dancer.OutcomeUnderFloor, "incomparable"} {
		if seen[what] < 1000 {
			t.Errorf("only %d of 40000 sets are %s: the sets prove little", seen[what], what)
		}
	}
}

func randomLadder(random *rand.Rand) *dancer.Manual {
	m := &dancer.Manual{Actions: []dancer.Action{{Name: "halt", Fallback: true}}}
	for v := range 1 + random.IntN(4) {
		value := dancer.Value{Name: fmt.Sprintf("v%d", v), HasFloor: random.IntN(2) == 0}
		if value.HasFloor {
			value.Floor = float64(1 + random.IntN(8))
			value.Enough = min(10, value.Floor+float64(random.IntN(3)))
		}
		m.Values = append(m.Values, value)
	}
	return m
}

// randomOptions draws close values, so that bands, floors and ties matter; a
// worst index is the least of the option's samples, as in a forecast.
func randomOptions(random *rand.Rand, m *dancer.Manual) []dancer.Assessment {
	names := []string{"halt", "a", "b", "c", "d", "e", "f", "g"}
	as := make([]dancer.Assessment, 3+random.IntN(6))
	inaction, blind := random.IntN(len(as)), random.IntN(20) == 0
	pairs, spread := 1+random.IntN(24), float64(random.IntN(3))
	for i := range as {
		a := &as[i]
		a.Option, a.Inaction, a.Recoverable = names[i], i == inaction, true
		a.Samples = make([]float64, pairs*len(m.Values))
		for v := range m.Values {
			base := float64(8+random.IntN(28)) / 4
			x := dancer.Index{Value: m.Values[v].Name, Worst: 10, Expected: float64(8+random.IntN(28)) / 4}
			if random.IntN(4) == 0 {
				x.Repair = x.Expected / 4
			}
			for r := range pairs {
				s := min(10, base+spread*random.Float64())
				a.Samples[r*len(m.Values)+v] = s
				x.Worst = min(x.Worst, s)
			}
			if blind && v == 0 {
				x = dancer.Index{Value: x.Value, Unknown: true}
			}
			a.Indices = append(a.Indices, x)
		}
		a.Disruption = float64(random.IntN(3))
		a.Reversibility = float64(random.IntN(3)) / 2
		a.Changes = random.IntN(3)
		if a.Inaction {
			a.Changes = 0
		}
	}
	random.Shuffle(len(as), func(i, k int) { as[i], as[k] = as[k], as[i] })
	return as
}

func option(as []dancer.Assessment, name string) *dancer.Assessment {
	for i := range as {
		if as[i].Option == name {
			return &as[i]
		}
	}
	return nil
}

// checkPreference: on every value in turn, nobody who is still in the running is
// better than the winner by more than the band, where above enough all are equal.
func checkPreference(t *testing.T, m *dancer.Manual, as []dancer.Assessment, v *dancer.Verdict) {
	t.Helper()
	if v.DecidedBy == "fallback" {
		return // blind: the indices are no ground to prefer anything
	}
	index := func(name string, value int) float64 {
		x := option(as, name).Indices[value].Worst
		if m.Values[value].HasFloor {
			return min(x, m.Values[value].Enough)
		}
		return x
	}
	running := v.Survivors
	for _, floored := range []bool{true, false} {
		for value := range m.Values {
			if m.Values[value].HasFloor != floored {
				continue
			}
			best := 0.0
			for _, name := range running {
				best = max(best, index(name, value))
			}
			if index(v.Option, value) < best-0.5 {
				t.Fatalf("%s wins with %v on %s, where %v was to be had among %v", v.Option, index(v.Option, value), m.Values[value].Name, best, running)
			}
			var left []string
			for _, name := range running {
				if index(name, value) >= best-0.5 {
					left = append(left, name)
				}
			}
			running = left
		}
	}
}

func checkIncomparable(t *testing.T, m *dancer.Manual, as []dancer.Assessment, v *dancer.Verdict) {
	t.Helper()
	want := false
	if v.RunnerUp != "" {
		want = slowIncomparable(m, option(as, v.Option), option(as, v.RunnerUp))
	}
	if got := len(v.Incomparable) > 0; got != want {
		t.Fatalf("%s and %s incomparable: %v, want %v\n%+v", v.Option, v.RunnerUp, got, want, as)
	}
	if pair := []string{min(v.Option, v.RunnerUp), max(v.Option, v.RunnerUp)}; want && !reflect.DeepEqual(v.Incomparable, pair) {
		t.Fatalf("incomparable %v, want %v", v.Incomparable, pair)
	}
}

// checkRanking takes the winner away until nobody is left: nobody wins twice, and
// within the survivors the runner-up is the next.
func checkRanking(t *testing.T, m *dancer.Manual, as []dancer.Assessment) {
	t.Helper()
	rest, expected := as, ""
	for seen := map[string]bool{}; len(rest) > 0; {
		v := dancer.Judge(m, rest, 1)
		if seen[v.Option] {
			t.Fatalf("%s wins twice", v.Option)
		}
		if expected != "" && v.Option != expected {
			t.Fatalf("the runner-up was %s, but without the winner %s wins", expected, v.Option)
		}
		seen[v.Option] = true
		rest, expected = without(rest, v.Option), v.RunnerUp
		if v.DecidedBy == "fallback" || v.Outcome == dancer.OutcomeUnderFloor {
			expected = "" // without the least violation others come into its band
		}
	}
}

// checkStays: the robot has taken the winner, which is inaction now and changes
// nothing; the world is the same, so the verdict is.
func checkStays(t *testing.T, m *dancer.Manual, as []dancer.Assessment, v *dancer.Verdict) {
	t.Helper()
	next := append([]dancer.Assessment(nil), as...)
	for i := range next {
		next[i].Inaction = next[i].Option == v.Option
		if next[i].Inaction {
			next[i].Changes = 0
		} else {
			next[i].Changes++
		}
	}
	if again := dancer.Judge(m, next, 1); again.Option != v.Option {
		t.Fatalf("%s wins, and once it runs %s does: the robot would go to and fro", v.Option, again.Option)
	}
}
