//go:build interleave

package link

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dancer/hal"
	"dancer/runtime/latency"
)

// wholeCycle calls everything that the spine's side has, as often as given, and
// gives what came of it.
func wholeCycle(s *Segment, rounds int) (results []bool) {
	var h latency.Histogram
	c := newCommandOf(1)
	var r Request
	var read Reading
	for i := range rounds {
		at := time.Duration(i)
		s.StoreSignal(0, float64(i), at, hal.Valid)
		s.StoreOutput(0, float64(i), at, WhoCommand, -1)
		s.StorePort(0, Port{Frames: uint64(i)})
		s.StoreRule(i%2, i%3 == 0, i%5 == 0)
		t := statusOf(uint64(i))
		s.StoreStatus(&t)
		s.StoreLatency(LatencyReflex, &h, h.Record(at))
		e, tr := eventOf(uint64(i)), traceOf(uint64(i))
		results = append(results, s.PutEvent(&e))
		s.PutTrace(&tr)
		results = append(results, s.TakeCommand(&c) == TookCommand, s.TakeRequest(&r), s.TakeReading(&read))
	}
	return results
}

// TestSpineDecidesByNothingOfItsOwn lies to the spine about everything that it
// loads from its own half: what it does and what it writes must be the same. That
// holds for the words of its half that it loads at all, which are the sequences of
// slots.
func TestSpineDecidesByNothingOfItsOwn(t *testing.T) {
	g := newGround()
	defer func() { operate = nil }()
	index := map[*word]int{}
	for i := range g.words {
		index[&g.words[i]] = i
	}
	sequences := []int{g.at.status, g.at.signals, g.at.outputs, g.at.ports}
	run := func(lie func() uint64) (wrote map[int][]uint64, loaded map[int]bool, results []bool) {
		clear(g.words)
		clear(g.brainWords)
		wrote, loaded = map[int][]uint64{}, map[int]bool{}
		operate = func(w *word, op operation, operand uint64) uint64 {
			i, own := index[w]
			switch {
			case own && op == opLoad:
				loaded[i] = true
				if lie != nil {
					return lie()
				}
			case own && !slices.Contains(sequences, i):
				wrote[i] = append(wrote[i], uint64(op), operand)
			}
			switch op {
			case opStore:
				w.value.Store(operand)
			case opOr:
				w.value.Or(operand)
				return lieOr(lie)
			case opAnd:
				w.value.And(operand)
				return lieOr(lie)
			}
			return w.value.Load()
		}
		results = wholeCycle(g.view(), 30)
		return wrote, loaded, results
	}
	honest, loaded, results := run(nil)
	random := rand.New(rand.NewPCG(5, 6))
	for range 100 {
		told, _, same := run(random.Uint64)
		if !slices.Equal(results, same) || !maps.EqualFunc(honest, told, slices.Equal) {
			t.Fatal("what the spine loads from its own half changes what it does")
		}
	}
	if got := slices.Sorted(maps.Keys(loaded)); !slices.Equal(got, sequences) {
		t.Errorf("the spine loads words %v of its half, want the sequences %v alone", got, sequences)
	}
}

func lieOr(lie func() uint64) uint64 {
	if lie == nil {
		return 0
	}
	return lie()
}

// TestSpineIsBounded answers every load from the brain's half with whatever it
// likes, each time anew: a whole cycle takes no more accesses than it has with an
// honest brain that never stops writing.
func TestSpineIsBounded(t *testing.T) {
	g := newGround()
	defer func() { operate = nil }()
	theirs := map[*word]bool{}
	for i := range g.brainWords {
		theirs[&g.brainWords[i]] = true
	}
	random := rand.New(rand.NewPCG(7, 8))
	likely := []uint64{0, 1, 2, 3, ringOfTests, 1 << 63, ^uint64(0), ^uint64(0) - 1}
	accesses, most := 0, 0
	operate = func(w *word, op operation, operand uint64) uint64 {
		accesses++
		switch {
		case theirs[w] && op == opLoad && random.IntN(2) == 0:
			return likely[random.IntN(len(likely))]
		case theirs[w] && op == opLoad:
			return random.Uint64() >> random.IntN(64)
		case op == opStore:
			w.value.Store(operand)
		}
		return w.value.Load()
	}
	s := g.view()
	for range 200_000 {
		accesses = 0
		for _, took := range wholeCycle(s, 1)[1:2] {
			if took {
				t.Fatal("garbage was taken for a command")
			}
		}
		most = max(most, accesses)
	}
	const bound = 110 // 58 in slots, rings and histograms, 7 a look at a mailbox of one output, 9 of a request and of a reading
	t.Logf("at most %d accesses", most)
	if most > bound {
		t.Errorf("%d accesses in a cycle, want at most %d", most, bound)
	}
}
