package fleet

import (
	"fmt"
	"math"
	"time"
)

// Never is the deadline of a node that waits for nothing but messages.
const Never time.Duration = math.MaxInt64

// Protocol is what runs on the nodes: all of them in one value, so that a million
// nodes are arrays, and a call costs one indirection and no pointer a node. Each
// call is about one node, sees its clock alone (Node.Now) and says what it wants by
// the Node's methods. M is the message as it is in memory; it should hold no
// pointers, or the collector has to look at every message under way.
type Protocol[M any] interface {
	// Start begins a node; life counts how often it has crashed before. It has then
	// forgotten everything but its number.
	Start(n *Node[M], life uint16)
	// Handle takes a message. It may be late, doubled, overtaken, or a lie. m is valid
	// during the call.
	Handle(n *Node[M], from int32, m *M)
	// Done says that the work of Node.Work is done.
	Done(n *Node[M], token uint32)
	// Tick is called when the node's clock has reached Next.
	Tick(n *Node[M])
	// Next is when a node wants its Tick, by its own clock; Never if it does not. It
	// is asked after every other call.
	Next(node int32) time.Duration
}

// Liar is a Protocol whose nodes can be byzantine. Lie changes a message that a
// byzantine node is about to send; draw is random. It says whether it changed
// anything.
type Liar[M any] interface {
	Lie(lie Lie, draw uint64, from, to int32, m *M) bool
}

// Warmer is a Protocol that wants to know which nodes it is called about next, in
// no order, some perhaps not at all: to read a little of each one's state, so that
// it comes from memory at once for all.
type Warmer interface {
	Warm(batch []Coming)
}

// Coming is a call that is near: which node it is about, and whose message it is;
// NoNode, and something else where it is not a message.
type Coming struct{ Node, From int32 }

// Note is something that a protocol tells the observer. It changes nothing in the
// run. What the notes mean is between the two; Recorder knows those of Kind.
type Note struct {
	Kind      NoteKind
	Operation int32
	Value     int32         // of the kind
	At        time.Duration // by the node's own clock; 0: none
}

// Observation is a Note with what the world knows of it. Times are true ones.
type Observation struct {
	Note
	Node  int32
	Now   time.Duration
	At    time.Duration // Note.At on the true clock
	Delay time.Duration // how long the message that is handled was on its way; in Done, nothing
	Work  time.Duration // in Done, how long the work took, with its wait in the queue
}

// Observer is told what happens. It must not change the run.
type Observer interface {
	Observe(o *Observation)
}

type eventKind uint8

const (
	eventMessage eventKind = iota
	eventWake
	eventDone
	eventFault // to: number in the schedule; from: 1 begins, 0 ends
)

// event is what waits in the queue, 24 bytes. Its message lies in a place of its own
// (letters): most of what waits are the wake-ups of nodes, which have none.
type event struct {
	to, from int32
	took     int64 // of the message's way, of the work
	m        int32 // place of the message
	life     uint16
	kind     eventKind
}

// letters are the messages under way. Places are taken again last in, first out, so
// that those in use stay in the cache.
type letters[M any] struct {
	blocks [][]M
	free   []int32
}

const letterBits = 8 // places are made by blocks of 256

func (l *letters[M]) at(i int32) *M { return &l.blocks[i>>letterBits][i&(1<<letterBits-1)] }

func (l *letters[M]) put(m *M) int32 {
	if len(l.free) == 0 {
		first := int32(len(l.blocks)) << letterBits
		l.blocks = append(l.blocks, make([]M, 1<<letterBits))
		for i := int32(1<<letterBits - 1); i >= 0; i-- {
			l.free = append(l.free, first+i)
		}
	}
	i := l.free[len(l.free)-1]
	l.free = l.free[:len(l.free)-1]
	*l.at(i) = *m
	return i
}

func (l *letters[M]) release(i int32) { l.free = append(l.free, i) }

// Simulation is one run. It is not safe for use by several goroutines.
type Simulation[M any] struct {
	world
	protocol Protocol[M]
	liar     Liar[M] // nil: nobody lies
	warmer   Warmer  // nil: none
	batch    []Coming
	touched  int64

	own        shard       // the nodes that are simulated here
	leaving    []parcel[M] // for those that are not; see Group
	lookahead  int64
	agentsDown int32
	observer   Observer
	queue      *queue[event]
	letters    letters[M]
	faults     []Fault
	counters   Counters
	node       Node[M]
	at         *event // under way
}

