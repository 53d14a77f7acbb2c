// Package proof answers questions about a Safety Manual for all states at once,
// where a forecast answers them for one: does a reflex ever make the first value
// worse, does the fallback keep the floors wherever anything does, can every
// action win, can two reflexes keep each other from ending. Each answer is
// proved, refuted with an example that anyone can evaluate, or undecided with
// what is left.
//
// It may import dancer, reflex, reflex/program and hal. What must never happen
// here: input or output, a clock, randomness that is not a function of the
// manual, an answer "proved" that rests on samples, and an answer "refuted"
// without an example that was evaluated point by point.
//
// Proofs are by interval evaluation over boxes of states, which are divided until
// every box is settled or the budget is spent. A reflex is compared with going on
// as before in two runs side by side that meet the same disturbances
// ([program.Program.EvalPair]).
package proof
