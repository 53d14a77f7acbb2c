package conflicts

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"dancer/mesh/conflict"
	"dancer/storage"
	"dancer/storage/segment"
)

// index finds records by time, agent, type and id. It is a table of the store,
// and only a shortcut: every answer is read from the log and checked there, and
// an index that is not of the log is made anew. Its keys:
//
//	t/TIME/INDEX, a/AGENT/TIME/INDEX, y/TYPE/TIME/INDEX, c/ID/INDEX -> segment, offset
//	head -> how far it is
//
// TIME is in nanoseconds since 1970, TIME and INDEX are in hexadecimal digits. It
// is written lazily, with whatever else the store commits.
type index struct {
	store  storage.Port
	log    *slog.Logger
	keys   uint64      // that the table must have
	behind atomic.Bool // the store has refused a change: what follows waits for the next start

	last   segment.Head // that was read at the start: the log must have that record
	newest segment.Head // that was written, perhaps not committed yet
}

const headKey = "head"

// headBytes: count, hash, keys.
const headBytes = 8 + 32 + 8

func newIndex(store storage.Port, log *slog.Logger) *index { return &index{store: store, log: log} }

// read gives how far the index is; false when it cannot be believed.
func (x *index) read() (h segment.Head, keys uint64, ok bool) {
	data, err := x.store.Get(storage.TableConflicts, headKey)
	if err != nil || len(data) != headBytes {
		return h, 0, false
	}
	h.Count = binary.LittleEndian.Uint64(data)
	copy(h.Hash[:], data[8:])
	return h, binary.LittleEndian.Uint64(data[40:]), true
}

// head is where the log ended when the index was last written: the log must not
// be shorter. nil when there is none.
func (x *index) head() *segment.Head {
	h, _, ok := x.read()
	if !ok || h.Count == 0 {
		return nil
	}
	return &h
}

// begin says from which record on the index must be filled, and whether that is
// all of it because what is there cannot be believed.
func (x *index) begin(log segment.Head) (from uint64, rebuild bool) {
	h, keys, ok := x.read()
	if ok && h.Count <= log.Count && keys == uint64(x.store.Len(storage.TableConflicts)) && (h.Count < log.Count || h.Hash == log.Hash) {
		x.keys, x.last = keys, h
		return h.Count, false
	}
	return 0, x.renew(log)
}

// renew empties the index, and says whether that is worth telling.
func (x *index) renew(log segment.Head) bool {
	found := x.store.Len(storage.TableConflicts) > 0
	if err := x.clear(); err != nil {
		x.log.Warn("clear index of conflicts", "error", err)
		x.behind.Store(true)
	}
	x.keys, x.last = 0, segment.Head{}
	return found || log.Count > 0
}

// disagrees says that a record is the index's last one, and another one there.
func (x *index) disagrees(e *segment.Entry) bool {
	return x.last.Count > 0 && e.Index == x.last.Count-1 && e.Hash != x.last.Hash
}

// clear removes every key, a bounded number at a time.
func (x *index) clear() error {
	full := errors.New("enough for one write")
	for {
		var changes []storage.Change
		err := x.store.Range(storage.TableConflicts, "", "", func(key string, _ []byte) error {
			changes = append(changes, storage.Change{Table: storage.TableConflicts, Key: key, Delete: true})
			if len(changes) >= 500 {
				return full
			}
			return nil
		})
		if err != nil && !errors.Is(err, full) {
			return err
		}
		if len(changes) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
		err = x.store.Write(ctx, changes...)
		cancel()
		if err != nil {
			return err
		}
	}
}

// add indexes one record.
func (x *index) add(at segment.Position, r *conflict.Record) {
	if x.behind.Load() {
		return
	}
	value := binary.LittleEndian.AppendUint32(nil, at.Segment)
	value = binary.LittleEndian.AppendUint64(value, uint64(at.Offset))
	when := fmt.Sprintf("%016x/%016x", max(0, r.At.UnixNano()), at.Index)
	keys := []string{"t/" + when, "a/" + r.Agent + "/" + when, "y/" + r.Type.String() + "/" + when, fmt.Sprintf("c/%s/%016x", r.ID, at.Index)}
	if r.Source != "" && r.Source != r.Agent {
		keys = append(keys, "a/"+r.Source+"/"+when)
	}
	changes := make([]storage.Change, 0, len(keys)+1)
	for _, key := range keys {
		changes = append(changes, storage.Change{Table: storage.TableConflicts, Key: key, Value: value})
	}
	if x.keys == 0 {
		x.keys = 1 // the head's own
	}
	x.keys += uint64(len(keys))
	x.enqueue(append(changes, x.headChange(segment.Head{Count: at.Index + 1, Hash: at.Hash})))
}

