package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"dancer/mesh"
	"dancer/mesh/arrival"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/datagram"
	"dancer/mesh/fleet"
	"dancer/mesh/fleet/run"
	"dancer/mesh/impedance"
	"dancer/mesh/operator"
	"dancer/mesh/quorum"
	"dancer/runtime/console"
	"dancer/runtime/host"
	"dancer/runtime/web"
)

// RealOptions of Real. Of the conditions only the clocks count: the network is this
// machine's.
type RealOptions struct {
	Options
	Server *web.ServerOptions // of the operator's API; nil: none
	Ready  func(url string)
}

// realFleet is a fleet on the wall clock: each node with a socket of its own on loopback and
// the goroutines of its host.
type realFleet struct {
	o        *RealOptions
	topology *fleet.Topology
	book     *coordination.Book
	timing   coordination.Timing
	seats    []coordination.Seat
	nodes    []*node
	console  *console.Console
	begin    time.Time
	watch    witness
	running  sync.WaitGroup // hosts
	works    sync.WaitGroup // what agents work on
	failed   atomic.Pointer[error]
}

// Real runs a fleet on the wall clock, with real sockets on loopback, and writes the
// report that Run writes, with what it asked of this machine. It ends after
// Options.For or with the context.
func Real(ctx context.Context, o RealOptions) error {
	r := &realFleet{o: &o, begin: time.Now()}
	if err := r.prepare(); err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server, err := r.listen()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInput, err)
	}
	var beside sync.WaitGroup
	beside.Go(func() { _ = r.console.Run(ctx) })
	beside.Go(func() { r.watch.clock(ctx) })
	err = r.start(ctx)
	if err == nil && server != nil {
		beside.Go(func() {
			if err := server.Run(ctx); err != nil {
				r.fail(err)
				cancel()
			}
		})
		if o.Ready != nil {
			o.Ready(server.URL())
		}
	}
	if err == nil {
		err = r.script(ctx)
	}
	stopped := ctx.Err() != nil
	cancel()
	r.running.Wait()
	r.works.Wait()
	beside.Wait()
	if failed := r.failed.Load(); failed != nil {
		err = errors.Join(err, *failed)
	}
	if err != nil {
		return err
	}
	return r.report(stopped)
}

// prepare makes what all nodes share.
func (r *realFleet) prepare() (err error) {
	if r.o.For <= 0 || r.o.For > fleet.MaxDuration {
		return fmt.Errorf("a run of %v; up to %v are possible", r.o.For, fleet.MaxDuration)
	}
	if r.topology, err = fleet.NewTopology(r.o.Agents); err != nil {
		return err
	}
	t := r.topology
	if err := enough(t.Nodes()); err != nil {
		return err
	}
	names := make([]string, t.Nodes())
	for i := range names {
		names[i] = fmt.Sprintf("node-%07d", i)
	}
	if r.book, err = coordination.NewBook("fleet", names, impedance.ClassPersistent); err != nil {
		return err
	}
	for i := range t.Agents() {
		r.book.SetClass(uint32(t.Agent(i)), t.ClassOf(t.Agent(i)))
	}
	r.timing = coordination.Timing{MaxDrift: max(2*float64(r.o.Conditions.Drift), impedance.DefaultMaxDrift)}.WithDefaults()
	r.seats = make([]coordination.Seat, t.Agent(0))
	for i := range r.seats {
		r.seats[i] = coordination.Seat{ID: uint32(i) + 1, Line: []uint32{uint32(i)}}
	}
	r.nodes = make([]*node, t.Nodes())
	r.watch.init(t, r.begin)
	r.console, err = console.New(console.Options{
		Shape: &operator.Shape{Name: fmt.Sprintf("fleet of %d, on the wall clock", t.Agents()), Topology: &t.Topology, Root: quorum.TierSector, Capabilities: run.Capabilities},
		Seat:  r.seat, Node: func(agent int32) uint32 { return uint32(t.Agent(agent)) }, Acts: true, Seed: uint64(r.o.Seed) | 1, Queue: 4*int(t.Agents()) + 1024,
		Refresh: max(time.Second, time.Duration(t.Clusters())*5*time.Millisecond),
	})
	return err
}

// enough says whether the process may have that many sockets.
func enough(nodes int32) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("read the limit of open files: %w", err)
	}
	if uint64(nodes)+64 > limit.Cur {
		return fmt.Errorf("%d nodes need a socket each, and this process may have %d (raise ulimit -n, or give fewer --agents)", nodes, limit.Cur)
	}
	return nil
}

// listen binds the operator's API, so that a port in use is an error at once.
func (r *realFleet) listen() (*web.Server, error) {
	if r.o.Server == nil {
		return nil, nil
	}
	r.o.Server.Mesh = r.console.Mesh()
	return web.Listen(*r.o.Server)
}

// seat gives who leads a place.
func (r *realFleet) seat(p operator.Place) (console.Seat, bool) {
	i := fleet.Orchestrator
	switch p.Level {
	case operator.InSector:
		i = r.topology.Sector(p.Index)
	case operator.InCluster:
		i = r.topology.Cluster(p.Index)
	}
	if n := r.nodes[i]; n != nil {
		return console.Seat{Host: n.host}, true
	}
	return console.Seat{}, false
}

// start makes all nodes, runs them, and tells each where those are with whom it speaks.
func (r *realFleet) start(ctx context.Context) error {
	for i := range r.nodes {
		n, err := r.newNode(int32(i))
		if err != nil {
			return fmt.Errorf("node %d of %d: %w", i, len(r.nodes), err)
		}
		r.nodes[i] = n
		r.running.Go(func() {
			if err := n.host.Run(ctx); err != nil && ctx.Err() == nil {
				r.fail(err)
			}
		})
	}
	for i := range int32(len(r.nodes)) {
		parent := r.topology.ParentOf(i)
		if parent == fleet.NoNode {
			continue
		}
		if err := errors.Join(r.introduce(ctx, i, parent), r.introduce(ctx, parent, i)); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("introduce node %d: %w", i, err)
		}
	}
	return nil
}

