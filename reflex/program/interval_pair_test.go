package program

import (
	"math"
	"math/rand/v2"
	"testing"
)

// drawPair draws a pair and remembers how to draw its points.
type drawnPair struct {
	pair       Pair
	a, b       Interval
	related    bool
	difference Span
}

func drawPair(c chooser) drawnPair {
	switch c.IntN(4) {
	case 0:
		x := drawInterval(c)
		return drawnPair{pair: Same(x), a: x, b: x, related: true}
	case 1:
		a, b := drawInterval(c), drawInterval(c)
		return drawnPair{pair: Apart(a, b), a: a, b: b}
	}
	// Two overlapping spans, and a difference of theirs: B = A - d.
	x := drawInterval(c)
	if x.Empty() || x.High-x.Low > 1e300 {
		x = Between(-1, 2)
	}
	x.Invalid = false
	d := Span{0, (x.High - x.Low) / 2}
	switch c.IntN(3) {
	case 1:
		d = negative(d)
	case 2:
		d.Low = -d.High / 3
	}
	b := Between(x.Low-d.High-1, x.High-d.Low+1)
	p := Pair{A: x.Span, B: b.Span, Difference: d, States: BothValid}
	return drawnPair{pair: p, a: x, b: b, related: true, difference: d}
}

// points draws two values that the pair admits.
func (d *drawnPair) points(c chooser) (a, b float64) {
	a = drawPoint(c, d.a)
	if !d.related {
		return a, drawPoint(c, d.b)
	}
	if a != a {
		return a, a
	}
	b = a - (d.difference.Low + (d.difference.High-d.difference.Low)*float64(c.IntN(1<<20))/(1<<20))
	if !d.pair.Contains(a, b) { // rounding took it out
		b = a
	}
	return a, b
}

type pairCheck struct {
	drawn            []drawnPair
	box, registers   []Pair
	a, b, scratch    []float64
	narrower, valids int // than the spans alone
}

func newPairCheck() *pairCheck {
	return &pairCheck{make([]drawnPair, testSlots), make([]Pair, testSlots), make([]Pair, Registers),
		make([]float64, testSlots), make([]float64, testSlots), make([]float64, Registers), 0, 0}
}

// run gives how many points were evaluated.
func (k *pairCheck) run(t testing.TB, c chooser, p *Program, points int) (done int) {
	t.Helper()
	for i := range k.box {
		k.drawn[i] = drawPair(c)
		k.box[i] = k.drawn[i].pair
	}
	got := p.EvalPair(k.box, k.registers)
	if got.States&BothValid != 0 {
		k.valids++
		if apart := got.apart(); got.Difference != apart {
			k.narrower++
		}
	}
	for range points {
		if k.point(t, c, p, &got) {
			done++
		}
	}
	return done
}

func (k *pairCheck) point(t testing.TB, c chooser, p *Program, got *Pair) bool {
	t.Helper()
	for i := range k.drawn {
		k.a[i], k.b[i] = k.drawn[i].points(c)
		if !k.box[i].Contains(k.a[i], k.b[i]) {
			return false // no point of a pair was found
		}
	}
	a, b := p.Eval(k.a, k.scratch), p.Eval(k.b, k.scratch)
	if !got.Contains(a, b) {
		t.Fatalf("%v and %v (difference %v) at %v and %v are not in %+v over %+v, of %+v", a, b, a-b, k.a, k.b, *got, k.box, p.code)
	}
	return true
}

func TestPairContainsPoints(t *testing.T) {
	const boxes, points = 5, 20
	c, k := rand.New(rand.NewPCG(7, 8)), newPairCheck()
	done := 0
	for want := evaluations(t, 300_000); done < want; {
		p := drawProgram(t, c)
		for range boxes {
			done += k.run(t, c, p, points)
		}
	}
	t.Logf("%d evaluations; the difference was narrower than the spans in %d of %d", done, k.narrower, k.valids)
	if k.narrower < k.valids/4 {
		t.Errorf("the difference was narrower than the spans in %d of %d alone", k.narrower, k.valids)
	}
}

func FuzzPairContainsPoints(f *testing.F) {
	for seed := range byte(4) {
		data := make([]byte, 500)
		rand.NewChaCha8([32]byte{seed}).Read(data)
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c := &bytesChooser{data}
		newPairCheck().run(t, c, drawProgram(t, c), 8)
	})
}

// TestPairsKeepTheDifference: what two runs have in common drops out, over as
// many steps as one likes.
func TestPairsKeepTheDifference(t *testing.T) {
	var b Builder
	// x * 1.02 - y * 0.12 + z, with x the state, y the choice, z the same for both.
	next, err := b.Program("", b.Binary(Add, b.Binary(Subtract, b.Binary(Multiply, b.Slot(0), b.Constant(1.02)), b.Binary(Multiply, b.Slot(1), b.Constant(0.12))), b.Slot(2)))
	if err != nil {
		t.Fatal(err)
	}
	index, err := b.Program("", b.Binary(Subtract, b.Constant(10), b.Select(b.Binary(Less, b.Slot(0), b.Constant(5)), b.Constant(6), b.Constant(0))))
	if err != nil {
		t.Fatal(err)
	}
	registers := make([]Pair, Registers)
	slots := []Pair{Same(Between(0, 8)), Apart(Between(0, 0), Between(0, 1)), Same(Between(-0.1, 0.1))}
	for step := range 300 {
		slots[0] = next.EvalPair(slots, registers)
		if slots[0].Difference.Low < 0 {
			t.Fatalf("step %d: run A may fall behind: %+v", step, slots[0])
		}
		if d := index.EvalPair(slots, registers).Difference; d.Low < 0 || d.High > 6 {
			t.Fatalf("step %d: index %+v", step, d)
		}
	}
}

func TestPairContains(t *testing.T) {
	nan := math.NaN()
	related := Pair{A: Span{0, 2}, B: Span{0, 2}, Difference: Span{0, 1}, States: BothValid | OnlyAValid}
	for _, c := range []struct {
		a, b float64
		want bool
	}{{1, 1, true}, {2, 1, true}, {1, 1.5, false}, {2, 0.5, false}, {3, 2.5, false}, {1, nan, true}, {nan, 1, false}, {nan, nan, false}, {1, math.Nextafter(1, 2), false}} {
		if related.Contains(c.a, c.b) != c.want {
			t.Errorf("%v and %v: %v", c.a, c.b, !c.want)
		}
	}
}

func BenchmarkEvalPair(b *testing.B) {
	var x Builder
	p, err := x.Program("", x.Binary(Add, x.Binary(Multiply, x.Slot(0), x.Select(x.Binary(Less, x.Slot(1), x.Constant(0)), x.Constant(0.8), x.Constant(1.02))), x.Slot(2)))
	if err != nil {
		b.Fatal(err)
	}
	slots := []Pair{Apart(Between(0, 8), Between(1, 2)), Apart(Between(0, 0), Between(0, 1)), Same(Between(-0.1, 0.1))}
	registers := make([]Pair, Registers)
	b.ReportAllocs()
	for b.Loop() {
		p.EvalPair(slots, registers)
	}
}
