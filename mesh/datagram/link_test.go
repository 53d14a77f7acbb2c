package datagram

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"dancer/mesh"
	"dancer/mesh/impedance"
	"dancer/mesh/packet"
)

var (
	random   = rand.New(rand.NewChaCha8([32]byte{9}))
	ids      packet.IDs
	idsMutex sync.Mutex
)

func newID() packet.ID {
	idsMutex.Lock()
	defer idsMutex.Unlock()
	return ids.Next(packet.WallOf(time.Now()), random)
}

func heartbeat() *packet.Message {
	return &packet.Message{ID: newID(), Kind: packet.Heartbeat, TTL: 10 * time.Second, Health: packet.Health{Class: impedance.ClassLocal, Operation: impedance.Active, Queue: 7}}
}

// inbox gathers what a Link hands over.
type inbox struct {
	mutex sync.Mutex
	all   []Received
	count atomic.Int64
}

func (b *inbox) take(r *Received) {
	kept := *r
	kept.Message = r.Message.Clone()
	b.mutex.Lock()
	b.all = append(b.all, kept)
	b.mutex.Unlock()
	b.count.Add(1)
}

func (b *inbox) list() []Received {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return append([]Received(nil), b.all...)
}

// open makes a Link on loopback that keeps what it is sent.
func open(t testing.TB, name string, change func(*Options)) (*Link, *inbox) {
	t.Helper()
	box := new(inbox)
	o := Options{Name: name, Scope: "gallery-east", Secret: []byte("0123456789abcdef"), OnMessage: box.take}
	if change != nil {
		change(&o)
	}
	l, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l, box
}

// run runs it until the test ends, and waits for it.
func run(t testing.TB, l *Link) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func register(t testing.TB, l *Link, name string, s packet.Source) int {
	t.Helper()
	place, err := l.Register(name, s)
	if err != nil {
		t.Fatal(err)
	}
	return place
}

// await bounds a wait for what must come.
func await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestExchange: a heartbeat and its echo, between agents whose clocks differ by
// half a second, give four timestamps whose offset is right within half the way
// there and back, as the arithmetic of four timestamps promises.
func TestExchange(t *testing.T) {
	const ahead = 500 * time.Millisecond
	machine := machineClock()
	lead, leadBox := open(t, "lead", func(o *Options) { o.Clock = machine })
	agent, agentBox := open(t, "agent", func(o *Options) {
		o.Clock = func() (time.Duration, packet.Wall) { now, wall := machine(); return now, wall.Add(ahead) }
	})
	place := register(t, lead, "agent", packet.Source{Origin: agent.Addr().Addr()})
	register(t, agent, "lead", packet.Source{Kinds: packet.AllKinds})
	run(t, lead)
	run(t, agent)
	time.Sleep(ahead) // until the lead's clock has passed the agent's start: what is older is refused
	for range 20 {
		before := agentBox.count.Load()
		if err := agent.Send(lead.Addr(), heartbeat()); err != nil {
			t.Fatal(err)
		}
		await(t, "the heartbeat", func() bool { return leadBox.count.Load() == before+1 })
		got := leadBox.list()[before]
		if got.Source != place || got.Origin != agent.Addr() || got.Duplicate || got.Message.Health.Queue != 7 {
			t.Fatalf("received %+v", got)
		}
		answer := &packet.Message{ID: newID(), Kind: packet.Ack, Causation: got.Message.ID, TTL: time.Second, Result: packet.Result{State: mesh.Ready},
			Echo: packet.Echo{Sent: got.Message.At, Received: got.At}}
		if err := lead.Send(got.Origin, answer); err != nil {
			t.Fatal(err)
		}
		await(t, "the answer", func() bool { return agentBox.count.Load() == before+1 })
		back := agentBox.list()[before]
		e, ok := back.Message.Exchange(back.At)
		if !ok {
			t.Fatal("no exchange")
		}
		offset := (e.Received.Sub(e.Sent) + e.Answered.Sub(e.Returned)) / 2
		way := e.Returned.Sub(e.Sent) - e.Answered.Sub(e.Received)
		if wrong := offset + ahead; wrong > way/2+time.Millisecond || wrong < -way/2-time.Millisecond { // a millisecond for what sets the machine's clock
			t.Errorf("offset %s with a way of %s", offset, way)
		}
	}
}

