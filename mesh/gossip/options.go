package gossip

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"dancer/mesh"
	"dancer/mesh/impedance"
)

// The ports that members of one machine take, and look for each other on.
const (
	FirstPort = 7946
	LastPort  = 7977
)

// MaxMessageBytes bounds a Broadcast: with its header it must fit one packet
// beside the membership's own messages.
const MaxMessageBytes = 800

// Errors by cause.
var (
	// ErrOptions: Start was given something that cannot work.
	ErrOptions = errors.New("bad gossip options")
	// ErrNoPort: every port of the automatic range is taken.
	ErrNoPort = fmt.Errorf("no free port in %d-%d", FirstPort, LastPort)
	// ErrTooLarge: a Broadcast over MaxMessageBytes.
	ErrTooLarge = errors.New("broadcast too large")
)

// Options of Start.
type Options struct {
	// Name is unique in the cell: a robot's name, or mesh.ConductorMember.
	Name string
	// Cell labels every packet: members of other cells do not hear it.
	Cell string
	// Bind is host:port; default "127.0.0.1:0", where port 0 takes the first free
	// one of FirstPort-LastPort. Any host but loopback needs Key.
	Bind string
	// Join lists host:port of members to look for. Nil means automatic: the port
	// range on loopback; it needs a loopback Bind.
	Join []string
	// Key encrypts and authenticates: 16, 24 or 32 bytes. Default none.
	Key []byte
	// Impedance gives this member's record, called about once a second in a small
	// cell and every 5 s in one of 50. Default: no record.
	Impedance func() impedance.Record
	// OnMessage takes each Broadcast of another member once. It runs in one
	// goroutine of the member; what does not fit its queue is counted.
	OnMessage func(from string, message []byte)
	// OnChange is told, from the same goroutine, when a member comes or goes.
	OnChange func(Member)
	// OnConflict is told, from the same goroutine, when two members bear one name:
	// the name, and the addresses of both. It comes again for as long as it is so.
	OnConflict func(name, first, second string)
	// OnRoundTrip is told each measured round trip to a peer, from the same
	// goroutine.
	OnRoundTrip func(peer string, roundTrip time.Duration)
	// Log takes joins, losses and name conflicts; default none.
	Log *slog.Logger

	// probe is the interval of the failure detector; default 1 s. Tests shorten it.
	probe time.Duration
}

func (o Options) withDefaults() (Options, error) {
	if o.Bind == "" {
		o.Bind = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.probe <= 0 {
		o.probe = time.Second
	}
	if err := mesh.ValidSender(o.Name); err != nil {
		return o, fmt.Errorf("%w: name: %w", ErrOptions, err)
	}
	if err := mesh.ValidName(o.Cell); err != nil {
		return o, fmt.Errorf("%w: cell: %w", ErrOptions, err)
	}
	if n := len(o.Key); n != 0 && n != 16 && n != 24 && n != 32 {
		return o, fmt.Errorf("%w: key of %d bytes: 16, 24 or 32 are allowed", ErrOptions, n)
	}
	host, _, err := splitBind(o.Bind)
	switch {
	case err != nil:
		return o, err
	case !host.IsLoopback() && len(o.Key) == 0:
		return o, fmt.Errorf("%w: bind %s: other hosts can reach it: set mesh.key_file, or bind to 127.0.0.1", ErrOptions, o.Bind)
	case !host.IsLoopback() && o.Join == nil:
		return o, fmt.Errorf("%w: bind %s: join: auto looks on this machine only: list members under mesh.join", ErrOptions, o.Bind)
	}
	return o, nil
}

func splitBind(bind string) (host netip.Addr, port int, err error) {
	name, number, err := net.SplitHostPort(bind)
	if err != nil {
		return host, 0, fmt.Errorf("%w: bind %q: %w: want address:port", ErrOptions, bind, err)
	}
	if name == "localhost" {
		name = "127.0.0.1"
	}
	if host, err = netip.ParseAddr(name); err != nil {
		return host, 0, fmt.Errorf("%w: bind %q: want the numeric address of an interface", ErrOptions, bind)
	}
	if port, err = strconv.Atoi(number); err != nil || port < 0 || port > 65535 {
		return host, 0, fmt.Errorf("%w: bind %q: port %q", ErrOptions, bind, number)
	}
	return host, port, nil
}
