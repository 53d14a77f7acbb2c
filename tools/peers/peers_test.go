package peers

import (
	"math/rand/v2"
	"sort"
	"testing"
)

// random draws a state. All numbers are multiples of 1/64, so that arithmetic is
// exact in every evaluator: Rego counts in decimals.
func random(source *rand.Rand) []float64 {
	state := make([]float64, slots)
	for s := range state {
		switch {
		case isTruth(s):
			state[s] = float64(source.IntN(2))
		case s >= numbers:
			state[s] = float64(source.IntN(65)) / 64
		case source.IntN(2) == 0:
			state[s] = float64(source.IntN(64)) / 64
		default:
			state[s] = float64(source.IntN(128*64)) / 64
		}
	}
	return state
}

// TestEqual: all four give the same hundred truth values, evaluated whole and
// slot by slot, and the inputs make every rule true and false.
func TestEqual(t *testing.T) {
	rules := hundred()
	all := evaluators(t, rules)
	source := rand.New(rand.NewPCG(1, 2))
	states := 3000
	if testing.Short() {
		states = 300
	}
	seen := make([][2]bool, len(rules))
	state := random(source)
	for n := range states {
		slot := -1
		if n%2 == 0 {
			state = random(source)
		} else { // one slot of the state before
			slot = source.IntN(slots)
			state = append([]float64(nil), state...)
			state[slot] = random(source)[slot]
		}
		for _, e := range all {
			e.prepare(state)
			if slot < 0 {
				e.all(n)
			} else {
				e.changed(n, slot)
			}
		}
		for i, r := range rules {
			want := all["expr"].is(i)
			for peer, e := range all {
				if e.is(i) != want {
					t.Fatalf("%s with %v: %s says %v, expr %v", r.text(), state, peer, e.is(i), want)
				}
			}
			if want {
				seen[i][1] = true
			} else {
				seen[i][0] = true
			}
		}
	}
	for i, s := range seen {
		if !s[0] || !s[1] {
			t.Errorf("%s was never true, or never false", rules[i].text())
		}
	}
}

// calm gives states in which nothing happens, as in nearly every cycle of a
// robot: every number moves a little from state to state.
func calm(n int) [][]float64 {
	source := rand.New(rand.NewPCG(3, 4))
	states := make([][]float64, n)
	for i := range states {
		states[i] = make([]float64, slots)
		for s := range numbers {
			states[i][s] = 1 + float64(s)/64 + float64(source.IntN(64))/256
		}
		for s := range outputs {
			states[i][numbers+truths+s] = 0.75 + float64(source.IntN(16))/64
		}
	}
	return states
}

// stormy gives states that have nothing to do with each other: in each of them
// about a third of the rules changes its mind.
func stormy(n int) [][]float64 {
	source := rand.New(rand.NewPCG(5, 6))
	states := make([][]float64, n)
	for i := range states {
		states[i] = random(source)
	}
	return states
}

// prepared gives every evaluator the same states.
func prepared(tb testing.TB, states [][]float64) (all map[string]evaluator, names []string) {
	all = evaluators(tb, hundred())
	for peer, e := range all {
		names = append(names, peer)
		for i, state := range states {
			e.prepare(state)
			e.all(i)
		}
	}
	sort.Strings(names)
	return all, names
}

// TestTableAllocatesNothing: beside the peers, which do.
func TestTableAllocatesNothing(t *testing.T) {
	for _, states := range [][][]float64{calm(64), stormy(64)} {
		all, _ := prepared(t, states)
		e, n := all["dancer"], 0
		if allocs := testing.AllocsPerRun(1000, func() {
			n++
			e.all(n % len(states))
			e.changed((n+1)%len(states), n%numbers)
		}); allocs != 0 {
			t.Errorf("%v allocations", allocs)
		}
	}
}

// BenchmarkAll evaluates the hundred rules, with every number new.
func BenchmarkAll(b *testing.B) { benchmarkAll(b, calm(64)) }

// BenchmarkAllStormy does the same where many rules change their minds.
func BenchmarkAllStormy(b *testing.B) { benchmarkAll(b, stormy(64)) }

func benchmarkAll(b *testing.B, states [][]float64) {
	all, names := prepared(b, states)
	for _, peer := range names {
		b.Run(peer, func(b *testing.B) {
			e := all[peer]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.all(i % len(states))
			}
		})
	}
}

// BenchmarkOneChanged evaluates the rules that read one signal with a new value.
// The peers are given the index that the table has.
func BenchmarkOneChanged(b *testing.B) {
	all, names := prepared(b, calm(2))
	for _, peer := range names {
		b.Run(peer, func(b *testing.B) {
			e := all[peer]
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				e.changed(i&1, i%numbers)
			}
		})
	}
}