// trim removes what points to records before the first that is there: their
// segments were pruned.
func (x *index) trim(first uint64) {
	if x.behind.Load() {
		return
	}
	if !x.commit(x.headChange(x.newest)) { // and all that waits: the keys are counted
		return
	}
	below := fmt.Sprintf("%016x", first)
	var gone []storage.Change
	err := x.store.Range(storage.TableConflicts, "", "", func(key string, _ []byte) error {
		if at := strings.LastIndexByte(key, '/'); at >= 0 && key[at+1:] < below {
			gone = append(gone, storage.Change{Table: storage.TableConflicts, Key: key, Delete: true})
		}
		return nil
	})
	if err != nil {
		x.log.Warn("trim index of conflicts", "error", err)
		return
	}
	for len(gone) > 0 && !x.behind.Load() {
		n := min(len(gone), 500)
		x.keys -= uint64(n)
		x.commit(append(gone[:n:n], x.headChange(x.newest))...)
		gone = gone[n:]
	}
}

// commit writes changes and waits for them, with everything before.
func (x *index) commit(changes ...storage.Change) bool {
	ctx, cancel := context.WithTimeout(context.Background(), appendWithin)
	defer cancel()
	if err := x.store.Write(ctx, changes...); err != nil {
		x.behind.Store(true)
		x.log.Warn("index of conflicts: it is made up for at the next start", "error", err)
		return false
	}
	return true
}

// end says that the index has all of the log, marks and all.
func (x *index) end(log segment.Head) {
	if x.behind.Load() {
		return
	}
	if x.keys == 0 {
		x.keys = 1
	}
	x.enqueue([]storage.Change{x.headChange(log)})
}

func (x *index) headChange(h segment.Head) storage.Change {
	x.newest = h
	data := binary.LittleEndian.AppendUint64(nil, h.Count)
	data = append(data, h.Hash[:]...)
	data = binary.LittleEndian.AppendUint64(data, x.keys)
	return storage.Change{Table: storage.TableConflicts, Key: headKey, Value: data}
}

func (x *index) enqueue(changes []storage.Change) {
	if err := x.write(changes); err != nil {
		x.behind.Store(true)
		x.log.Warn("index of conflicts: it is made up for at the next start", "error", err)
	}
}

func (x *index) write(changes []storage.Change) error {
	err := x.store.Enqueue(changes...)
	for tries := 0; errors.Is(err, storage.ErrQueueFull) && tries < 50; tries++ {
		time.Sleep(20 * time.Millisecond) // the keeper's goroutine alone waits here
		err = x.store.Enqueue(changes...)
	}
	return err
}

// place is where a record is by the index.
type place struct {
	index   uint64
	segment uint32
	offset  int64
}

// find visits the places of records that may match, the newest first; the visitor
// says whether to go on.
func (x *index) find(q *Query, visit func(place) bool) error {
	from, to := "", "~"
	prefix := "t/"
	switch {
	case q.ID != "":
		prefix = "c/" + q.ID + "/"
	case q.Agent != "":
		prefix = "a/" + q.Agent + "/"
	case q.Type.Valid():
		prefix = "y/" + q.Type.String() + "/"
	}
	if q.ID == "" {
		from = fmt.Sprintf("%016x", max(0, q.Since.UnixNano()))
		if q.Since.IsZero() {
			from = ""
		}
		if !q.Until.IsZero() {
			to = fmt.Sprintf("%016x", max(0, q.Until.UnixNano()))
		}
	}
	var places []place
	err := x.store.Range(storage.TableConflicts, prefix+from, prefix+to, func(key string, value []byte) error {
		digits := key[strings.LastIndexByte(key, '/')+1:]
		p := place{}
		if _, err := fmt.Sscanf(digits, "%x", &p.index); err != nil || len(value) != 12 {
			return fmt.Errorf("key %q of the index: %w", key, segment.ErrDamaged)
		}
		p.segment, p.offset = binary.LittleEndian.Uint32(value), int64(binary.LittleEndian.Uint64(value[4:]))
		places = append(places, p)
		return nil
	})
	if err != nil {
		return err
	}
	for i := len(places) - 1; i >= 0; i-- {
		if !visit(places[i]) {
			return nil
		}
	}
	return nil
}
