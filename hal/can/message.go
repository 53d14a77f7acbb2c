package can

import "dancer/hal"

// MaxMessages is how many messages a bus can be asked for: so many filters the kernel
// takes (CAN_RAW_FILTER_MAX of linux/can/raw.h).
const MaxMessages = 512

// Message is one kind of frame, and what it says.
type Message struct {
	ID       uint32 // 11 bits, or 29 of an extended one
	Extended bool
	// Switch says which page of the message a frame is, where it has pages (DBC: it is
	// multiplexed).
	Switch  hal.CANField
	Paged   bool
	Entries []Entry
}

// Entry is one value of a message that is a signal.
type Entry struct {
	Signal int // index of the robot's signal
	Field  hal.CANField
	Paged  bool // only in frames whose Switch is Page
	Page   uint64
}

// State of a controller, as its driver tells it. The zero value is that of a bus on
// which nothing is wrong.
type State uint8

// The states. A controller goes from one to the next as its counters of errors rise.
const (
	Active  State = iota // takes part
	Passive              // over 127 errors: it takes part and does not disturb others any more
	Off                  // over 255 errors: it takes no part until it is restarted
)