// Counters are the engine's own.
type Counters struct {
	Events   uint64 `json:"events"`
	Messages uint64 `json:"messages"` // handled
	Ticks    uint64 `json:"ticks"`
	Works    uint64 `json:"works"`
	Stale    uint64 `json:"stale"` // wake-ups that an earlier one had replaced, and what a crash left behind
	Waiting  int    `json:"waiting"`
}

// Setup is what a run is a function of.
type Setup struct {
	Topology   *Topology
	Conditions Conditions
	Faults     []Fault
	Seed       Seed
}

// New makes a run at time 0, in which no node has begun yet. ErrFleet and ErrFault
// say what does not fit. observer may be nil.
func New[M any](setup Setup, protocol Protocol[M], observer Observer) (*Simulation[M], error) {
	if err := setup.validate(); err != nil {
		return nil, err
	}
	s := newSimulation(setup, protocol, observer, newNodes(setup.Topology, &setup.Conditions, setup.Seed))
	s.own = shard{{0, setup.Topology.Nodes()}}
	return s, nil
}

func (setup *Setup) validate() error {
	if err := setup.Conditions.Validate(); err != nil {
		return err
	}
	for _, f := range setup.Faults {
		if _, ok := setup.Topology.region(f.At); !ok || f.Kind == NoFault || f.Kind >= faultKinds || f.From < 0 || f.For < 0 || f.From > MaxDuration || f.For > MaxDuration {
			return fmt.Errorf("%w: %v: not in this fleet of %d sectors, %d clusters and %d agents",
				ErrFault, f, setup.Topology.Sectors, setup.Topology.Clusters(), setup.Topology.Agents())
		}
		if f.Kind == Flap && f.Every <= 0 || f.Kind == Slow && (f.Factor < 1 || f.Factor > maxSlow) {
			return fmt.Errorf("%w: %v", ErrFault, f)
		}
	}
	return nil
}

func newSimulation[M any](setup Setup, protocol Protocol[M], observer Observer, nodes []node) *Simulation[M] {
	s := &Simulation[M]{
		world:    world{topology: setup.Topology, conditions: setup.Conditions, seed: setup.Seed, nodes: nodes},
		protocol: protocol, observer: observer, queue: newQueue[event](), faults: setup.Faults,
	}
	s.liar, _ = protocol.(Liar[M])
	s.warmer, _ = protocol.(Warmer)
	s.node.s = s
	for i, f := range s.faults {
		e := event{to: int32(i), from: 1, kind: eventFault}
		s.queue.put(int64(f.From), &e)
		if e.from = 0; f.For > 0 {
			s.queue.put(int64(f.From+f.For), &e)
		}
	}
	return s
}

// Start begins every node, in their order, at time 0.
func (s *Simulation[M]) Start() {
	for i := range s.nodes {
		if s.own.has(int32(i)) {
			s.begin(int32(i))
		}
	}
}

func (s *Simulation[M]) begin(n int32) {
	s.enter(n)
	s.protocol.Start(&s.node, s.nodes[n].life)
	s.leave(n)
}

// Run goes on until a time, or until nothing waits, and gives the number of events.
// What happens at that very time is done.
func (s *Simulation[M]) Run(until time.Duration) (events uint64) {
	before := s.counters.Events
	for {
		at, ok := s.queue.peek()
		if !ok || at > int64(until) {
			break
		}
		if s.queue.turned {
			s.warm()
		}
		s.now = at
		s.step(s.queue.pop())
	}
	s.now = max(s.now, int64(until))
	return s.counters.Events - before
}

// warm reads the state of all nodes that the events of a new slot are about, one
// right after the other: the reads do not depend on each other, so the processor
// waits for memory once and not at each event.
func (s *Simulation[M]) warm() {
	s.queue.turned = false
	s.batch = s.batch[:0]
	for i := range s.queue.current {
		e := &s.queue.current[i]
		if e.kind != eventFault {
			s.batch = append(s.batch, Coming{e.to, e.from})
		}
	}
	var touched int64
	for i := range s.batch {
		touched ^= s.nodes[s.batch[i].Node].wake
	}
	s.touched = touched // or the compiler leaves the reads out
	if s.warmer != nil {
		s.warmer.Warm(s.batch)
	}
}

