package datagram

import (
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/mesh/packet"
)

// Copy is one message for one receiver.
type Copy struct {
	To      netip.AddrPort
	Message *packet.Message
}

// Send seals and sends one message. It never waits: nil means that the kernel has
// it, not that it arrives.
func (l *Link) Send(to netip.AddrPort, m *packet.Message) error {
	copies := [1]Copy{{To: to, Message: m}}
	_, err := l.SendAll(copies[:])
	return err
}

// SendAll seals and sends many, up to 64 a system call, in order. It never waits:
// what the kernel has no room for is dropped, counted, and ErrBusy. One that cannot
// be sent does not keep back the others. It gives how many the kernel took, and the
// first error.
func (l *Link) SendAll(copies []Copy) (sent int, err error) {
	l.sending.Lock()
	defer l.sending.Unlock()
	for len(copies) > 0 {
		n := min(len(copies), batchSize)
		took, failed := l.sendSome(copies[:n])
		sent += took
		if err == nil {
			err = failed
		}
		copies = copies[n:]
	}
	return sent, err
}

// sendSome sends up to batchSize.
func (l *Link) sendSome(copies []Copy) (sent int, err error) {
	_, wall := l.options.Clock()
	l.tosend.first, l.tosend.end = 0, 0
	for _, c := range copies {
		if failed := l.place(l.tosend.end, wall, c); failed != nil {
			l.counters.unsent.Add(1)
			if err == nil {
				err = failed
			}
			continue
		}
		l.tosend.end++
	}
	for l.tosend.first < l.tosend.end {
		if failed := l.raw.Write(l.write); failed != nil { // closed
			l.counters.unsent.Add(uint64(l.tosend.end - l.tosend.first))
			return sent, fmt.Errorf("send datagrams: %w", failed)
		}
		sent += l.sent
		l.counters.sent.Add(uint64(l.sent))
		l.tosend.first += l.sent
		if failed := l.skip(); failed != nil && err == nil {
			err = failed
		}
	}
	return sent, err
}

// place seals a message into a place of the batch.
func (l *Link) place(i int, at packet.Wall, c Copy) error {
	if !l.out.address(i, c.To, l.addr.Addr().Is6()) {
		return fmt.Errorf("send to %s from %s: %w", c.To, l.addr, ErrAddress)
	}
	data, err := l.sealer.Seal(l.out.buffers[i][:0:packet.MaxDatagramBytes], at, c.Message)
	if err != nil {
		return fmt.Errorf("send to %s: %w", c.To, err)
	}
	// The same memory, unless a message was too large and sealed in vain.
	l.out.vectors[i].Base = unsafe.SliceData(data)
	l.out.vectors[i].SetLen(len(data))
	return nil
}

// writeSome is what the runtime calls to send. It is always done: EAGAIN is no
// reason to wait.
func (l *Link) writeSome(fd uintptr) (done bool) {
	l.sent, l.refused = l.transmit(l.out, fd, l.tosend.first, l.tosend.end)
	return true
}

// skip moves past what the kernel refused.
func (l *Link) skip() error {
	switch l.refused {
	case unix.EINTR:
		return nil
	case 0:
		if l.sent > 0 {
			return nil
		}
	case unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM:
		l.counters.busy.Add(uint64(l.tosend.end - l.tosend.first))
		l.tosend.first = l.tosend.end
		return ErrBusy
	}
	to := l.out.origin(l.tosend.first)
	l.counters.unsent.Add(1)
	l.tosend.first++
	return fmt.Errorf("send to %s: %w", to, l.refused)
}

// lost asks the kernel how many datagrams it dropped for want of room (SO_MEMINFO,
// linux/sock_diag.h: the last of nine counters); false if it does not say.
func lost(fd int) (n uint64, known bool) {
	var info [9]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO, uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 || size < uint32(unsafe.Sizeof(info)) {
		return 0, false
	}
	return uint64(info[8]), true
}
