package program

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestBatch holds every result of every lane of every section against Eval, for
// random programs that have much in common, over several steps in which only
// the moving slots change.
func TestBatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const slots = 5
		var b Builder
		values := randomValues(t, &b, slots)
		sections := make([][]*Program, rapid.IntRange(1, 3).Draw(t, "sections"))
		for i := range sections {
			for range rapid.IntRange(0, 4).Draw(t, "programs") {
				p, err := b.Program("test", rapid.SampledFrom(values).Draw(t, "result"))
				if err != nil {
					t.Fatal(err)
				}
				sections[i] = append(sections[i], p)
			}
		}
		moving := rapid.SliceOfN(rapid.Bool(), slots, slots).Draw(t, "moving")
		batch := NewBatch(slots, func(s int) bool { return moving[s] }, sections...)
		for range 2 {
			checkBatch(t, batch, sections, moving, rapid.IntRange(1, 9).Draw(t, "lanes"))
		}
	})
}

func checkBatch(t *rapid.T, batch *Batch, sections [][]*Program, moving []bool, lanes int) {
	slots := len(moving)
	rows := make([]float64, batch.Rows()*lanes)
	for i := range rows {
		rows[i] = math.Inf(1) // what nobody has written
	}
	fillRandom(t, rows[:slots*lanes])
	batch.Prepare(rows, lanes)
	for range 3 {
		for i, programs := range sections {
			batch.Eval(i, rows, lanes)
			for j, p := range programs {
				for l := range lanes {
					checkLane(t, p, rows[batch.Result(i, j)*lanes+l], rows, slots, lanes, l)
				}
			}
		}
		for s := range slots {
			if moving[s] {
				fillRandom(t, rows[s*lanes:(s+1)*lanes])
			}
		}
	}
}

// TestBatchLosesNoInfinity: every operation on a product that overflows, as every
// operand, beside every kind of other operand, gives the bits that Eval gives,
// although Eval makes the product NaN at once and a batch mostly does not.
func TestBatchLosesNoInfinity(t *testing.T) {
	var b Builder
	products := []Value{b.Binary(Multiply, b.Slot(0), b.Slot(0)), b.Binary(Multiply, b.Slot(0), b.Slot(1))}
	others := append([]Value{b.Slot(1), b.Slot(2), b.Constant(0), b.Constant(-3), b.Constant(math.Inf(1))}, products...)
	var values []Value
	for _, x := range products {
		for _, operation := range []Operation{Not, Negate, Absolute, SquareRoot, Exponential, Logarithm} {
			values = append(values, b.Unary(operation, x))
		}
		for _, y := range others {
			for operation := Add; operation <= Or; operation++ {
				values = append(values, b.Binary(operation, x, y), b.Binary(operation, y, x))
			}
			for _, z := range others {
				values = append(values, b.Select(x, y, z), b.Select(y, x, z), b.Select(y, z, x))
			}
		}
	}
	states := [][]float64{{1e200, 1e200, 2}, {1e200, -1e200, 0}, {1e200, 0, 1}, {3, math.Inf(1), 1}, {3, -2, math.NaN()}}
	registers := make([]float64, Registers)
	for i, v := range values {
		// Twice: on its own, and with something after it that hides nothing.
		for _, x := range []Value{v, b.Binary(Add, v, b.Constant(1))} {
			p, err := b.Program("", x)
			if err != nil {
				t.Fatal(err)
			}
			batch := NewBatch(3, func(int) bool { return true }, []*Program{p})
			rows := make([]float64, batch.Rows())
			batch.Prepare(rows, 1)
			for _, state := range states {
				copy(rows, state)
				batch.Eval(0, rows, 1)
				if got, want := rows[batch.Result(0, 0)], p.Eval(state, registers); !same(got, want) {
					t.Errorf("value %d with %v: %v, want %v", i, state, got, want)
				}
			}
		}
	}
}

// TestBatchResultsOutliveTheSlots: two programs that swap two slots can be
// written back one after the other.
func TestBatchResultsOutliveTheSlots(t *testing.T) {
	var b Builder
	first, err := b.Program("b", b.Slot(1))
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Program("a", b.Slot(0))
	if err != nil {
		t.Fatal(err)
	}
	batch := NewBatch(2, func(int) bool { return true }, []*Program{first, second})
	rows := make([]float64, batch.Rows()*2)
	copy(rows, []float64{1, 2, 3, 4})
	batch.Prepare(rows, 2)
	batch.Eval(0, rows, 2)
	for i := range 2 {
		r := batch.Result(0, i)
		copy(rows[i*2:], rows[r*2:r*2+2])
	}
	if got := [4]float64(rows[:4]); got != [4]float64{3, 4, 1, 2} {
		t.Errorf("swapped: %v", got)
	}
}

// TestBatchComputesOnce: what programs have in common is one instruction, and
// what depends only on slots that do not move is none of a section's.
func TestBatchComputesOnce(t *testing.T) {
	var b Builder
	still := b.Binary(Multiply, b.Slot(0), b.Constant(1.2))
	common := b.Binary(Divide, b.Slot(1), b.Constant(60))
	sum, err := b.Program("", b.Binary(Add, common, still))
	if err != nil {
		t.Fatal(err)
	}
	difference, err := b.Program("", b.Binary(Subtract, common, still))
	if err != nil {
		t.Fatal(err)
	}
	batch := NewBatch(2, func(s int) bool { return s == 1 }, []*Program{sum, difference}, []*Program{sum})
	if len(batch.still) != 1 || len(batch.sections[0].code) != 3 || len(batch.sections[1].code) != 2 {
		t.Errorf("%d still instructions, %d and %d in the sections; want 1, 3 and 2",
			len(batch.still), len(batch.sections[0].code), len(batch.sections[1].code))
	}
}

// TestBatchCleansEnds: a chain of sums and products is cleaned once, at its end,
// and before an operation in which an infinity could get lost.
func TestBatchCleansEnds(t *testing.T) {
	var b Builder
	chain := b.Binary(Add, b.Binary(Multiply, b.Slot(0), b.Slot(0)), b.Slot(1))
	capped := b.Binary(Minimum, chain, b.Constant(10))
	p, err := b.Program("", b.Binary(Subtract, capped, b.Slot(1)))
	if err != nil {
		t.Fatal(err)
	}
	batch := NewBatch(2, func(int) bool { return true }, []*Program{p})
	var cleaned []opcode
	for _, in := range batch.sections[0].code {
		if in.clean {
			cleaned = append(cleaned, in.op)
		}
	}
	if len(cleaned) != 2 || cleaned[0] != opAdd || cleaned[1] != opSubtract {
		t.Errorf("cleans after %v, want after the sum and the difference", cleaned)
	}
}

func TestBatchAllocatesNothing(t *testing.T) {
	var b Builder
	p, err := b.Program("", b.Binary(Multiply, b.Unary(Exponential, b.Slot(0)), b.Slot(1)))
	if err != nil {
		t.Fatal(err)
	}
	batch := NewBatch(2, func(s int) bool { return s == 0 }, []*Program{p})
	rows := make([]float64, batch.Rows()*8)
	if n := testing.AllocsPerRun(100, func() { batch.Prepare(rows, 8); batch.Eval(0, rows, 8) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
