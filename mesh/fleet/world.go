package fleet

import (
	"fmt"
	"math"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// Conditions are what the network and the clocks are like when nothing is broken.
// The zero value is a perfect network with perfect clocks and the delays of the
// classes; DefaultConditions are those of the reports.
type Conditions struct {
	Loss      quorum.Share // of all messages
	Duplicate quorum.Share // come a second time, as late again
	Reorder   quorum.Share // are held up for one to four times their delay
	Corrupt   quorum.Share // are damaged: their MAC is wrong, and they are dropped
	// Sleep is the share of messages to agents of class E that find its radio asleep
	// (Wi-Fi power saving) and wait 50 to 300 ms until it listens.
	Sleep quorum.Share
	// Asymmetry is by how much the two directions of a link differ from their mean
	// at most.
	Asymmetry quorum.Share
	// Offset: clocks differ from the true time by up to this, either way; up to a day.
	Offset time.Duration
	// Drift: clocks run too fast or too slow by up to so many parts per million, 0 to
	// 500.
	Drift int32
	// Trace gives the delays, instead of the classes. Each link is one pair of its
	// hosts, and half of the round trip one way, give or take Asymmetry.
	Trace *Trace
}

// DefaultConditions are a mesh on the open network with crystals for clocks.
func DefaultConditions() Conditions {
	return Conditions{
		Loss: 10, Duplicate: 5, Reorder: 10, Corrupt: 1, Sleep: 1000, Asymmetry: 2000,
		Offset: 500 * time.Millisecond, Drift: 50,
	}
}

// Validate reports what is out of range.
func (c *Conditions) Validate() error {
	for _, share := range []quorum.Share{c.Loss, c.Duplicate, c.Reorder, c.Corrupt, c.Sleep, c.Asymmetry} {
		if share > quorum.Whole {
			return fmt.Errorf("%w: a share of %v; at most 100%%", ErrFleet, share)
		}
	}
	if c.Offset < 0 || c.Offset > MaxDuration || c.Drift < 0 || c.Drift > 500 {
		return fmt.Errorf("%w: clocks off by %v and %d ppm; up to %v and 500 are possible", ErrFleet, c.Offset, c.Drift, MaxDuration)
	}
	return nil
}

// node is the world's side of one node: 64 bytes.
type node struct {
	wake   int64 // true time of the wake-up that counts; math.MaxInt64: none
	busy   int64 // true time when its work is done
	offset int64 // ns that its clock was ahead of the true time at 0
	drift  int32 // parts per billion
	down   uint32
	up     uint32 // us, least delay from its parent and to it; with a trace, in traceScale of half of a round trip
	parent int32
	sent   uint32 // messages and
	worked uint32 // pieces of work so far: the places of its draws
	life   uint16
	class  impedance.Class
	dead   uint8 // crashes that hold
	lie    Lie
}

// Figures of the tiers above the agents (mesh-30k 8.3: 50 ms and 30 ms of network,
// 10 ms of processing): floors of the links' delays, in us.
const (
	sectorLow, sectorTop   = 30_000, 60_000
	clusterLow, clusterTop = 15_000, 40_000
	tierWork               = 10 * time.Millisecond
)

// Bounds of Wi-Fi power saving, measured (the installer turns it off).
const (
	sleepLow = 50 * time.Millisecond
	sleepTop = 300 * time.Millisecond
)

func newNodes(t *Topology, c *Conditions, seed Seed) []node {
	nodes := make([]node, t.Nodes())
	for i := range nodes {
		n := int32(i)
		tier, _ := t.Place(n)
		nodes[i] = node{
			wake: math.MaxInt64, parent: t.ParentOf(n), class: t.ClassOf(n),
			offset: int64(c.Offset) + within(seed.Draw(purposeClock, n, 0), int64(c.Offset)),
			drift:  int32(within(seed.Draw(purposeClock, n, 1), int64(c.Drift)*1000)),
		}
		lopsided := within(seed.Draw(purposeLink, n, 1), int64(c.Asymmetry))
		low, top := linkRange(tier, nodes[i].class)
		base := low + int64(Below(seed.Draw(purposeLink, n, 0), uint64(top-low+1)))
		if c.Trace != nil {
			base = traceScale
		}
		nodes[i].down = uint32(base * (int64(quorum.Whole) + lopsided) / int64(quorum.Whole))
		nodes[i].up = uint32(base * (int64(quorum.Whole) - lopsided) / int64(quorum.Whole))
	}
	return nodes
}

// within gives a number from -most to most.
func within(draw uint64, most int64) int64 {
	return int64(Below(draw, uint64(2*most+1))) - most
}

// linkRange is where the least delay of a node's link lies, in us: half of the round
// trip that a class has (mesh-30k 1.3 and 2.3 say that a latency is one, 3.1 halves
// it), and one way between coordinators as 8.3 has it.
func linkRange(tier quorum.Tier, class impedance.Class) (low, top int64) {
	switch tier {
	case quorum.TierSector:
		return sectorLow, sectorTop
	case quorum.TierCluster:
		return clusterLow, clusterTop
	case quorum.TierAgent:
		if class == impedance.ClassHuman {
			class = impedance.ClassPersistent // the way to a person's terminal; the minutes are work
		}
		l, t := class.TypicalDelay()
		return l.Microseconds() / 2, t.Microseconds() / 2
	}
	return 0, 0
}

// tail stretches a least delay: 1 at best, 1.04 at the median, 1.35 at the 95th
// percentile, 1.9 at the 99th, 4.1 at 99.9%, at most `most`: a Pareto tail of
// exponent 2, which has no variance without that bound. Delays on the network have
// such tails, and a square root is the same to the last bit on every machine.
func tail(draw uint32, most float64) float64 {
	v := (float64(draw) + 1) / (1 << 32)
	return min(most, 0.9+float64(0.1/math.Sqrt(v)))
}

// Bounds of tail.
const (
	longestDelay = 20
	longestWork  = 10
)

// traceScale is half of a round trip where both directions take the same.
const traceScale = 1_000_000

// hop is the delay of one message, without faults. Between nodes that are not parent
// and child it takes both links.
func (s *world) hop(from, to int32, draw uint64) int64 {
	sender, receiver := &s.nodes[from], &s.nodes[to]
	var micro int64
	switch {
	case receiver.parent == from:
		micro = s.link(to, receiver.down)
	case sender.parent == to:
		micro = s.link(from, sender.up)
	default:
		micro = s.link(from, sender.up) + s.link(to, receiver.down)
	}
	if s.conditions.Trace != nil {
		return micro * 1000
	}
	return int64(float64(micro) * 1000 * tail(uint32(draw), longestDelay))
}

// link is the least delay of a node's link, or what the trace has for it now, in us.
func (s *world) link(n int32, micro uint32) int64 {
	t := s.conditions.Trace
	if t == nil || n == Orchestrator {
		return int64(micro)
	}
	pair := int(Below(s.seed.Draw(purposePath, n, 0), uint64(t.Pairs())))
	return t.RoundTrip(pair, time.Duration(s.now)).Microseconds() * int64(micro) / (2 * traceScale)
}

// world is everything that is not protocol.
type world struct {
	topology   *Topology
	conditions Conditions
	seed       Seed
	nodes      []node
	active     []activeFault // those that messages and work meet
	now        int64
	traffic    Traffic
}

type activeFault struct {
	Fault
	region
	number int // in the schedule
}

// passage is what becomes of one message.
type passage struct {
	delay, again int64 // again: of the second copy; 0: there is none
	lost         bool
}

// pass sends one message over the network.
func (s *world) pass(from, to int32) (p passage) {
	sender := &s.nodes[from]
	place := uint64(sender.sent)
	sender.sent++
	s.traffic.Sent++
	draw := s.seed.Draw(purposeDelay, from, 3*place)
	fate := s.seed.Draw(purposeDelay, from, 3*place+1)
	p.delay = s.hop(from, to, draw)
	c := &s.conditions
	if s.nodes[to].class == impedance.ClassLocal && chance(draw>>32, c.Sleep) {
		s.traffic.Asleep++
		p.delay += int64(sleepLow) + int64(Below(mix(draw), uint64(sleepTop-sleepLow)))
	}
	loss, damage, again, late := c.Loss, c.Corrupt, c.Duplicate, c.Reorder
	for i := range s.active {
		f := &s.active[i]
		leaves, comes := f.has(from, sender.class), f.has(to, s.nodes[to].class)
		if !leaves && !comes {
			continue
		}
		switch f.Kind {
		case Partition:
			p.lost = p.lost || leaves != comes
		case Flap:
			off := (s.now-int64(f.From))/int64(f.Every)&1 == 0
			p.lost = p.lost || off && leaves != comes
		case Loss:
			loss = max(loss, f.Share)
		case Corrupt:
			damage = max(damage, f.Share)
		case Duplicate:
			again = max(again, f.Share)
		case Reorder:
			late = max(late, f.Share)
		case Slow:
			p.delay *= int64(f.Factor)
		}
	}
	switch {
	case p.lost:
		s.traffic.Cut++
	case chance(fate, loss):
		p.lost = true
		s.traffic.Lost++
	case chance(fate>>16, damage):
		p.lost = true
		s.traffic.Damaged++
	}
	if p.lost {
		return p
	}
	if chance(fate>>32, late) {
		s.traffic.Reordered++
		p.delay += int64(Below(mix(fate), uint64(4*p.delay+1)))
	}
	if chance(fate>>48, again) {
		s.traffic.Duplicated++
		p.again = p.delay + s.hop(from, to, s.seed.Draw(purposeDelay, from, 3*place+2))
	}
	return p
}

// chance tells by the low 16 bits of a draw, to 1 in 65,536.
func chance(draw uint64, share quorum.Share) bool {
	return (draw&0xffff)*uint64(quorum.Whole) < uint64(share)<<16
}

// work is how long a piece of work of a weight (thousandths; 1000 is a standard
// payload) takes a node, without its queue.
func (s *world) work(n int32, weight uint32) int64 {
	worker := &s.nodes[n]
	draw := s.seed.Draw(purposeWork, n, uint64(worker.worked))
	worker.worked++
	base := tierWork
	if worker.class != impedance.ClassUnknown {
		base = worker.class.BaseProcessing()
	}
	nanos := int64(base) * (2000 + int64(weight)) / 2000 // 1 + weight / 2, mesh-30k 3.1
	took := int64(float64(nanos) * tail(uint32(draw), longestWork))
	for i := range s.active {
		if f := &s.active[i]; f.Kind == Slow && f.has(n, worker.class) {
			took *= int64(f.Factor)
		}
	}
	return took
}

// local is what a node's clock says at a true time.
func (n *node) local(at int64) int64 {
	return at + n.offset + at/1000*int64(n.drift)/1_000_000
}

// due is the first true time at which its clock says want or more. Each step of the
// search leaves a part in 2000 of the error at most, so two are enough for a day.
func (n *node) due(want int64) int64 {
	at := want - n.offset
	for range 2 {
		at += want - n.local(at)
	}
	for n.local(at) >= want {
		at--
	}
	for n.local(at) < want {
		at++
	}
	return at
}

// Traffic counts what the network did.
type Traffic struct {
	Sent       uint64 `json:"sent"`       // without the copies of Duplicated
	Delivered  uint64 `json:"delivered"`  // copies too
	Cut        uint64 `json:"cut"`        // by a partition or a link that flaps
	Lost       uint64 `json:"lost"`       // at random
	Damaged    uint64 `json:"damaged"`    // refused for its MAC
	Duplicated uint64 `json:"duplicated"` // came twice
	Reordered  uint64 `json:"reordered"`  // held up
	Asleep     uint64 `json:"asleep"`     // waited for a radio
	Dead       uint64 `json:"dead"`       // reached a node that was down
	Forged     uint64 `json:"forged"`     // changed or copied by a byzantine sender
}
