package program

import "math"

// States says which of two runs can have a valid value at the same time, one bit
// for each of the four cases.
type States uint8

// The states of a [Pair].
const (
	BothValid States = 1 << iota
	OnlyBValid
	OnlyAValid
	NeitherValid
)

// invalidInA and invalidInB are the bits of a case's number.
const invalidInA, invalidInB = 1, 2

// Pair is what is known of one value in two runs A and B of the same program:
// the spans of its valid values in each, the span of the difference A - B, in
// real numbers, while both are valid, and which of them can be valid together.
// The difference is what keeps two runs apart that begin alike: their spans
// alone overlap after a few steps. (Differential interval analysis, as in the
// differential verification of neural networks: Paulsen, Wang and Wang, ReluDiff,
// 2020.)
type Pair struct {
	A, B       Span
	Difference Span
	States     States
}

// Same is the pair of a value that is one and the same in both runs.
func Same(x Interval) Pair {
	p := Pair{A: x.Span, B: x.Span}
	if !x.Empty() {
		p.States |= BothValid
	}
	if x.Invalid {
		p.States |= NeitherValid
	}
	return p
}

// Apart is the pair of two values that have nothing to do with each other.
func Apart(a, b Interval) Pair {
	p := Pair{A: a.Span, B: b.Span}
	p.States = joint[a.cases(invalidInA)][b.cases(invalidInB)]
	p.Difference = p.apart()
	return p
}

// cases gives the states of a value in one run as if the other were valid.
func (x Interval) cases(bit int) (s States) {
	if !x.Empty() {
		s |= BothValid
	}
	if x.Invalid {
		s |= 1 << bit
	}
	return s
}

// Contains says whether the pair admits these two values.
func (p *Pair) Contains(a, b float64) bool {
	state := 0
	if a != a {
		state |= invalidInA
	} else if !p.A.Contains(a) {
		return false
	}
	if b != b {
		state |= invalidInB
	} else if !p.B.Contains(b) {
		return false
	}
	if state == 0 {
		return p.States&BothValid != 0 && below(p.Difference.Low, a, b) && below(-p.Difference.High, -a, -b)
	}
	return p.States>>state&1 != 0
}

// below says whether low <= a - b in real numbers.
func below(low, a, b float64) bool {
	d, rest := twoDifference(a, b)
	return low < d || low == d && rest >= 0 || math.IsInf(low, -1)
}

// same says whether the value is one and the same in both runs.
func (p *Pair) same() bool {
	return p.States&^(BothValid|NeitherValid) == 0 && p.Difference.Low == 0 && p.Difference.High == 0
}

// joint gives, for the states of two operands, the states of a result that is
// invalid where one of them is.
var joint = func() (table [16][16]States) {
	for x := range States(16) {
		for y := range States(16) {
			for i := range 4 {
				for j := range 4 {
					if x>>i&1 != 0 && y>>j&1 != 0 {
						table[x][y] |= 1 << (i | j)
					}
				}
			}
		}
	}
	return table
}()

// failing adds the cases in which a run gives an invalid result of valid
// operands, and drops those in which it would give a valid one but cannot.
func (s States) failing(bit States, fails, always bool) States {
	if fails {
		s = joint[s][BothValid|1<<bit]
	}
	if always {
		s = joint[s][1<<bit]
	}
	return s
}

// EvalPair evaluates the program in two runs at once: the result contains, for
// all points inside the pairs of the slots, what [Program.Eval] gives in run A
// and in run B. Points in slots are finite or NaN. There must be at least
// [Registers] registers, whose contents are overwritten; as Eval, it panics when
// a slice is too short and does not allocate.
//
// Rounding is monotone: where the exact difference of two results is not below
// 0, neither is that of the rounded ones. Elsewhere it may be off by a unit in
// the last place of each, and the spans of differences are moved out by that.
func (p *Program) EvalPair(slots, registers []Pair) Pair {
	r := (*[Registers]Pair)(registers)
	for i, s := range p.reads {
		r[uint8(i)] = slots[s]
	}
	var constants [3]Pair
	for i := range p.code {
		in := &p.code[i]
		f := &forms[in.op]
		x := f.x.pair(in, r, &constants[0])
		y := f.y.pair(in, r, &constants[1])
		z := f.z.pair(in, r, &constants[2])
		r[in.d] = f.pair(x, y, z)
	}
	return r[p.result]
}

// nothingRead stands in for an operand that the operation does not read.
var nothingRead = Pair{States: BothValid}

func (s source) pair(in *instruction, r *[Registers]Pair, constant *Pair) *Pair {
	switch s {
	case fromA:
		return &r[in.a]
	case fromB:
		return &r[in.b]
	case fromC:
		return &r[in.c]
	case fromK:
		*constant = Same(constantInterval(in.k))
		return constant
	case fromK2:
		*constant = Same(constantInterval(in.k2))
		return constant
	}
	return &nothingRead
}

