package quorum

import "time"

// timers is a bounded set of moments by slot: a binary heap with the place of each
// slot, so that one can be taken out again. Equal moments come out by slot, so
// that a run can be repeated. 16 bytes a slot.
type timers struct {
	due   []time.Duration // by slot
	place []int32         // by slot: index in heap, -1 when not set
	heap  []int32         // slots
}

func newTimers(slots int) timers {
	t := timers{make([]time.Duration, slots), make([]int32, slots), make([]int32, 0, slots)}
	for i := range t.place {
		t.place[i] = -1
	}
	return t
}

func (t *timers) set(slot int32, due time.Duration) {
	t.remove(slot)
	t.due[slot] = due
	t.heap = append(t.heap, slot)
	t.place[slot] = int32(len(t.heap) - 1)
	t.up(len(t.heap) - 1)
}

// remove takes a slot out if it is in.
func (t *timers) remove(slot int32) {
	at := int(t.place[slot])
	if at < 0 {
		return
	}
	last := len(t.heap) - 1
	t.swap(at, last)
	t.heap = t.heap[:last]
	t.place[slot] = -1
	if at < last {
		t.up(at)
		t.down(at)
	}
}

// first gives the earliest slot; false when nothing is set.
func (t *timers) first() (slot int32, due time.Duration, ok bool) {
	if len(t.heap) == 0 {
		return 0, 0, false
	}
	return t.heap[0], t.due[t.heap[0]], true
}

func (t *timers) before(a, b int) bool {
	x, y := t.heap[a], t.heap[b]
	return t.due[x] < t.due[y] || (t.due[x] == t.due[y] && x < y)
}

func (t *timers) swap(a, b int) {
	t.heap[a], t.heap[b] = t.heap[b], t.heap[a]
	t.place[t.heap[a]], t.place[t.heap[b]] = int32(a), int32(b)
}

func (t *timers) up(at int) {
	for at > 0 && t.before(at, (at-1)/2) {
		t.swap(at, (at-1)/2)
		at = (at - 1) / 2
	}
}

func (t *timers) down(at int) {
	for {
		child := 2*at + 1
		if child >= len(t.heap) {
			return
		}
		if child+1 < len(t.heap) && t.before(child+1, child) {
			child++
		}
		if !t.before(child, at) {
			return
		}
		t.swap(at, child)
		at = child
	}
}
