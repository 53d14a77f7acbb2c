//go:build !interleave

package link

import "sync/atomic"

// word is 64 bits of shared memory. Every access to the segment goes through
// one; with the build tag interleave it is a type that hands each access to the
// scheduler of the tests, so that they run this very code in every order.
type word = atomic.Uint64

const (
	// readTries bounds how often a reader looks at a slot that is being written.
	// A writer is done in nanoseconds unless it was killed in the middle.
	readTries = 1000
	// takeTries bounds how often the spine looks at a mailbox that is being
	// written. Giving up costs nothing: the brain wakes the spine after each post.
	takeTries = 4
)
