// Package dancer decides. It holds the vocabulary of a Safety Manual (values,
// floors, actions, model), turns what a forecast says of every option into a
// verdict by the lexical ladder of values, follows a question from the moment it
// is asked to the ruling that ends it, holds confidence and model against what
// then happened, and can say in plain words why.
//
// It may import hal, reflex and reflex/program for their vocabulary, and the
// standard library. It is pure: everything comes in as a value (the time as a
// duration on the robot's monotonic clock, chance as a seed) and everything goes
// out as a value, so the same recorded input gives the same decision to the last
// bit on every machine.
//
// What must never happen here: I/O, a clock, global randomness, a map iterated
// where the order could show, a float operation that a compiler may fuse, and
// any path by which a ruling, a time-out or an expected value makes an option run
// that a floor has vetoed while another option is above it.
package dancer
