// Package impedance says how hard an agent is to reach and to load: its delay,
// processing time, queue, drift and reliability (Meter, Sketch), one score of
// them all (Score), the compact record that agents gossip (Record), how far a
// peer's clock is from ours (Clock), when heartbeats are due, and what is known
// of all agents together (Registry).
//
// It is pure: it may import the standard library and the CBOR module, and takes
// times as durations and randomness as an argument. A Registry is written by one
// goroutine and read by any number through atomics; nothing in here waits. What
// must never happen here: a clock call, a socket, an allocation per heartbeat or
// query, a float that differs from one machine to another, or a record that does
// not fit a membership packet (MaxRecordBytes).
package impedance
