// Package console keeps an operator's desk (mesh/operator) beside nodes that run on the
// wall clock (runtime/host): of a robot that leads its cell, and of the many nodes of a
// fleet in one process.
//
// One goroutine owns the desk; it asks the goroutines that own the nodes and waits for
// each, with a deadline. It may import runtime/host, runtime/web and what they are made
// of. What must never happen here: a node that waits for the desk, or a call on a
// coordinator that goes on when nobody waits for it any more.
package console
