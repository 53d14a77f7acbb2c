package coordination

import (
	"container/heap"
	"math/rand/v2"
	"testing"
	"time"

	"dancer/mesh"
	"dancer/mesh/breaker"
	"dancer/mesh/quorum"
)

// network is a small simulator: true time on a heap, a clock with offset and drift
// for each node, and a way between any two that delays, loses, doubles and reorders.
type network struct {
	t        testing.TB
	random   *rand.Rand
	now      time.Duration // true
	events   events
	sequence uint64
	nodes    []*machine
	trail    []Entry
	faults   faults
	outcome  func(node uint32, command uint64) Outcome // nil: Ready
	service  func(node uint32) time.Duration           // nil: 1 to 5 ms
	goals    map[uint64]time.Duration                  // true T of each command
	confirms map[uint64]bool
	drifted  time.Duration // what the setting of clocks may hide from bounds
	sent     int
	dropped  int
	stands   func(n *network, node uint32, e Effect)
	verbose  bool
	wire     *wire                          // nil: messages go as they are
	tamper   func(m *machine, msg *Message) // with what it sends; nil: nothing
	spoil    func(n *network, m *machine)   // after each event of a node; nil: nothing
}

// faults of the network as they are now.
type faults struct {
	loss, double float64
	delay        time.Duration // mean one way
	jitter       time.Duration // more, exponentially
	held         float64       // share that lies somewhere for up to 20 s: out of order, and from another term
	side         []uint8       // partition: nodes of different sides do not hear each other
	deaf         []uint8       // nodes that hear nobody, and are heard
}

// machine is one node with its clock.
type machine struct {
	Node
	id     uint32
	start  uint32
	dead   bool
	offset time.Duration
	set    time.Duration // by which its clock has been set
	drift  float64       // s/s
	pause  time.Duration // until when it does nothing, as a stopped process
	wake   time.Duration
	terms  map[uint32]uint32 // stored, by seat
	boot   func(n *network, m *machine)
}

type event struct {
	at       time.Duration
	sequence uint64
	node     uint32
	start    uint32
	message  *Message
	data     []byte // instead of a message, on a wire
	damaged  bool
	do       func()
}

