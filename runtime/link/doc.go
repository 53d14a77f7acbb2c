// Package link is the one thing that the spine and the brain share: a sealed
// segment of memory with the signal table, the outputs, the command mailbox, one
// ring of records each way and one of traces, two histograms of latencies, and
// two pipes by which each wakes the other.
//
// The spine writes what it knows and never reads it back, so a brain that
// scribbles over the whole segment harms nobody but itself. What the spine does
// read (the mailbox, the ring of requests, the tail of the event ring) is
// checked word by word; a torn, stale or hostile brain can at worst lose its
// lease and its own events.
//
// It may import the standard library, hal, runtime/latency and
// golang.org/x/sys/unix. Nothing on the spine's side of it may allocate, lock,
// block or loop without a bound: those methods say "spine" in their comment.
// Methods that say "brain" are for the other process and may lock.
package link
