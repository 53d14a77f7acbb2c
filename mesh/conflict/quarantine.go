package conflict

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// QuarantineLimits bound a quarantine. The zero value is the default.
type QuarantineLimits struct {
	Items     int // default 256
	Bytes     int // of all content, default 1 MiB
	ItemBytes int // of one, default 64 KiB: more is kept by its hash alone
}

// Held is something that was received and must not act.
type Held struct {
	Number uint64 // for Release and Discard
	Key    Key    // of its conflict
	Source uint32 // who sent it
	At     time.Duration
	Size   int               // of what was received
	Hash   [sha256.Size]byte // of what was received
	Data   []byte            // nil: too large to be kept
}

// QuarantineCounters say what a quarantine did since it was made.
type QuarantineCounters struct {
	Held      uint64 // items taken
	HashOnly  uint64 // of them kept by their hash alone
	Full      uint64 // refused: no room
	Share     uint64 // refused: their source had its share
	Released  uint64
	Discarded uint64
	Items     int // now
	Bytes     int // now
}

// Quarantine keeps what conflicts brought until somebody decides. Nothing leaves
// it by itself, not even to make room: who floods it fills an eighth of it, and
// what came before stays evidence. It is not safe for concurrent use.
type Quarantine struct {
	limits   QuarantineLimits
	items    []Held // by number
	next     uint64
	bytes    int
	counters QuarantineCounters
}

// NewQuarantine makes one.
func NewQuarantine(l QuarantineLimits) *Quarantine {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Items, 256)
	set(&l.Bytes, 1<<20)
	set(&l.ItemBytes, 64<<10)
	return &Quarantine{limits: l}
}

// HashOnly describes content that is not held.
func HashOnly(data []byte) Held { return Held{Size: len(data), Hash: sha256.Sum256(data)} }

// Hold takes what a conflict brought. The same conflict again is held once: it
// gives what is there. It copies data.
func (q *Quarantine) Hold(now time.Duration, k Key, source uint32, data []byte) (Held, error) {
	if i := slices.IndexFunc(q.items, func(h Held) bool { return h.Key == k }); i >= 0 {
		return q.items[i], nil
	}
	if len(q.items) >= q.limits.Items {
		q.counters.Full++
		return Held{}, fmt.Errorf("quarantine: %w: %d items wait for a decision", ErrFull, len(q.items))
	}
	if q.countOf(source) >= max(1, q.limits.Items/8) {
		q.counters.Share++
		return Held{}, fmt.Errorf("quarantine: %w", ErrShare)
	}
	q.next++
	h := Held{Number: q.next, Key: k, Source: source, At: now, Size: len(data), Hash: sha256.Sum256(data)}
	if len(data) <= q.limits.ItemBytes && q.bytes+len(data) <= q.limits.Bytes {
		h.Data = bytes.Clone(data)
		q.bytes += len(data)
	} else {
		q.counters.HashOnly++
	}
	q.counters.Held++
	q.items = append(q.items, h)
	return h, nil
}

func (q *Quarantine) countOf(source uint32) (n int) {
	for i := range q.items {
		if q.items[i].Source == source {
			n++
		}
	}
	return n
}

// Release gives something back to act, by somebody's decision.
func (q *Quarantine) Release(number uint64, by string) (Held, error) {
	h, err := q.decide(number, by)
	if err == nil {
		q.counters.Released++
	}
	return h, err
}

// Discard drops something, by somebody's decision.
func (q *Quarantine) Discard(number uint64, by string) (Held, error) {
	h, err := q.decide(number, by)
	if err == nil {
		q.counters.Discarded++
	}
	return h, err
}

func (q *Quarantine) decide(number uint64, by string) (Held, error) {
	if strings.TrimSpace(by) == "" {
		return Held{}, ErrNobody
	}
	i, found := slices.BinarySearchFunc(q.items, number, func(h Held, n uint64) int {
		switch {
		case h.Number < n:
			return -1
		case h.Number > n:
			return 1
		}
		return 0
	})
	if !found {
		return Held{}, fmt.Errorf("quarantine: %w: number %d", ErrUnknown, number)
	}
	h := q.items[i]
	q.bytes -= len(h.Data)
	q.items = slices.Delete(q.items, i, i+1)
	return h, nil
}

// Of gives what a conflict brought.
func (q *Quarantine) Of(k Key) (Held, bool) {
	for i := range q.items {
		if q.items[i].Key == k {
			return q.items[i], true
		}
	}
	return Held{}, false
}

// Items appends what is held, the oldest first.
func (q *Quarantine) Items(to []Held) []Held { return append(to, q.items...) }

// Counters gives a snapshot.
func (q *Quarantine) Counters() QuarantineCounters {
	c := q.counters
	c.Items, c.Bytes = len(q.items), q.bytes
	return c
}
