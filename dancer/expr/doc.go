// Package expr is the expression language of robot.yaml and manual.yaml: a
// parser, units of measure, and a compiler to [dancer/reflex/program].
//
// The language has numbers with units ("0.30 m", "60 ppm", "1.2 m/s", "300ms"),
// names of signals, outputs and constants, true and false, the operators
//
//	?:   ||   &&   == !=   < <= > >=   + -   * /   ! -
//
// in ascending order of binding, parentheses, and the functions min, max
// (two or more arguments), clamp(x, low, high), abs, sqrt, exp and log (the
// natural logarithm). rate(x, 2s), mean(x, 2s), held(condition, 300ms) and
// since(condition) look back in time: [CompileWindowed] gives each a slot of its
// own, which the caller fills. A unit follows its number and binds tighter than any
// operator: `smoke / 60 ppm` is smoke / (60 ppm), and `1.2 m/s` is one number. A
// unit has no space inside.
//
// Every quantity has a unit. Sums, comparisons and the branches of ?: must agree
// in dimension; where they agree but differ in scale (cm and m) the compiler
// inserts the factor. A number without a unit is dimensionless, and does not
// agree with a quantity that has one, except for 0. A percentage is a ratio, and
// yet `battery < 20` is refused: 20 could mean 2000 %. Truth values are no
// numbers: write `(bumper ? 1 : 0)` to calculate with one.
//
// The package is pure: it may import the standard library and
// dancer/reflex/program. What must never happen here: input or output, a clock, a
// panic on any source text, or a guess about a unit.
package expr
