// Package bolt keeps the tables of package storage in one bbolt file.
//
// One goroutine writes and groups what waits into one commit; readers never
// hold a transaction while they call out. It may import the standard library,
// golang.org/x/sys/unix, bbolt, storage and mesh. What must never happen here: a
// call from a control path that waits for the disk (use Enqueue), an
// acknowledged write that a crash can lose, or a damaged file that stops the
// robot from starting.
package bolt
