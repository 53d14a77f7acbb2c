package guest

import "time"

// What the test and the guest's first process tell each other: JSON-RPC 1.0, one
// object a line, over a virtio port. The guest's first line after each boot is a
// greeting, so that a reset is seen and what was asked before it has an error.

// Port is the name of the virtio port that the first process serves.
const Port = "dancer.agent"

// PortArgument is the argument of the kernel's command line that names a terminal to
// serve instead, for a machine without virtio.
const PortArgument = "dancer.port"

// Greeting begins the first line that the guest says after a boot; behind it
// stands the release of its kernel.
const Greeting = "guest booted "

// ServiceName is the name under which the guest's service is registered.
const ServiceName = "Guest"

// Program is a program to start.
type Program struct {
	Arguments   []string // with the path of the program, first
	Environment []string // beside PATH, HOME and TMPDIR
	Folder      string   // default /tmp
	Output      string   // file that takes both streams; "": the console
}

// Ending is how a program ended, or that it has not yet.
type Ending struct {
	Ended  bool
	Code   int // exit code
	Signal int // that ended it, 0: none
}

// Awaited is what Wait waits for, and how long at most. The guest's clock counts.
type Awaited struct {
	PID    int
	AtMost time.Duration
}

// Signaled is a signal to a process.
type Signaled struct{ PID, Signal int }

// Part is a part of a file.
type Part struct {
	Path   string
	Offset int64
	Length int // at most; 0: 1 MiB
}

// Written is a file to write.
type Written struct {
	Path string
	Data []byte
}

// Jump is by how much the wall clock was set, and when.
type Jump struct {
	By time.Duration
	At time.Duration // CLOCK_MONOTONIC, just after it
}

// Module is a kernel module of the initramfs, and its parameters ("heartbeat=10").
type Module struct {
	Path       string
	Parameters string
}
