package program

import (
	"math"
)

// Registers is the length of the scratch memory that any program needs. It is a
// constant so that the evaluator can do without bounds checks and one scratch
// serves all programs of a goroutine.
const Registers = 256

// maximumReads bounds the slots that one program may read; the registers above
// hold intermediate results.
const maximumReads = 192

// Program is a compiled expression: a flat list of instructions over slots. It
// is immutable after [Builder.Program] and safe to share between goroutines;
// scratch memory belongs to the caller. Invalid values are NaN: a comparison or
// a logical operation that reads NaN gives NaN, a division by zero gives NaN
// and an overflow to infinity gives NaN. Booleans are 0 and 1.
//
// The zero Program is not usable.
type Program struct {
	source string
	reads  []int // sorted; register i holds slot reads[i]
	code   []instruction
	result uint8 // register of the result

	bounds  []Bound
	negated bool
	simple  bool
}

// String gives the source text of the expression.
func (p *Program) String() string { return p.source }

// Reads gives the slots that the program reads, in ascending order and without
// repetition. The caller must not modify it.
func (p *Program) Reads() []int { return p.reads }

// Registers gives the length of the scratch memory that [Program.Eval] needs.
func (p *Program) Registers() int { return Registers }

// Bounds gives the program as limits on single slots, if it has that form:
// comparisons of a slot with a constant, all joined by "and" or all by "or".
// While no slot that it reads is NaN the program is true exactly when all
// bounds hold, or, if negated, when at least one does not. The caller must not
// modify the list.
func (p *Program) Bounds() (bounds []Bound, negated, ok bool) {
	return p.bounds, p.negated, p.simple
}

// Bound is one limit on one slot: Sign * slot <= Limit.
type Bound struct {
	Slot  int
	Sign  float64 // +1 or -1
	Limit float64
}

// Holds says whether the value keeps the bound; false for NaN.
func (b Bound) Holds(value float64) bool { return b.Sign*value <= b.Limit }

// AnyInvalid says whether one of the slots that the program reads is NaN.
func (p *Program) AnyInvalid(slots []float64) bool {
	for _, s := range p.reads {
		if v := slots[s]; v != v {
			return true
		}
	}
	return false
}

// Eval evaluates the program. The slots must reach as far as the highest one
// read, and there must be at least p.Registers() registers, whose contents are
// overwritten; it panics otherwise, because that is a fault of the caller and
// never of the data. It does not allocate. An invalid result is the one NaN of
// math.NaN, so that results compare bit by bit.
func (p *Program) Eval(slots, registers []float64) float64 {
	r := (*[Registers]float64)(registers)
	for i, s := range p.reads {
		r[uint8(i)] = slots[s]
	}
	return p.run(r)
}

// EvalValid is Eval where every slot that the program reads is valid, and NaN
// where one is NaN, even one that only a branch reads which is not selected.
func (p *Program) EvalValid(slots, registers []float64) float64 {
	r := (*[Registers]float64)(registers)
	for i, s := range p.reads {
		x := slots[s]
		if x != x {
			return math.NaN()
		}
		r[uint8(i)] = x
	}
	return p.run(r)
}

// run evaluates the program with its slots in the lowest registers.
func (p *Program) run(r *[Registers]float64) float64 {
	code := p.code
	for i := range code {
		in := &code[i]
		x, y := r[in.a], r[in.b]
		var v float64
		switch in.op {
		case opConstant:
			v = in.k
		case opAdd:
			v = x + y
		case opAddK:
			v = x + in.k
		case opSubtract:
			v = x - y
		case opSubtractFromK:
			v = in.k - x
		case opMultiply:
			v = x * y
		case opMultiplyK:
			v = x * in.k
		case opDivide:
			v = x / y
		case opDivideK:
			v = x / in.k
		case opDivideIntoK:
			v = in.k / x
		case opMinimum:
			v = minimum(x, y)
		case opMinimumK:
			v = minimum(x, in.k)
		case opMaximum:
			v = maximum(x, y)
		case opMaximumK:
			v = maximum(x, in.k)
		case opLess:
			v = less(x, y)
		case opLessK:
			v = less(x, in.k)
		case opGreaterK:
			v = less(in.k, x)
		case opLessOrEqual:
			v = lessOrEqual(x, y)
		case opLessOrEqualK:
			v = lessOrEqual(x, in.k)
		case opGreaterOrEqualK:
			v = lessOrEqual(in.k, x)
		case opEqual:
			v = equal(x, y)
		case opEqualK:
			v = equal(x, in.k)
		case opAnd:
			v = x * y
		case opOr:
			v = maximum(x, y)
		case opSelect:
			v = choose(x, y, r[in.c])
		case opSelectKR:
			v = choose(x, in.k, r[in.c])
		case opSelectRK:
			v = choose(x, y, in.k)
		case opSelectKK:
			v = choose(x, in.k, in.k2)
		case opAbsolute:
			v = math.Abs(x)
		case opSquareRoot:
			v = math.Sqrt(x)
		case opExponential:
			v = exponential(x)
		case opLogarithm:
			v = logarithm(x)
		}
		if v-v != 0 { // infinite or NaN: one NaN for all machines
			v = math.NaN()
		}
		r[in.d] = v
	}
	v := r[p.result]
	if v-v != 0 {
		return math.NaN()
	}
	return v
}

func less(x, y float64) float64 {
	if x < y {
		return 1
	}
	if x >= y {
		return 0
	}
	return math.NaN()
}

func lessOrEqual(x, y float64) float64 {
	if x <= y {
		return 1
	}
	if x > y {
		return 0
	}
	return math.NaN()
}

func equal(x, y float64) float64 {
	if x == y {
		return 1
	}
	if x < y || x > y {
		return 0
	}
	return math.NaN()
}

// minimum gives y unless x is smaller or NaN; a NaN in y stays as well.
func minimum(x, y float64) float64 {
	if x < y || x != x {
		return x
	}
	return y
}

func maximum(x, y float64) float64 {
	if x > y || x != x {
		return x
	}
	return y
}

func choose(condition, yes, no float64) float64 {
	if condition != condition {
		return condition
	}
	if condition != 0 {
		return yes
	}
	return no
}
