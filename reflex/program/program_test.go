package program

import (
	"errors"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// eval builds one expression and evaluates it.
func eval(t *testing.T, slots []float64, build func(b *Builder) Value) float64 {
	t.Helper()
	var b Builder
	p, err := b.Program("test", build(&b))
	if err != nil {
		t.Fatal(err)
	}
	return p.Eval(slots, make([]float64, p.Registers()))
}

func same(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }

func TestOperations(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name      string
		operation Operation
		x, y      float64
		want      float64
	}{
		{"add", Add, 2, 3, 5},
		{"add overflows", Add, math.MaxFloat64, math.MaxFloat64, nan},
		{"add NaN", Add, nan, 1, nan},
		{"subtract", Subtract, 2, 3, -1},
		{"multiply", Multiply, 2, 3, 6},
		{"multiply overflows", Multiply, -1e200, 1e200, nan},
		{"divide", Divide, 3, 2, 1.5},
		{"divide by zero", Divide, 3, 0, nan},
		{"divide zero by zero", Divide, 0, 0, nan},
		{"minimum", Minimum, 3, 2, 2},
		{"minimum left NaN", Minimum, nan, 2, nan},
		{"minimum right NaN", Minimum, 2, nan, nan},
		{"maximum", Maximum, 3, 2, 3},
		{"maximum left NaN", Maximum, nan, 2, nan},
		{"maximum right NaN", Maximum, 2, nan, nan},
		{"less", Less, 2, 3, 1},
		{"less, equal", Less, 3, 3, 0},
		{"less NaN", Less, nan, 3, nan},
		{"less or equal", LessOrEqual, 3, 3, 1},
		{"less or equal, not", LessOrEqual, 4, 3, 0},
		{"less or equal NaN", LessOrEqual, 3, nan, nan},
		{"equal", Equal, 3, 3, 1},
		{"equal, not", Equal, 3, 4, 0},
		{"equal NaN", Equal, nan, nan, nan},
		{"and", And, 1, 1, 1},
		{"and, not", And, 0, 1, 0},
		{"and NaN", And, 0, nan, nan},
		{"or", Or, 0, 1, 1},
		{"or, not", Or, 0, 0, 0},
		{"or NaN", Or, 1, nan, nan},
		{"not", Not, 1, 0, 0},
		{"not NaN", Not, nan, 0, nan},
		{"negate", Negate, 0, 0, math.Copysign(0, -1)},
		{"absolute", Absolute, -2, 0, 2},
		{"root", SquareRoot, 9, 0, 3},
		{"root of a negative number", SquareRoot, -9, 0, nan},
		{"exponential overflows", Exponential, 1000, 0, nan},
		{"exponential of much less than nothing", Exponential, -1000, 0, 0},
		{"logarithm", Logarithm, 1, 0, 0},
		{"logarithm of zero", Logarithm, 0, 0, nan},
		{"logarithm of a negative number", Logarithm, -1, 0, nan},
	}
	for _, test := range tests {
		operate := func(b *Builder, x, y Value) Value {
			if test.operation >= Not {
				return b.Unary(test.operation, x)
			}
			return b.Binary(test.operation, x, y)
		}
		// Every form of operands: slot or constant, left and right.
		for form, build := range map[string]func(b *Builder) Value{
			"slots":          func(b *Builder) Value { return operate(b, b.Slot(0), b.Slot(1)) },
			"right constant": func(b *Builder) Value { return operate(b, b.Slot(0), b.Constant(test.y)) },
			"left constant":  func(b *Builder) Value { return operate(b, b.Constant(test.x), b.Slot(1)) },
			"constants":      func(b *Builder) Value { return operate(b, b.Constant(test.x), b.Constant(test.y)) },
		} {
			if got := eval(t, []float64{test.x, test.y}, build); !same(got, test.want) && !(got == test.want && got == 0 && test.operation != Negate) {
				t.Errorf("%s, %s: %v of %v and %v, want %v", test.name, form, got, test.x, test.y, test.want)
			}
		}
	}
}