// Act calls for one node what a person or the runtime would, at the present time:
// the protocol's own methods, with what they send.
func (s *Simulation[M]) Act(n int32, call func(*Node[M])) bool {
	if n < 0 || int(n) >= len(s.nodes) || s.nodes[n].dead > 0 {
		return false
	}
	s.enter(n)
	call(&s.node)
	s.leave(n)
	return true
}

// Now is the true time that has been reached.
func (s *Simulation[M]) Now() time.Duration { return time.Duration(s.now) }

// Traffic gives the network's counters.
func (s *Simulation[M]) Traffic() Traffic { return s.traffic }

// Counters gives the engine's counters.
func (s *Simulation[M]) Counters() Counters {
	c := s.counters
	c.Waiting = s.queue.len()
	return c
}

// Up says whether a node has not crashed.
func (s *Simulation[M]) Up(n int32) bool { return s.nodes[n].dead == 0 }

// Life counts how often a node has crashed.
func (s *Simulation[M]) Life(n int32) uint16 { return s.nodes[n].life }

// AgentsUp is how many agents have not crashed.
func (s *Simulation[M]) AgentsUp() int32 { return s.topology.Agents() - s.agentsDown }

// Local gives what a node's clock says at a true time; True is the inverse.
func (s *Simulation[M]) Local(n int32, at time.Duration) time.Duration {
	return time.Duration(s.nodes[n].local(int64(at)))
}

// True is the first true time at which a node's clock says at.
func (s *Simulation[M]) True(n int32, at time.Duration) time.Duration {
	return time.Duration(s.nodes[n].due(int64(at)))
}

func (s *Simulation[M]) step(e *event) {
	s.counters.Events++
	if e.kind == eventFault {
		s.turn(int(e.to), e.from == 1)
		return
	}
	n := &s.nodes[e.to]
	switch {
	case e.kind == eventMessage:
		if n.dead > 0 {
			s.traffic.Dead++
			s.letters.release(e.m)
			return
		}
		s.traffic.Delivered++
		s.counters.Messages++
		s.enter(e.to)
		s.at = e
		s.protocol.Handle(&s.node, e.from, s.letters.at(e.m))
		s.letters.release(e.m)
	case n.dead > 0 || n.life != e.life:
		s.counters.Stale++
		return
	case e.kind == eventDone:
		s.counters.Works++
		s.enter(e.to)
		s.at = e
		s.protocol.Done(&s.node, uint32(e.from))
	default:
		if n.wake != s.now {
			s.counters.Stale++
			return
		}
		n.wake = math.MaxInt64
		if s.protocol.Next(e.to) <= time.Duration(n.local(s.now)) {
			s.counters.Ticks++
			s.enter(e.to)
			s.protocol.Tick(&s.node)
		}
	}
	s.leave(e.to)
}

func (s *Simulation[M]) enter(n int32) {
	s.node.number, s.node.now = n, time.Duration(s.nodes[n].local(s.now))
	s.at = nil
}

// leave arms the node's wake-up, unless there is one that is early enough.
func (s *Simulation[M]) leave(n int32) {
	next := s.protocol.Next(n)
	if next == Never {
		return
	}
	state := &s.nodes[n]
	at := max(state.due(int64(next)), s.now)
	if at >= state.wake {
		return
	}
	state.wake = at
	e := event{to: n, life: state.life, kind: eventWake}
	s.queue.put(at, &e)
}

// turn begins or ends a fault.
func (s *Simulation[M]) turn(number int, begins bool) {
	f := s.faults[number]
	where, _ := s.topology.region(f.At)
	switch f.Kind {
	case Crash:
		s.each(where, func(n int32) { s.crash(n, begins) })
	case Byzantine:
		s.each(where, func(n int32) {
			s.nodes[n].lie = Truth
			if begins {
				s.nodes[n].lie = f.Lie
			}
		})
	case Clock:
		if begins {
			s.each(where, func(n int32) {
				s.nodes[n].offset += int64(f.Step)
				s.nodes[n].wake = math.MaxInt64 // its deadline is at another time now
				if s.nodes[n].dead == 0 {
					s.leave(n)
				}
			})
		}
	default:
		if begins {
			s.active = append(s.active, activeFault{f, where, number})
			return
		}
		for i := range s.active {
			if s.active[i].number == number {
				s.active = append(s.active[:i], s.active[i+1:]...)
				return
			}
		}
	}
}

