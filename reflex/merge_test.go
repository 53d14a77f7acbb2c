package reflex

import (
	"testing"

	"pgregory.net/rapid"

	"dancer/hal"
)

// choices draws few different values, so that ties are frequent.
func choices(output *hal.Output) *rapid.Generator[choice] {
	return rapid.Custom(func(t *rapid.T) choice {
		if rapid.IntRange(0, 5).Draw(t, "none") == 0 {
			return choice{}
		}
		span := output.Maximum - output.Minimum
		return choice{
			value: output.Minimum + span*float64(rapid.IntRange(0, 4).Draw(t, "step"))/4,
			by:    rapid.IntRange(0, 3).Draw(t, "by"),
			ok:    true,
		}
	})
}

func TestMergeLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &hal.Output{Minimum: -1, Maximum: 1, Safe: rapid.SampledFrom([]float64{-1, -0.5, 0, 0.3, 1}).Draw(t, "safe")}
		g := choices(o)
		a, b, c := g.Draw(t, "a"), g.Draw(t, "b"), g.Draw(t, "c")
		if x, y := merge(o, a, b), merge(o, b, a); x != y {
			t.Errorf("not commutative: %v and %v", x, y)
		}
		if x, y := merge(o, merge(o, a, b), c), merge(o, a, merge(o, b, c)); x != y {
			t.Errorf("not associative: %v and %v", x, y)
		}
		if x := merge(o, a, a); x != a {
			t.Errorf("not idempotent: %v of %v", x, a)
		}
		if x := merge(o, a, b); a.ok && b.ok && distance(o, x) > min(distance(o, a), distance(o, b)) {
			t.Errorf("%v of %v and %v is not the nearest to safe", x, a, b)
		}
	})
}

func distance(o *hal.Output, c choice) float64 { return max(c.value-o.Safe, o.Safe-c.value) }

func TestMergePrefersTheLowerValueOnATie(t *testing.T) {
	o := &hal.Output{Minimum: -1, Maximum: 1}
	got := merge(o, choice{value: 0.5, by: 1, ok: true}, choice{value: -0.5, by: 2, ok: true})
	if got.value != -0.5 || got.by != 2 {
		t.Errorf("got %v, want -0.5 by 2", got)
	}
}