func TestSelectReadsOnlyItsBranch(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct{ condition, yes, no, want float64 }{
		{1, 5, nan, 5}, {0, nan, 6, 6}, {nan, 5, 6, nan}, {1, nan, 6, nan},
	} {
		slots := []float64{test.condition, test.yes, test.no}
		operand := func(b *Builder, slot int, constant bool) Value {
			if constant {
				return b.Constant(slots[slot])
			}
			return b.Slot(slot)
		}
		for form := range 8 {
			got := eval(t, slots, func(b *Builder) Value {
				return b.Select(operand(b, 0, form&1 > 0), operand(b, 1, form&2 > 0), operand(b, 2, form&4 > 0))
			})
			if !same(got, test.want) {
				t.Errorf("%v ? %v : %v = %v in form %d, want %v", test.condition, test.yes, test.no, got, form, test.want)
			}
		}
	}
}

func TestResultHasOneNaN(t *testing.T) {
	other := math.Float64frombits(math.Float64bits(math.NaN()) ^ 1<<63 ^ 5)
	for name, slot := range map[string]float64{"another NaN": other, "infinity": math.Inf(1)} {
		if got := eval(t, []float64{slot}, func(b *Builder) Value { return b.Slot(0) }); !same(got, math.NaN()) {
			t.Errorf("%s comes out as bits %x", name, math.Float64bits(got))
		}
	}
}

// TestEvalValid: the same as Eval, but for an invalid slot in a branch that is not
// selected.
func TestEvalValid(t *testing.T) {
	nan := math.NaN()
	var b Builder
	p, err := b.Program("", b.Select(b.Slot(0), b.Slot(1), b.Slot(2)))
	if err != nil {
		t.Fatal(err)
	}
	registers := make([]float64, p.Registers())
	for _, test := range []struct {
		slots []float64
		want  float64
	}{
		{[]float64{1, 5, 6}, 5}, {[]float64{0, 5, 6}, 6}, {[]float64{1, 5, nan}, nan},
		{[]float64{1, nan, 6}, nan}, {[]float64{nan, 5, 6}, nan}, {[]float64{1, math.Inf(1), 6}, nan},
	} {
		if got := p.EvalValid(test.slots, registers); !same(got, test.want) {
			t.Errorf("%v give %v, want %v", test.slots, got, test.want)
		}
	}
}

func TestReadsAreSortedAndUnique(t *testing.T) {
	var b Builder
	p, err := b.Program("source", b.Binary(Add, b.Binary(Multiply, b.Slot(7), b.Slot(2)), b.Slot(7)))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Reads(), []int{2, 7}) || p.String() != "source" {
		t.Errorf("reads %v of %q, want [2 7] of source", p.Reads(), p)
	}
	slots := make([]float64, 8)
	if p.AnyInvalid(slots) {
		t.Error("valid slots are called invalid")
	}
	slots[2] = math.NaN()
	if !p.AnyInvalid(slots) {
		t.Error("an invalid slot goes unseen")
	}
}

func TestProgramsHaveLimits(t *testing.T) {
	var b Builder
	sum := b.Slot(0)
	for i := range maximumReads {
		sum = b.Binary(Add, sum, b.Slot(i+1))
	}
	if _, err := b.Program("", sum); !errors.Is(err, ErrTooManyReads) {
		t.Errorf("%d reads: %v", maximumReads+1, err)
	}
	// A quotient nested to the right needs all its products at once.
	var deep Builder
	products := make([]Value, 300)
	for i := range products {
		products[i] = deep.Binary(Multiply, deep.Slot(0), deep.Constant(float64(i+2)))
	}
	tree := products[0]
	for _, x := range products[1:] {
		tree = deep.Binary(Divide, x, tree)
	}
	if _, err := deep.Program("", tree); !errors.Is(err, ErrTooDeep) {
		t.Errorf("a deep tree: %v", err)
	}
}

func TestEvalDoesNotAllocate(t *testing.T) {
	var b Builder
	p, err := b.Program("", b.Unary(Exponential, b.Binary(Add, b.Slot(0), b.Unary(Logarithm, b.Slot(1)))))
	if err != nil {
		t.Fatal(err)
	}
	slots, registers := []float64{1, 2}, make([]float64, p.Registers())
	if n := testing.AllocsPerRun(100, func() { p.Eval(slots, registers) }); n != 0 {
		t.Errorf("Eval allocates %v times", n)
	}
}

