// Package record puts everything that enters a robot's core into recordings: one
// that the operator asked for, and the ring of the last minutes, which is sealed
// when a reflex latches or a question is raised.
//
// Whoever has something to record hands it over and goes on: the queue is
// bounded, what does not fit is counted, and a gap in the recording says where
// and how much. One goroutine writes. A full or broken disk ends the recording
// and nothing else; it is said once, and tried again.
//
// It may import dancer, hal, reflex, runtime/config, runtime/link and
// storage/recording. What the messages look like is decided here, for package
// replay to read.
//
// What must never happen here: whoever hands something over waits for the disk, a
// message is left out without a gap that says so, or a secret of robot.yaml gets
// into a recording (it holds the names of files, never what is in them).
package record