// TestSendAll: more than one system call takes, each copy for its own receiver; a
// bad one among them keeps back no other.
func TestSendAll(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	register(t, b, "a", packet.Source{Rate: 1000})
	run(t, b)
	var copies []Copy
	for range 150 {
		copies = append(copies, Copy{To: b.Addr(), Message: heartbeat()})
	}
	copies[10].To = netip.MustParseAddrPort("[::1]:9")
	copies[20].Message.TTL = 0
	sent, err := a.SendAll(copies)
	if sent != 148 || !errors.Is(err, ErrAddress) {
		t.Fatalf("%d sent: %v", sent, err)
	}
	await(t, "all of them", func() bool { return box.count.Load() == 148 })
	for i, r := range box.list() {
		if i < 10 && r.Message.ID != copies[i].Message.ID {
			t.Errorf("%d came in another order", i)
		}
	}
	if s := a.Status(); s.Sent != 148 || s.Unsent != 2 || s.Busy != 0 {
		t.Errorf("%+v", s)
	}
	if err := a.Send(b.Addr(), copies[20].Message); !errors.Is(err, packet.ErrMalformed) {
		t.Error(err)
	}
	big := &packet.Message{ID: newID(), Kind: packet.Coordinate, TTL: time.Second, Payload: make([]byte, packet.MaxPayloadBytes+1)}
	if err := a.Send(b.Addr(), big); !errors.Is(err, packet.ErrMalformed) {
		t.Error(err)
	}
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Error(err)
	}
	await(t, "one more after what could not be sealed", func() bool { return box.count.Load() == 149 })
}

