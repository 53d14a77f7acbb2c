package run

import (
	"math/rand/v2"
	"time"

	"dancer/mesh/arrival"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/fleet"
	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Purposes of the draws of this package.
const (
	purposeCore    = fleet.PurposeProtocol + iota // what the core draws
	purposeOutcome                                // what comes of processing
)

// candidates is how many nodes may hold a seat after its first holder.
const candidates = 3

// firstCommands is how many commands a node may make in one life as the holder of one
// seat; lifeCommands is all of a life.
const (
	firstCommands = 1 << 18
	lifeCommands  = 1 << 22
)

// whole is all nodes: an Agent on every agent's, a Coordinator on every node above.
type whole struct {
	topology *fleet.Topology
	config   *Config
	timing   coordination.Timing
	shared   *shared
	seats    []coordination.Seat // by the node that holds it first; ids are that node's number and 1
	members  [][]coordination.Child
	agents   []coordination.Agent
	above    []post
	tags     []tag // by node
	terms    []uint32
	running  [4]running // the newest cascades
	cascades int32
}

// crew is the protocol of the engine for the nodes of one share of a group. What is
// not of one of its own nodes it does not change.
type crew struct {
	*whole
	settings *coordination.AgentConfig
	source   source
	random   *rand.Rand
	standing []post // agents that coordinate as well
	queue    *conflict.Queue
	out      coordination.Outbox
	watch    watch
	touched  time.Duration
	wrong    error // a configuration that this package should not have made
}

// post is a node that coordinates: what it is, and of which seats.
type post struct {
	coordination.Node
	seats []int32
}

// tag is what this package keeps of each node: 40 bytes.
type tag struct {
	serving   uint64 // the command that is worked on
	predicted uint32 // us from its sending until the agent is READY
	asked     uint32 // the newest cascade that it was sent, from 1
	reached   uint32 // the newest cascade and phase that came
	answered  uint32 // the newest cascade whose answer was counted
	drawn     uint32
	term      uint32 // that it has stored, as a member
	standing  int32  // 1 and its place in crew.standing; 0: it coordinates nothing
}

// running is one cascade.
type running struct {
	command uint64
	number  int32
	phase   uint8 // whose margin was told, from 1
}

// source draws for the node that is called: a function of the seed, the node and how
// many it has drawn.
type source struct {
	seed fleet.Seed
	node int32
	tags []tag
}

func (s *source) Uint64() uint64 {
	t := &s.tags[s.node]
	t.drawn++
	return s.seed.Draw(purposeCore, s.node, uint64(t.drawn))
}

func newWhole(t *fleet.Topology, c *Config) *whole {
	above := t.Agent(0)
	w := &whole{topology: t, config: c, timing: timing(&c.Conditions), shared: newShared()}
	w.tags = make([]tag, t.Nodes())
	w.seats, w.members = make([]coordination.Seat, above), make([][]coordination.Child, above)
	for n := range above {
		w.seats[n] = coordination.Seat{ID: uint32(n) + 1, Line: w.line(n)}
		w.members[n] = w.children(n)
	}
	w.agents, w.above, w.terms = make([]coordination.Agent, t.Agents()), make([]post, above), make([]uint32, above)
	return w
}

func newCrew(m *whole) *crew {
	w := &crew{whole: m, queue: conflict.NewQueue(4096)}
	w.source = source{seed: m.config.Seed, tags: m.tags}
	w.random = rand.New(&w.source)
	w.settings, w.wrong = coordination.NewAgentConfig(coordination.AgentConfig{Timing: m.timing, Random: w.random})
	w.watch.init(m.topology)
	return w
}

// line is who may hold the seat of a node: itself, then some of those below it that
// are machines. Long-running ones come before others.
func (w *whole) line(n int32) []uint32 {
	line := []uint32{uint32(n)}
	first, end := w.topology.Children(n)
	if tier, _ := w.topology.Place(n); tier != quorum.TierCluster {
		for child := first; child < min(end, first+candidates); child++ {
			line = append(line, uint32(child))
		}
		return line
	}
	for _, class := range []impedance.Class{impedance.ClassPersistent, impedance.ClassServerless, impedance.ClassEdge, impedance.ClassLocal, impedance.ClassGPU} {
		for child := first; child < end && len(line) <= candidates; child++ {
			if w.topology.ClassOf(child) == class {
				line = append(line, uint32(child))
			}
		}
	}
	return line
}

// children are the members of a node's seat.
func (w *whole) children(n int32) []coordination.Child {
	first, end := w.topology.Children(n)
	children := make([]coordination.Child, 0, end-first)
	for child := first; child < end; child++ {
		c := coordination.Child{Node: uint32(child)}
		if child >= w.topology.Agent(0) {
			c.Class, c.Capabilities = w.topology.ClassOf(child), capabilities(w.topology.ClassOf(child))
		} else {
			w.below(child, &c.Below)
		}
		children = append(children, c)
	}
	return children
}

// below counts what is below a node.
func (w *whole) below(n int32, b *coordination.Below) {
	first, end := w.topology.Children(n)
	for child := first; child < end; child++ {
		if child >= w.topology.Agent(0) {
			b.Agents[w.topology.ClassOf(child)]++
			continue
		}
		b.Clusters++
		w.below(child, b)
	}
}

// Capabilities are the names of the bits that agents have: one that all have, and one
// for each class.
var Capabilities = []string{"mesh", "edge", "serverless", "persistent", "gpu", "local", "human"}

// capabilities of an agent: one bit for its class, one that all have.
func capabilities(class impedance.Class) uint64 { return 1 | 1<<class }

// Start implements fleet.Protocol.
func (w *crew) Start(n *fleet.Node[coordination.Message], life uint16) {
	i := n.Number()
	w.source.node = i
	t := &w.tags[i]
	t.serving, t.standing = 0, 0
	if a := i - w.topology.Agent(0); a >= 0 {
		class := w.topology.ClassOf(i)
		w.failed(w.agents[a].Init(n.Now(), w.settings, w.place(i, i, life, t.term), coordination.Described{Class: class, Capabilities: capabilities(class), Context: 1}))
		return
	}
	w.above[i] = post{}
	w.coordinate(n, &w.above[i], i, life, w.terms[i])
}

func (w *crew) failed(err error) {
	if err != nil {
		w.wrong = err
	}
}

// place is where a node stands as the member that the holder of a seat (or the agent)
// `of` is.
func (w *whole) place(node, of int32, life uint16, term uint32) coordination.Place {
	parent := w.topology.ParentOf(of)
	first, _ := w.topology.Children(parent)
	return coordination.Place{Seat: &w.seats[parent], Node: uint32(node), Child: uint32(of - first), Epoch: uint32(life) + 1, Term: term, Quiet: node != of}
}

// coordinate makes a node a coordinator of a seat, for which it stands.
func (w *crew) coordinate(n *fleet.Node[coordination.Message], p *post, seat int32, life uint16, term uint32) {
	i := n.Number()
	tier, _ := w.topology.Place(seat)
	config := coordination.CoordinatorConfig{
		Timing: w.timing, Random: w.random, Seat: &w.seats[seat], Node: uint32(i), Epoch: uint32(life) + 1, Term: term,
		First:    uint64(life)*lifeCommands + uint64(len(p.seats))*firstCommands + 1,
		Children: w.members[seat], Tier: tier + 1,
		Estimator:  arrival.NewAverage(len(w.members[seat]), 4),
		Operations: 4, Breakers: &w.shared.breakers, Failures: &w.shared.failures, Modes: &w.shared.modes, Conflicts: w.queue,
	}
	if tier == quorum.TierCluster {
		config.Requests = 2
	}
	if seat != fleet.Orchestrator {
		place := w.place(i, seat, life, w.tags[i].term)
		if i != seat {
			place.Term = 0 // what it has stored is of another seat
		}
		config.Parent = &place
	}
	c, err := coordination.NewCoordinator(n.Now(), config)
	if err != nil {
		w.wrong = err
		return
	}
	p.Coordinators, p.seats = append(p.Coordinators, c), append(p.seats, seat)
}

// post of a node; nil for an agent that coordinates nothing.
func (w *crew) post(n int32) *post {
	if n < w.topology.Agent(0) {
		return &w.above[n]
	}
	if at := w.tags[n].standing; at > 0 {
		return &w.standing[at-1]
	}
	return nil
}

// Next implements fleet.Protocol.
func (w *crew) Next(n int32) time.Duration {
	if p := w.post(n); p != nil {
		return p.Deadline()
	}
	return w.agents[n-w.topology.Agent(0)].Deadline()
}

// Tick implements fleet.Protocol.
func (w *crew) Tick(n *fleet.Node[coordination.Message]) {
	i := n.Number()
	w.source.node = i
	if p := w.post(i); p != nil {
		p.Tick(n.Now(), &w.out)
		w.census(n, p)
	} else {
		w.agents[i-w.topology.Agent(0)].Tick(n.Now(), &w.out)
	}
	w.drain(n)
}

// Handle implements fleet.Protocol.
func (w *crew) Handle(n *fleet.Node[coordination.Message], from int32, m *coordination.Message) {
	i := n.Number()
	w.source.node = i
	w.arrived(n, from, m)
	if p := w.post(i); p != nil {
		if p.Agent == nil && len(p.seats) == 1 && m.Flags&coordination.FlagUp != 0 && m.Seat == uint32(i)+1 {
			p.Coordinators[0].Receive(n.Now(), m, &w.out) // there is nobody else whom it could be for
		} else {
			p.Receive(n.Now(), m, &w.out)
		}
	} else {
		w.agents[i-w.topology.Agent(0)].Receive(n.Now(), m, &w.out)
	}
	w.drain(n)
}

// Done implements fleet.Protocol.
func (w *crew) Done(n *fleet.Node[coordination.Message], token uint32) {
	i := n.Number()
	t := &w.tags[i]
	if uint32(t.serving) != token {
		return // dropped, or of another life
	}
	w.source.node = i
	w.agents[i-w.topology.Agent(0)].Processed(n.Now(), t.serving, w.outcome(n, t.serving), &w.out)
	w.processed(n, t)
	w.drain(n)
}

// Warm implements fleet.Warmer. It goes over the batch again for each step of the way
// to what is needed, so that no read waits for another one.
func (w *crew) Warm(batch []fleet.Coming) {
	first := w.topology.Agent(0)
	var touched time.Duration
	for i := range batch {
		b := &batch[i]
		touched ^= time.Duration(w.tags[b.Node].drawn)
		if b.Node >= first {
			touched ^= w.agents[b.Node-first].Touch()
		} else {
			touched ^= time.Duration(len(w.above[b.Node].seats))
		}
	}
	for depth := range 2 {
		for i := range batch {
			if b := &batch[i]; b.Node < first && len(w.above[b.Node].Coordinators) > 0 {
				children, _ := w.topology.Children(b.Node)
				touched ^= w.above[b.Node].Coordinators[0].Touch(int(b.From-children), depth)
			}
		}
	}
	w.touched = touched // or the compiler leaves the reads out
}

// drain sends and does what a node has said.
func (w *crew) drain(n *fleet.Node[coordination.Message]) {
	for i := range w.out.Effects {
		w.effect(n, &w.out.Effects[i])
	}
	for i := range w.out.Messages {
		m := &w.out.Messages[i]
		w.leaves(n, m)
		n.Send(int32(m.To), m)
	}
	w.out.Reset()
}

// stand makes a node the coordinator of another seat than its own.
func (w *crew) stand(n *fleet.Node[coordination.Message], seat int32, term uint32) {
	i := n.Number()
	p := w.post(i)
	if p == nil {
		w.standing = append(w.standing, post{Node: coordination.Node{Agent: &w.agents[i-w.topology.Agent(0)]}})
		w.tags[i].standing = int32(len(w.standing))
		p = &w.standing[len(w.standing)-1]
	}
	for _, own := range p.seats {
		if own == seat {
			return
		}
	}
	w.coordinate(n, p, seat, n.Life(), term)
}
