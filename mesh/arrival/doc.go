// Package arrival sends each message early enough that all its receivers are
// READY at one time T: it predicts how long a message takes to each target
// (Estimator), plans when to send to whom (Schedule), and keeps a received
// command until T on the receiver's own corrected clock (Holds).
//
// It is pure: it may import the standard library alone, and takes times as
// durations and delays as plain values. What must never happen here: a clock
// call, a socket, a result that depends on anything but the arguments, an
// allocation per target, or an act before T.
package arrival
