package program

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// special are the values at which arithmetic is odd, among them a second NaN.
var special = []float64{
	0, math.Copysign(0, -1), 1, -1, 0.5, 1e308, -1e308, math.NaN(), 3, 1e-310,
	math.Inf(1), math.Inf(-1), math.Float64frombits(math.Float64bits(math.NaN()) ^ 1<<63 ^ 5),
}

// randomValues draws operations over the given slots into a builder.
func randomValues(t *rapid.T, b *Builder, slots int) []Value {
	binary := []Operation{Add, Subtract, Multiply, Divide, Minimum, Maximum, Less, LessOrEqual, Equal, And, Or}
	unary := []Operation{Not, Negate, Absolute, SquareRoot, Exponential, Logarithm}
	values := []Value{b.Constant(2.5)}
	for s := range slots {
		values = append(values, b.Slot(s))
	}
	pick := func() Value { return rapid.SampledFrom(values).Draw(t, "operand") }
	for range rapid.IntRange(1, 20).Draw(t, "operations") {
		switch rapid.IntRange(0, 3).Draw(t, "kind") {
		case 0:
			values = append(values, b.Unary(rapid.SampledFrom(unary).Draw(t, "unary"), pick()))
		case 1:
			values = append(values, b.Select(pick(), pick(), pick()))
		case 2:
			values = append(values, b.Constant(rapid.SampledFrom(special).Draw(t, "constant")))
		default:
			values = append(values, b.Binary(rapid.SampledFrom(binary).Draw(t, "binary"), pick(), pick()))
		}
	}
	return values
}

// fillRandom draws a value for every element.
func fillRandom(t *rapid.T, states []float64) {
	for i := range states {
		states[i] = rapid.OneOf(rapid.SampledFrom(special), rapid.Float64()).Draw(t, "state")
	}
}

// checkLane holds one result against Eval on the state of one lane, bit by bit.
func checkLane(t *rapid.T, p *Program, got float64, states []float64, slots, lanes, lane int) {
	one, registers := make([]float64, slots), make([]float64, p.Registers())
	for s := range slots {
		one[s] = states[s*lanes+lane]
	}
	if want := p.Eval(one, registers); math.Float64bits(got) != math.Float64bits(want) {
		t.Fatalf("lane %d of %v: %x, want %x", lane, one, math.Float64bits(got), math.Float64bits(want))
	}
}

// TestEvalLanes holds every lane against Eval for random programs over random
// states with invalid values among them.
func TestEvalLanes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 4
		var b Builder
		values := randomValues(t, &b, slots)
		p, err := b.Program("test", values[len(values)-1])
		if err != nil {
			t.Fatal(err)
		}
		lanes := rapid.IntRange(1, 9).Draw(t, "lanes")
		side := make([]float64, slots*lanes)
		fillRandom(t, side)
		out := make([]float64, lanes)
		p.EvalLanes(out, side, make([]float64, p.Registers()*lanes), lanes)
		for l := range lanes {
			checkLane(t, p, out[l], side, slots, lanes, l)
		}
	})
}

func TestEvalLanesAllocatesNothing(t *testing.T) {
	var b Builder
	p, err := b.Program("x * y", b.Binary(Multiply, b.Slot(0), b.Slot(1)))
	if err != nil {
		t.Fatal(err)
	}
	out, slots, registers := make([]float64, 8), make([]float64, 16), make([]float64, p.Registers()*8)
	if n := testing.AllocsPerRun(100, func() { p.EvalLanes(out, slots, registers, 8) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
