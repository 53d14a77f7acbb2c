package fleet

import (
	"cmp"
	"slices"
	"time"
)

// shard is the part of the nodes that one simulation of a group has: for each tier a
// range of them, the agents first.
type shard [3][2]int32

func (s *shard) has(n int32) bool {
	return n >= s[0][0] && n < s[0][1] || n >= s[1][0] && n < s[1][1] || n >= s[2][0] && n < s[2][1]
}

// parcel is a message to a node of another share.
type parcel[M any] struct {
	at, took int64
	to, from int32
	m        M
}

// post puts a message aside until the others may have it.
func (s *Simulation[M]) post(p *passage, from, to int32, m *M) {
	s.leaving = append(s.leaving, parcel[M]{at: s.now + max(p.delay, s.lookahead), took: p.delay, to: to, from: from, m: *m})
	if p.again > 0 {
		s.leaving = append(s.leaving, parcel[M]{at: s.now + max(p.again, s.lookahead), took: p.again, to: to, from: from, m: *m})
	}
}

// Group is a run whose sectors are shared out to several simulations, which can go on
// at the same time. No message from one share to another takes less than the shortest
// link of the orchestrator (the lookahead: Chandy and Misra, TSE 5, 1979), so each of
// them can go on by that much without the others; then they exchange what has left
// them. How many shares there are changes the order of what happens in one and the
// same nanosecond, and so the result; whether they go on at the same time does not.
type Group[M any] struct {
	// Each calls do for 0 to n-1, in any order or at once, and returns when all are
	// done. The default is one after the other.
	Each      func(n int, do func(i int))
	shares    []*Simulation[M]
	seen      []*witness
	observer  Observer
	lookahead int64
	until     int64
	merged    []Observation
}

// leastLookahead is the least that is worth an exchange.
const leastLookahead = int64(2 * time.Millisecond)

// witness keeps what one share has seen until it is the turn of it.
type witness struct{ seen []Observation }

func (w *witness) Observe(o *Observation) { w.seen = append(w.seen, *o) }

// NewGroup makes a run at time 0, in which no node has begun yet, with so many shares
// or fewer: never more than one for each two sectors, and one where a message between
// coordinators may take next to no time. make gives the protocol of a share.
func NewGroup[M any](setup Setup, shares int, protocol func(share int) Protocol[M], observer Observer) (*Group[M], error) {
	if err := setup.validate(); err != nil {
		return nil, err
	}
	nodes := newNodes(setup.Topology, &setup.Conditions, setup.Seed)
	g := &Group[M]{observer: observer, lookahead: lookahead(setup.Topology, &setup.Conditions, nodes)}
	if g.lookahead < leastLookahead {
		shares = 1
	}
	shares = max(1, min(shares, int(setup.Topology.Sectors)/2))
	for i := range shares {
		w := &witness{}
		s := newSimulation(setup, protocol(i), Observer(w), nodes)
		s.own, s.lookahead = setup.Topology.shard(i, shares), g.lookahead
		if shares == 1 {
			s.observer = observer
		}
		g.shares, g.seen = append(g.shares, s), append(g.seen, w)
	}
	return g, nil
}

// shard gives a part of the sectors with all below; the first has the orchestrator.
func (t *Topology) shard(i, of int) shard {
	first := func(k int) int32 { return int32(int(t.Sectors) * k / of) }
	from, end := t.Sector(first(i)), t.Sector(first(i+1))
	below := func(n int32) int32 { c, _ := t.Children(n); return c }
	s := shard{1: {below(from), t.Agent(0)}, 2: {from, end}, 0: {below(below(from)), t.Nodes()}}
	if i+1 < of {
		s[1][1], s[0][1] = below(end), below(below(end))
	}
	if i == 0 {
		s[2][0] = Orchestrator
	}
	return s
}

// lookahead is the least that a message between the orchestrator and a sector takes. One
// of a lead that stands in for its sector's coordinator, whose own way may be shorter, is
// held up until then.
func lookahead(t *Topology, c *Conditions, nodes []node) int64 {
	if c.Trace != nil {
		return 0
	}
	least := int64(1 << 62)
	for n := t.Sector(0); n < t.Cluster(0); n++ {
		least = min(least, int64(nodes[n].up)*1000, int64(nodes[n].down)*1000)
	}
	return least
}

// of is the simulation that has a node.
func (g *Group[M]) of(n int32) *Simulation[M] { return g.shares[g.ShareOf(n)] }

// ShareOf is the number of the share that has a node.
func (g *Group[M]) ShareOf(n int32) int {
	for i, s := range g.shares {
		if s.own.has(n) {
			return i
		}
	}
	return 0
}

