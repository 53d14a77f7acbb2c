// Package peers holds the reflex table against other evaluators of conditions:
// the same hundred rules and the same inputs in one program, first for equal
// truth values, then for time. It is a module of its own, so that the product
// does not carry the peers.
package peers
