// Package link is the one thing that the spine and the brain share: a segment of
// memory in two sealed halves, with the signal table, the outputs, the command
// mailbox, one ring of records each way, one of readings that the brain has from the
// network and one of traces, two histograms of latencies, and two ways by which each
// wakes the other.
//
// The spine writes its half, which the brain can only read, and decides nothing by
// what it loads from there (the sequence of a slot, to raise it). What it reads of
// the brain's half (the mailbox, the rings of requests and of readings, the tails of
// its own rings) is checked word by word; a torn, stale or hostile brain can at worst
// lose its lease and its own events, and lie about signals of the network. It makes no
// system call on a descriptor that the brain has: see Wake.
//
// With the build tag interleave the tests run this code in every order in which
// the two sides can touch the memory: see explorer in the tests.
//
// It may import the standard library, hal, runtime/latency and
// golang.org/x/sys/unix. Nothing on the spine's side of it may allocate, lock,
// block or loop without a bound: those methods say "spine" in their comment.
// Methods that say "brain" are for the other process and may lock.
package link
