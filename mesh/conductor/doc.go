// Package conductor is what a conductor knows: its agents with their last
// state, the questions that they asked, the rulings given and what the robots
// made of them. It is a register that is fed with messages and says what to
// store, what to send and what changed (in the manner of a raft node): every
// rule of it is testable without a broker, a disk or a clock.
//
// It may import mesh and the standard library. It does no I/O and calls no
// clock: the moment comes in with every call. Nothing here ever moves a robot:
// a ruling is carried to the robot, which alone judges it against its floors.
package conductor
