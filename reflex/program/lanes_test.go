package program

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestEvalLanes holds every lane against Eval, bit by bit, for random programs
// over random states with invalid values among them.
func TestEvalLanes(t *testing.T) {
	special := []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 1e308, -1e308, math.NaN(), 3, 1e-310}
	binary := []Operation{Add, Subtract, Multiply, Divide, Minimum, Maximum, Less, LessOrEqual, Equal, And, Or}
	unary := []Operation{Not, Negate, Absolute, SquareRoot, Exponential, Logarithm}
	rapid.Check(t, func(t *rapid.T) {
		const slots = 4
		var b Builder
		values := []Value{b.Slot(0), b.Slot(1), b.Slot(2), b.Slot(3), b.Constant(2.5)}
		pick := func() Value { return rapid.SampledFrom(values).Draw(t, "operand") }
		for range rapid.IntRange(1, 20).Draw(t, "operations") {
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				values = append(values, b.Unary(rapid.SampledFrom(unary).Draw(t, "unary"), pick()))
			case 1:
				values = append(values, b.Select(pick(), pick(), pick()))
			case 2:
				values = append(values, b.Constant(rapid.SampledFrom(special[:7]).Draw(t, "constant")))
			default:
				values = append(values, b.Binary(rapid.SampledFrom(binary).Draw(t, "binary"), pick(), pick()))
			}
		}
		p, err := b.Program("test", values[len(values)-1])
		if err != nil {
			t.Fatal(err)
		}
		lanes := rapid.IntRange(1, 9).Draw(t, "lanes")
		side := make([]float64, slots*lanes)
		for i := range side {
			side[i] = rapid.OneOf(rapid.SampledFrom(special), rapid.Float64()).Draw(t, "state")
		}
		out := make([]float64, lanes)
		p.EvalLanes(out, side, make([]float64, p.Registers()*lanes), lanes)
		one, registers := make([]float64, slots), make([]float64, p.Registers())
		for l := range lanes {
			for s := range slots {
				one[s] = side[s*lanes+l]
			}
			if want := p.Eval(one, registers); math.Float64bits(out[l]) != math.Float64bits(want) {
				t.Fatalf("lane %d of %v: %v, want %v", l, one, out[l], want)
			}
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
