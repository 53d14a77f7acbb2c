package datagram

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"dancer/mesh/packet"
)

// Errors by cause.
var (
	// ErrOptions: Open was given something that cannot work.
	ErrOptions = errors.New("bad datagram options")
	// ErrBusy: the kernel has no room for more datagrams now. They were dropped and
	// counted: send less at once, or again later.
	ErrBusy = errors.New("send buffer full")
	// ErrAddress: an address that this socket cannot send to.
	ErrAddress = errors.New("bad address")
)

// Clock gives one moment on two clocks: the monotonic one since any start, and the
// wall clock that messages carry. Neither may step.
type Clock func() (now time.Duration, wall packet.Wall)

// Received is what came, as OnMessage gets it. It and what it refers to are valid
// until OnMessage returns.
type Received struct {
	Message   *packet.Message
	Duplicate bool           // a copy of what was received before: answer it again, never act on it
	Source    int            // place of the sender, see packet.Verdict
	Origin    netip.AddrPort // network address that it came from
	Now       time.Duration  // monotonic clock
	At        packet.Wall    // when the kernel got it, by this agent's clock: t2 and t4 of an exchange
}

// Options of Open. Zero values mean the defaults.
type Options struct {
	// Bind is address:port with a numeric address; default 127.0.0.1:0. Any address
	// but loopback needs Secret.
	Bind string
	// Name of this agent and Scope (its cell or region); needed.
	Name, Scope string
	// Secret is what the members of the scope share: the cell's gossip key, 16 bytes
	// or more. Default none.
	Secret []byte
	// Admission has the bounds of what is accepted; its Name, Key and Since are
	// filled in.
	Admission packet.Options
	// OnMessage takes what was accepted, one at a time, in Run's goroutine. It must
	// not block: what comes meanwhile waits in the kernel's buffer, and is dropped
	// when that is full. Needed.
	OnMessage func(*Received)
	// OnReport takes what is to be told of refused datagrams, in Run's goroutine;
	// default: nothing is told (Status counts).
	OnReport func(packet.Report)
	// Clock is for simulated clock errors. Default: the machine's wall clock at Open,
	// and the monotonic clock from then on.
	Clock Clock
	// Conditions make clock and network worse, for tests; default: as they are.
	Conditions Conditions
	// ReceiveBuffer and SendBuffer are the bounds of the kernel's queues in bytes of
	// its own accounting (some 800 for a short datagram); default 4 MiB and 1 MiB.
	// Without CAP_NET_ADMIN the machine's net.core.rmem_max and wmem_max limit them.
	ReceiveBuffer, SendBuffer int
}

func (o Options) withDefaults() (Options, netip.AddrPort, error) {
	if o.Bind == "" {
		o.Bind = "127.0.0.1:0"
	}
	if o.ReceiveBuffer == 0 {
		o.ReceiveBuffer = 4 << 20
	}
	if o.SendBuffer == 0 {
		o.SendBuffer = 1 << 20
	}
	if o.Clock == nil {
		o.Clock = machineClock()
	}
	o.Clock = o.Conditions.clock(o.Clock)
	if o.OnReport == nil {
		o.OnReport = func(packet.Report) {}
	}
	bind, err := netip.ParseAddrPort(o.Bind)
	switch {
	case err != nil:
		return o, bind, fmt.Errorf("%w: bind %q: want the numeric address of an interface, and a port", ErrOptions, o.Bind)
	case bind.Addr().Zone() != "":
		return o, bind, fmt.Errorf("%w: bind %q: link-local addresses are not supported: use another one of the interface", ErrOptions, o.Bind)
	case !bind.Addr().IsLoopback() && len(o.Secret) == 0:
		return o, bind, fmt.Errorf("%w: bind %s: other hosts can reach it: set mesh.key_file, or bind to 127.0.0.1", ErrOptions, o.Bind)
	case o.OnMessage == nil:
		return o, bind, fmt.Errorf("%w: nobody takes the messages", ErrOptions)
	case o.ReceiveBuffer < 0 || o.SendBuffer < 0:
		return o, bind, fmt.Errorf("%w: a buffer of negative size", ErrOptions)
	}
	return o, netip.AddrPortFrom(bind.Addr().Unmap(), bind.Port()), nil
}

// machineClock takes the wall clock once: from then on it runs evenly, whatever
// sets it.
func machineClock() Clock {
	start := time.Now()
	wall := packet.WallOf(start)
	return func() (time.Duration, packet.Wall) {
		now := time.Since(start)
		return now, wall.Add(now)
	}
}
