package datagram

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/mesh"
	"dancer/mesh/packet"
)

// TestFigures prints what a core carries (docs/benchmarks.md):
//
//	DANCER_FIGURES=1 go test -count=1 -v -run TestFigures ./mesh/datagram
//
// Each way is measured in turn, again and again, and told as the median of its
// rounds. Time is that of the one thread that does all of it, so other programs on
// the machine matter little; what the kernel does for it on the loopback is in it.
func TestFigures(t *testing.T) {
	if os.Getenv("DANCER_FIGURES") == "" {
		t.Skip("figures are made on request: DANCER_FIGURES=1")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	copies := figureCopies()
	size := figureSize(t)
	ways := []*way{
		{name: "seal, read and judge, no socket", run: throughCore(t, copies)},
		{name: fmt.Sprintf("bare sendto, recvfrom, %d bytes", size), run: throughBare(t, size)},
		{name: "net.UDPConn, the same bytes", run: throughConn(t, size)},
		{name: "sendmmsg, recvmmsg, the same bytes", run: throughBatch(t, size)},
		{name: "Link: sealed, sent, received, judged", run: throughLink(t, copies)},
	}
	for range 41 {
		for _, w := range ways {
			w.round(t)
		}
	}
	t.Logf("| a COORDINATE of %d bytes, one thread | messages/s and core | beside the bare loop |", size)
	for _, w := range ways {
		t.Logf("| %s | %.0f | %.2f |", w.name, 1e9/w.median(), ways[1].median()/w.median())
	}
	if rate := 1e9 / ways[4].median(); rate < 100_000 {
		t.Errorf("%.0f messages a second and core through the Link, the mark is 100,000", rate)
	}
}

// figureMessages a way moves in one round.
const figureMessages = 32 * batchSize

// way is one way to move messages.
type way struct {
	name string
	run  func()
	each []float64 // ns of the thread's time for one message, per round
}

func (w *way) round(t *testing.T) {
	before := threadTime(t)
	w.run()
	w.each = append(w.each, float64(threadTime(t)-before)/figureMessages)
}

func (w *way) median() float64 {
	slices.Sort(w.each)
	return w.each[len(w.each)/2]
}

func threadTime(t *testing.T) time.Duration {
	t.Helper()
	var spec unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &spec); err != nil {
		t.Fatal(err)
	}
	return time.Duration(spec.Nano())
}

// figureMessage is a COORDINATE as a lead sends it.
func figureMessage() *packet.Message {
	lift, _ := packet.NewCapability("lift")
	m := &packet.Message{ID: newID(), Kind: packet.Coordinate, Correlation: newID(), Causation: newID(), TTL: 10 * time.Second, Priority: packet.Urgent,
		Payload: []byte(`{"operation":"clear-room","room":"east-3"}`),
		Plan: packet.Plan{Target: packet.WallOf(time.Now().Add(time.Second)), Routing: packet.ScatterGather, Verb: packet.Act, Lead: 23 * time.Millisecond,
			Processing: 12 * time.Millisecond, Confidence: 950, Weight: 1000, Expectation: mesh.Ready}}
	m.Plan.Requires.Add(lift)
	return m
}

func figureCopies() (copies []Copy) {
	for range batchSize {
		copies = append(copies, Copy{Message: figureMessage()})
	}
	return copies
}

func figureSize(t *testing.T) int {
	t.Helper()
	key, err := packet.NewKey("gallery-east", []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	wall := packet.WallOf(time.Now())
	s, err := packet.NewSealer(key, "lead", wall)
	if err != nil {
		t.Fatal(err)
	}
	data, err := s.Seal(nil, wall, figureMessage())
	if err != nil {
		t.Fatal(err)
	}
	return len(data)
}

// throughCore seals and admits without a socket.
func throughCore(t *testing.T, copies []Copy) func() {
	key, err := packet.NewKey("gallery-east", []byte("0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	clock := machineClock()
	_, wall := clock()
	s, err := packet.NewSealer(key, "lead", wall)
	if err != nil {
		t.Fatal(err)
	}
	a, err := packet.NewAdmission(packet.Options{Name: "agent", Key: key, Since: wall})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Register(0, "lead", packet.Source{Kinds: packet.AllKinds, Rate: packet.MaxRate}); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 0, packet.MaxDatagramBytes)
	var got packet.Message
	return func() {
		for i := range figureMessages {
			now, wall := clock()
			m := copies[i%batchSize].Message
			m.ID = newID()
			data, err := s.Seal(buffer, wall, m)
			if err != nil {
				t.Fatal(err)
			}
			if v := a.Admit(now, wall, netip.AddrPort{}, data, &got); v.Outcome != packet.Accepted {
				t.Fatal(v.Outcome)
			}
		}
	}
}

// bareSocket is a bound socket of the loopback, without the runtime's poller.
func bareSocket(t *testing.T) (fd int, at unix.Sockaddr) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if at, err = unix.Getsockname(fd); err != nil {
		t.Fatal(err)
	}
	return fd, at
}

// throughBare sends a batch one by one and receives it one by one, as a loop in C
// would: the system calls alone, without Go's scheduler around them.
func throughBare(t *testing.T, size int) func() {
	from, _ := bareSocket(t)
	to, at := bareSocket(t)
	data, buffer, b := make([]byte, size), make([]byte, packet.MaxDatagramBytes), newBatch()
	b.address(0, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(at.(*unix.SockaddrInet4).Port)), false)
	call := func(number uintptr, fd int, buffer []byte, name uintptr, length uintptr) {
		n, _, errno := unix.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(buffer))), uintptr(len(buffer)), 0, name, length)
		if int(n) != size {
			t.Fatal(n, errno)
		}
	}
	return func() {
		for range figureMessages / batchSize {
			for range batchSize {
				call(unix.SYS_SENDTO, from, data, uintptr(unsafe.Pointer(&b.names[0])), unix.SizeofSockaddrInet4)
			}
			for range batchSize {
				call(unix.SYS_RECVFROM, to, buffer, 0, 0)
			}
		}
	}
}