// TestSurvives: whatever comes from the network is counted under its cause, and the
// next message is received.
func TestSurvives(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	register(t, b, "a", packet.Source{})
	run(t, b)
	run(t, a)
	stranger, err := net.Dial("udp4", b.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	for _, data := range [][]byte{nil, []byte("hello"), {1}, make([]byte, 1201), make([]byte, 60_000), append([]byte{7}, make([]byte, 300)...), append([]byte{1}, make([]byte, 300)...)} {
		if _, err := stranger.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the message behind them", func() bool { return box.count.Load() == 1 })
	s := b.Status()
	if s.Received != 8 || s.Counts.Of(packet.TooLarge) != 2 || s.Counts.Of(packet.Malformed) != 3 || s.Counts.Of(packet.UnknownVersion) != 2 || s.Counts.Dropped() != 7 {
		t.Errorf("%+v", s)
	}
	closed, _ := open(t, "closed", nil)
	gone := closed.Addr()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	for range 5 { // each brings an ICMP message back
		if err := a.Send(gone, heartbeat()); err != nil {
			t.Errorf("to a closed port: %v", err)
		}
	}
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the message after the closed port", func() bool { return box.count.Load() == 2 })
}

// TestKernelRefuses: what the kernel has no room for is dropped and counted, what
// it refuses for one receiver does not keep back the others, and an interrupted
// call is made again.
func TestKernelRefuses(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	register(t, b, "a", packet.Source{Rate: 1000})
	run(t, b)
	refuse := func(at int, why unix.Errno, times int) {
		a.transmit = func(x *batch, fd uintptr, first, end int) (int, unix.Errno) {
			if first == at && times > 0 {
				times--
				return 0, why
			}
			if first < at {
				end = at
			}
			return x.send(fd, first, end)
		}
	}
	var copies []Copy
	for range 10 {
		copies = append(copies, Copy{To: b.Addr(), Message: heartbeat()})
	}
	came := int64(0)
	for _, c := range []struct {
		why  unix.Errno
		sent int
		err  error
	}{{unix.ENOBUFS, 4, ErrBusy}, {unix.EAGAIN, 4, ErrBusy}, {unix.EPERM, 9, unix.EPERM}, {unix.ENETUNREACH, 9, unix.ENETUNREACH}, {unix.ECONNREFUSED, 9, unix.ECONNREFUSED}, {unix.EINTR, 10, nil}, {0, 9, nil}} {
		refuse(4, c.why, 1)
		for i := range copies {
			copies[i].Message.ID = newID()
		}
		sent, err := a.SendAll(copies)
		if sent != c.sent || c.err != nil && !errors.Is(err, c.err) || c.why == unix.EINTR && err != nil {
			t.Errorf("%v: %d sent, %v", c.why, sent, err)
		}
		came += int64(sent)
		await(t, "those sent", func() bool { return box.count.Load() == came })
	}
	if s := a.Status(); s.Busy != 12 || s.Unsent != 4 || s.Sent != uint64(came) {
		t.Errorf("%+v", s)
	}
}

// TestSocketErrors: errors of the socket that are over are counted, and the next
// message is received.
func TestSocketErrors(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	register(t, b, "a", packet.Source{})
	errors := []unix.Errno{unix.ENOMEM, unix.ECONNREFUSED, unix.EINTR, unix.ENETDOWN}
	b.read = func(fd uintptr) bool {
		if len(errors) == 0 {
			return b.readSome(fd)
		}
		b.came, b.failed, errors = 0, errors[0], errors[1:]
		return true
	}
	run(t, b)
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the message", func() bool { return box.count.Load() == 1 })
	if s := b.Status(); s.Faults != 3 {
		t.Errorf("%+v", s)
	}
}

// needs skips a test where the kernel does not have what it is about: qemu-user,
// which runs programs of other processors, knows few options of sockets.
func needs(t *testing.T, l *Link, name string, has func(fd int) bool) {
	t.Helper()
	found := false
	if err := l.raw.Control(func(fd uintptr) { found = has(int(fd)) }); err != nil {
		t.Fatal(err)
	}
	if !found {
		t.Skipf("this kernel has no %s", name)
	}
}

func stamps(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS)
	return err == nil && on == 1
}

func tellsLost(fd int) bool {
	_, known := lost(fd)
	return known
}

// TestLost: what finds the kernel's buffer full is counted.
func TestLost(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", func(o *Options) { o.ReceiveBuffer = 8 << 10 })
	needs(t, b, "SO_MEMINFO", tellsLost)
	register(t, b, "a", packet.Source{Rate: 10_000})
	const all = 500
	for range all {
		if err := a.Send(b.Addr(), heartbeat()); err != nil {
			t.Fatal(err)
		}
	}
	s := b.Status()
	if s.Lost == 0 || s.Lost >= all {
		t.Fatalf("%d of %d lost with a buffer of %d bytes", s.Lost, all, s.ReceiveBuffer)
	}
	run(t, b)
	await(t, "the others", func() bool { return uint64(box.count.Load()) == all-s.Lost })
}

// TestTimeStamp: what waited in the kernel's buffer has the moment it came, not the
// moment it was read. The first datagrams of a machine may have no stamp yet.
func TestTimeStamp(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	needs(t, b, "SO_TIMESTAMPNS", stamps)
	register(t, b, "a", packet.Source{})
	for try := range 50 {
		if err := a.Send(b.Addr(), heartbeat()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(30 * time.Millisecond)
		if err := b.receive(); err != nil {
			t.Fatal(err)
		}
		_, read := b.options.Clock()
		if at := box.list()[try].At; read.Sub(at) >= 29*time.Millisecond {
			return
		}
	}
	t.Error("no datagram has the kernel's time stamp")
}

// TestSince: a clock that was set between the stamp and the reading is not believed.
func TestSince(t *testing.T) {
	now := time.Now()
	for stamp, want := range map[time.Time]time.Duration{now.Add(-time.Millisecond): time.Millisecond, now.Add(time.Second): 0, now.Add(-time.Hour): 0} {
		if have := since(stamp.UnixNano(), now); have != want {
			t.Errorf("%s: %s, want %s", stamp.Sub(now), have, want)
		}
	}
	if since(0, now) != 0 {
		t.Error("no stamp")
	}
}

// TestRun: it ends with its context and with the socket, and leaves no goroutine.
func TestRun(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, closes := range []bool{false, true} {
		l, _ := open(t, "a", nil)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- l.Run(ctx) }()
		await(t, "Run", l.running.Load)
		if err := l.Run(ctx); !errors.Is(err, ErrOptions) {
			t.Errorf("a second Run: %v", err)
		}
		if closes {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		} else {
			cancel()
		}
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Run does not end")
		}
		cancel()
		if closes {
			if err := l.Send(l.Addr(), heartbeat()); !errors.Is(err, net.ErrClosed) {
				t.Errorf("send after Close: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			if s := l.Status(); s.Unsent != 1 {
				t.Errorf("%+v", s)
			}
		}
	}
	await(t, "the goroutines", func() bool { return runtime.NumGoroutine() <= before })
}

// TestReports: refused datagrams are told from Run, and not one by one.
func TestReports(t *testing.T) {
	var told atomic.Int64
	var text atomic.Value
	b, _ := open(t, "b", func(o *Options) {
		o.OnReport = func(r packet.Report) { text.Store(r.String()); told.Add(1) }
	})
	west, _ := open(t, "a", func(o *Options) { o.Scope = "gallery-west" })
	run(t, b)
	for range 100 {
		if err := west.Send(b.Addr(), heartbeat()); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a report", func() bool { return told.Load() > 0 })
	if s, _ := text.Load().(string); told.Load() != 1 || !strings.Contains(s, "refused 100 from "+west.Addr().String()) || !strings.Contains(s, "another cell") {
		t.Errorf("%d reports: %s", told.Load(), s)
	}
}

// TestSources: what is known of a source holds through the Link.
func TestSources(t *testing.T) {
	a, _ := open(t, "a", nil)
	b, box := open(t, "b", nil)
	_, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	place := register(t, b, "a", packet.Source{Kinds: packet.AllKinds, Key: private.Public().(ed25519.PublicKey), Signed: packet.AllKinds})
	run(t, b)
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the refusal", func() bool { s := b.Status(); return s.Counts.Of(packet.Forbidden) == 1 })
	if err := a.Sign(private, packet.AllKinds); err != nil {
		t.Fatal(err)
	}
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "what is signed", func() bool { return box.count.Load() == 1 })
	b.SetClock(place, -time.Second, time.Millisecond) // a is not a second behind
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the refusal", func() bool { s := b.Status(); return s.Counts.Of(packet.FutureDated) == 1 })
	b.Forget("a")
	if s := b.Status(); s.Registered != 0 || s.Newcomers != 1 {
		t.Errorf("%+v", s)
	}
}

func TestOptions(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   error
	}{
		"no address":     {func(o *Options) { o.Bind = "localhost:0" }, ErrOptions},
		"open to all":    {func(o *Options) { o.Bind, o.Secret = "0.0.0.0:0", nil }, ErrOptions},
		"link-local":     {func(o *Options) { o.Bind = "[fe80::1%lo]:0" }, ErrOptions},
		"nobody listens": {func(o *Options) { o.OnMessage = nil }, ErrOptions},
		"buffer":         {func(o *Options) { o.SendBuffer = -1 }, ErrOptions},
		"no name":        {func(o *Options) { o.Name = "" }, mesh.ErrName},
		"no scope":       {func(o *Options) { o.Scope = "" }, packet.ErrKey},
		"short secret":   {func(o *Options) { o.Secret = []byte("short") }, packet.ErrKey},
		"bounds":         {func(o *Options) { o.Admission.MaxSources = -1 }, packet.ErrOptions},
		"not ours":       {func(o *Options) { o.Bind = "192.0.2.1:0" }, unix.EADDRNOTAVAIL},
	} {
		o := Options{Name: "a", Scope: "east", Secret: []byte("0123456789abcdef"), OnMessage: func(*Received) {}}
		c.change(&o)
		if l, err := Open(o); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
			if l != nil {
				_ = l.Close()
			}
		}
	}
	if l, _ := open(t, "a", func(o *Options) { o.Secret = nil }); !l.Addr().Addr().IsLoopback() {
		t.Errorf("bound to %s", l.Addr())
	}
}

