package program

import "math"

// EvalLanes evaluates the program for many states at once, which costs a third
// of evaluating them one by one: the states lie side by side, slots[s*lanes+l]
// being slot s of state l, and so do the results, out[l]. The registers must be
// at least p.Registers()*lanes and are overwritten; it panics when a slice is
// too short. Every lane gets the very bits that [Program.Eval] gives. It does
// not allocate.
func (p *Program) EvalLanes(out, slots, registers []float64, lanes int) {
	rows := operands{reads: p.reads, slots: slots, registers: registers, lanes: lanes}
	for i := range p.code {
		in := &p.code[i]
		d := row(registers, int(in.d), lanes)
		x, y := rows.operand(in.a), rows.operand(in.b)
		calculate(in.op, in.k, in.k2, d, x, y, rows.operand(in.c))
		if in.op < opLess || in.op > opEqualK { // the results of comparisons are clean
			clean(d)
		}
	}
	out = out[:lanes]
	copy(out, rows.operand(p.result))
	clean(out)
}

// operands finds the rows of the registers: the lowest ones are the slots that
// the program reads, which no instruction writes, and lie where the caller has
// them.
type operands struct {
	reads            []int
	slots, registers []float64
	lanes            int
}

func (o *operands) operand(register uint8) []float64 {
	if int(register) < len(o.reads) {
		return row(o.slots, o.reads[register], o.lanes)
	}
	return row(o.registers, int(register), o.lanes)
}

func row(values []float64, i, lanes int) []float64 {
	return values[i*lanes : (i+1)*lanes : (i+1)*lanes]
}

// clean makes infinite results and every kind of NaN the one NaN that is the
// same on all machines. Four at a time, because results are mostly finite.
func clean(d []float64) {
	for ; len(d) >= 4; d = d[4:] {
		a, b, c, e := d[0], d[1], d[2], d[3]
		if (a-a)+(b-b)+(c-c)+(e-e) != 0 {
			d[0], d[1], d[2], d[3] = finite(a), finite(b), finite(c), finite(e)
		}
	}
	for l, v := range d {
		d[l] = finite(v)
	}
}

func finite(v float64) float64 {
	if v-v != 0 {
		return math.NaN()
	}
	return v
}

// calculate runs one instruction for all lanes, without cleaning the results. d
// may be x, y or z.
func calculate(op opcode, k, k2 float64, d, x, y, z []float64) {
	if op < opLess {
		arithmetic(op, k, d, x, y)
		return
	}
	logic(op, k, k2, d, x, y, z)
}

// arithmetic runs one instruction below opLess.
func arithmetic(op opcode, k float64, d, x, y []float64) {
	x, y = x[:len(d)], y[:len(d)]
	switch op {
	case opConstant:
		for l := range d {
			d[l] = k
		}
	case opAdd:
		add(d, x, y)
	case opAddK:
		addK(d, x, k)
	case opSubtract:
		subtract(d, x, y)
	case opSubtractFromK:
		subtractFromK(d, x, k)
	case opMultiply:
		multiply(d, x, y)
	case opMultiplyK:
		multiplyK(d, x, k)
	case opDivide:
		for l := range d {
			d[l] = x[l] / y[l]
		}
	case opDivideK:
		for l := range d {
			d[l] = x[l] / k
		}
	case opDivideIntoK:
		for l := range d {
			d[l] = k / x[l]
		}
	case opMinimum:
		for l := range d {
			d[l] = minimum(x[l], y[l])
		}
	case opMinimumK:
		for l := range d {
			d[l] = minimum(x[l], k)
		}
	case opMaximum:
		for l := range d {
			d[l] = maximum(x[l], y[l])
		}
	case opMaximumK:
		for l := range d {
			d[l] = maximum(x[l], k)
		}
	}
}

// logic runs one instruction from opLess on.
func logic(op opcode, k, k2 float64, d, x, y, z []float64) {
	x, y, z = x[:len(d)], y[:len(d)], z[:len(d)]
	switch op {
	case opLess:
		for l := range d {
			d[l] = less(x[l], y[l])
		}
	case opLessK:
		lessK(d, x, k)
	case opGreaterK:
		greaterK(d, x, k)
	case opLessOrEqual:
		for l := range d {
			d[l] = lessOrEqual(x[l], y[l])
		}
	case opLessOrEqualK:
		for l := range d {
			d[l] = lessOrEqual(x[l], k)
		}
	case opGreaterOrEqualK:
		for l := range d {
			d[l] = lessOrEqual(k, x[l])
		}
	case opEqual:
		for l := range d {
			d[l] = equal(x[l], y[l])
		}
	case opEqualK:
		for l := range d {
			d[l] = equal(x[l], k)
		}
	case opAnd:
		multiply(d, x, y)
	case opOr:
		for l := range d {
			d[l] = maximum(x[l], y[l])
		}
	case opSelect:
		for l := range d {
			d[l] = choose(x[l], y[l], z[l])
		}
	case opSelectKR:
		for l := range d {
			d[l] = choose(x[l], k, z[l])
		}
	case opSelectRK:
		for l := range d {
			d[l] = choose(x[l], y[l], k)
		}
	case opSelectKK:
		selectKK(d, x, k, k2)
	case opAbsolute:
		for l := range d {
			d[l] = math.Abs(x[l])
		}
	case opSquareRoot:
		for l := range d {
			d[l] = math.Sqrt(x[l])
		}
	case opExponential:
		for l := range d {
			d[l] = exponential(x[l])
		}
	case opLogarithm:
		for l := range d {
			d[l] = logarithm(x[l])
		}
	case opCopy:
		copy(d, x)
	}
}