func (s *Simulation[M]) each(where region, call func(n int32)) {
	for _, span := range where.ranges {
		for n := span[0]; n < span[1]; n++ {
			if s.own.has(n) && where.has(n, s.nodes[n].class) {
				call(n)
			}
		}
	}
}

func (s *Simulation[M]) crash(n int32, begins bool) {
	state := &s.nodes[n]
	if begins {
		if state.dead == 0 && n >= s.topology.Agent(0) {
			s.agentsDown++
		}
		state.dead++
		state.life++
		state.wake, state.busy = math.MaxInt64, 0
		return
	}
	if state.dead--; state.dead == 0 {
		if n >= s.topology.Agent(0) {
			s.agentsDown--
		}
		s.begin(n)
	}
}

// Node is one node during one call.
type Node[M any] struct {
	s      *Simulation[M]
	number int32
	now    time.Duration
}

// Number of the node.
func (n *Node[M]) Number() int32 { return n.number }

// Now is what its clock says.
func (n *Node[M]) Now() time.Duration { return n.now }

// True is the true time, which no node knows: for what is told, never for what is
// done.
func (n *Node[M]) True() time.Duration { return time.Duration(n.s.now) }

// Life counts how often the node has crashed.
func (n *Node[M]) Life() uint16 { return n.s.nodes[n.number].life }

// Draw gives 64 random bits, the k-th of the node for a purpose of the protocol's
// (PurposeProtocol and up).
func (n *Node[M]) Draw(p Purpose, k uint64) uint64 { return n.s.seed.Draw(p, n.number, k) }

// Queue is how long the node would be busy with the work that it has.
func (n *Node[M]) Queue() time.Duration {
	return time.Duration(max(0, n.s.nodes[n.number].busy-n.s.now))
}

// Send sends a message, which is copied. A node can send to itself; that takes no
// network.
func (n *Node[M]) Send(to int32, m *M) {
	s := n.s
	if to < 0 || int(to) >= len(s.nodes) {
		return
	}
	state := &s.nodes[n.number]
	if state.lie == Truth || s.liar == nil {
		s.send(n.number, to, m)
		return
	}
	copies := 1
	if state.lie == Flood {
		copies = FloodCopies
	}
	for range copies {
		forged := *m
		if s.liar.Lie(state.lie, s.seed.Draw(purposeFault, n.number, uint64(state.sent)), n.number, to, &forged) || copies > 1 {
			s.traffic.Forged++
		}
		s.send(n.number, to, &forged)
	}
}

func (s *Simulation[M]) send(from, to int32, m *M) {
	e := event{to: to, from: from, kind: eventMessage}
	if from == to {
		e.m = s.letters.put(m)
		s.queue.put(s.now, &e)
		return
	}
	p := s.pass(from, to)
	if p.lost {
		return
	}
	if !s.own.has(to) {
		s.post(&p, from, to, m)
		return
	}
	e.took, e.m = p.delay, s.letters.put(m)
	s.queue.put(s.now+p.delay, &e)
	if p.again > 0 {
		e.took, e.m = p.again, s.letters.put(m)
		s.queue.put(s.now+p.again, &e)
	}
}

// Work lets the node work on a payload of a weight (thousandths, 1000 is a standard
// one), after what it is already at; Protocol.Done follows with the token. A crash
// ends all of it.
func (n *Node[M]) Work(weight, token uint32) {
	s := n.s
	state := &s.nodes[n.number]
	state.busy = max(state.busy, s.now) + s.work(n.number, weight)
	e := event{to: n.number, from: int32(token), took: state.busy - s.now, life: state.life, kind: eventDone}
	s.queue.put(state.busy, &e)
}

// Note tells the observer.
func (n *Node[M]) Note(note Note) {
	s := n.s
	if s.observer == nil {
		return
	}
	o := Observation{Note: note, Node: n.number, Now: time.Duration(s.now)}
	if note.At != 0 {
		o.At = time.Duration(s.nodes[n.number].due(int64(note.At)))
	}
	if s.at != nil {
		if s.at.kind == eventMessage {
			o.Delay = time.Duration(s.at.took)
		} else {
			o.Work = time.Duration(s.at.took)
		}
	}
	s.observer.Observe(&o)
}
