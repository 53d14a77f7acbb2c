package program

import (
	"errors"
	"math"
	"slices"
)

// Errors of [Builder.Program]: the expression is too large for one program.
var (
	ErrTooManyReads = errors.New("expression reads more than 192 different signals")
	ErrTooDeep      = errors.New("expression needs too many intermediate results")
)

// Operation is one operation that a [Builder] can be asked for.
type Operation uint8

// The operations. Truth values in and out of them are 0 and 1.
const (
	Add Operation = iota + 1
	Subtract
	Multiply
	Divide
	Minimum
	Maximum
	Less
	LessOrEqual
	Equal
	And // both operands truth values
	Or
	Not // one operand from here on
	Negate
	Absolute
	SquareRoot
	Exponential
	Logarithm

	operationConstant
	operationSlot
	operationSelect
)

// Value is a handle for one intermediate result of a [Builder].
type Value int32

// node is one intermediate result; it is comparable so that equal ones are
// built only once.
type node struct {
	operation Operation
	a, b, c   Value
	slot      int
	bits      uint64 // of the constant; bits, because 0 and -0 differ
}

// Builder collects an expression bottom up and turns it into a [Program]. It
// folds constants with the very evaluator that runs the program. The zero value
// is ready. It belongs to one goroutine.
type Builder struct {
	nodes []node
	known map[node]Value
}

// Constant gives a fixed number.
func (b *Builder) Constant(value float64) Value {
	return b.add(node{operation: operationConstant, bits: math.Float64bits(value)})
}

// Slot gives the value of a slot, numbered from 0.
func (b *Builder) Slot(slot int) Value {
	return b.add(node{operation: operationSlot, slot: slot})
}

// Unary gives an operation of one operand.
func (b *Builder) Unary(operation Operation, x Value) Value {
	switch operation {
	case Negate:
		return b.Binary(Multiply, x, b.Constant(-1))
	case Not:
		return b.not(x)
	}
	return b.fold(node{operation: operation, a: x, b: x})
}

// not negates a comparison in place: with NaN both the comparison and its
// opposite are NaN, so nothing is lost.
func (b *Builder) not(x Value) Value {
	switch n := b.nodes[x]; n.operation {
	case Less:
		return b.Binary(LessOrEqual, n.b, n.a)
	case LessOrEqual:
		return b.Binary(Less, n.b, n.a)
	}
	return b.Binary(Subtract, b.Constant(1), x)
}

// Binary gives an operation of two operands.
func (b *Builder) Binary(operation Operation, x, y Value) Value {
	return b.fold(node{operation: operation, a: x, b: y})
}

// Select gives yes where the condition is true and no where it is false.
func (b *Builder) Select(condition, yes, no Value) Value {
	return b.fold(node{operation: operationSelect, a: condition, b: yes, c: no})
}

// ConstantOf gives the number that a value always has, if it is one.
func (b *Builder) ConstantOf(x Value) (float64, bool) {
	n := b.nodes[x]
	return math.Float64frombits(n.bits), n.operation == operationConstant
}

// Program gives the finished program, which computes result. The source is kept
// for display alone. It fails with [ErrTooManyReads] or [ErrTooDeep].
func (b *Builder) Program(source string, result Value) (*Program, error) {
	e := emitter{builder: b, uses: make([]int, len(b.nodes)), register: make([]int, len(b.nodes))}
	e.count(result)
	p := &Program{source: source}
	if err := e.placeReads(p); err != nil {
		return nil, err
	}
	r, err := e.emit(p, result)
	if err != nil {
		return nil, err
	}
	p.result = r
	p.bounds, p.negated, p.simple = b.bounds(result)
	return p, nil
}

func (b *Builder) add(n node) Value {
	if v, ok := b.known[n]; ok {
		return v
	}
	if b.known == nil {
		b.known = make(map[node]Value)
	}
	v := Value(len(b.nodes))
	b.nodes = append(b.nodes, n)
	b.known[n] = v
	return v
}

// fold adds an operation, or its result if all operands are constant.
func (b *Builder) fold(n node) Value {
	operands := []Value{n.a, n.b}
	if n.operation == operationSelect {
		operands = append(operands, n.c)
	}
	var registers [Registers]float64
	for i, x := range operands {
		k, ok := b.ConstantOf(x)
		if !ok {
			return b.add(n)
		}
		registers[i] = k
	}
	one := Program{code: []instruction{{op: plain[n.operation], a: 0, b: 1, c: 2}}}
	return b.Constant(one.Eval(nil, registers[:]))
}

// plain is the form of each operation in which all operands are registers.
var plain = [...]opcode{
	Add: opAdd, Subtract: opSubtract, Multiply: opMultiply, Divide: opDivide,
	Minimum: opMinimum, Maximum: opMaximum,
	Less: opLess, LessOrEqual: opLessOrEqual, Equal: opEqual,
	And: opAnd, Or: opOr,
	Absolute: opAbsolute, SquareRoot: opSquareRoot,
	Exponential: opExponential, Logarithm: opLogarithm,
	operationSelect: opSelect,
}

// slots gives the slots of all nodes that are used, sorted.
func (b *Builder) slots(used []int) []int {
	var slots []int
	for i, n := range b.nodes {
		if used[i] > 0 && n.operation == operationSlot {
			slots = append(slots, n.slot)
		}
	}
	slices.Sort(slots)
	return slots
}
