package fleet

import (
	"math/bits"
	"slices"
)

// The shape of the wheel: 2^17 slots of 2^16 ns (65.5 us), 8.6 s in all, so that a
// heartbeat's period and every message fall into it. Half a million events a second
// are some thirty in a slot.
const (
	slotBits  = 16
	wheelBits = 17
	slots     = 1 << wheelBits
	slotMask  = slots - 1
	chunkSize = 15
	blockBits = 8 // chunks are allocated by blocks of 256
)

// queue gives events in the exact order of their times, and in the order in which
// they were put where the time is the same. It is a calendar queue (Brown, CACM
// 31, 1988) of fixed width: an event is put into the slot of its time, unsorted,
// and a slot is sorted when its turn comes, by one integer an event. What is put
// into the slot whose turn it is goes to a heap of its own (near), what is beyond
// the wheel to another (far), from where it comes into the wheel before anything
// else can be put there: so ties keep their order everywhere.
//
// Put and pop are amortised O(1), where a heap of a million events misses the
// cache at each of ten levels: BenchmarkQueue has both. There is no pointer in it
// that a collector would have to follow, as long as T has none.
type queue[T any] struct {
	head      []int32 // first chunk of each slot; -1: empty
	tail      []int64 // last chunk of each slot, and in the low four bits how many events it has
	occupied  []uint64
	blocks    [][]chunk[T]
	freeChunk int32
	base      int64 // number of the slot whose turn it is
	inWheel   int
	current   []T      // the events of the slot whose turn it is, as they were put
	keys      []uint64 // them in order: time in the slot, place in current
	next      int      // of keys
	turned    bool     // current is new: see Simulation.warm
	near, far heap[T]
	popped    T
}

// chunk is a part of a slot. How many events the last one has is not in it: a put
// touches the one cache line or two that it writes.
type chunk[T any] struct {
	events [chunkSize]waiting[T]
	next   int32
}

type waiting[T any] struct {
	at   int64
	item T
}

func newQueue[T any]() *queue[T] {
	q := &queue[T]{
		head: make([]int32, slots), tail: make([]int64, slots),
		occupied: make([]uint64, slots/64), freeChunk: -1,
	}
	for i := range q.head {
		q.head[i] = -1
	}
	return q
}

// len is how many events wait.
func (q *queue[T]) len() int {
	return q.inWheel + len(q.keys) - q.next + len(q.near.keys) + len(q.far.keys)
}

func (q *queue[T]) chunk(i int32) *chunk[T] { return &q.blocks[i>>blockBits][i&(1<<blockBits-1)] }

func (q *queue[T]) newChunk() int32 {
	if q.freeChunk < 0 {
		first := int32(len(q.blocks)) << blockBits
		block := make([]chunk[T], 1<<blockBits)
		for i := range block {
			block[i].next = first + int32(i) + 1
		}
		block[len(block)-1].next = -1
		q.blocks = append(q.blocks, block)
		q.freeChunk = first
	}
	i := q.freeChunk
	c := q.chunk(i)
	q.freeChunk = c.next
	c.next = -1
	return i
}

// put adds an event; its time must not be before that of the last one popped.
func (q *queue[T]) put(at int64, item *T) {
	switch slot := at >> slotBits; {
	case slot <= q.base:
		q.near.put(at, item)
	case slot < q.base+slots:
		q.putWheel(slot, at, item)
	default:
		q.far.put(at, item)
	}
}

func (q *queue[T]) putWheel(slot, at int64, item *T) {
	s := slot & slotMask
	last, count := int32(q.tail[s]>>4), q.tail[s]&15
	if count == 0 || count == chunkSize {
		fresh := q.newChunk()
		if count == 0 {
			q.head[s] = fresh
			q.occupied[s>>6] |= 1 << (s & 63)
		} else {
			q.chunk(last).next = fresh
		}
		last, count = fresh, 0
	}
	e := &q.chunk(last).events[count]
	e.at, e.item = at, *item
	q.tail[s] = int64(last)<<4 | (count + 1)
	q.inWheel++
}

// peek gives the time of the next event.
func (q *queue[T]) peek() (at int64, ok bool) {
	for q.next == len(q.keys) && len(q.near.keys) == 0 {
		if !q.advance() {
			return 0, false
		}
	}
	at, _ = q.first()
	return at, true
}

// first says which of the two heads comes first; one is there. What is in current
// was put before anything in near, so it wins a tie.
func (q *queue[T]) first() (at int64, near bool) {
	if q.next == len(q.keys) {
		return q.near.keys[0].at, true
	}
	at = q.base<<slotBits + int64(q.keys[q.next]>>32)
	if len(q.near.keys) > 0 && q.near.keys[0].at < at {
		return q.near.keys[0].at, true
	}
	return at, false
}

// pop gives the next event, which stays where it is until the next pop or peek.
// peek must have found one.
func (q *queue[T]) pop() *T {
	if _, near := q.first(); near {
		q.near.pop(&q.popped)
		return &q.popped
	}
	item := &q.current[uint32(q.keys[q.next])]
	q.next++
	return item
}

// advance turns the wheel to the next slot with events.
func (q *queue[T]) advance() bool {
	switch {
	case q.inWheel > 0:
		q.base = q.nextOccupied()
	case len(q.far.keys) > 0:
		q.base = q.far.keys[0].at >> slotBits
	default:
		return false
	}
	for len(q.far.keys) > 0 && q.far.keys[0].at>>slotBits < q.base+slots {
		at := q.far.pop(&q.popped)
		q.putWheel(at>>slotBits, at, &q.popped)
	}
	q.open()
	return true
}

func (q *queue[T]) nextOccupied() int64 {
	from := q.base + 1
	s := from & slotMask
	if w := q.occupied[s>>6] >> (s & 63); w != 0 {
		return from + int64(bits.TrailingZeros64(w))
	}
	// Up to the whole wheel, and the first word again for the slots before from.
	for i := int64(1); i <= slots/64; i++ {
		word := (s>>6 + i) & (slots/64 - 1)
		if w := q.occupied[word]; w != 0 {
			return from - s&63 + i*64 + int64(bits.TrailingZeros64(w))
		}
	}
	panic("fleet: events in the wheel and no slot that has them")
}

// open takes the events of the slot at base out of the wheel and sorts them.
func (q *queue[T]) open() {
	q.current, q.keys, q.next = q.current[:0], q.keys[:0], 0
	s := q.base & slotMask
	last, count := int32(q.tail[s]>>4), q.tail[s]&15
	for i := q.head[s]; i >= 0; {
		c := q.chunk(i)
		events := c.events[:]
		if i == last {
			events = events[:count]
		}
		for j := range events {
			offset := uint64(events[j].at) & (1<<slotBits - 1)
			q.keys = append(q.keys, offset<<32|uint64(len(q.current)))
			q.current = append(q.current, events[j].item)
		}
		following := c.next
		c.next, q.freeChunk = q.freeChunk, i
		i = following
	}
	q.head[s], q.tail[s] = -1, 0
	q.occupied[s>>6] &^= 1 << (s & 63)
	q.inWheel -= len(q.keys)
	q.turned = true
	slices.Sort(q.keys)
}
