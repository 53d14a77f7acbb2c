// Package fleet runs a simulated fleet for a person: it reads the files that describe
// it (faults, a trace of delays), shows how far it has come, stops when asked to, and
// writes the report.
//
// It wires: everything that happens in the fleet is in mesh/fleet and mesh/fleet/run,
// which are pure. What must never happen here: a wall clock that changes a result.
package fleet