// Shares is how many there are.
func (g *Group[M]) Shares() int { return len(g.shares) }

func (g *Group[M]) each(do func(i int)) {
	if g.Each != nil && len(g.shares) > 1 {
		g.Each(len(g.shares), do)
		return
	}
	for i := range g.shares {
		do(i)
	}
}

// Start begins every node at time 0.
func (g *Group[M]) Start() {
	g.each(func(i int) { g.shares[i].Start() })
	g.exchange()
}

// Run goes on until a time; what happens at that very time is done.
func (g *Group[M]) Run(until time.Duration) {
	if len(g.shares) == 1 {
		g.shares[0].Run(until)
		return
	}
	for {
		next := int64(until) + 1
		for _, s := range g.shares {
			if at, ok := s.queue.peek(); ok {
				next = min(next, at)
			}
		}
		if next > int64(until) {
			break
		}
		// What leaves after next comes a lookahead later: up to there nothing is missing.
		g.until = min(next+g.lookahead-1, int64(until))
		g.each(g.window)
		g.exchange()
	}
	for _, s := range g.shares {
		s.now = max(s.now, int64(until))
	}
}

func (g *Group[M]) window(i int) { g.shares[i].Run(time.Duration(g.until)) }

// exchange hands over what has left the shares, and tells what they have seen in the
// order of its time, share by share where that is the same.
func (g *Group[M]) exchange() {
	for _, s := range g.shares {
		for i := range s.leaving {
			p := &s.leaving[i]
			to := g.of(p.to)
			e := event{to: p.to, from: p.from, took: p.took, m: to.letters.put(&p.m), kind: eventMessage}
			to.queue.put(p.at, &e)
		}
		s.leaving = s.leaving[:0]
	}
	if len(g.shares) == 1 {
		return
	}
	g.merged = g.merged[:0]
	for _, w := range g.seen {
		g.merged = append(g.merged, w.seen...)
		w.seen = w.seen[:0]
	}
	slices.SortStableFunc(g.merged, func(a, b Observation) int { return cmp.Compare(a.Now, b.Now) })
	if g.observer != nil {
		for i := range g.merged {
			g.observer.Observe(&g.merged[i])
		}
	}
}

// Act is Simulation.Act.
func (g *Group[M]) Act(n int32, call func(*Node[M])) bool {
	done := g.of(n).Act(n, call)
	g.exchange()
	return done
}

// Now is the true time that has been reached.
func (g *Group[M]) Now() time.Duration { return g.shares[0].Now() }

// Up says whether a node has not crashed; Life how often it has.
func (g *Group[M]) Up(n int32) bool { return g.shares[0].Up(n) }

// Life counts how often a node has crashed.
func (g *Group[M]) Life(n int32) uint16 { return g.shares[0].Life(n) }

// Local gives what a node's clock says at a true time; True is the inverse.
func (g *Group[M]) Local(n int32, at time.Duration) time.Duration { return g.shares[0].Local(n, at) }

// True is the first true time at which a node's clock says at.
func (g *Group[M]) True(n int32, at time.Duration) time.Duration { return g.shares[0].True(n, at) }

// AgentsUp is how many agents have not crashed.
func (g *Group[M]) AgentsUp() int32 {
	up := g.shares[0].topology.Agents()
	for _, s := range g.shares {
		up -= s.agentsDown
	}
	return up
}

// Traffic gives the network's counters.
func (g *Group[M]) Traffic() (t Traffic) {
	for _, s := range g.shares {
		t.add(&s.traffic)
	}
	return t
}

// Counters gives the engines' counters.
func (g *Group[M]) Counters() (c Counters) {
	for _, s := range g.shares {
		one := s.Counters()
		c.Events, c.Messages, c.Ticks, c.Works = c.Events+one.Events, c.Messages+one.Messages, c.Ticks+one.Ticks, c.Works+one.Works
		c.Stale, c.Waiting = c.Stale+one.Stale, c.Waiting+one.Waiting
	}
	return c
}

func (t *Traffic) add(o *Traffic) {
	t.Sent, t.Delivered, t.Cut, t.Lost, t.Damaged = t.Sent+o.Sent, t.Delivered+o.Delivered, t.Cut+o.Cut, t.Lost+o.Lost, t.Damaged+o.Damaged
	t.Duplicated, t.Reordered, t.Asleep, t.Dead, t.Forged = t.Duplicated+o.Duplicated, t.Reordered+o.Reordered, t.Asleep+o.Asleep, t.Dead+o.Dead, t.Forged+o.Forged
}
