package datagram

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"dancer/mesh/packet"
)

// patience is the deadline of one wait for datagrams, and how often reports are
// told.
const patience = time.Second

// rest is how long Run waits after an error of the socket that is none of a peer's
// making, so that a fault that stays is no busy loop.
const rest = 10 * time.Millisecond

// Link is one open socket. Its methods are safe for use by several goroutines.
type Link struct {
	options Options
	conn    *net.UDPConn
	raw     syscall.RawConn
	addr    netip.AddrPort

	judging   sync.Mutex // guards admission
	admission *packet.Admission

	sending sync.Mutex // guards sealer, out and what they fill
	sealer  *packet.Sealer
	out     *batch
	tosend  struct{ first, end int }
	sent    int
	refused unix.Errno
	write   func(fd uintptr) bool
	// transmit is batch.send, for tests.
	transmit func(b *batch, fd uintptr, first, end int) (int, unix.Errno)

	running atomic.Bool // Run owns what follows
	in      *batch
	came    int
	failed  unix.Errno
	read    func(fd uintptr) bool
	message packet.Message
	got     Received

	disturbed *disturbance // nil: as it is

	counters struct{ sent, received, busy, unsent, faults atomic.Uint64 }
}

// Open binds the socket. Nothing is received before Run.
func Open(o Options) (*Link, error) {
	o, bind, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	l := &Link{options: o, in: newBatch(), out: newBatch(), transmit: (*batch).send}
	if err := l.prepare(); err != nil {
		return nil, fmt.Errorf("open datagrams of %s: %w", o.Name, err)
	}
	network := "udp4"
	if bind.Addr().Is6() {
		network = "udp6"
	}
	if l.conn, err = net.ListenUDP(network, net.UDPAddrFromAddrPort(bind)); err != nil {
		return nil, fmt.Errorf("open datagrams on %s: %w", o.Bind, err)
	}
	if l.raw, err = l.conn.SyscallConn(); err == nil {
		err = l.raw.Control(l.tune)
	}
	if err != nil {
		_ = l.conn.Close()
		return nil, fmt.Errorf("open datagrams on %s: %w", o.Bind, err)
	}
	l.addr = l.conn.LocalAddr().(*net.UDPAddr).AddrPort()
	l.write, l.read = l.writeSome, l.readSome
	if o.Conditions.disturbs() {
		l.disturbed = newDisturbance(o.Conditions)
		l.disturbed.conn, l.transmit = l.conn, l.disturbed.transmit
	}
	return l, nil
}

// prepare makes what seals and what judges.
func (l *Link) prepare() error {
	key, err := packet.NewKey(l.options.Scope, l.options.Secret)
	if err != nil {
		return err
	}
	_, wall := l.options.Clock()
	if l.sealer, err = packet.NewSealer(key, l.options.Name, wall); err != nil {
		return err
	}
	a := l.options.Admission
	a.Name, a.Key, a.Since = l.options.Name, key, wall
	l.admission, err = packet.NewAdmission(a)
	return err
}

// tune sets what is not needed to work: the bounds of the buffers, past the
// machine's limits where that is allowed, and time stamps.
func (l *Link) tune(fd uintptr) {
	for _, b := range []struct{ force, plain, bytes int }{
		{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, l.options.ReceiveBuffer},
		{unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, l.options.SendBuffer},
	} {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, b.force, b.bytes) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, b.plain, b.bytes)
		}
	}
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
}

// Addr is the address and port that this agent is reached at.
func (l *Link) Addr() netip.AddrPort { return l.addr }

// Close closes the socket; Run ends. A second call does nothing.
func (l *Link) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("close datagrams: %w", err)
	}
	return nil
}

// Run receives until ctx ends or the Link is closed, and then gives nil. Only one
// Run may be under way; a second one gives an error.
func (l *Link) Run(ctx context.Context) error {
	if !l.running.CompareAndSwap(false, true) {
		return fmt.Errorf("%w: Run is under way already", ErrOptions)
	}
	defer l.running.Store(false)
	// A wait that is under way ends when ctx does.
	defer context.AfterFunc(ctx, func() { _ = l.conn.SetReadDeadline(time.Unix(1, 0)) })()
	_ = l.conn.SetReadDeadline(time.Now().Add(patience))
	for ctx.Err() == nil {
		l.release()
		switch err := l.receive(); {
		case err == nil:
		case errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			l.report()
			_ = l.conn.SetReadDeadline(time.Now().Add(patience))
		default:
			l.counters.faults.Add(1)
			l.pause(ctx)
		}
	}
	return nil
}

