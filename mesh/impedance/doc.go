// Package impedance says how hard an agent is to reach and to load: its delay,
// processing time, queue, drift and reliability, one score of them all, and the
// compact record that agents gossip.
//
// It is pure: it may import the standard library and the CBOR module, and takes
// times as durations. What must never happen here: a clock call, a socket, or a
// record that does not fit a membership packet (MaxRecordBytes).
package impedance