func (f *form) pair(x, y, z *Pair) Pair {
	switch {
	case !f.known:
		return Pair{allValues, allValues, Span{math.Inf(-1), math.Inf(1)}, 15}
	case f.op == opSelect:
		return choosePair(x, y, z)
	case x.same() && y.same():
		return samePair(f.op, x, y)
	}
	var out Pair
	out.States = joint[x.States][y.States]
	out.A, out.States = operateIn(f.op, x.A, y.A, out.States, invalidInA)
	out.B, out.States = operateIn(f.op, x.B, y.B, out.States, invalidInB)
	if out.States&BothValid == 0 {
		return out
	}
	out.Difference = out.tighten(difference(f.op, x, y, &out))
	return out
}

// samePair: the same operation on the same values gives the same.
func samePair(op opcode, x, y *Pair) Pair {
	out := Pair{States: joint[x.States][y.States]}
	span, fails := noSpan, true
	if a, b := x.A.intersect(x.B), y.A.intersect(y.B); !a.Empty() && !b.Empty() {
		span, fails = operate(op, a, b)
	}
	if fails {
		out.States |= NeitherValid
	}
	if span.Empty() {
		out.States &^= BothValid
	}
	out.A, out.B = span, span
	return out
}

func operateIn(op opcode, x, y Span, states States, bit States) (Span, States) {
	if x.Empty() || y.Empty() {
		return noSpan, states.failing(bit, false, true)
	}
	span, fails := operate(op, x, y)
	return span, states.failing(bit, fails, span.Empty())
}

// apart is the difference that the two spans allow.
func (p *Pair) apart() Span {
	if p.A.Empty() || p.B.Empty() {
		return Span{}
	}
	return Span{lowerSum(p.A.Low, -p.B.High), upperSum(p.A.High, -p.B.Low)}
}

// tighten narrows a difference to what the two spans allow.
func (p *Pair) tighten(d Span) Span {
	apart := p.apart()
	if both := d.intersect(apart); !both.Empty() {
		return both
	}
	return apart // no two values are valid together; anything holds
}

// difference encloses the difference of the results, in real numbers, of the
// operation in the two runs; a and b are its spans in them.
func difference(op opcode, x, y, out *Pair) Span {
	switch op {
	case opAdd:
		return out.rounded(sum(x.Difference, y.Difference))
	case opSubtract:
		return out.rounded(sum(x.Difference, negative(y.Difference)))
	case opMultiply:
		d := sum(product(x.A, y.Difference), product(y.B, x.Difference))
		return out.rounded(d.intersect(sum(product(x.B, y.Difference), product(y.A, x.Difference))))
	case opDivide:
		return divideDifference(x, y, out)
	case opMinimum:
		return minimumDifference(x, y, x.A.High < y.A.Low && x.B.High < y.B.Low, y.A.High < x.A.Low && y.B.High < x.B.Low)
	case opMaximum:
		return minimumDifference(x, y, x.A.Low > y.A.High && x.B.Low > y.B.High, y.A.Low > x.A.High && y.B.Low > x.B.High)
	case opLess, opLessOrEqual:
		return comparisonDifference(sum(x.Difference, negative(y.Difference)))
	case opEqual:
		return Span{-1, 1}
	}
	return differenceOne(op, x, out)
}

// differenceOne is difference for the operations of one operand.
func differenceOne(op opcode, x, out *Pair) Span {
	d := x.Difference
	switch op {
	case opAbsolute:
		switch {
		case x.A.Low >= 0 && x.B.Low >= 0:
			return d
		case x.A.High <= 0 && x.B.High <= 0:
			return negative(d)
		}
		far := max(-d.Low, d.High)
		return Span{-far, far}
	case opSquareRoot: // (a - b) / (sqrt a + sqrt b), of roots that are rounded
		roots := Span{shrink(out.A.Low + out.B.Low), grow(out.A.High + out.B.High)}
		if roots.Low > 0 {
			return out.rounded(quotient(d, roots))
		}
		return signOf(d)
	case opExponential: // mean value: the slope lies between those at the ends
		slope, _ := operateOne(opExponential, x.A.hull(x.B))
		return out.apartByUnits(product(slope, d))
	case opLogarithm:
		if both := x.A.hull(x.B); both.Low > 0 {
			return out.apartByUnits(quotient(d, both))
		}
	}
	return Span{math.Inf(-1), math.Inf(1)}
}

// divideDifference: x/y - u/v = (x - u - (u/v)(y - v)) / y, and the same with
// the runs exchanged.
func divideDifference(x, y, out *Pair) Span {
	d := Span{math.Inf(-1), math.Inf(1)}
	if y.A.Contains(0) || y.B.Contains(0) {
		return d
	}
	rise := negative(y.Difference)
	d = quotient(sum(x.Difference, product(wider(out.B), rise)), y.A)
	return out.rounded(d.intersect(quotient(sum(x.Difference, product(wider(out.A), rise)), y.B)))
}