// TestIPv6 needs the address ::1.
func TestIPv6(t *testing.T) {
	probe, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		t.Skipf("this machine has no IPv6 on loopback: %v", err)
	}
	_ = probe.Close()
	six := func(o *Options) { o.Bind = "[::1]:0" }
	a, _ := open(t, "a", six)
	b, box := open(t, "b", six)
	register(t, b, "a", packet.Source{Origin: netip.IPv6Loopback()})
	run(t, b)
	if err := a.Send(b.Addr(), heartbeat()); err != nil {
		t.Fatal(err)
	}
	await(t, "the message", func() bool { return box.count.Load() == 1 })
	if r := box.list()[0]; r.Origin != a.Addr() {
		t.Errorf("from %s, want %s", r.Origin, a.Addr())
	}
	if err := a.Send(netip.MustParseAddrPort("127.0.0.1:9"), heartbeat()); !errors.Is(err, ErrAddress) {
		t.Error(err)
	}
}

// TestHostileCell: over real sockets, ten hostile datagrams come for each honest
// one, from outside of the cell and from a member that floods; every honest one is
// received.
func TestHostileCell(t *testing.T) {
	const members, rounds = 5, 40
	lead, box := open(t, "lead", nil)
	run(t, lead)
	var honest []*Link
	for i := range members {
		l, _ := open(t, fmt.Sprintf("honest-%d", i), nil)
		register(t, lead, fmt.Sprintf("honest-%d", i), packet.Source{Rate: 1000})
		honest = append(honest, l)
	}
	flooder, _ := open(t, "flooder", nil)
	register(t, lead, "flooder", packet.Source{Rate: 1})
	thief, _ := open(t, "honest-0", func(o *Options) { o.Secret = []byte("another secret 16") })
	outsider, err := net.Dial("udp4", lead.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer outsider.Close()
	sent := uint64(0)
	for range rounds {
		for _, l := range honest {
			for n := range 10 {
				switch n % 4 {
				case 0:
					_, err = outsider.Write(make([]byte, 100+600*n))
				case 1:
					_, err = outsider.Write(append([]byte{1}, make([]byte, 150)...))
				case 2:
					err = thief.Send(lead.Addr(), heartbeat())
				default:
					err = flooder.Send(lead.Addr(), heartbeat())
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			if err := l.Send(lead.Addr(), heartbeat()); err != nil {
				t.Fatal(err)
			}
			sent += 11
		}
		// The kernel's buffer is not what this test is about.
		await(t, "the lead", func() bool { return lead.Status().Received == sent })
	}
	byName := map[string]int{}
	await(t, "the honest ones", func() bool {
		clear(byName)
		n := 0
		for _, r := range box.list() {
			byName[r.Message.From.String()]++
			if r.Message.From.String() != "flooder" {
				n++
			}
		}
		return n >= members*rounds
	})
	for i := range members {
		if have := byName[fmt.Sprintf("honest-%d", i)]; have != rounds {
			t.Errorf("honest-%d: %d of %d received", i, have, rounds)
		}
	}
	s := lead.Status()
	if s.Lost != 0 || s.Counts.Of(packet.OverRate) < members*rounds || s.Counts.Of(packet.Unauthentic) == 0 || s.Counts.Of(packet.TooLarge) == 0 || s.Counts.Of(packet.Malformed) == 0 {
		t.Errorf("%+v", s)
	}
}

// TestAllocates: nothing on the way out and in.
func TestAllocates(t *testing.T) {
	a, _ := open(t, "a", nil)
	got := 0
	b, _ := open(t, "b", func(o *Options) { o.OnMessage = func(*Received) { got++ } })
	register(t, b, "a", packet.Source{Rate: packet.MaxRate})
	var copies []Copy
	for range batchSize {
		copies = append(copies, Copy{To: b.Addr(), Message: heartbeat()})
	}
	want := 0
	if n := testing.AllocsPerRun(50, func() {
		for i := range copies {
			copies[i].Message.ID = newID()
		}
		sent, err := a.SendAll(copies)
		if err != nil {
			t.Fatal(err)
		}
		for want += sent; got < want; {
			if err := b.receive(); err != nil {
				t.Fatal(err)
			}
		}
	}); n != 0 {
		t.Errorf("%v allocations for %d datagrams", n, batchSize)
	}
}
