// Package serial gives the spine a serial port that it can watch with epoll: a
// descriptor of its own, reads and writes that never block, and one pending
// line per output of which the newest wins.
//
// It wraps go.bug.st/serial, which sets the line up (rate, raw mode), and
// imports package hal's vocabulary at most, never another adapter. What must
// never happen here: a blocking call without a deadline, a goroutine, a log
// line, or an allocation in Read, Write and Flush.
package serial
