package program

import "math"

// Span is the closed range of the valid values that something can have. It is
// empty when Low > High, and its ends are finite otherwise.
type Span struct{ Low, High float64 }

// noSpan has no value, and allValues has all.
var (
	noSpan    = Span{math.Inf(1), math.Inf(-1)}
	allValues = Span{-math.MaxFloat64, math.MaxFloat64}
)

// Empty says whether there is no value in the span.
func (s Span) Empty() bool { return !(s.Low <= s.High) }

// Contains says whether the value is in the span; false for NaN.
func (s Span) Contains(value float64) bool { return s.Low <= value && value <= s.High }

func (s Span) hull(t Span) Span { return Span{min(s.Low, t.Low), max(s.High, t.High)} }

func (s Span) intersect(t Span) Span { return Span{max(s.Low, t.Low), min(s.High, t.High)} }

// Interval is what is known of a value: the span that it lies in while it is
// valid, and whether it may be invalid (NaN). A value that can only be invalid
// has an empty span.
type Interval struct {
	Span
	Invalid bool
}

// Between is an interval of valid values, both ends included. Infinite ends
// stand for the largest finite number.
func Between(low, high float64) Interval {
	return Interval{Span: Span{max(low, -math.MaxFloat64), min(high, math.MaxFloat64)}}
}

// Invalid is the interval of a value that can only be invalid.
func Invalid() Interval { return Interval{Span: noSpan, Invalid: true} }

// Contains says whether the value is in the interval; NaN is where it may be
// invalid.
func (x Interval) Contains(value float64) bool {
	if value != value {
		return x.Invalid
	}
	return x.Span.Contains(value)
}

// EvalInterval gives an interval that contains what [Program.Eval] gives for
// every choice of slots inside the given intervals, bit for bit: it encloses the
// floating-point evaluation itself, not that of real numbers. Points in slots
// are finite or NaN. There must be at least [Registers] registers, whose
// contents are overwritten; as Eval, it panics when a slice is too short and
// does not allocate.
//
// Addition, subtraction, multiplication, division and the root are rounded to
// nearest, and rounding is monotone, so the ends need no rounding outward. The
// exponential and the logarithm are within one unit in the last place and not
// known to be monotone; their ends are moved out by four units.
func (p *Program) EvalInterval(slots, registers []Interval) Interval {
	r := (*[Registers]Interval)(registers)
	for i, s := range p.reads {
		r[uint8(i)] = slots[s]
	}
	for i := range p.code {
		in := &p.code[i]
		f := &forms[in.op]
		r[in.d] = f.interval(f.x.interval(in, r), f.y.interval(in, r), f.z.interval(in, r))
	}
	return r[p.result]
}

// source says where an operand comes from.
type source uint8

const (
	fromNowhere source = iota
	fromA              // registers
	fromB
	fromC
	fromK // constants of the instruction
	fromK2
)

// form is the meaning of an opcode in terms of the plain operations, in which
// no operand is a constant.
type form struct {
	known   bool
	op      opcode
	x, y, z source
}

// forms has every opcode. One that is missing is taken to give anything.
var forms = [256]form{
	opConstant:        {true, opConstant, fromK, fromNowhere, fromNowhere},
	opAdd:             {true, opAdd, fromA, fromB, fromNowhere},
	opAddK:            {true, opAdd, fromA, fromK, fromNowhere},
	opSubtract:        {true, opSubtract, fromA, fromB, fromNowhere},
	opSubtractFromK:   {true, opSubtract, fromK, fromA, fromNowhere},
	opMultiply:        {true, opMultiply, fromA, fromB, fromNowhere},
	opMultiplyK:       {true, opMultiply, fromA, fromK, fromNowhere},
	opDivide:          {true, opDivide, fromA, fromB, fromNowhere},
	opDivideK:         {true, opDivide, fromA, fromK, fromNowhere},
	opDivideIntoK:     {true, opDivide, fromK, fromA, fromNowhere},
	opMinimum:         {true, opMinimum, fromA, fromB, fromNowhere},
	opMinimumK:        {true, opMinimum, fromA, fromK, fromNowhere},
	opMaximum:         {true, opMaximum, fromA, fromB, fromNowhere},
	opMaximumK:        {true, opMaximum, fromA, fromK, fromNowhere},
	opLess:            {true, opLess, fromA, fromB, fromNowhere},
	opLessK:           {true, opLess, fromA, fromK, fromNowhere},
	opGreaterK:        {true, opLess, fromK, fromA, fromNowhere},
	opLessOrEqual:     {true, opLessOrEqual, fromA, fromB, fromNowhere},
	opLessOrEqualK:    {true, opLessOrEqual, fromA, fromK, fromNowhere},
	opGreaterOrEqualK: {true, opLessOrEqual, fromK, fromA, fromNowhere},
	opEqual:           {true, opEqual, fromA, fromB, fromNowhere},
	opEqualK:          {true, opEqual, fromA, fromK, fromNowhere},
	opAnd:             {true, opMultiply, fromA, fromB, fromNowhere},
	opOr:              {true, opMaximum, fromA, fromB, fromNowhere},
	opSelect:          {true, opSelect, fromA, fromB, fromC},
	opSelectKR:        {true, opSelect, fromA, fromK, fromC},
	opSelectRK:        {true, opSelect, fromA, fromB, fromK},
	opSelectKK:        {true, opSelect, fromA, fromK, fromK2},
	opAbsolute:        {true, opAbsolute, fromA, fromNowhere, fromNowhere},
	opSquareRoot:      {true, opSquareRoot, fromA, fromNowhere, fromNowhere},
	opExponential:     {true, opExponential, fromA, fromNowhere, fromNowhere},
	opLogarithm:       {true, opLogarithm, fromA, fromNowhere, fromNowhere},
}

