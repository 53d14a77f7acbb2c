// Package run puts the coordination core (mesh/coordination) on every node of a
// simulated fleet (mesh/fleet): the same agents and coordinators as on robots, and
// a script of what the orchestrator asks for and when. A Fleet can be run to its end
// or step by step, beside a clock of the caller's; what a person would do (order,
// ask, freeze, thaw) is done between two steps.
//
// It is pure: it may import the standard library and the pure rooms of mesh. What
// must never happen here: a clock call, a goroutine, a rule of the protocol (those
// are in mesh/coordination), a draw that another node's call can shift, or state of
// an agent that is a pointer of its own.
package run
