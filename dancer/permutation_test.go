package dancer_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"dancer/dancer"
	"dancer/partner"
)

// TestActionsInAnyOrder: the order in which a manual lists its actions never
// changes the verdict, nor what is forecast of any option; on 400 random manuals
// with the partner's forecast, from states in which several actions may leave the
// same outputs, with and without calibration, widening and a baseline. Every one
// of these decisions replays to the same bytes.
func TestActionsInAnyOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	var p partner.Partner
	merged, outcomes := 0, map[string]int{}
	for n := range 400 {
		head, actions := randomManual(random)
		state := randomState(random)
		seed := random.Uint64()
		calibration, widening := randomLearning(random)
		decide := func() dancer.Decision {
			m := parseManual(t, append(append([]string(nil), head...), actions...))
			in := parseInput(t, m, []string{state})
			in.Seed, in.Rollouts, in.Calibration, in.Widening = seed, 16, calibration, widening
			d := dancer.Decide(m, in, p.Corners, p.Forecast)
			checkReplay(t, m, d)
			return d
		}
		first := decide()
		outcomes[first.Verdict.Outcome]++
		if len(first.Assessments) <= len(actions) {
			merged++
		}
		for range 3 {
			random.Shuffle(len(actions), func(i, k int) { actions[i], actions[k] = actions[k], actions[i] })
			again := decide()
			if !reflect.DeepEqual(first.Verdict, again.Verdict) || first.Tier != again.Tier {
				t.Fatalf("manual %d, %s\n%s\n%s\nanother order of the actions, another verdict:\n%+v\n%+v", n, state,
					strings.Join(head, "\n"), strings.Join(actions, "\n"), first.Verdict, again.Verdict)
			}
			for i := range first.Assessments {
				a := &first.Assessments[i]
				b := again.Find(a.Option)
				if b == nil || !reflect.DeepEqual(a.Indices, b.Indices) || a.CascadeRisk != b.CascadeRisk || a.Recoverable != b.Recoverable {
					t.Fatalf("manual %d: another order of the actions, another forecast of %s:\n%+v\n%+v", n, a.Option, a, b)
				}
			}
		}
	}
	if merged < 50 || len(outcomes) < 3 {
		t.Errorf("%d manuals with merged options, outcomes %v: the manuals prove little", merged, outcomes)
	}
}

// randomManual gives the lines of a manual but for its actions, and these.
func randomManual(random *rand.Rand) (head, actions []string) {
	number := func(low, high float64) string {
		return fmt.Sprintf("%.2f", low+float64(random.Float64()*(high-low)))
	}
	head = []string{
		"signal a - 0 10", "signal b - 0 10", "output x 0 2 safe 0", "output y 0 1 safe 1",
		"value safety " + fmt.Sprint(3+random.IntN(4)), "value task", "horizon 500ms",
		"impact safety = 10 - a / " + number(1, 3) + " - " + number(0, 2) + " * x",
		"impact task = " + number(0, 3) + " * x + y",
		"next a = a * " + number(0.8, 1.1) + " - " + number(0, 0.5) + " * y + d.a",
		"disturb a -0.1 " + number(0, 1),
	}
	if random.IntN(2) == 0 {
		head = append(head, "value art "+fmt.Sprint(1+random.IntN(3)), "impact art = b - x", "next b = b + d.b * y", "disturb b -0.2 0.1")
	}
	for i := range 2 + random.IntN(5) {
		line := "action " + string(rune('p'+i))
		if i == 0 {
			line += " fallback"
		}
		if random.IntN(4) == 0 {
			line += " critical"
		}
		line += fmt.Sprintf(" disruption=%d x=%d", random.IntN(3), random.IntN(3))
		if random.IntN(2) == 0 {
			line += fmt.Sprintf(" y=%d", random.IntN(2))
		}
		actions = append(actions, line)
	}
	if random.IntN(3) == 0 {
		actions = append(actions, "baseline p")
	}
	return head, actions
}

// randomLearning gives what earlier decisions may have left.
func randomLearning(random *rand.Rand) (*dancer.Calibration, *dancer.Widening) {
	var c *dancer.Calibration
	var w *dancer.Widening
	if random.IntN(2) == 0 {
		n := 1 + random.IntN(300)
		c = bins([3]float64{0.35, float64(n), float64(random.IntN(n))}, [3]float64{0.95, float64(n), float64(random.IntN(n))})
	}
	if random.IntN(2) == 0 {
		w = &dancer.Widening{Version: random.Uint64(), Ranges: []dancer.DisturbanceRange{
			{Signal: "a", Minimum: -random.Float64(), Maximum: 2 * random.Float64()}, {Signal: "b", Minimum: -2 * random.Float64()}}}
	}
	return c, w
}

func randomState(random *rand.Rand) string {
	return fmt.Sprintf("a=%.1f b=%.1f | x=%d y=%d", 10*random.Float64(), 10*random.Float64(), random.IntN(3), random.IntN(2))
}
