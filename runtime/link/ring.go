package link

// A ring holds fixed records between one producer and one consumer. A full ring
// refuses the new record and counts it. What the producer writes lies in its half
// of the segment and the consumer's position in the other half.
const (
	recordWords = 8 // of an event or a request
	ringHead    = 0 // producer's count of records
	ringLost    = 1 // records refused
	ringRecords = lineWords
)

func ringWords(capacity, width int) int { return ringRecords + capacity*width }

type record [recordWords]uint64

type ring struct {
	produced []word // head, lost, records: the producer's
	tail     *word  // count of records taken: the consumer's
	capacity uint64
	width    int    // words of one record
	position uint64 // this side's own count: never believed from shared memory once running
	lost     uint64
}

func newRing(produced []word, tail *word, capacity, width int) ring {
	return ring{produced: produced[:ringWords(capacity, width)], tail: tail, capacity: uint64(capacity), width: width}
}

func (r *ring) slot(position uint64) []word {
	o := ringRecords + int(position&(r.capacity-1))*r.width
	return r.produced[o : o+r.width]
}

// put adds a record of the ring's width and leaves so many places free, or counts it
// as lost. A consumer that writes nonsense into its tail makes the ring look full or
// empty; it loses records, nothing else.
func (r *ring) put(rec []uint64, free uint64) bool {
	if r.position-r.tail.Load() >= r.capacity-free {
		r.lost++
		r.produced[ringLost].Store(r.lost)
		return false
	}
	w := r.slot(r.position)
	for i := range rec {
		w[i].Store(rec[i])
	}
	r.position++
	r.produced[ringHead].Store(r.position)
	return true
}

// take copies the next record out. If the producer's head makes no sense the
// ring is taken to be empty from there on.
func (r *ring) take(rec []uint64) bool {
	head := r.produced[ringHead].Load()
	waiting := head - r.position
	if waiting == 0 {
		return false
	}
	if waiting > r.capacity {
		r.position = head
		r.tail.Store(head)
		return false
	}
	w := r.slot(r.position)
	for i := range rec {
		rec[i] = w[i].Load()
	}
	r.position++
	r.tail.Store(r.position)
	return true
}

// mendTail is for a producer whose consumer is gone: a count that cannot be right
// would refuse what the next one shall hear.
func (r *ring) mendTail() {
	if r.position-r.tail.Load() > r.capacity {
		r.tail.Store(r.position)
	}
}

// resumeConsumer goes on where the brain before this one stopped. A tail that
// cannot be right is put right in the segment too: the producer would find the
// ring full for ever.
func (r *ring) resumeConsumer() {
	head, tail := r.produced[ringHead].Load(), r.tail.Load()
	if head-tail > r.capacity {
		tail = head
		r.tail.Store(tail)
	}
	r.position = tail
}

// resumeProducer goes on where the brain before this one stopped. A head that
// cannot be right goes back to where the spine is.
func (r *ring) resumeProducer() {
	head, tail := r.produced[ringHead].Load(), r.tail.Load()
	if head-tail > r.capacity {
		head = tail
		r.produced[ringHead].Store(head)
	}
	r.position = head
	r.lost = r.produced[ringLost].Load()
}