type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].sequence < e[j].sequence
}
func (e *events) Push(x any) { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newNetwork(t testing.TB, seed uint64) *network {
	return &network{t: t, random: rand.New(rand.NewPCG(seed, 1)), goals: map[uint64]time.Duration{}, confirms: map[uint64]bool{},
		faults: faults{delay: 3 * time.Millisecond, jitter: time.Millisecond}}
}

func (n *network) push(e event) {
	n.sequence++
	e.sequence = n.sequence
	heap.Push(&n.events, e)
}

// at runs something at a true time.
func (n *network) at(at time.Duration, do func()) { n.push(event{at: at, do: do}) }

// local is a node's clock at a true time; truth its inverse, rounded up.
func (m *machine) local(at time.Duration) time.Duration {
	return at + time.Duration(float64(at)*m.drift) + m.offset + m.set
}

func (m *machine) truth(local time.Duration) time.Duration {
	if local == never {
		return never
	}
	at := time.Duration(float64(local-m.offset-m.set) / (1 + m.drift))
	for m.local(at) < local {
		at++
	}
	return at
}

// add makes a machine. boot makes its parts, at every start.
func (n *network) add(offset time.Duration, drift float64, boot func(n *network, m *machine)) *machine {
	m := &machine{id: uint32(len(n.nodes)), offset: offset, drift: drift, terms: map[uint32]uint32{}, boot: boot, dead: true}
	n.nodes = append(n.nodes, m)
	return m
}

// start starts a machine, or starts it anew.
func (n *network) start(m *machine) {
	if !m.dead {
		n.kill(m)
	}
	m.start++
	m.dead, m.Node, m.wake, m.pause = false, Node{}, never, 0
	if n.wire != nil {
		n.wire.boot(n, m)
	}
	m.boot(n, m)
	n.plan(m)
}

func (n *network) kill(m *machine) {
	m.dead = true
	for _, c := range m.Coordinators {
		if c.leading {
			n.note(m, Effect{Kind: LeadingChanged, Seat: c.config.Seat.ID, Term: c.term})
		}
	}
}

// plan makes an event of the node's deadline.
func (n *network) plan(m *machine) {
	if at := max(m.truth(m.Deadline()), n.now); !m.dead && at != m.wake {
		m.wake = at
		n.push(event{at: at, node: m.id, start: m.start})
	}
}

// run lets true time pass.
func (n *network) run(until time.Duration) {
	steps := 0
	for len(n.events) > 0 && n.events[0].at <= until {
		e := heap.Pop(&n.events).(event)
		if e.at > n.now {
			steps = 0
		}
		if steps++; steps > 100_000 {
			n.t.Fatalf("time stands still at %s (node %d)", e.at, e.node)
		}
		n.now = e.at
		if e.do != nil {
			e.do()
			continue
		}
		m := n.nodes[e.node]
		if m.dead || e.message == nil && e.data == nil && (e.start != m.start || e.at != m.wake) {
			continue
		}
		if m.pause > n.now {
			if m.wake == e.at {
				m.wake = m.pause
			}
			e.at = m.pause
			n.push(e)
			continue
		}
		if e.data != nil && !n.wire.open(n, m, &e) {
			continue
		}
		var out Outbox
		if e.message != nil {
			if n.verbose {
				n.t.Logf("%s node %d gets %s of %s seat %d child %d flags %b reason %s from %d term %d", n.now, m.id, e.message.Kind, e.message.Of, e.message.Seat, e.message.Child, e.message.Flags, e.message.Reason, e.message.From, e.message.Term)
			}
			m.Receive(m.local(n.now), e.message, &out)
		} else {
			m.wake = never
			m.Tick(m.local(n.now), &out)
		}
		n.drain(m, &out)
	}
	n.now = until
}

// drain sends and notes what a node has said.
func (n *network) drain(m *machine, out *Outbox) {
	for i := range out.Messages {
		n.send(m, &out.Messages[i])
	}
	for _, e := range out.Effects {
		n.note(m, e)
		switch e.Kind {
		case TermChanged:
			m.terms[e.Seat] = e.Term
		case Process:
			n.process(m, e)
		case Stand:
			if n.stands != nil {
				n.stands(n, m.id, e)
			}
		}
	}
	if n.spoil != nil {
		n.spoil(n, m)
	}
	n.plan(m)
}

func (n *network) process(m *machine, e Effect) {
	took, start := time.Duration(1+n.random.IntN(4))*time.Millisecond, m.start
	if n.service != nil {
		took = n.service(m.id)
	}
	o := Outcome{State: mesh.Ready}
	if n.outcome != nil {
		o = n.outcome(m.id, e.Command)
	}
	var done func()
	done = func() {
		if m.dead || m.start != start {
			return
		}
		if m.pause > n.now {
			n.at(m.pause, done)
			return
		}
		var out Outbox
		m.Agent.Processed(m.local(n.now), e.Command, o, &out)
		n.drain(m, &out)
	}
	n.at(n.now+took, done)
}

func (n *network) note(m *machine, e Effect) {
	if n.verbose {
		n.t.Logf("%s node %d: effect %d command %x reason %s leading %v term %d seat %d phase %d mode %s verdict %+v", n.now, m.id, e.Kind, e.Command, e.Reason, e.Leading, e.Term, e.Seat, e.Phase, e.Mode, e.Verdict)
	}
	n.trail = append(n.trail, Entry{True: n.now, Node: m.id, Start: m.start, Effect: e, T: n.goals[e.Command], Drifted: n.drifted})
}

// send puts a message on its way, or not, or twice.
func (n *network) send(m *machine, msg *Message) {
	n.sent++
	if int(msg.To) >= len(n.nodes) { // somebody lied about who he is
		n.dropped++
		return
	}
	if msg.To == m.id {
		c := *msg
		n.push(event{at: n.now, node: m.id, message: &c})
		return
	}
	e := event{node: msg.To, message: new(Message)}
	if *e.message = *msg; n.tamper != nil {
		n.tamper(m, e.message)
	}
	if n.wire != nil {
		if e.message, e.data = nil, n.wire.seal(n, m, e.message); e.data == nil {
			n.dropped++
			return
		}
	}
	for copies := 1; copies > 0; copies-- {
		if n.random.Float64() < n.faults.loss || n.apart(m.id, msg.To) {
			n.dropped++
			continue
		}
		if copies == 1 && n.random.Float64() < n.faults.double {
			copies++
		}
		c := e
		if n.wire != nil {
			c.data, c.damaged = n.wire.damage(n, e.data)
		}
		way := n.faults.delay/2 + time.Duration(n.random.ExpFloat64()*float64(n.faults.delay/2+n.faults.jitter))
		if n.random.Float64() < n.faults.held {
			way = time.Duration(n.random.Int64N(int64(20 * time.Second)))
		}
		c.at = n.now + way
		n.push(c)
	}
}

func (n *network) apart(a, b uint32) bool {
	return len(n.faults.side) > 0 && n.faults.side[a] != n.faults.side[b] || len(n.faults.deaf) > 0 && n.faults.deaf[b] == 1
}

// leader is the machine that holds a seat now.
func (n *network) leader(seat uint32) (*machine, *Coordinator) {
	for _, m := range n.nodes {
		for _, c := range m.Coordinators {
			if !m.dead && c.config.Seat.ID == seat && c.Leading(m.local(n.now)) {
				return m, c
			}
		}
	}
	return nil, nil
}

// coordinate asks whoever holds the seat.
func (n *network) coordinate(seat uint32, ahead time.Duration, task func(at time.Duration) Task) (command uint64, err error) {
	m, c := n.leader(seat)
	if c == nil {
		return 0, ErrNotLeading
	}
	var out Outbox
	now := m.local(n.now)
	t := task(now + ahead)
	command, _, err = c.Coordinate(now, t, &out)
	if err == nil {
		n.goals[command], n.confirms[command] = m.truth(now+ahead), t.Confirm
	}
	n.drain(m, &out)
	return command, err
}

// termsRise asks for terms that rise where the members of all seats stay the same: not
// in a tree, where others take their place.
func (n *network) termsRise() error {
	if n.stands != nil {
		return nil
	}
	return TermsRise(n.trail)
}

// check asks for every invariant.
func (n *network) check(members int32) error {
	for _, err := range []error{ActsOnce(n.trail), NotBeforeT(n.trail), Majority(n.trail, members), FrozenStill(n.trail), OneLeader(n.trail), n.termsRise(),
		Confirmed(n.trail, func(c uint64) bool { return n.confirms[c] })} {
		if err != nil {
			return err
		}
	}
	return nil
}

// count says how many entries of the trail are so.
func (n *network) count(kind EffectKind, command uint64) (found int) {
	for _, e := range n.trail {
		if e.Effect.Kind == kind && (command == 0 || e.Effect.Command == command) {
			found++
		}
	}
	return found
}

// cell makes a cell of robots, each of whom can lead: node i is agent i, and the
// line is all of them.
func cell(n *network, size int, tune func(c *CoordinatorConfig)) {
	seat := &Seat{ID: 1}
	var children []Child
	for i := range size {
		seat.Line = append(seat.Line, uint32(i))
		children = append(children, Child{Node: uint32(i), Class: 5, Capabilities: 3})
	}
	agents, err := NewAgentConfig(AgentConfig{Random: n.random})
	if err != nil {
		n.t.Fatal(err)
	}
	for i := range size {
		n.add(clockOf(n), (n.random.Float64()-0.5)*10e-6, func(n *network, m *machine) {
			now := m.local(n.now)
			m.Agent, err = NewAgent(now, agents, Place{Seat: seat, Node: m.id, Child: uint32(i), Epoch: m.start, Term: m.terms[1]}, Described{Class: 5, Capabilities: 3, Context: 7})
			if err != nil {
				n.t.Fatal(err)
			}
			config := CoordinatorConfig{Random: n.random, Seat: seat, Node: m.id, Epoch: m.start, Term: m.terms[1], First: uint64(m.start) << 20, Children: children, Tier: quorum.TierAgent}
			if tune != nil {
				tune(&config)
			}
			c, err := NewCoordinator(now, config)
			if err != nil {
				n.t.Fatal(err)
			}
			m.Coordinators = []*Coordinator{c}
		})
	}
}

// clockOf is a clock's offset: up to half a second from another's.
func clockOf(n *network) time.Duration {
	return time.Duration(n.random.Int64N(int64(time.Second))) - 500*time.Millisecond + 10*time.Minute
}

func parallel(confirm bool) func(at time.Duration) Task {
	return func(at time.Duration) Task {
		return Task{Phases: quorum.Parallel(at), Priority: breaker.PriorityUrgent, Confirm: confirm}
	}
}

// TestCellActsAtT: five robots find their lead and act together a second later.
func TestCellActsAtT(t *testing.T) {
	for seed := range uint64(20) {
		n := newNetwork(t, seed)
		cell(n, 5, nil)
		for _, m := range n.nodes {
			n.at(time.Duration(n.random.Int64N(int64(2*time.Second))), func() { n.start(m) })
		}
		n.run(10 * time.Second)
		command, err := n.coordinate(1, time.Second, parallel(seed%2 == 1))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		n.run(12 * time.Second)
		if acts := n.count(Act, command); acts != 5 || n.count(Committed, command) != 1 {
			t.Errorf("seed %d: %d of 5 acted, %d commits", seed, acts, n.count(Committed, command))
		}
		for _, e := range n.trail {
			if off := e.True - e.T; e.Effect.Kind == Act && (off < -5*time.Millisecond || off > 5*time.Millisecond) {
				t.Errorf("seed %d: node %d acts %s from T, bound %s", seed, e.Node, off, e.Effect.Bound)
			}
		}
		if err := n.check(5); err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
}
