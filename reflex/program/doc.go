// Package program is the compiled form of an expression: a flat list of
// instructions over numbered slots, built once by a [Builder] and evaluated in
// the hot path without allocation, lock or clock.
//
// It may import the standard library only, and no package of this module, so
// that the real-time process can rely on it. What must never happen here:
// parsing, input or output, an allocation in [Program.Eval], and arithmetic
// whose last bit depends on the machine (no fused multiply-add, no math.Exp or
// math.Log: decisions are replayed on other machines bit by bit).
//
// Invalid values are NaN. Every operation that reads one gives NaN, except that
// a selection reads only its condition and the branch that it selects. A
// division by zero, the logarithm or root of a negative number, and an overflow
// to infinity give NaN as well, so infinity never leaves an instruction.
// Truth values are 0 and 1.
//
// The same instructions evaluate over intervals ([Program.EvalInterval]) and over
// pairs of runs ([Program.EvalPair]); both contain the evaluation at any point
// inside, NaN and rounding included, so that what they exclude never happens.
package program
