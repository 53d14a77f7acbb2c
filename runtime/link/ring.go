package link

import "sync/atomic"

// A ring holds fixed records between one producer and one consumer. A full ring
// refuses the new record and counts it.
const (
	recordWords = 8             // of an event or a request
	ringHead    = 0             // producer's count of records, a cache line of its own
	ringTail    = lineWords     // consumer's
	ringLost    = 2 * lineWords // records refused
	ringRecords = 3 * lineWords
)

func ringWords(capacity, width int) int { return ringRecords + capacity*width }

type record [recordWords]uint64

type ring struct {
	words    []atomic.Uint64
	capacity uint64
	width    int    // words of one record
	position uint64 // this side's own count: never believed from shared memory once running
	lost     uint64
}

func newRing(words []atomic.Uint64, capacity, width int) ring {
	return ring{words: words[:ringWords(capacity, width)], capacity: uint64(capacity), width: width}
}

func (r *ring) slot(position uint64) []atomic.Uint64 {
	o := ringRecords + int(position&(r.capacity-1))*r.width
	return r.words[o : o+r.width]
}

// put adds a record of the ring's width, or counts it as lost. A consumer that writes nonsense into
// its tail makes the ring look full or empty; it loses records, nothing else.
func (r *ring) put(rec []uint64) bool {
	if r.position-r.words[ringTail].Load() >= r.capacity {
		r.lost++
		r.words[ringLost].Store(r.lost)
		r.words[ringHead].Store(r.position) // should it be nonsense: the consumer then finds its way back
		return false
	}
	w := r.slot(r.position)
	for i := range rec {
		w[i].Store(rec[i])
	}
	r.position++
	r.words[ringHead].Store(r.position)
	return true
}

// take copies the next record out. If the producer's head makes no sense the
// ring is taken to be empty from there on.
func (r *ring) take(rec []uint64) bool {
	head := r.words[ringHead].Load()
	waiting := head - r.position
	if waiting == 0 {
		if r.words[ringTail].Load() != r.position { // somebody has written nonsense: the producer would find no room for ever
			r.words[ringTail].Store(r.position)
		}
		return false
	}
	if waiting > r.capacity {
		r.position = head
		r.words[ringTail].Store(head)
		return false
	}
	w := r.slot(r.position)
	for i := range rec {
		rec[i] = w[i].Load()
	}
	r.position++
	r.words[ringTail].Store(r.position)
	return true
}

// resumeConsumer and resumeProducer take this side's position from a brain that
// was here before.
func (r *ring) resumeConsumer() {
	head, tail := r.words[ringHead].Load(), r.words[ringTail].Load()
	if head-tail > r.capacity {
		tail = head
	}
	r.position = tail
}

func (r *ring) resumeProducer() {
	r.position = r.words[ringHead].Load()
	r.lost = r.words[ringLost].Load()
}
