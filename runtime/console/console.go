package console

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"dancer/mesh/coordination"
	"dancer/mesh/operator"
	"dancer/runtime/host"
	"dancer/runtime/web"
)

// ErrStopped says that the console does not run any more.
var ErrStopped = errors.New("the console does not run")

// Seat is who leads a place: a node, and which of its coordinators.
type Seat struct {
	Host        *host.Host
	Coordinator int
}

// Options of New. Zero values mean the defaults where one is named.
type Options struct {
	Shape *operator.Shape
	// Seat gives who leads a place (all, a sector, a cluster); false: it is not here.
	Seat func(operator.Place) (Seat, bool)
	// Node is the number of an agent's node in the book of its lead.
	Node    func(agent int32) uint32
	Refresh time.Duration // see operator.Config
	Acts    bool          // Tell is given the Act effects of agents too
	Seed    uint64        // of samples; default chance
	Queue   int           // effects that wait for the desk; default 1024
}

// Console is a desk that runs. Its methods are safe for use by several goroutines.
type Console struct {
	options Options
	desk    *operator.Desk
	start   time.Time
	calls   chan func()
	effects chan coordination.Effect
	ended   chan struct{}
	dropped atomic.Uint64
	asking  context.Context // of Run; of the goroutine that owns the desk
	holder  *host.Host      // within With: whose call it is
}

// New makes a console. It answers while Run runs.
func New(o Options) (*Console, error) {
	if o.Seed == 0 {
		o.Seed = uint64(time.Now().UnixNano())
	}
	if o.Queue <= 0 {
		o.Queue = 1024
	}
	c := &Console{options: o, start: time.Now(), calls: make(chan func()), effects: make(chan coordination.Effect, o.Queue), ended: make(chan struct{})}
	var err error
	c.desk, err = operator.NewDesk(operator.Config{Shape: o.Shape, Cores: c, Random: rand.New(rand.NewPCG(o.Seed, 0)), Refresh: o.Refresh, Acts: o.Acts})
	return c, err
}

// Mesh is what is served.
func (c *Console) Mesh() web.Mesh {
	return web.NewMesh(web.MeshOptions{Desk: c.desk, Do: c.Do})
}

// Tell hands on what a coordinator says. It never waits: what finds no room is counted
// and missing in what is shown.
func (c *Console) Tell(e coordination.Effect) {
	if e.Kind < coordination.LeadingChanged && e.Kind != coordination.Act {
		return
	}
	select {
	case c.effects <- e:
	default:
		c.dropped.Add(1)
	}
}

// Dropped is how many effects found no room.
func (c *Console) Dropped() uint64 { return c.dropped.Load() }

// tick is how often the desk goes on while something is under way.
const tick = 20 * time.Millisecond

// Run owns the desk until the context is done. It can run once.
func (c *Console) Run(ctx context.Context) error {
	defer close(c.ended)
	c.asking = ctx
	timer := time.NewTicker(tick)
	defer timer.Stop()
	for {
		var beat <-chan time.Time
		if c.desk.Busy() { // an idle desk wakes nobody
			beat = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case call := <-c.calls:
			call()
		case e := <-c.effects:
			c.desk.Observe(&e)
		case <-beat:
			c.settle()
			c.desk.Tick()
		}
	}
}

// settle takes the effects that wait.
func (c *Console) settle() {
	for range cap(c.effects) {
		select {
		case e := <-c.effects:
			c.desk.Observe(&e)
		default:
			return
		}
	}
}

// Do runs f on the goroutine that owns the desk, and waits for it.
func (c *Console) Do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case c.calls <- func() { c.settle(); f(); close(done) }:
		<-done // every wait in there has an end of its own
		return nil
	case <-c.ended:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Now implements operator.Cores.
func (c *Console) Now() time.Duration { return time.Since(c.start) }

// reach bounds the wait for one node: one that is slower is as good as not there.
const reach = 500 * time.Millisecond

// With implements operator.Cores.
func (c *Console) With(p operator.Place, call func(now time.Duration, c *coordination.Coordinator, out *coordination.Outbox)) bool {
	seat, here := c.options.Seat(p)
	if !here {
		return false
	}
	led := false
	return c.on(seat.Host, func(now time.Duration, node *coordination.Node, out *coordination.Outbox) {
		if seat.Coordinator >= len(node.Coordinators) || !node.Coordinators[seat.Coordinator].Leading(now) {
			return
		}
		led, c.holder = true, seat.Host
		call(now, node.Coordinators[seat.Coordinator], out)
		c.holder = nil
	}) && led
}

// on runs f where a node is owned. When it returns f has ended, or will never begin.
func (c *Console) on(h *host.Host, f func(now time.Duration, node *coordination.Node, out *coordination.Outbox)) bool {
	ctx, cancel := context.WithTimeout(c.asking, reach)
	defer cancel()
	var turn atomic.Bool // who comes first: the node, or the end of our patience
	ended := make(chan struct{})
	err := h.Do(ctx, func(now time.Duration, node *coordination.Node, out *coordination.Outbox) {
		if !turn.CompareAndSwap(false, true) {
			return
		}
		defer close(ended)
		f(now, node, out)
	})
	if err != nil && turn.CompareAndSwap(false, true) {
		return false
	}
	<-ended
	return true
}

// Carry implements operator.Carrier.
func (c *Console) Carry(command uint64, _ operator.Kind, text string) {
	if c.holder != nil {
		c.holder.Carry(command, []byte(text))
	}
}

// Words implements operator.Speaker.
func (c *Console) Words(agent int32, command, _ uint64) (words string) {
	cluster := c.options.Shape.Topology.AgentCluster[agent]
	seat, here := c.options.Seat(operator.Place{Level: operator.InCluster, Index: cluster})
	if !here {
		return ""
	}
	c.on(seat.Host, func(time.Duration, *coordination.Node, *coordination.Outbox) {
		words = seat.Host.Words(c.options.Node(agent), command)
	})
	return words
}
