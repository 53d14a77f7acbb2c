// Package memory gives back what a process needed for its start alone: garbage
// on the heap, and pages of the program that nothing runs through any more.
//
// It may be imported by what sets up a process: the spine before it locks its
// memory, the brain once it decides. Nothing in it belongs on a hot path.
package memory