// throughConn is the same with the standard library's sockets.
func throughConn(t *testing.T, size int) func() {
	listen := func() *net.UDPConn {
		c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	from, to := listen(), listen()
	at := to.LocalAddr().(*net.UDPAddr).AddrPort()
	data, buffer := make([]byte, size), make([]byte, packet.MaxDatagramBytes)
	return func() {
		for range figureMessages / batchSize {
			for range batchSize {
				if _, err := from.WriteToUDPAddrPort(data, at); err != nil {
					t.Fatal(err)
				}
			}
			for range batchSize {
				if n, _, err := to.ReadFromUDPAddrPort(buffer); err != nil || n != size {
					t.Fatal(n, err)
				}
			}
		}
	}
}

// throughBatch is the same with the system calls that the Link uses, and nothing
// else of it.
func throughBatch(t *testing.T, size int) func() {
	from, _ := bareSocket(t)
	to, at := bareSocket(t)
	out, in := newBatch(), newBatch()
	port := at.(*unix.SockaddrInet4).Port
	for i := range batchSize {
		out.address(i, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)), false)
		out.vectors[i].SetLen(size)
	}
	return func() {
		for range figureMessages / batchSize {
			if n, errno := out.send(uintptr(from), 0, batchSize); n != batchSize {
				t.Fatal(n, errno)
			}
			for got := 0; got < batchSize; {
				n, errno := in.receive(uintptr(to))
				if errno != 0 {
					t.Fatal(errno)
				}
				got += n
			}
		}
	}
}

// throughLink is all of it.
func throughLink(t *testing.T, copies []Copy) func() {
	got, want := 0, 0
	lead, _ := open(t, "lead", nil)
	agent, _ := open(t, "agent", func(o *Options) { o.OnMessage = func(*Received) { got++ } })
	register(t, agent, "lead", packet.Source{Kinds: packet.AllKinds, Rate: packet.MaxRate})
	for i := range copies {
		copies[i].To = agent.Addr()
	}
	return func() {
		for range figureMessages / batchSize {
			for i := range copies {
				copies[i].Message.ID = newID()
			}
			sent, err := lead.SendAll(copies)
			if err != nil {
				t.Fatal(err)
			}
			for want += sent; got < want; {
				if err := agent.receive(); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// TestFiguresFlood prints how many of an honest member's messages are received
// while an outsider sends as fast as a core can, for each kind of datagram that he
// can make: how far the kernel's buffer carries while the other core judges.
func TestFiguresFlood(t *testing.T) {
	if os.Getenv("DANCER_FIGURES") == "" {
		t.Skip("figures are made on request: DANCER_FIGURES=1")
	}
	noise := make([]byte, 250)
	noise[0] = packet.Version
	framed := append([]byte(nil), noise...)
	framed[len(framed)-18], framed[len(framed)-17] = 9, 0x50
	t.Log("| flood | datagrams/s judged | lost by the kernel | honest messages received |")
	for _, f := range []struct {
		name string
		data []byte
	}{{"none", nil}, {"of an unknown version", make([]byte, 250)}, {"without a MAC", noise}, {"with a wrong MAC", framed}} {
		floodFigure(t, f.name, f.data)
	}
}

func floodFigure(t *testing.T, name string, data []byte) {
	const honest, every = 2000, 2 * time.Millisecond
	var got atomic.Int64
	lead, _ := open(t, "lead", func(o *Options) { o.OnMessage = func(*Received) { got.Add(1) } })
	peer, _ := open(t, "peer", nil)
	register(t, lead, "peer", packet.Source{Rate: 1000})
	run(t, lead)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		if data != nil {
			pour(lead.Addr(), data, stop)
		}
	}()
	start := time.Now()
	for range honest {
		if err := peer.Send(lead.Addr(), heartbeat()); err != nil {
			t.Error(err)
		}
		time.Sleep(every)
	}
	took := time.Since(start)
	s := lead.Status()
	close(stop)
	<-done
	t.Logf("| %s | %.0f | %d of %d | %d of %d |", name, float64(s.Received)/took.Seconds(), s.Lost, s.Received+s.Lost, got.Load(), honest)
}

// pour sends the same datagram as fast as it can.
func pour(to netip.AddrPort, data []byte, stop chan struct{}) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer func() { _ = unix.Close(fd) }()
	at := &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	for {
		select {
		case <-stop:
			return
		default:
			_ = unix.Sendto(fd, data, 0, at)
		}
	}
}
