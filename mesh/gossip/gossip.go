package gossip

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"log"
	mathrand "math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"

	"dancer/mesh/impedance"
)

// Bounds and rhythms.
const (
	maxQueued     = 64  // broadcasts waiting to be passed on
	maxPosted     = 256 // calls of OnMessage and the others that wait
	seekAlone     = 2 * time.Second
	seekTogether  = 30 * time.Second
	refreshFirst  = time.Second
	refreshMember = 100 * time.Millisecond // added per member: 5 s for a cell of 50
	leaveTimeout  = time.Second
)

// Status counts what a member dropped and names a conflict.
type Status struct {
	Addr      string
	Alive     int    // members, this one included
	Overrun   uint64 // calls of OnMessage and the others dropped because they were slow
	Malformed uint64 // messages that could not be read
	Oversized uint64 // records that did not fit
	Conflict  string // two members with one name; "" for none
}

// Gossip is one running member.
type Gossip struct {
	options  Options
	list     *memberlist.Memberlist
	address  string // host:port
	queue    *memberlist.TransmitLimitedQueue
	register register
	meta     atomic.Pointer[[]byte]
	conflict atomic.Pointer[string]

	mutex sync.Mutex
	seen  seen
	start uint64
	count uint64

	posted   chan func()
	stop     chan struct{}
	joined   sync.WaitGroup
	once     sync.Once
	alive    atomic.Int64
	counters struct{ overrun, malformed, oversized atomic.Uint64 }
}

// Start binds, and looks for the others in the background for as long as it
// runs: a member that finds nobody is a cell of one.
func Start(o Options) (*Gossip, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gossip{
		options: o, register: register{members: map[string]Member{}}, seen: seen{senders: map[string]*heard{}},
		posted: make(chan func(), maxPosted), stop: make(chan struct{}),
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails
	g.start = binary.LittleEndian.Uint64(seed[:])
	g.queue = &memberlist.TransmitLimitedQueue{RetransmitMult: 3, NumNodes: func() int { return int(g.alive.Load()) }}
	g.alive.Store(1)
	g.refreshMeta()
	if g.list, err = g.listen(); err != nil {
		return nil, err
	}
	g.address = g.list.LocalNode().Address() // once: memberlist writes its own node whenever the record changes
	g.joined.Add(3)
	go g.work()
	go g.seek()
	go g.refresh()
	return g, nil
}

// listen binds to the port asked for, or to the first free one of the range.
func (g *Gossip) listen() (*memberlist.Memberlist, error) {
	host, port, err := splitBind(g.options.Bind)
	if err != nil {
		return nil, err
	}
	if port != 0 {
		list, err := memberlist.Create(g.config(host.String(), port))
		if err != nil {
			return nil, fmt.Errorf("start gossip on %s: %w", g.options.Bind, err)
		}
		return list, nil
	}
	for port = FirstPort; port <= LastPort; port++ {
		list, createErr := memberlist.Create(g.config(host.String(), port))
		if createErr == nil {
			return list, nil
		}
		err = createErr
	}
	return nil, fmt.Errorf("start gossip on %s: %w: %w", host, ErrNoPort, err)
}

func (g *Gossip) config(host string, port int) *memberlist.Config {
	c := memberlist.DefaultLANConfig()
	c.Name, c.Label = g.options.Name, "dancer/"+g.options.Cell
	c.BindAddr, c.BindPort, c.AdvertiseAddr, c.AdvertisePort = host, port, host, port
	c.EnableCompression = false
	c.DeadNodeReclaimTime = 30 * time.Second
	c.ProbeInterval, c.ProbeTimeout = g.options.probe, g.options.probe/2
	c.TCPTimeout = 5 * time.Second
	c.SecretKey = g.options.Key
	d := delegate{g}
	c.Delegate, c.Events, c.Conflict, c.Ping = d, d, d, d
	c.Logger = log.New(&logWriter{g}, "", 0)
	return c
}

// Members lists everybody known, by name: this member, those alive, and those
// that are gone.
func (g *Gossip) Members() []Member { return g.register.list() }

// Addr is the host:port that this member is reached at.
func (g *Gossip) Addr() string { return g.address }

// Status gives a snapshot.
func (g *Gossip) Status() Status {
	s := Status{Addr: g.Addr(), Alive: int(g.alive.Load()), Overrun: g.counters.overrun.Load(),
		Malformed: g.counters.malformed.Load(), Oversized: g.counters.oversized.Load()}
	if text := g.conflict.Load(); text != nil {
		s.Conflict = *text
	}
	return s
}

// Broadcast passes a small message to every member, best effort: each gets it
// once, usually within a second, or not at all. The oldest waiting messages go
// when more than 64 wait.
func (g *Gossip) Broadcast(b []byte) error {
	if len(b) > MaxMessageBytes {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, len(b), MaxMessageBytes)
	}
	g.mutex.Lock()
	g.count++
	m := message{from: g.options.Name, start: g.start, count: g.count, body: b}
	g.mutex.Unlock()
	g.spread(m)
	return nil
}