func (l *Link) pause(ctx context.Context) {
	timer := time.NewTimer(rest)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// receive waits for datagrams until the deadline, and delivers those that are there.
func (l *Link) receive() error {
	if err := l.raw.Read(l.read); err != nil {
		return err
	}
	switch l.failed {
	case 0:
		l.deliver()
	case unix.EINTR:
	case unix.ECONNREFUSED, unix.EHOSTUNREACH, unix.ENETUNREACH, unix.EMSGSIZE:
		l.counters.faults.Add(1) // an ICMP message about something sent: not about this socket
	default:
		return l.failed
	}
	return nil
}

// readSome is what the runtime calls when the socket may have something.
func (l *Link) readSome(fd uintptr) (done bool) {
	l.came, l.failed = l.in.receive(fd)
	return l.failed != unix.EAGAIN
}

// deliver judges what came and hands over what was accepted.
func (l *Link) deliver() {
	now, wall := l.options.Clock()
	machine := time.Now()
	l.counters.received.Add(uint64(l.came))
	for i := range l.came {
		data, whole := l.in.datagram(i)
		origin := l.in.origin(i)
		if !whole {
			l.judging.Lock()
			l.admission.Oversized(now, origin)
			l.judging.Unlock()
			continue
		}
		at := wall.Add(-since(l.in.stamp(i), machine))
		if l.disturbed != nil {
			l.disturbed.hold(now, at, origin, data)
			continue
		}
		l.judge(now, at, origin, data)
	}
}

// judge hands over what is accepted.
func (l *Link) judge(now time.Duration, at packet.Wall, origin netip.AddrPort, data []byte) {
	l.judging.Lock()
	verdict := l.admission.Admit(now, at, origin, data, &l.message)
	l.judging.Unlock()
	if !verdict.Outcome.Dropped() {
		l.got = Received{Message: &l.message, Duplicate: verdict.Outcome == packet.Duplicate, Source: verdict.Source, Origin: origin, Now: now, At: at}
		l.options.OnMessage(&l.got)
	}
}

// release hands over what was held back, where a test wants that.
func (l *Link) release() {
	if l.disturbed == nil {
		return
	}
	now, _ := l.options.Clock()
	wait := l.disturbed.release(now, func(a arrival) { l.judge(now, a.at, a.origin, a.data) })
	_ = l.conn.SetReadDeadline(time.Now().Add(wait))
}

func (l *Link) report() {
	now, _ := l.options.Clock()
	l.judging.Lock()
	reports := l.admission.Reports(now, nil)
	l.judging.Unlock()
	for _, r := range reports {
		l.options.OnReport(r)
	}
}

// Register makes a source known, see packet.Admission.Register.
func (l *Link) Register(name string, s packet.Source) (place int, err error) {
	now, _ := l.options.Clock()
	l.judging.Lock()
	defer l.judging.Unlock()
	return l.admission.Register(now, name, s)
}

// Forget ends a registration.
func (l *Link) Forget(name string) {
	l.judging.Lock()
	defer l.judging.Unlock()
	l.admission.Forget(name)
}

// SetClock tells how far a source's clock is before this agent's, and how wrong
// that may be.
func (l *Link) SetClock(place int, offset, bound time.Duration) {
	now, _ := l.options.Clock()
	l.judging.Lock()
	defer l.judging.Unlock()
	l.admission.SetClock(now, place, offset, bound)
}

// Sign makes the Link sign every message of these kinds from now on.
func (l *Link) Sign(key ed25519.PrivateKey, kinds packet.Kinds) error {
	l.sending.Lock()
	defer l.sending.Unlock()
	return l.sealer.Sign(key, kinds)
}

// Status is a snapshot.
type Status struct {
	Addr          netip.AddrPort
	Sent          uint64        // datagrams that the kernel took
	Busy          uint64        // not sent: the kernel had no room
	Unsent        uint64        // not sent for another reason
	Received      uint64        // datagrams that came, whatever became of them
	Lost          uint64        // came and found the kernel's buffer full; counted to 2^32
	Faults        uint64        // errors of the socket, ICMP messages among them
	Registered    int           // sources
	Newcomers     int           // sources that nobody registered
	ReceiveBuffer int           // bytes, as the kernel granted it
	Counts        packet.Counts // what became of those received
}

// Status gives the counters.
func (l *Link) Status() Status {
	s := Status{Addr: l.addr, Sent: l.counters.sent.Load(), Busy: l.counters.busy.Load(), Unsent: l.counters.unsent.Load(),
		Received: l.counters.received.Load(), Faults: l.counters.faults.Load()}
	l.judging.Lock()
	s.Counts = l.admission.Counts()
	s.Registered, s.Newcomers = l.admission.Known()
	l.judging.Unlock()
	_ = l.raw.Control(func(fd uintptr) { // fails when closed: the rest is still true
		s.ReceiveBuffer, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
		s.Lost, _ = lost(int(fd))
	})
	return s
}
