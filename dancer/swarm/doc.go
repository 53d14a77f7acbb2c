// Package swarm holds what robots of a cell learn from each other. In this
// version: decision markers, the record of two robots that ruled the same
// situation differently. Both go on (mark, measure, do not freeze), their
// outcomes gather in the marker, and somebody higher up decides on live evidence.
//
// It may import dancer and hal for their vocabulary, and the standard library.
// It is pure: times come in, nothing is read or sent.
//
// What must never happen here: a marker that changes what a robot does, a marker
// that depends on who noticed it, and a list without a bound.
package swarm
