// Package fleet runs a whole mesh in one process and in made-up time: every node
// of the hierarchy, from five robots to a million, the network between them, their
// clocks and what goes wrong, on one queue of events (Simulation). The protocol
// that runs on the nodes is an argument (Protocol); the world that they live in is
// values (World, Conditions, Fault), and a run is a function of them and the seed.
//
// It is pure: it may import the standard library and the pure rooms of mesh, takes
// times as durations since the start of the run, and gives back what happened.
// What must never happen here: a clock call, a goroutine, a file, randomness that
// is not drawn from the seed (Seed), a result that depends on the order of a map,
// a pointer per node, or a draw that shifts because another node or another purpose
// has drawn one more.
package fleet
