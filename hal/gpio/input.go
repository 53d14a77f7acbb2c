//go:build linux

package gpio

import (
	"encoding/binary"
	"time"

	"dancer/hal"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

// Consumer is the name under which the kernel lists our lines.
const Consumer = "dancer"

const (
	eventSize   = 48 // struct gpio_v2_line_event
	eventBuffer = 64 // events that the kernel keeps per line; it drops the oldest
	readEvents  = 16 // events taken by one read
)

// Input is one input line with detection of both edges. One goroutine owns it.
// Between the loss of its chip and Reopen its calls give ErrGone.
type Input struct {
	kernel   *kernel
	config   InputConfig
	signal   int
	fd       int // -1: not requested
	closed   bool
	values   uapi.LineValues
	buffer   [readEvents * eventSize]byte
	sequence uint32
	lost     uint64
	told     uint64 // of them, by TakeLost
	gone     *Error // prepared, so that the hot path does not allocate
	refused  error  // by the last Reopen
	path     []byte // of a chip that is looked at; ends in a zero
}

// NewInput is a line that is not requested yet: Reopen requests it. So a robot can
// start before its chip is plugged in, or while another program has the line.
func NewInput(c InputConfig) *Input { return newInput(system(), c) }

func newInput(k *kernel, c InputConfig) *Input {
	gone := &Error{Verb: "read", Line: c.Line.String(), Cause: ErrGone, Hint: goneHint}
	return &Input{kernel: k, config: c, signal: c.Signal, fd: -1, gone: gone}
}

// inputRequest encodes a request. Time stamps are CLOCK_MONOTONIC by default.
func inputRequest(c InputConfig, offset int) uapi.LineRequest {
	r := uapi.LineRequest{Lines: 1, EventBufferSize: eventBuffer}
	r.Offsets[0] = uint32(offset)
	copy(r.Consumer[:len(r.Consumer)-1], Consumer)
	r.Config.Flags = uapi.LineFlagV2Input | uapi.LineFlagV2EdgeBoth
	if c.ActiveLow {
		r.Config.Flags |= uapi.LineFlagV2ActiveLow
	}
	switch c.Pull {
	case PullUp:
		r.Config.Flags |= uapi.LineFlagV2BiasPullUp
	case PullDown:
		r.Config.Flags |= uapi.LineFlagV2BiasPullDown
	case PullOff:
		r.Config.Flags |= uapi.LineFlagV2BiasDisabled
	}
	if c.Debounce > 0 {
		period := max(c.Debounce, time.Microsecond) // the kernel counts in microseconds
		r.Config.AddAttribute(uapi.LineConfigAttribute{Attr: uapi.DebouncePeriod(period).Encode(), Mask: 1})
	}
	return r
}

// Fd is the descriptor for epoll, readable when there are edges; -1 when
// not requested. Reopen gives another one.
func (in *Input) Fd() int { return in.fd }

// Signal is the signal of the readings.
func (in *Input) Signal() int { return in.signal }

// Lost counts edges that the kernel dropped because nobody read them. The
// newest edges are never dropped, so that the level is right.
func (in *Input) Lost() uint64 { return in.lost }

// TakeLost gives how many were lost since it was last asked.
func (in *Input) TakeLost() uint64 {
	more := in.lost - in.told
	in.told = in.lost
	return more
}

// Level reads the level now, for the first reading. at must have been taken
// before the call: an edge that comes meanwhile is then the newer reading.
func (in *Input) Level(at time.Duration) (hal.Reading, error) {
	if err := in.usable(); err != nil {
		return hal.Reading{}, err
	}
	in.values = uapi.LineValues{Mask: 1}
	if err := in.kernel.get(in.fd, &in.values); err != nil {
		return hal.Reading{}, in.gone
	}
	return reading(in.signal, in.values.Bits&1 != 0, at), nil
}

// Read takes the edges that are there into dst, oldest first, without blocking.
// The time of each is the kernel's. ErrGone means that the chip was unplugged.
func (in *Input) Read(dst []hal.Reading) (int, error) {
	if err := in.usable(); err != nil {
		return 0, err
	}
	room := min(len(dst), readEvents)
	if room == 0 {
		return 0, nil
	}
	n, err := in.kernel.read(in.fd, in.buffer[:room*eventSize])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return 0, nil
	case err != nil || n < eventSize:
		return 0, in.gone
	}
	count := n / eventSize
	for i := range count {
		dst[i] = in.decode(in.buffer[i*eventSize:])
	}
	return count, nil
}

// decode reads struct gpio_v2_line_event: u64 timestamp_ns, u32 id (1 rising,
// 2 falling; active level considered), u32 offset, u32 seqno, u32 line_seqno.
func (in *Input) decode(b []byte) hal.Reading {
	at := time.Duration(binary.NativeEndian.Uint64(b))
	rising := binary.NativeEndian.Uint32(b[8:]) == 1
	sequence := binary.NativeEndian.Uint32(b[16:])
	in.lost += uint64(sequence - in.sequence - 1)
	in.sequence = sequence
	return reading(in.signal, rising, at)
}

// usable gives the error of a line that is not requested.
func (in *Input) usable() error {
	switch {
	case in.closed:
		return ErrClosed
	case in.fd < 0:
		return in.gone
	}
	return nil
}

// Close gives the line back for good. A second Close does nothing.
func (in *Input) Close() error {
	in.closed = true
	return in.release()
}

func (in *Input) release() error {
	if in.fd < 0 {
		return nil
	}
	err := in.kernel.close(in.fd)
	in.fd = -1
	return err
}
