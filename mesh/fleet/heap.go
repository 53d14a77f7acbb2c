package fleet

// heap orders entries by time, and by the order in which they were put where the
// time is the same. It is a 4-ary heap of keys over an arena: what moves are 24
// bytes, and the four children of a key lie in two cache lines.
type heap[T any] struct {
	keys  []heapKey
	items []T
	free  []int32
	seq   uint64
}

type heapKey struct {
	at   int64
	seq  uint64
	item int32
}

func (a heapKey) before(b heapKey) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *heap[T]) put(at int64, item *T) {
	var place int32
	if n := len(h.free); n > 0 {
		place = h.free[n-1]
		h.free = h.free[:n-1]
		h.items[place] = *item
	} else {
		place = int32(len(h.items))
		h.items = append(h.items, *item)
	}
	k := heapKey{at, h.seq, place}
	h.seq++
	h.keys = append(h.keys, k)
	i := len(h.keys) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !k.before(h.keys[up]) {
			break
		}
		h.keys[i] = h.keys[up]
		i = up
	}
	h.keys[i] = k
}

// pop takes the first entry off; there must be one.
func (h *heap[T]) pop(into *T) int64 {
	first := h.keys[0]
	*into = h.items[first.item]
	h.free = append(h.free, first.item)
	last := len(h.keys) - 1
	k := h.keys[last]
	h.keys = h.keys[:last]
	if last == 0 {
		return first.at
	}
	i := 0
	for {
		child := 4*i + 1
		if child >= last {
			break
		}
		least := child
		for c := child + 1; c < min(child+4, last); c++ {
			if h.keys[c].before(h.keys[least]) {
				least = c
			}
		}
		if !h.keys[least].before(k) {
			break
		}
		h.keys[i] = h.keys[least]
		i = least
	}
	h.keys[i] = k
	return first.at
}