func (r *realFleet) introduce(ctx context.Context, to, who int32) error {
	return r.nodes[to].host.SetPeer(ctx, r.book.Name(uint32(who)), r.nodes[who].host.Addr())
}

func (r *realFleet) fail(err error) { r.failed.CompareAndSwap(nil, &err) }

// node is one node with its host. It is the host's Handler.
type node struct {
	r      *realFleet
	number int32
	class  impedance.Class
	host   *host.Host
}

// newNode makes a node: an agent, or a coordinator of its seat.
func (r *realFleet) newNode(i int32) (*node, error) {
	n := &node{r: r, number: i, class: r.topology.ClassOf(i)}
	c := &r.o.Conditions
	spread := func(k uint64, width int64) int64 {
		return int64(fleet.Below(r.o.Seed.Draw(fleet.PurposeProtocol, i, k), uint64(2*width+1))) - width
	}
	var err error
	n.host, err = host.New(host.Options{Book: r.book, Self: uint32(i), Cell: "fleet", Handler: n, Bind: "127.0.0.1:0", Build: n.build, Seed: r.o.Seed.Draw(fleet.PurposeProtocol, i, 3) | 1,
		Conditions: datagram.Conditions{Offset: time.Duration(spread(1, int64(c.Offset))), Drift: float64(spread(2, int64(c.Drift)))}, Queue: r.queue(i)})
	return n, err
}

// queue of a node: an agent hears its lead alone.
func (r *realFleet) queue(i int32) int {
	if i >= r.topology.Agent(0) {
		return 32
	}
	return 512
}

// build makes the node's part of the core.
func (n *node) build(b host.Boot) (*coordination.Node, error) {
	r := n.r
	t, parent := r.topology, r.topology.ParentOf(n.number)
	place := coordination.Place{}
	if parent != fleet.NoNode {
		first, _ := t.Children(parent)
		place = coordination.Place{Seat: &r.seats[parent], Node: uint32(n.number), Child: uint32(n.number - first), Epoch: b.Start}
	}
	if n.number >= t.Agent(0) {
		config, err := coordination.NewAgentConfig(coordination.AgentConfig{Timing: r.timing, Random: b.Random})
		if err != nil {
			return nil, err
		}
		agent, err := coordination.NewAgent(b.Now, config, place, coordination.Described{Class: n.class, Capabilities: run.CapabilitiesOf(n.class), Context: 1})
		return &coordination.Node{Agent: agent}, err
	}
	tier, _ := t.Place(n.number)
	config := coordination.CoordinatorConfig{Timing: r.timing, Random: b.Random, Seat: &r.seats[n.number], Node: uint32(n.number), Epoch: b.Start, First: b.First,
		Children: run.Members(t, n.number), Tier: tier + 1, Conflicts: conflict.NewQueue(256)}
	config.Estimator = arrival.NewAverage(len(config.Children), 4)
	if tier == quorum.TierCluster {
		config.Requests = 8
	}
	if parent != fleet.NoNode {
		config.Parent = &place
	}
	c, err := coordination.NewCoordinator(b.Now, config)
	if err != nil {
		return nil, err
	}
	return &coordination.Node{Coordinators: []*coordination.Coordinator{c}}, nil
}

// Process implements host.Handler: the agent works as long as its class does, and
// answers. A person takes a minute.
func (n *node) Process(c host.Command) {
	n.r.watch.reached(n, c.Number)
	began := time.Now()
	took := time.Duration(float64(n.class.BaseProcessing()) * impedance.WeightFactor(float64(c.Weight)/1000))
	n.r.works.Go(func() {
		timer := time.NewTimer(took)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-n.host.Done():
			return
		}
		o := n.outcome(&c)
		n.r.watch.worked(n, c.Number, o.State, time.Since(began))
		_ = n.host.Processed(context.Background(), c.Number, o, "") // it has ended: nobody waits
	})
}

// outcome is READY with what is asked for as the answer, or for some, CONFLICT.
func (n *node) outcome(c *host.Command) coordination.Outcome {
	draw := n.r.o.Seed.Draw(fleet.PurposeProtocol+1, n.number, c.Number)
	if fleet.Below(draw, uint64(quorum.Whole)) < uint64(n.r.o.Conflict) {
		return coordination.Outcome{State: mesh.Conflict, Value: 1 + draw%64, Affected: 1, Conflict: conflict.ContextDivergence + conflict.Type(draw>>8%2), Depth: uint16(draw >> 16 % 12)}
	}
	if len(c.Payload) > 0 {
		return coordination.Outcome{State: mesh.Ready, Value: impedance.ContextOf(string(c.Payload))}
	}
	return coordination.Outcome{State: mesh.Ready, Value: n.r.o.Seed.Draw(fleet.PurposeProtocol+2, 0, c.Number) | 1}
}

// Act implements host.Handler.
func (n *node) Act(a host.Action) {
	if !n.class.Counted() {
		return
	}
	n.r.watch.acted(n, a.Number)
	n.r.console.Tell(coordination.Effect{Kind: coordination.Act, Command: a.Number, Value: a.Value, Late: a.Late, Bound: a.Bound, At: a.At})
}

// Told implements host.Handler.
func (n *node) Told(e coordination.Effect) {
	n.r.watch.told(n, &e)
	n.r.console.Tell(e)
}