func (s source) interval(in *instruction, r *[Registers]Interval) Interval {
	switch s {
	case fromA:
		return r[in.a]
	case fromB:
		return r[in.b]
	case fromC:
		return r[in.c]
	case fromK:
		return constantInterval(in.k)
	case fromK2:
		return constantInterval(in.k2)
	}
	return Interval{} // an operand that the operation does not read
}

// constantInterval keeps an infinite constant, which a comparison or a minimum
// may read: it has ends of its own only here.
func constantInterval(k float64) Interval {
	if k != k {
		return Invalid()
	}
	return Interval{Span: Span{k, k}}
}

func (f *form) interval(x, y, z Interval) Interval {
	switch {
	case !f.known:
		return Interval{allValues, true}
	case f.op == opSelect:
		return chooseInterval(x, y, z)
	case x.Empty() || y.Empty():
		return Invalid()
	}
	span, fails := operate(f.op, x.Span, y.Span)
	return Interval{span, fails || x.Invalid || y.Invalid}
}

func chooseInterval(condition, yes, no Interval) Interval {
	out := Interval{noSpan, condition.Invalid}
	if condition.mayBeTrue() {
		out = out.join(yes)
	}
	if condition.Contains(0) {
		out = out.join(no)
	}
	return out
}

func (x Interval) join(branch Interval) Interval {
	span, fails := settle(branch.Low, branch.High)
	return Interval{x.hull(span), x.Invalid || branch.Invalid || fails}
}

// mayBeTrue says whether there is a value other than 0 in the span.
func (s Span) mayBeTrue() bool { return !s.Empty() && (s.Low != 0 || s.High != 0) }

// operate gives the valid results of a plain operation other than a selection,
// and whether valid operands can give an invalid one. The spans are not empty.
func operate(op opcode, x, y Span) (result Span, fails bool) {
	switch op {
	case opConstant:
		return settle(x.Low, x.High)
	case opAdd:
		return settle(x.Low+y.Low, x.High+y.High)
	case opSubtract:
		return settle(x.Low-y.High, x.High-y.Low)
	case opMultiply:
		return multiplySpans(x, y)
	case opDivide:
		return divideSpans(x, y)
	case opMinimum:
		return settle(min(x.Low, y.Low), min(x.High, y.High))
	case opMaximum:
		return settle(max(x.Low, y.Low), max(x.High, y.High))
	case opLess:
		return truth(x.High < y.Low, x.Low >= y.High), false
	case opLessOrEqual:
		return truth(x.High <= y.Low, x.Low > y.High), false
	case opEqual:
		return truth(x.Low == x.High && x == y, x.High < y.Low || y.High < x.Low), false
	}
	return operateOne(op, x)
}

// operateOne is operate for the operations of one operand.
func operateOne(op opcode, x Span) (result Span, fails bool) {
	switch op {
	case opAbsolute:
		if x.Low >= 0 {
			return settle(x.Low, x.High)
		}
		return settle(max(0, -x.High), max(-x.Low, x.High))
	case opSquareRoot:
		if x.High < 0 {
			return noSpan, true
		}
		return Span{math.Sqrt(max(x.Low, 0)), math.Sqrt(x.High)}, x.Low < 0
	case opExponential:
		low, high := exponential(x.Low), exponential(x.High)
		return settle(max(outward(low, -1), 0), outward(high, 1))
	case opLogarithm:
		if x.High <= 0 {
			return noSpan, true
		}
		low := logarithm(max(x.Low, math.SmallestNonzeroFloat64))
		return Span{outward(low, -1), outward(logarithm(x.High), 1)}, x.Low <= 0
	}
	return allValues, true
}

// outward moves a result of the exponential or the logarithm by four units in
// its last place.
func outward(v, sign float64) float64 {
	const units = 0x1p-50
	return v + float64(sign*(float64(math.Abs(v)*units)+4*math.SmallestNonzeroFloat64))
}

// settle makes a span of two ends, of which those that overflow are invalid.
func settle(low, high float64) (result Span, fails bool) {
	if !(low <= math.MaxFloat64 && high >= -math.MaxFloat64) {
		return noSpan, true
	}
	fails = low < -math.MaxFloat64 || high > math.MaxFloat64
	return Span{max(low, -math.MaxFloat64), min(high, math.MaxFloat64)}, fails
}

// truth is the span of a truth value.
func truth(surely, never bool) Span {
	switch {
	case surely:
		return Span{1, 1}
	case never:
		return Span{0, 0}
	}
	return Span{0, 1}
}

func multiplySpans(x, y Span) (result Span, fails bool) {
	if math.IsInf(x.Low, 0) || math.IsInf(y.Low, 0) { // an infinite constant
		return noSpan, true
	}
	a, b, c, d := x.Low*y.Low, x.Low*y.High, x.High*y.Low, x.High*y.High
	return settle(min(a, b, c, d), max(a, b, c, d))
}

// divideSpans divides by what is not 0; where 0 is in the divisor the result may
// be invalid, and is bounded only by the smallest number beside 0.
func divideSpans(x, y Span) (result Span, fails bool) {
	const least = math.SmallestNonzeroFloat64
	if y.Low > 0 || y.High < 0 {
		a, b, c, d := x.Low/y.Low, x.Low/y.High, x.High/y.Low, x.High/y.High
		return settle(min(a, b, c, d), max(a, b, c, d))
	}
	result = noSpan
	if y.High > 0 {
		part, _ := divideSpans(x, Span{least, y.High})
		result = result.hull(part)
	}
	if y.Low < 0 {
		part, _ := divideSpans(x, Span{y.Low, -least})
		result = result.hull(part)
	}
	return result, true
}
