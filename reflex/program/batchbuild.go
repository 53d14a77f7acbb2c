package program

import (
	"math"
	"slices"
)

// NewBatch makes programs one. slots is the number of slots of a state, and moves
// says of each whether it changes between two calls of [Batch.Prepare]. It
// allocates, and takes time in proportion to the instructions of all programs.
func NewBatch(slots int, moves func(slot int) bool, sections ...[]*Program) *Batch {
	b := batchBuilder{known: make(map[batchValue]int32)}
	for s := range slots {
		b.values = append(b.values, batchValue{op: opSlot, a: int32(s)})
		b.moving, b.tidy, b.clean = append(b.moving, moves(s)), append(b.tidy, false), append(b.clean, false)
	}
	results := make([][]int32, len(sections))
	for i, programs := range sections {
		for _, p := range programs {
			results[i] = append(results[i], b.join(p))
		}
	}
	return b.batch(slots, results)
}

// opSlot and opCopy are known to a batch alone: the value of a slot, and x.
const (
	opSlot opcode = 255
	opCopy opcode = opLogarithm + 1
)

// batchValue is one intermediate result of a batch; it is comparable so that
// equal ones of different programs are computed only once. Operands are values.
type batchValue struct {
	op      opcode
	a, b, c int32 // -1: not read
	k, k2   uint64
}

// batchBuilder joins programs. The values come in an order in which each is
// computed from earlier ones.
//
// Eval makes every infinite result NaN at once. A batch leaves it as it is while
// it cannot get lost: a sum, a difference, a product, a quotient of what is not
// finite, its root and its absolute value are not finite either, so it is enough
// to clean the end of the chain. Where it could get lost (the smaller of it and
// another number, a comparison with it, a division by it, a condition) the
// operand is cleaned.
type batchBuilder struct {
	values []batchValue
	moving []bool // it depends on a slot that moves
	tidy   []bool // clean without being cleaned
	clean  []bool // an infinity in it could get lost
	known  map[batchValue]int32
}

// join adds the instructions of a program and gives its result.
func (b *batchBuilder) join(p *Program) int32 {
	var at [Registers]int32
	for i, slot := range p.reads {
		at[i] = int32(slot)
	}
	for i := range p.code {
		in := &p.code[i]
		v := batchValue{op: in.op, a: -1, b: -1, c: -1, k: math.Float64bits(in.k), k2: math.Float64bits(in.k2)}
		readsA, readsB, readsC := in.op.reads()
		if readsA {
			v.a = at[in.a]
		}
		if readsB {
			v.b = at[in.b]
		}
		if readsC {
			v.c = at[in.c]
		}
		at[in.d] = b.add(v)
	}
	result := at[p.result]
	if b.values[result].op == opSlot { // the caller may write the slot before it reads the result
		result = b.add(batchValue{op: opCopy, a: result, b: -1, c: -1})
	}
	b.clean[result] = true
	return result
}

func (b *batchBuilder) add(v batchValue) int32 {
	if at, ok := b.known[v]; ok {
		return at
	}
	at := int32(len(b.values))
	b.known[v] = at
	moving := false
	for _, operand := range v.operands() {
		moving = moving || b.moving[operand]
	}
	for _, operand := range v.losing() {
		b.clean[operand] = true
	}
	b.values = append(b.values, v)
	b.moving, b.tidy, b.clean = append(b.moving, moving), append(b.tidy, b.isTidy(&v)), append(b.clean, false)
	return at
}

// operands are the values that are read, in the order a, b, c.
func (v *batchValue) operands() []int32 {
	if v.op == opSlot {
		return nil
	}
	operands := []int32{v.a, v.b, v.c}
	return slices.DeleteFunc(operands, func(x int32) bool { return x < 0 })
}

// losing are the operands of which an infinity could get lost.
func (v *batchValue) losing() []int32 {
	switch v.op {
	case opAdd, opAddK, opSubtract, opSubtractFromK, opMultiply, opMultiplyK, opAnd,
		opDivideK, opAbsolute, opSquareRoot, opCopy:
		return nil
	case opDivide:
		return []int32{v.b}
	case opSelect, opSelectKR, opSelectRK, opSelectKK:
		return []int32{v.a} // of the branches the one that is taken comes through as it is
	}
	return v.operands()
}

