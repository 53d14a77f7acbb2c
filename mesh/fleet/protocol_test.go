package fleet

import (
	"math"
	"time"

	"dancer/mesh/impedance"
	"dancer/mesh/quorum"
)

// beat is the protocol of these tests: what exercises the engine as the mesh does,
// and no more. Agents beat every 5 s to their lead, leads and coordinators every 5 s
// upward with how many below are heard. Orders come down from the orchestrator by
// waves; agents work, answer, hold until T and act. Answers are summed at leads and
// coordinators. It takes clocks to be right.
type beat struct {
	topology *Topology
	nodes    []beater
	// Orders begin at these times, with T that much later.
	orders  []time.Duration
	hold    time.Duration
	beats   uint64
	touched int64
	lies    uint64 // answers that contradict what was said before
}

type beater struct {
	next   int64 // of the heartbeat
	hold   int64 // T of what waits; math.MaxInt64: nothing
	give   int64 // when it stops waiting for answers
	order  int32 // the newest it has seen, from 1
	acted  int32
	ready  int32 // below it, of that order
	active int32 // below it, in this period
	heard  int32 // in the last whole period
	ask    int32
	drawn  uint32
}

type word struct {
	kind  wordKind
	state int8
	order int32
	count int32
	at    int64
}

type wordKind uint8

const (
	beatWord wordKind = iota + 1
	orderWord
	answerWord
)

const (
	purposeBeat  = PurposeProtocol
	beatPeriod   = 5 * time.Second
	answerPeriod = 2 * time.Second
)

func newBeat(t *Topology, hold time.Duration, orders ...time.Duration) *beat {
	return &beat{topology: t, nodes: make([]beater, t.Nodes()), orders: orders, hold: hold}
}

func (b *beat) Start(n *Node[word], life uint16) {
	i := n.Number()
	b.nodes[i] = beater{hold: math.MaxInt64, give: math.MaxInt64, drawn: uint32(life) << 16}
	me := &b.nodes[i]
	if i == Orchestrator {
		for int(me.ask) < len(b.orders) && b.orders[me.ask] < n.Now() {
			me.ask++
		}
	}
	me.next = int64(n.Now()) + int64(Below(b.draw(n), uint64(beatPeriod)))
}

func (b *beat) draw(n *Node[word]) uint64 {
	me := &b.nodes[n.Number()]
	me.drawn++
	return n.Draw(purposeBeat, uint64(me.drawn))
}

func (b *beat) Next(i int32) time.Duration {
	me := &b.nodes[i]
	at := min(me.next, me.hold, me.give)
	if i == Orchestrator && int(me.ask) < len(b.orders) {
		at = min(at, int64(b.orders[me.ask]))
	}
	return time.Duration(at)
}

func (b *beat) Tick(n *Node[word]) {
	i, now := n.Number(), int64(n.Now())
	me := &b.nodes[i]
	if me.hold <= now {
		n.Note(Note{Kind: Acted, Operation: me.order - 1, At: time.Duration(me.hold)})
		me.hold = math.MaxInt64
		me.acted++
	}
	if me.give <= now {
		b.answer(n)
	}
	if i == Orchestrator && int(me.ask) < len(b.orders) && int64(b.orders[me.ask]) <= now {
		me.ask++
		b.order(n)
	}
	if me.next > now {
		return
	}
	me.next += int64(beatPeriod) - int64(beatPeriod)/10 + int64(Below(b.draw(n), uint64(beatPeriod)/5))
	b.beats++
	if i == Orchestrator {
		n.Note(Note{Kind: Active, Value: me.active, Operation: b.topology.Agents()})
	} else {
		w := word{kind: beatWord, count: 1}
		if first, end := b.topology.Children(i); first != end {
			w.count = me.active
		}
		n.Send(b.topology.ParentOf(i), &w)
	}
	me.heard, me.active = me.active, 0
}

// order begins a coordination of everybody.
func (b *beat) order(n *Node[word]) {
	at := n.Now() + b.hold
	n.Note(Note{Kind: Planned, Operation: b.nodes[Orchestrator].ask - 1, At: at, Value: b.topology.Agents()})
	w := word{kind: orderWord, order: b.nodes[Orchestrator].ask, at: int64(at)}
	b.take(n, &w)
	b.down(n, &w)
}

func (b *beat) take(n *Node[word], w *word) {
	me := &b.nodes[n.Number()]
	me.order, me.ready = w.order, 0
	me.give = int64(n.Now() + answerPeriod)
}

func (b *beat) down(n *Node[word], w *word) {
	first, end := b.topology.Children(n.Number())
	for child := first; child < end; child++ {
		n.Send(child, w)
	}
}

func (b *beat) Handle(n *Node[word], from int32, w *word) {
	i := n.Number()
	me := &b.nodes[i]
	switch w.kind {
	case beatWord:
		me.active += w.count
	case orderWord:
		if w.order <= me.order {
			return // a copy, or one that was overtaken
		}
		b.take(n, w)
		n.Note(Note{Kind: Reached, Operation: w.order - 1})
		if tier, _ := b.topology.Place(i); tier == quorum.TierAgent {
			me.give, me.hold = math.MaxInt64, math.MaxInt64
			if b.topology.ClassOf(i) == impedance.ClassHuman {
				return
			}
		}
		me.ask = int32(w.at / int64(time.Millisecond)) // until it is worked on
		n.Work(1000, uint32(w.order))
	case answerWord:
		if w.order == me.order {
			me.ready += w.count
			if i == Orchestrator {
				n.Note(Note{Kind: Answered, Operation: w.order - 1, Value: int32(w.state)})
			}
		}
	}
}

func (b *beat) Done(n *Node[word], order uint32) {
	i := n.Number()
	me := &b.nodes[i]
	if me.order != int32(order) {
		return
	}
	at := int64(me.ask) * int64(time.Millisecond)
	if first, end := b.topology.Children(i); first != end {
		n.Note(Note{Kind: Passed, Operation: me.order - 1})
		b.down(n, &word{kind: orderWord, order: me.order, at: at})
		return
	}
	me.hold = at
	n.Note(Note{Kind: Ready, Operation: me.order - 1, Value: 1})
	n.Send(b.topology.ParentOf(i), &word{kind: answerWord, order: me.order, count: 1, state: 1})
}

// answer ends the wait for answers.
func (b *beat) answer(n *Node[word]) {
	i := n.Number()
	me := &b.nodes[i]
	me.give = math.MaxInt64
	if i != Orchestrator {
		n.Send(b.topology.ParentOf(i), &word{kind: answerWord, order: me.order, count: me.ready, state: 1})
		return
	}
	decision := quorum.Retry
	if me.ready*100 >= b.topology.Agents()*90 {
		decision = quorum.Proceed
	}
	n.Note(Note{Kind: Decided, Operation: me.order - 1, Value: int32(decision)})
}

// Warm implements Warmer.
func (b *beat) Warm(batch []Coming) {
	for _, n := range batch {
		b.touched ^= b.nodes[n.Node].next
	}
}

// Lie implements Liar.
func (b *beat) Lie(lie Lie, _ uint64, _, _ int32, w *word) bool {
	if lie != WrongAnswer || w.kind != answerWord {
		return false
	}
	w.state = -1
	b.lies++
	return true
}
