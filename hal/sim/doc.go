// Package sim is a board made of arithmetic: it moves its signals by a plant
// (the physics, a function given by the caller) and by a scenario, a text file
// that says what happens when.
//
// It is driven by the caller's clock and has no goroutine: the spine calls
// Advance when Due says so. The same configuration, seed and outputs give the
// same readings, bit for bit. It imports package hal, never another adapter.
// What must never happen here: a clock call, global randomness, or an
// allocation in Advance.
package sim
