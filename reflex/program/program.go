package program

// Program is a compiled expression: a flat list of instructions over slots. It
// is immutable after Compile and safe to share between goroutines; scratch
// memory belongs to the caller. Invalid values are NaN: a comparison or a
// logical operation that reads NaN gives NaN, a division by zero gives NaN and
// an overflow to infinity gives NaN. Booleans are 0 and 1.
type Program struct {
	source string
	reads  []int
	// instructions follow (owner: the expr helper)
}
