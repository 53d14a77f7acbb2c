// Package spine is the real-time process of a robot: it owns the hardware, the
// signal table, the reflexes, the latches, the lease and the safe state, and it
// needs nothing from anything above it. It starts the brain, takes its commands
// while the lease is live, and goes on without it.
//
// What drives one output, the first that applies:
//
//	reflex      an active rule; of several the value nearest to safe
//	latch       a rule that ended and that no operator has cleared
//	waiting     a signal that a rule may need was not seen since start: safe
//	(not started, report-only: safe)
//	(lease lost, shutting down: safe, or on the way there in a controlled stop)
//	hold        the brain's hold while a question is open
//	command     the brain's decision
//	(none yet: safe)
//
// A hold and a command are reached no faster than the output's rate; nothing else
// knows of it.
//
// A command, or a hold, that meets any of the first ones is discarded, never
// queued: when they end, the output is safe until the next command. Clearing a latch re-arms
// and ends the running mode, so that nothing moves before an operator's start.
//
// It may import hal and its adapters, reflex, runtime/config and runtime/link.
// One goroutine, locked to its thread, runs the loop. On its path there is no
// channel, mutex, map, log line, network, database, allocation or wall clock;
// whatever can block (starting the brain, opening a port, writing the latch file,
// logging) happens in a goroutine of its own that the loop never waits for.
package spine
