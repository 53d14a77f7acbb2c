//go:build linux

package can

import (
	"cmp"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"dancer/hal"
)

// atOnce is how many frames one Read takes at most; the rest comes with the next.
const atOnce = 16

// Config of a bus.
type Config struct {
	Interface string // such as can0
	Messages  []Message
	Clock     func() time.Duration // CLOCK_MONOTONIC
	Socket    *Socket              // tests; default the real one
}

// Bus is one CAN interface. One goroutine owns it. Between the interface's end and
// Reopen its calls give ErrGone.
type Bus struct {
	name     string
	messages []Message // by key
	keys     []uint32  // identifiers as the kernel writes them, with their flag; sorted
	filters  []unix.CanFilter
	clock    func() time.Duration
	socket   *Socket
	fd       int // -1: not open
	closed   bool
	state    State
	lost     uint32        // count of the kernel for this socket
	at       time.Duration // of the last frame
	gone     *Error        // prepared, so that the hot path does not allocate
	absent   *Error        // the same, of an interface that is looked for
	down     *Error
	request  *unix.Ifreq
	address  *unix.SockaddrCAN
	header   unix.Msghdr
	vector   unix.Iovec
	frame    [flexibleSize]byte
	control  [controlSize / 8]uint64 // aligned
	readings []hal.Reading
	counters hal.Counters
}

// New is a bus that is not open yet: Reopen opens it. A name that no interface can have
// is an error of Reopen.
func New(c Config) *Bus {
	b := &Bus{
		name: c.Interface, messages: slices.Clone(c.Messages), clock: c.Clock, socket: c.Socket, fd: -1,
		address: &unix.SockaddrCAN{},
	}
	if b.socket == nil {
		b.socket = system()
	}
	slices.SortFunc(b.messages, func(x, y Message) int { return cmp.Compare(x.key(), y.key()) })
	most := 0
	for i := range b.messages {
		m := &b.messages[i]
		b.keys = append(b.keys, m.key())
		b.filters = append(b.filters, m.filter())
		most = max(most, len(m.Entries))
	}
	b.readings = make([]hal.Reading, 0, most)
	b.request, _ = unix.NewIfreq(c.Interface) // nil: the name is too long
	b.gone = b.fail("read", ErrGone, nil, "it is opened again by itself when it is up")
	b.absent = b.fail("open", ErrAbsent, nil, "plug its adapter in, or correct its name: ip -details link show type can")
	b.down = b.fail("open", ErrDown, nil, "sudo ip link set "+c.Interface+" up type can bitrate 500000, with the bus's own bit rate")
	b.vector.Base = &b.frame[0]
	b.vector.SetLen(len(b.frame))
	b.header.Iov, b.header.Control = &b.vector, &b.controlBytes()[0]
	b.header.SetIovlen(1)
	return b
}

// key is the identifier of the message's frames as the kernel writes it.
func (m *Message) key() uint32 {
	if m.Extended {
		return m.ID | unix.CAN_EFF_FLAG
	}
	return m.ID
}

// filter lets frames with this identifier through, in this format alone, and no remote
// frames.
func (m *Message) filter() unix.CanFilter {
	f := unix.CanFilter{Id: m.key(), Mask: unix.CAN_EFF_FLAG | unix.CAN_RTR_FLAG | unix.CAN_SFF_MASK}
	if m.Extended {
		f.Mask |= unix.CAN_EFF_MASK
	}
	return f
}

func (b *Bus) fail(verb string, cause, detail error, hint string) *Error {
	return &Error{Verb: verb, Interface: b.name, Cause: cause, Detail: detail, Hint: hint}
}

// Fd is the descriptor for epoll, -1 while the bus is not open. Reopen gives another
// one.
func (b *Bus) Fd() int { return b.fd }

// State is what the driver told last. It is Active after Reopen.
func (b *Bus) State() State { return b.state }

// Counters since New: Frames are frames of the wanted messages, Bytes what was read,
// Errors frames that made no sense or were too short for a signal, Dropped frames that
// found the socket's queue full, and times that the controller's own was.
func (b *Bus) Counters() hal.Counters { return b.counters }

// Reopen closes what is left of the bus and opens it again. Errors are *Error:
// ErrAbsent, ErrDown, ErrNotCAN, ErrSupport, ErrSetting.
func (b *Bus) Reopen() error {
	if b.closed {
		return ErrClosed
	}
	_ = b.release() // it is gone
	b.state, b.lost = Active, 0
	if b.request == nil {
		return b.absent
	}
	fd, err := b.socket.Open(b)
	if err != nil {
		return b.openError(err)
	}
	b.fd = fd
	return nil
}

