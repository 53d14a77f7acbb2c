//go:build linux

package serial

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// MaxWrite bounds one line that a port writes, in bytes.
const MaxWrite = 256

// maxSlots bounds the outputs on one port.
const maxSlots = 64

// outbox holds, per output slot, the newest line that the device has not taken
// yet, and the rest of the line that it has taken half of. All memory is
// reserved before use.
type outbox struct {
	slots    []slot
	order    []int // slots with a pending line, oldest first
	rest     []byte
	restBuf  [MaxWrite]byte
	replaced uint64
	written  uint64
}

type slot struct {
	line    [MaxWrite]byte
	length  int
	pending bool
	safe    [MaxWrite]byte
	safeLen int
}

// clear forgets pending lines.
func (o *outbox) clear() {
	for i := range o.slots {
		o.slots[i].pending = false
	}
	o.order = o.order[:0]
	o.rest = nil
}

// set makes line the pending one of its slot; the place in the order stays, so
// that a slot that changes fast cannot starve the others.
func (o *outbox) set(i int, line []byte) {
	s := &o.slots[i]
	s.length = copy(s.line[:], line)
	if s.pending {
		o.replaced++
		return
	}
	s.pending = true
	o.order = append(o.order, i)
}

// take moves the oldest pending line into rest.
func (o *outbox) take() bool {
	if len(o.order) == 0 {
		return false
	}
	s := &o.slots[o.order[0]]
	copy(o.order, o.order[1:])
	o.order = o.order[:len(o.order)-1]
	s.pending = false
	o.rest = o.restBuf[:copy(o.restBuf[:], s.line[:s.length])]
	return true
}

// Reserve makes room for count output slots, numbered from 0; a new port has
// one. Call it before the loop starts. It panics above 64.
func (p *Port) Reserve(count int) {
	if count > maxSlots {
		panic("serial: more than 64 outputs on one port")
	}
	for len(p.out.slots) < count {
		p.out.slots = append(p.out.slots, slot{})
	}
	if cap(p.out.order) < count {
		p.out.order = append(make([]int, 0, count), p.out.order...)
	}
}

// Write hands over one whole line for an output slot, its line end included,
// and never blocks. A line that the device cannot take yet waits in its slot,
// where the next Write for the same slot replaces it (Replaced counts that):
// an actuator wants the newest command, not all of them. A line that has been
// begun is always finished. Call Flush when the descriptor is writable while
// Pending.
func (p *Port) Write(slot int, line []byte) error {
	if err := p.usable(); err != nil {
		return err
	}
	if slot < 0 || slot >= len(p.out.slots) {
		return ErrSlot
	}
	if len(line) > MaxWrite {
		return ErrTooLong
	}
	p.out.set(slot, line)
	return p.Flush()
}

// Flush writes what is pending as far as the device takes it, without
// blocking.
func (p *Port) Flush() error {
	if err := p.usable(); err != nil {
		return err
	}
	for len(p.out.rest) > 0 || p.out.take() {
		n, err := unix.Write(p.fd, p.out.rest)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN || err == nil && n == 0 && len(p.out.rest) > 0:
			return nil
		case err != nil:
			return p.gone
		}
		p.out.rest = p.out.rest[n:]
		p.out.written += uint64(n)
	}
	return nil
}

// Pending says that lines wait for the device: watch the descriptor for
// writing.
func (p *Port) Pending() bool { return len(p.out.rest) > 0 || len(p.out.order) > 0 }

// Replaced counts the lines that a newer one replaced before the device took
// them.
func (p *Port) Replaced() uint64 { return p.out.replaced }

// Written counts the bytes that the kernel has taken.
func (p *Port) Written() uint64 { return p.out.written }

// SetSafe stores the line that makes the output of a slot safe; Halt sends it.
// An empty line means that the slot has nothing to make safe.
func (p *Port) SetSafe(slot int, line []byte) error {
	if slot < 0 || slot >= len(p.out.slots) {
		return ErrSlot
	}
	if len(line) > MaxWrite {
		return ErrTooLong
	}
	s := &p.out.slots[slot]
	s.safeLen = copy(s.safe[:], line)
	return nil
}

// Halt replaces everything pending by the safe lines and waits until they are
// on the wire, or the budget is spent. When the port is full, holds more than
// 50 ms of bytes, or takes nothing for half of the budget, what the kernel holds
// is thrown away: a safe value must not queue behind older commands. ErrUnsent
// says that the device did not take all of them; the port stays usable.
func (p *Port) Halt(budget time.Duration) error {
	if err := p.usable(); err != nil {
		return err
	}
	deadline := monotonic() + budget
	if p.Pending() || p.backlog() > p.line.Baud/10/20 { // full, or more than 50 ms of bytes
		p.discard()
	}
	p.dropPending()
	if !p.send(deadline - budget/2) {
		p.discard()
		if !p.send(deadline) {
			return p.unsent()
		}
	}
	for p.backlog() > 0 && monotonic() < deadline {
		poll(-1, 0, time.Millisecond)
	}
	if p.backlog() > 0 {
		return p.unsent()
	}
	return nil
}

// dropPending makes the safe lines the only pending ones.
func (p *Port) dropPending() {
	rest := p.out.rest
	p.out.clear()
	p.out.rest = rest
	for i := range p.out.slots {
		if s := &p.out.slots[i]; s.safeLen > 0 {
			p.out.set(i, s.safe[:s.safeLen])
		}
	}
}

// discard throws away what the kernel holds, safe lines among it, and all that
// the last line had left; a line end then closes what the device has seen of
// it, and the safe lines follow.
func (p *Port) discard() {
	_ = unix.IoctlSetInt(p.fd, unix.TCFLSH, unix.TCOFLUSH)
	p.out.rest = p.out.restBuf[:copy(p.out.restBuf[:], "\n")]
	p.dropPending()
}

// send flushes until nothing is pending; false at the deadline or when the
// device is gone.
func (p *Port) send(deadline time.Duration) bool {
	for {
		if err := p.Flush(); err != nil {
			return false
		}
		if !p.Pending() {
			return true
		}
		left := deadline - monotonic()
		if left <= 0 {
			return false
		}
		poll(p.fd, unix.POLLOUT, left)
	}
}

// backlog is the number of bytes that the kernel has not put on the wire.
func (p *Port) backlog() int {
	n, err := unix.IoctlGetInt(p.fd, unix.TIOCOUTQ)
	if err != nil {
		return 0
	}
	return n
}

// unsent is the error of a Halt that could not finish.
func (p *Port) unsent() error {
	if poll(p.fd, 0, 0)&unix.POLLHUP != 0 {
		return p.gone
	}
	return p.fail("halt", ErrUnsent, nil, fmt.Sprintf("%d of its outputs were not told to be safe: cut its power", max(1, len(p.out.order))))
}

// poll waits for a descriptor, or only for the time if fd is negative, and
// gives what is ready.
func poll(fd int, events int16, wait time.Duration) int16 {
	set := []unix.PollFd{{Fd: int32(fd), Events: events}}
	ts := unix.NsecToTimespec(int64(wait))
	_, _ = unix.Ppoll(set, &ts, nil) // an interruption is an early end of the wait
	return set[0].Revents
}

// monotonic is CLOCK_MONOTONIC.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) // cannot be refused
	return time.Duration(ts.Nano())
}