// isTidy says whether a value is clean when the operands are that are cleaned
// for it. A slot is as the caller has it.
func (b *batchBuilder) isTidy(v *batchValue) bool {
	switch {
	case v.op == opConstant || v.op >= opLess && v.op <= opEqualK:
		return true
	case v.op == opSelectKK: // k and k2 may be anything
		return false
	case v.op == opMinimum || v.op == opMaximum || v.op == opOr:
		return b.values[v.a].op != opSlot && b.values[v.b].op != opSlot
	}
	return false
}

// batch places all values in rows.
func (b *batchBuilder) batch(slots int, results [][]int32) *Batch {
	p := &placement{batchBuilder: b, row: make([]int32, len(b.values)), last: make([]int32, len(b.values))}
	batch := &Batch{slots: slots, rows: slots}
	for i := range b.values {
		if b.moving[i] || i < slots {
			p.row[i] = int32(i) // of a slot its own; of others until they are placed
			continue
		}
		p.row[i] = int32(batch.rows)
		batch.rows++
		batch.still = append(batch.still, p.instruction(int32(i)))
	}
	first := batch.rows
	for _, wanted := range results {
		p.free, p.next = p.free[:0], int32(first)
		s := section{code: p.section(wanted)}
		for _, v := range wanted {
			s.results = append(s.results, p.row[v])
		}
		batch.sections = append(batch.sections, s)
		batch.rows = max(batch.rows, int(p.next))
	}
	return batch
}

// placement gives the moving values of one section rows, reused after their last
// use.
type placement struct {
	*batchBuilder
	row  []int32 // per value
	last []int32 // per value: the last one that reads it, in this section
	free []int32
	next int32 // lowest row never used
}

// section gives the code that computes the wanted values.
func (p *placement) section(wanted []int32) []lanesInstruction {
	needed := make([]bool, len(p.values))
	for _, v := range wanted {
		needed[v] = true
	}
	for v := len(p.values) - 1; v >= 0; v-- {
		p.last[v] = -1
		if !needed[v] || !p.moving[v] {
			continue
		}
		for _, operand := range p.values[v].operands() {
			needed[operand] = true
		}
	}
	for v := range p.values {
		if !needed[v] || !p.moving[v] {
			continue
		}
		for _, operand := range p.values[v].operands() {
			p.last[operand] = int32(v)
		}
	}
	for _, v := range wanted {
		p.last[v] = int32(len(p.values)) // never in this section
	}
	var code []lanesInstruction
	for v := range int32(len(p.values)) {
		if needed[v] && p.moving[v] && p.values[v].op != opSlot {
			p.place(v)
			code = append(code, p.instruction(v))
		}
	}
	return code
}

// place takes a row for a value, after giving back those of the operands that
// nothing reads any more: an instruction may write the row that it reads.
func (p *placement) place(v int32) {
	for _, operand := range p.values[v].operands() {
		if p.last[operand] == v && p.moving[operand] && p.values[operand].op != opSlot {
			p.free = append(p.free, p.row[operand])
			p.last[operand] = -1 // once, if it is read twice
		}
	}
	if last := len(p.free) - 1; last >= 0 {
		p.row[v], p.free = p.free[last], p.free[:last]
		return
	}
	p.row[v] = p.next
	p.next++
}

// instruction gives the instruction of a value whose operands have their rows.
// A row that is not read is that of the result, so that there is one.
func (p *placement) instruction(v int32) lanesInstruction {
	value := &p.values[v]
	in := lanesInstruction{
		op: value.op, clean: p.clean[v] && !p.tidy[v], d: p.row[v], a: p.row[v], b: p.row[v], c: p.row[v],
		k: math.Float64frombits(value.k), k2: math.Float64frombits(value.k2),
	}
	if value.op == opConstant {
		in.k = finite(in.k)
	}
	for _, o := range []struct {
		value int32
		row   *int32
	}{{value.a, &in.a}, {value.b, &in.b}, {value.c, &in.c}} {
		if o.value >= 0 {
			*o.row = p.row[o.value]
		}
	}
	return in
}
