// Package mesh is the vocabulary that robots and conductors share: the message
// envelope, its kinds and bodies, topics, identifiers and the trinary state of
// an agent.
//
// It is pure: it may import the standard library and the ULID module, takes
// times and entropy as arguments, and neither sends nor stores anything. What
// must never happen here: a clock call, a socket, or a payload that is accepted
// without a bound on its size and a check of its names.
package mesh