// minimumDifference: the difference of two minima, or maxima, is not outside of
// both differences, and is that of the operand which surely counts in both runs.
func minimumDifference(x, y *Pair, first, second bool) Span {
	switch {
	case first:
		return x.Difference
	case second:
		return y.Difference
	}
	return x.Difference.hull(y.Difference)
}

// comparisonDifference: where left - right is not lower in run A, a comparison
// that holds there holds in run B as well.
func comparisonDifference(gap Span) Span {
	switch {
	case gap.Low >= 0:
		return Span{-1, 0}
	case gap.High <= 0:
		return Span{0, 1}
	}
	return Span{-1, 1}
}

// rounded is the difference of two rounded results, given that of the exact
// ones.
func (p *Pair) rounded(exact Span) Span {
	d := p.moved(exact, 0x1p-52)
	if exact.Low >= 0 {
		d.Low = max(d.Low, 0)
	}
	if exact.High <= 0 {
		d.High = min(d.High, 0)
	}
	return d
}

// apartByUnits is rounded for the exponential and the logarithm, which are not
// known to be monotone.
func (p *Pair) apartByUnits(exact Span) Span { return p.moved(exact, 0x1p-49) }

// moved widens a difference by an error in each result that is relative to the
// larger one, and by some of the smallest numbers.
func (p *Pair) moved(exact Span, relative float64) Span {
	largest := max(-p.A.Low, p.A.High, -p.B.Low, p.B.High)
	err := float64(largest*relative) + 16*math.SmallestNonzeroFloat64
	return Span{lowerSum(exact.Low, -err), upperSum(exact.High, err)}
}

// choosePair is a selection by cases: which branch each run can take, given how
// far the conditions differ.
func choosePair(c, x, y *Pair) Pair {
	x, y = x.branch(), y.branch()
	out := Pair{A: chosen(c.A, x.A, y.A), B: chosen(c.B, x.B, y.B)}
	out.States = joint[c.States][x.States|y.States]
	if c.States&BothValid == 0 {
		return out
	}
	branches := States(0)
	d := noSpan
	if c.A.mayBeTrue() && c.B.mayBeTrue() {
		branches, d = x.States, x.valid()
	}
	if c.A.Contains(0) && c.B.Contains(0) {
		branches, d = branches|y.States, d.hull(y.valid())
	}
	if c.B.Contains(0) && c.A.intersect(c.Difference).mayBeTrue() { // true in A alone
		branches, d = branches|crossed(x, y), d.hull((&Pair{A: x.A, B: y.B}).gap())
	}
	if c.A.Contains(0) && c.B.intersect(negative(c.Difference)).mayBeTrue() { // true in B alone
		branches, d = branches|crossed(y, x), d.hull((&Pair{A: y.A, B: x.B}).gap())
	}
	out.States = branches
	if rest := c.States &^ BothValid; rest != 0 {
		out.States |= joint[rest][x.States|y.States|crossed(x, y)|crossed(y, x)]
	}
	if d.Empty() || out.States&BothValid == 0 {
		out.States &^= BothValid
		return out
	}
	out.Difference = out.tighten(d)
	return out
}

func chosen(condition, yes, no Span) Span {
	span := noSpan
	if condition.mayBeTrue() {
		span = span.hull(yes)
	}
	if condition.Contains(0) {
		span = span.hull(no)
	}
	return span
}

// never is the pair of a value that is invalid in both runs.
var never = Same(Invalid())

// branch makes an infinite constant invalid, as a selection does.
func (p *Pair) branch() *Pair {
	if p.A.Low == p.A.High && math.IsInf(p.A.Low, 0) {
		return &never
	}
	return p
}

// valid is the difference while both are valid, empty if they never are.
func (p *Pair) valid() Span {
	if p.States&BothValid == 0 {
		return noSpan
	}
	return p.Difference
}

// gap is apart, empty where a span is.
func (p *Pair) gap() Span {
	if p.A.Empty() || p.B.Empty() {
		return noSpan
	}
	return p.apart()
}

// crossed gives the states of x in run A beside y in run B.
func crossed(x, y *Pair) (s States) {
	var a, b States
	if x.States&(BothValid|OnlyAValid) != 0 {
		a |= BothValid
	}
	if x.States&(OnlyBValid|NeitherValid) != 0 {
		a |= 1 << invalidInA
	}
	if y.States&(BothValid|OnlyBValid) != 0 {
		b |= BothValid
	}
	if y.States&(OnlyAValid|NeitherValid) != 0 {
		b |= 1 << invalidInB
	}
	return joint[a][b]
}
