package datagram

import (
	"encoding/binary"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/mesh/packet"
)

// batchSize is how many datagrams one system call moves at most.
const batchSize = 64

// mmsghdr is struct mmsghdr of recvmmsg(2), which golang.org/x/sys/unix has not.
// Go pads it as C does: to the alignment of its first member.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// controlBytes hold one control message with a struct timespec (socket(7),
// SO_TIMESTAMPNS), and room for what the kernel aligns.
const controlBytes = 64

// batch is the memory of one direction, made once: about 88 KiB.
type batch struct {
	headers  [batchSize]mmsghdr
	vectors  [batchSize]unix.Iovec
	names    [batchSize]unix.RawSockaddrInet6 // holds an Inet4, too
	controls [batchSize][controlBytes]byte
	buffers  [batchSize][packet.MaxDatagramBytes]byte
}

func newBatch() *batch {
	b := new(batch)
	for i := range b.headers {
		b.vectors[i].Base = &b.buffers[i][0]
		h := &b.headers[i].header
		h.Name, h.Iov = (*byte)(unsafe.Pointer(&b.names[i])), &b.vectors[i]
		h.SetIovlen(1)
	}
	return b
}

// receive asks the kernel for what is there: up to batchSize datagrams, or EAGAIN.
func (b *batch) receive(fd uintptr) (n int, errno unix.Errno) {
	for i := range b.headers {
		b.vectors[i].SetLen(packet.MaxDatagramBytes)
		h := &b.headers[i].header
		h.Namelen, h.Flags = unix.SizeofSockaddrInet6, 0
		h.Control = &b.controls[i][0]
		h.SetControllen(controlBytes)
	}
	r, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.headers[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// send hands the kernel the datagrams from first to end; it takes some of them, or
// says why not the first.
func (b *batch) send(fd uintptr, first, end int) (n int, errno unix.Errno) {
	r, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.headers[first])), uintptr(end-first), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), 0
}

// datagram gives the received bytes of a place; false if they were cut off.
func (b *batch) datagram(i int) (data []byte, whole bool) {
	m := &b.headers[i]
	return b.buffers[i][:m.length:m.length], m.header.Flags&unix.MSG_TRUNC == 0
}

// origin gives the address that a received datagram came from. The zone of a
// link-local one is left out.
func (b *batch) origin(i int) netip.AddrPort {
	name := &b.names[i]
	port := binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(&name.Port))[:])
	switch name.Family {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(name)).Addr), port)
	case unix.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(name.Addr).Unmap(), port)
	}
	return netip.AddrPort{}
}

// stamp gives the kernel's time stamp of a received datagram, in nanoseconds of the
// machine's wall clock; 0 if there is none.
func (b *batch) stamp(i int) int64 {
	const head = unix.SizeofCmsghdr
	if int(b.headers[i].header.Controllen) < head+int(unsafe.Sizeof(unix.Timespec{})) {
		return 0
	}
	control := &b.controls[i]
	h := (*unix.Cmsghdr)(unsafe.Pointer(control))
	if h.Level != unix.SOL_SOCKET || h.Type != unix.SO_TIMESTAMPNS {
		return 0
	}
	return (*unix.Timespec)(unsafe.Pointer(&control[unix.CmsgLen(0)])).Nano()
}

// address writes the receiver of a place; false for a family that is not the
// socket's.
func (b *batch) address(i int, to netip.AddrPort, six bool) bool {
	a, name, h := to.Addr().Unmap(), &b.names[i], &b.headers[i].header
	if !a.IsValid() || to.Port() == 0 || a.Is6() != six || a.Zone() != "" {
		return false
	}
	*name = unix.RawSockaddrInet6{}
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&name.Port))[:], to.Port())
	if six {
		name.Family, name.Addr = unix.AF_INET6, a.As16()
		h.Namelen = unix.SizeofSockaddrInet6
		return true
	}
	four := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
	four.Family, four.Addr = unix.AF_INET, a.As4()
	h.Namelen = unix.SizeofSockaddrInet4
	return true
}

// since gives how long before the machine's wall clock now a time stamp was; 0 if
// there is none, or if the clock was set in between.
func since(stamp int64, now time.Time) time.Duration {
	age := time.Duration(now.UnixNano() - stamp)
	if stamp == 0 || age < 0 || age > time.Second {
		return 0
	}
	return age
}
