// Package demo runs the museum fire: a conductor with its broker and dashboard,
// and three robots on the simulated board, each a process of its own, exactly as
// a user would start them.
//
// It may import examples and what speaks of the conductor's API. It must never
// reach around the processes: what it knows comes from their event streams and
// from the conductor's HTTP API, and what it does is what an operator does.
package demo
