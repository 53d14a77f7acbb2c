// Package can reads the frames of a CAN bus through a raw socket of Linux (SocketCAN),
// for signals that are described by a DBC file. It never sends.
//
// A descriptor that epoll watches, reads that never block and take a bounded number of
// frames, one call of the caller's function for each frame. The kernel passes only the
// frames that are wanted: a receive filter for each message, none for remote frames. It
// imports package hal's vocabulary, never another adapter. What must never happen here:
// a blocking call, a goroutine, a log line, an allocation in Read, or a frame on the bus.
//
// A reading's time is the caller's clock when the frame is taken from the socket. The
// kernel's own time stamps of a socket are of the wall clock, which is set and jumps,
// and which the loop that reads does not look at; a frame waits in the socket no longer
// than that loop is late.
//
// Facts are from the kernel's Documentation/networking/can.rst, include/uapi/linux/can.h,
// can/raw.h and can/error.h, and net/can/raw.c.
package can