// openError names the cause of a refused open.
func (b *Bus) openError(err error) error {
	switch {
	case errors.Is(err, unix.ENETDOWN):
		return b.down
	case isAbsent(err) && b.address.Ifindex != 0: // it has a number, and CAN does not know it
		return b.fail("open", ErrNotCAN, nil, "name one of: ip -details link show type can")
	case isAbsent(err):
		return b.absent
	case errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return b.fail("open", ErrSupport, err, "sudo modprobe can-raw; in a service, RestrictAddressFamilies must have AF_CAN: dancer doctor compares the installed unit")
	}
	return b.fail("open", ErrSetting, err, "")
}

// Close gives the bus back. A second Close does nothing.
func (b *Bus) Close() error {
	b.closed = true
	return b.release()
}

func (b *Bus) release() error {
	if b.fd < 0 {
		return nil
	}
	err := unix.Close(b.fd)
	b.fd = -1
	if err != nil {
		return b.fail("close", ErrGone, err, "")
	}
	return nil
}

func (b *Bus) usable() error {
	switch {
	case b.closed:
		return ErrClosed
	case b.fd < 0:
		return b.gone
	}
	return nil
}

// Level gives nothing: what was on the bus before is not known.
func (b *Bus) Level(time.Duration, func(time.Duration, []hal.Reading)) error { return b.usable() }

// Read takes what is there, a bounded number of frames, and calls report for each that
// is wanted: its time and the signals in it, NaN for one that the frame is too short
// for, none where it is another page. The readings are valid during the call. It ends where State becomes
// another one, with the frames before it reported. ErrGone means that the interface is
// down or gone: Reopen it.
func (b *Bus) Read(report func(at time.Duration, readings []hal.Reading)) error {
	if err := b.usable(); err != nil {
		return err
	}
	state := b.state
	for range atOnce {
		n, lost, known, err := b.receive()
		if err != nil {
			return b.gone
		}
		if known {
			b.counters.Dropped += uint64(lost - b.lost) // around at 32 bits
			b.lost = lost
		}
		if n == 0 {
			return nil
		}
		b.counters.Bytes += uint64(n)
		if b.take(n, report); b.state != state {
			return nil
		}
	}
	return nil
}

// take does one frame of n bytes.
func (b *Bus) take(n int, report func(time.Duration, []hal.Reading)) {
	id, length := binary.NativeEndian.Uint32(b.frame[:]), int(b.frame[lengthAt])
	switch {
	case n != classicSize && n != flexibleSize, n == classicSize && length > classicData, length > hal.MaxCANData:
		b.counters.Errors++
		return
	case id&unix.CAN_ERR_FLAG != 0:
		b.told(id, b.frame[dataAt:dataAt+classicData])
		return
	}
	i, found := slices.BinarySearch(b.keys, id) // a remote frame has a flag that no key has
	if !found {
		b.counters.Errors++
		return
	}
	if b.state == Off { // it takes part again, whether that was told or not
		b.state = Active
	}
	b.counters.Frames++
	b.read(&b.messages[i], b.frame[dataAt:dataAt+length])
	report(b.at, b.readings)
}

// read finds the signals of a frame. What it is too short for is NaN, and so is every
// signal of a page where it does not say which page it is: whoever sends such a frame,
// it is not the sender that the file describes.
func (b *Bus) read(m *Message, data []byte) {
	b.at = max(b.clock(), b.at+1) // a nanosecond, so that rules tell frames apart
	b.readings = b.readings[:0]
	page, paged := uint64(0), m.Paged && len(data) >= m.Switch.Bytes()
	if paged {
		page = m.Switch.Bits(data)
	}
	good := paged || !m.Paged
	for i := range m.Entries {
		e := &m.Entries[i]
		if e.Paged && paged && e.Page != page {
			continue
		}
		r := hal.Reading{Signal: e.Signal, Value: math.NaN(), At: b.at}
		if fits := len(data) >= e.Field.Bytes(); fits && (paged || !e.Paged) {
			r.Value = e.Field.Value(data)
		} else {
			good = false
		}
		b.readings = append(b.readings, r)
	}
	if !good {
		b.counters.Errors++
	}
}

// told takes an error frame: the driver tells of its controller.
func (b *Bus) told(id uint32, data []byte) {
	if id&unix.CAN_ERR_CRTL != 0 {
		const passive = unix.CAN_ERR_CRTL_RX_PASSIVE | unix.CAN_ERR_CRTL_TX_PASSIVE
		const better = unix.CAN_ERR_CRTL_ACTIVE | unix.CAN_ERR_CRTL_RX_WARNING | unix.CAN_ERR_CRTL_TX_WARNING
		what := data[1]
		if what&unix.CAN_ERR_CRTL_RX_OVERFLOW != 0 {
			b.counters.Dropped++
		}
		switch {
		case what&passive != 0:
			b.state = Passive
		case what&better != 0:
			b.state = Active
		}
	}
	if id&unix.CAN_ERR_RESTARTED != 0 {
		b.state = Active
	}
	if id&unix.CAN_ERR_BUSOFF != 0 {
		b.state = Off
	}
}
