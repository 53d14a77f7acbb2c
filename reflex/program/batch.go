package program

// Batch is several programs made one, for many states side by side that move
// step by step: what the programs have in common is computed once, and what
// depends only on slots that do not move is computed once for all steps. The
// programs are in sections, which are evaluated one at a time. Every result has
// the very bits that [Program.Eval] gives. A Batch is immutable and safe to share
// between goroutines; its memory belongs to the caller.
//
// The memory is [Batch.Rows] rows of one element per state (a lane): first a row
// per slot, which the caller fills, then the registers. Row r of n lanes is
// rows[r*n : (r+1)*n].
type Batch struct {
	slots    int
	rows     int
	still    []lanesInstruction // depends on slots alone that do not move
	sections []section
}

// section is what one call of Eval runs.
type section struct {
	code    []lanesInstruction
	results []int32 // rows, one per program
}

// lanesInstruction reads rows a, b and c and writes row d. Unlike [Program.Eval] it
// cleans its results only where that makes a difference, see batchBuilder.
type lanesInstruction struct {
	op         opcode
	clean      bool
	d, a, b, c int32
	k, k2      float64
}

// Rows is the number of rows that the memory needs.
func (b *Batch) Rows() int { return b.rows }

// Result is the row in which the i-th program of a section leaves its results.
// They stay there until the next call of [Batch.Eval].
func (b *Batch) Result(section, i int) int { return int(b.sections[section].results[i]) }

// Prepare computes what depends only on slots that do not move. It comes after
// every change of such a slot or of the number of lanes, and before Eval. It
// panics when the memory is too short, and does not allocate.
func (b *Batch) Prepare(rows []float64, lanes int) { run(b.still, rows, lanes) }

// Eval evaluates the programs of a section for the states in the rows of the
// slots. It panics when the memory is too short, and does not allocate.
func (b *Batch) Eval(section int, rows []float64, lanes int) {
	run(b.sections[section].code, rows, lanes)
}

func run(code []lanesInstruction, rows []float64, lanes int) {
	for i := range code {
		in := &code[i]
		d := row(rows, int(in.d), lanes)
		calculate(in.op, in.k, in.k2, d, row(rows, int(in.a), lanes), row(rows, int(in.b), lanes), row(rows, int(in.c), lanes))
		if in.clean {
			clean(d)
		}
	}
}
