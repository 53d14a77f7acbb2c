package spine

import (
	"bytes"
	"strconv"
	"time"

	"dancer/hal"
	"dancer/runtime/config"
)

// stream is what the loop needs of a serial port: hal/serial's Port, or a pipe
// where edges are measured. No call blocks but Halt (bounded) and Reopen (never
// called by the loop).
type stream interface {
	Fd() int
	Read(b []byte) (int, error)
	Write(slot int, line []byte) error
	Flush() error
	Pending() bool
	Reserve(slots int)
	SetSafe(slot int, line []byte) error
	Halt(budget time.Duration) error
	Reopen() error
	Close() error
	Replaced() uint64
}

// port is one serial port in the loop.
type port struct {
	stream  stream
	framer  hal.Framer
	fields  [][]int // signals that one field of a frame feeds
	signals []int   // all of them
	outputs []int   // driven through this port
	open    bool
	writing bool   // epoll also tells when it is writable
	start   []byte // what its device has to be told before it sends
	watch   portWatch
	refused error // at the start
}

// newFramer makes the framer of a port for the signals that come from it.
func newFramer(r *config.Robot, index int) (hal.Framer, [][]int, []int, error) {
	p := &r.Ports[index]
	var names []string
	var fields [][]int
	var signals []int
	place := map[string]int{}
	for i := range r.Inputs {
		in := &r.Inputs[i]
		if in.HasPin || in.Chip != nil || in.Port != index {
			continue
		}
		at, known := place[in.Field]
		if !known {
			at = len(names)
			place[in.Field] = at
			names, fields = append(names, in.Field), append(fields, nil)
		}
		fields[at] = append(fields[at], i)
		signals = append(signals, i)
	}
	if len(names) == 0 {
		return nil, nil, nil, nil // only written to
	}
	f, err := hal.NewFramer(p.FramerConfig(names))
	return f, fields, signals, err
}

// format is the line that an output writes, cut at {value}.
type format [][]byte

func newFormat(text string) format { return bytes.Split([]byte(text), []byte("{value}")) }

// append adds the line for a value, as the shortest decimal that reads back to
// it and never with an exponent.
func (f format) append(b []byte, value float64) []byte {
	for i, part := range f {
		if i > 0 {
			b = strconv.AppendFloat(b, value+0, 'f', -1, 64) // -0 becomes 0
		}
		b = append(b, part...)
	}
	return b
}
