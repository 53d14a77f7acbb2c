// Package operator is what a person at the console sees of a mesh and does with it
// (mesh-30k part 7): status, agents, broadcast, ask, delegate, heal, freeze and
// thaw, as values with JSON forms and texts, and a Desk that carries orders out. A
// Desk reaches the coordinators by Cores, which a live cell and a simulated fleet
// implement alike, and takes all that it shows from them: nothing is known here that
// a coordinator, the registry or an effect has not told.
//
// It is pure: it may import mesh, the pure rooms of mesh and the standard library.
// A Desk has one owner, who also owns the coordinators; time is the mesh's own. What
// must never happen here: a wait, a clock call, a command past the guard, a number
// in a display that nobody has measured, or an order whose refusal does not say why
// and what to do.
package operator
