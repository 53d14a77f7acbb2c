package program

// opcode is the operation of one instruction. A K in a name means that one
// operand is the constant of the instruction: registers x (a) and y (b).
type opcode uint8

const (
	opConstant        opcode = iota // k
	opAdd                           // x + y
	opAddK                          // x + k
	opSubtract                      // x - y
	opSubtractFromK                 // k - x
	opMultiply                      // x * y
	opMultiplyK                     // x * k
	opDivide                        // x / y
	opDivideK                       // x / k
	opDivideIntoK                   // k / x
	opMinimum                       // the smaller of x and y
	opMinimumK                      // the smaller of x and k
	opMaximum                       // the larger of x and y
	opMaximumK                      // the larger of x and k
	opLess                          // x < y
	opLessK                         // x < k
	opGreaterK                      // k < x
	opLessOrEqual                   // x <= y
	opLessOrEqualK                  // x <= k
	opGreaterOrEqualK               // k <= x
	opEqual                         // x == y
	opEqualK                        // x == k
	opAnd                           // x and y
	opOr                            // x or y
	opSelect                        // x ? y : c
	opSelectKR                      // x ? k : c
	opSelectRK                      // x ? y : k
	opSelectKK                      // x ? k : k2
	opAbsolute
	opSquareRoot
	opExponential
	opLogarithm
)

// instruction reads registers a, b and c and writes register d.
type instruction struct {
	op         opcode
	d, a, b, c uint8
	k, k2      float64
}

// reads says which of the registers a, b and c an operation reads.
func (op opcode) reads() (a, b, c bool) {
	switch op {
	case opConstant:
		return false, false, false
	case opAdd, opSubtract, opMultiply, opDivide, opMinimum, opMaximum,
		opLess, opLessOrEqual, opEqual, opAnd, opOr, opSelectRK:
		return true, true, false
	case opSelect:
		return true, true, true
	case opSelectKR:
		return true, false, true
	}
	return true, false, false
}