// tree draws an expression and builds it twice: as a program, and as a closure
// that applies one operation at a time.
func tree(t *rapid.T, b *Builder, depth int) (Value, func([]float64) float64) {
	kind := rapid.IntRange(0, 9).Draw(t, "kind")
	switch {
	case depth == 0 || kind < 2:
		if slot := rapid.IntRange(-3, 3).Draw(t, "slot"); slot >= 0 {
			return b.Slot(slot), func(s []float64) float64 { return s[slot] }
		}
		k := rapid.SampledFrom([]float64{-1, 0, 0.5, 1, 3, 1e200}).Draw(t, "constant")
		return b.Constant(k), func([]float64) float64 { return k }
	case kind == 2:
		c, cf := condition(t, b, depth-1)
		x, xf := tree(t, b, depth-1)
		y, yf := tree(t, b, depth-1)
		return b.Select(c, x, y), func(s []float64) float64 { return choose(cf(s), xf(s), yf(s)) }
	case kind == 3:
		x, xf := tree(t, b, depth-1)
		return b.Unary(Absolute, x), func(s []float64) float64 { return finite(math.Abs(xf(s))) }
	}
	x, xf := tree(t, b, depth-1)
	y, yf := tree(t, b, depth-1)
	operation := rapid.SampledFrom([]Operation{Add, Subtract, Multiply, Divide, Minimum, Maximum}).Draw(t, "operation")
	return b.Binary(operation, x, y), func(s []float64) float64 { return finite(apply(operation, xf(s), yf(s))) }
}

func condition(t *rapid.T, b *Builder, depth int) (Value, func([]float64) float64) {
	if depth > 0 && rapid.Bool().Draw(t, "join") {
		x, xf := condition(t, b, depth-1)
		if rapid.IntRange(0, 3).Draw(t, "not") == 0 {
			return b.Unary(Not, x), func(s []float64) float64 { return 1 - xf(s) }
		}
		y, yf := condition(t, b, depth-1)
		operation := rapid.SampledFrom([]Operation{And, Or}).Draw(t, "operation")
		return b.Binary(operation, x, y), func(s []float64) float64 { return apply(operation, xf(s), yf(s)) }
	}
	x, xf := tree(t, b, 0)
	y, yf := tree(t, b, 0)
	operation := rapid.SampledFrom([]Operation{Less, LessOrEqual, Equal}).Draw(t, "comparison")
	return b.Binary(operation, x, y), func(s []float64) float64 { return apply(operation, xf(s), yf(s)) }
}

func apply(operation Operation, x, y float64) float64 {
	truth := func(is bool) float64 {
		switch {
		case x != x || y != y:
			return math.NaN()
		case is:
			return 1
		}
		return 0
	}
	switch operation {
	case Add:
		return x + y
	case Subtract:
		return x - y
	case Multiply:
		return x * y
	case Divide:
		return x / y
	case Minimum:
		return math.Min(x, y)
	case Maximum:
		return math.Max(x, y)
	case Less:
		return truth(x < y)
	case LessOrEqual:
		return truth(x <= y)
	case Equal:
		return truth(x == y)
	case And:
		return truth(x == 1 && y == 1)
	case Or:
		return truth(x == 1 || y == 1)
	}
	panic("no such operation")
}

var slotValues = rapid.SampledFrom([]float64{-2, -1, 0, 0.5, 1, 3, 1e150, math.NaN()})

func TestProgramsAgreeWithClosures(t *testing.T) {
	registers := make([]float64, Registers)
	rapid.Check(t, func(t *rapid.T) {
		var b Builder
		x, want := tree(t, &b, 5)
		p, err := b.Program("", x)
		if err != nil {
			t.Fatal(err)
		}
		slots := rapid.SliceOfN(slotValues, 4, 4).Draw(t, "slots")
		got, expected := p.Eval(slots, registers), want(slots)
		if got != expected && !(got != got && expected != expected) {
			t.Errorf("%v, want %v", got, expected)
		}
	})
}

func TestBoundsSayTheSame(t *testing.T) {
	registers := make([]float64, Registers)
	found := 0
	rapid.Check(t, func(t *rapid.T) {
		var b Builder
		x, _ := condition(t, &b, 3)
		p, err := b.Program("", x)
		if err != nil {
			t.Fatal(err)
		}
		slots := rapid.SliceOfN(slotValues, 4, 4).Draw(t, "slots")
		bounds, negated, ok := p.Bounds()
		if !ok || p.AnyInvalid(slots) {
			return
		}
		found++
		all := true
		for _, bound := range bounds {
			all = all && bound.Holds(slots[bound.Slot])
		}
		if got, want := all != negated, p.Eval(slots, registers) == 1; got != want {
			t.Errorf("bounds %v negated %v with %v give %v, the program %v", bounds, negated, slots, got, want)
		}
	})
	if found == 0 {
		t.Error("no drawn condition had bounds")
	}
}
