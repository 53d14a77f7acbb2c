package program

import "slices"

// emitter turns the nodes of a builder into instructions and gives every
// intermediate result a register, reused after its last use.
type emitter struct {
	builder  *Builder
	uses     []int // per node: how many operands still refer to it
	register []int // per node: 1 + its register, 0 while it has none
	free     []uint8
	next     int // lowest register never used
}

// count counts the uses of every node that the result needs.
func (e *emitter) count(x Value) {
	e.uses[x]++
	if e.uses[x] > 1 {
		return
	}
	for _, operand := range e.operands(x) {
		e.count(operand)
	}
}

func (e *emitter) operands(x Value) []Value {
	n := e.builder.nodes[x]
	switch n.operation {
	case operationConstant, operationSlot:
		return nil
	case operationSelect:
		return []Value{n.a, n.b, n.c}
	case Absolute, SquareRoot, Exponential, Logarithm:
		return []Value{n.a}
	}
	return []Value{n.a, n.b}
}

// placeReads puts the slots into the lowest registers, where they stay.
func (e *emitter) placeReads(p *Program) error {
	p.reads = e.builder.slots(e.uses)
	if len(p.reads) > maximumReads {
		return ErrTooManyReads
	}
	for i, n := range e.builder.nodes {
		if at, ok := slices.BinarySearch(p.reads, n.slot); ok && n.operation == operationSlot {
			e.register[i] = 1 + at
		}
	}
	e.next = len(p.reads)
	return nil
}

// emit writes the instructions for x, if it has no register yet, and gives its
// register.
func (e *emitter) emit(p *Program, x Value) (uint8, error) {
	if at := e.register[x]; at > 0 {
		return uint8(at - 1), nil
	}
	in, registers := e.choose(x)
	var at [3]uint8
	for i, operand := range registers {
		r, err := e.emit(p, operand)
		if err != nil {
			return 0, err
		}
		at[i] = r
	}
	for _, operand := range registers {
		e.release(operand)
	}
	d, err := e.take()
	if err != nil {
		return 0, err
	}
	in.a, in.b, in.c, in.d = at[0], at[1], at[2], d
	if in.op == opSelectKR { // its second register operand is c
		in.b, in.c = at[0], at[1]
	}
	p.code = append(p.code, in)
	e.register[x] = 1 + int(d)
	return d, nil
}

// release gives a register back after the last use. Slots keep theirs.
func (e *emitter) release(x Value) {
	e.uses[x]--
	if e.uses[x] == 0 && e.builder.nodes[x].operation != operationSlot {
		e.free = append(e.free, uint8(e.register[x]-1))
	}
}

func (e *emitter) take() (uint8, error) {
	if last := len(e.free) - 1; last >= 0 {
		r := e.free[last]
		e.free = e.free[:last]
		return r, nil
	}
	if e.next >= Registers {
		return 0, ErrTooDeep
	}
	e.next++
	return uint8(e.next - 1), nil
}

// withConstant is the form of an operation whose right or left operand is a
// constant; opConstant (the zero value) means that there is none.
var withConstant = [...]struct{ right, left opcode }{
	Add:         {opAddK, opAddK},
	Subtract:    {opConstant, opSubtractFromK}, // x - k is x + -k, see choose
	Multiply:    {opMultiplyK, opMultiplyK},
	Divide:      {opDivideK, opDivideIntoK},
	Minimum:     {opMinimumK, opConstant}, // not swapped: of 0 and -0 the right one wins
	Maximum:     {opMaximumK, opConstant},
	Less:        {opLessK, opGreaterK},
	LessOrEqual: {opLessOrEqualK, opGreaterOrEqualK},
	Equal:       {opEqualK, opEqualK},
	Logarithm:   {},
}

// choose picks the instruction for x and names the operands that it needs in
// registers.
func (e *emitter) choose(x Value) (instruction, []Value) {
	n := e.builder.nodes[x]
	k, constant := e.builder.ConstantOf(x)
	switch {
	case constant:
		return instruction{op: opConstant, k: k}, nil
	case n.operation == operationSelect:
		return e.chooseSelect(n)
	case n.operation >= Not:
		return instruction{op: plain[n.operation]}, []Value{n.a}
	}
	form := withConstant[n.operation]
	if k, ok := e.builder.ConstantOf(n.b); ok {
		if n.operation == Subtract {
			return instruction{op: opAddK, k: -k}, []Value{n.a}
		}
		if form.right != opConstant {
			return instruction{op: form.right, k: k}, []Value{n.a}
		}
	}
	if k, ok := e.builder.ConstantOf(n.a); ok && form.left != opConstant {
		return instruction{op: form.left, k: k}, []Value{n.b}
	}
	return instruction{op: plain[n.operation]}, []Value{n.a, n.b}
}

func (e *emitter) chooseSelect(n node) (instruction, []Value) {
	yes, yesConstant := e.builder.ConstantOf(n.b)
	no, noConstant := e.builder.ConstantOf(n.c)
	switch {
	case yesConstant && noConstant:
		return instruction{op: opSelectKK, k: yes, k2: no}, []Value{n.a}
	case yesConstant:
		return instruction{op: opSelectKR, k: yes}, []Value{n.a, n.c}
	case noConstant:
		return instruction{op: opSelectRK, k: no}, []Value{n.a, n.b}
	}
	return instruction{op: opSelect}, []Value{n.a, n.b, n.c}
}