func (g *Gossip) spread(m message) {
	g.queue.QueueBroadcast(broadcast{name: fmt.Sprintf("%s/%x/%d", m.from, m.start, m.count), data: m.encode()})
	g.queue.Prune(maxQueued)
}

func (g *Gossip) isNew(m message) bool {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	return g.seen.first(m)
}

// post hands a call to the worker, or counts it when the worker is behind.
func (g *Gossip) post(call func()) {
	select {
	case g.posted <- call:
	default:
		g.counters.overrun.Add(1)
	}
}

func (g *Gossip) work() {
	defer g.joined.Done()
	for {
		select {
		case call := <-g.posted:
			call()
		case <-g.stop:
			return
		}
	}
}

// Leave says goodbye, stops, and waits for what it started. A second call does
// nothing.
func (g *Gossip) Leave(ctx context.Context) error {
	var err error
	g.once.Do(func() {
		close(g.stop)
		g.joined.Wait()
		timeout := leaveTimeout
		if deadline, ok := ctx.Deadline(); ok {
			timeout = min(timeout, max(time.Until(deadline), time.Millisecond))
		}
		if leaveErr := g.list.Leave(timeout); leaveErr != nil {
			g.options.Log.Debug("gossip leave: " + leaveErr.Error()) // nobody heard it: they will find out
		}
		err = g.list.Shutdown()
	})
	return err
}

// seek looks for members: often while alone, now and then later, so that a cell
// that a network fault has split grows together again.
func (g *Gossip) seek() {
	defer g.joined.Done()
	for g.look(); ; g.look() {
		wait := seekTogether
		if g.alive.Load() <= 1 {
			wait = seekAlone
		}
		if !g.pause(wait/2 + mathrand.N(wait)) {
			return
		}
	}
}

// look tries the addresses that no live member has, in random order. Failing is
// normal: most ports of the range are free, or another cell's.
func (g *Gossip) look() {
	candidates := g.candidates()
	mathrand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
	for _, address := range candidates {
		select {
		case <-g.stop:
			return
		default:
		}
		if g.register.addresses()[address] {
			continue
		}
		_, _ = g.list.Join([]string{address})
	}
	g.alive.Store(int64(g.list.NumMembers()))
}

func (g *Gossip) candidates() []string {
	if g.options.Join != nil {
		return append([]string(nil), g.options.Join...)
	}
	host, _, _ := splitBind(g.options.Bind)
	var out []string
	for port := FirstPort; port <= LastPort; port++ {
		out = append(out, net.JoinHostPort(host.String(), strconv.Itoa(port)))
	}
	return out
}

// refresh sends the record, the more seldom the larger the cell: membership
// messages share the packets, and 50 members at 1 Hz would crowd them out.
func (g *Gossip) refresh() {
	defer g.joined.Done()
	for g.pause(max(refreshFirst, time.Duration(g.alive.Load())*refreshMember)) {
		g.alive.Store(int64(max(g.list.NumMembers(), 1)))
		if g.refreshMeta() {
			_ = g.list.UpdateNode(refreshFirst) // an error says only that the packets are not out yet
		}
	}
}

// refreshMeta encodes the record and says whether there is one.
func (g *Gossip) refreshMeta() bool {
	none := []byte{}
	if g.options.Impedance == nil {
		g.meta.CompareAndSwap(nil, &none)
		return false
	}
	record := g.options.Impedance()
	record.Agent, record.Cell = g.options.Name, g.options.Cell
	record.Score = impedance.Score(record)
	data, err := record.Encode()
	if err != nil {
		g.counters.oversized.Add(1)
		g.meta.CompareAndSwap(nil, &none)
		return false
	}
	g.meta.Store(&data)
	return true
}

// pause waits and says whether the member still runs.
func (g *Gossip) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-g.stop:
		return false
	}
}

// logWriter hands the library's lines to slog at debug level: what matters
// reaches the log through the delegate.
type logWriter struct{ g *Gossip }

func (w *logWriter) Write(line []byte) (int, error) {
	w.g.options.Log.Debug("memberlist: " + strings.TrimSpace(string(line)))
	return len(line), nil
}
