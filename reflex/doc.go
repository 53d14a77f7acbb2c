// Package reflex is tier 1: a table of compiled rules that turns the values of
// signals and outputs into the most restrictive set of output values, in well
// under a microsecond; and the windows that let expressions look back in time.
//
// It may import the standard library, dancer/hal (for the vocabulary of outputs)
// and dancer/reflex/program. What must never happen here: input or output, a
// clock, a lock, or an allocation after [NewTable] and [NewWindows]; and an
// invalid value must never keep a rule from firing.
package reflex
