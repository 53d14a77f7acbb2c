package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime/debug"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"dancer/storage"
)

// Bounds on one commit: large enough to group a burst, small enough that the
// pages of one transaction stay a few megabytes.
const (
	commitRequests = 1024
	pruneAtOnce    = 2 * commitRequests
)

// tableCounts holds, per table, its number of keys and bytes, so that neither
// needs a walk.
const tableCounts = "_counts"

// countBytes: records, bytes, CRC-32 of both.
const countBytes = 20

// handled is the value of an inbox key: presence is all that counts.
var handled = []byte{1}

// request is one all-or-nothing set of changes.
type request struct {
	once    string // inbox id that must be new; "" for none
	changes []storage.Change
	done    chan error // nil for lazy ones; capacity 1
}

func checkChanges(changes []storage.Change) error {
	for _, c := range changes {
		switch {
		case !slices.Contains(storage.Tables(), c.Table):
			return fmt.Errorf("write: no table %q", c.Table)
		case c.Key == "" || len(c.Key) > 512:
			return fmt.Errorf("write %s: key of %d bytes: 1 to 512 are allowed", c.Table, len(c.Key))
		case len(c.Value) > storage.MaxRecordBytes:
			return fmt.Errorf("write %s/%s: %d bytes, the limit is %d", c.Table, c.Key, len(c.Value), storage.MaxRecordBytes)
		}
	}
	return nil
}

// write is the one goroutine that commits. It takes a durable request at once,
// together with everything else that waits by then; lazy ones alone wait for
// LazyDelay. While one commit syncs, the next group gathers. The order of the
// calls is the order of their effects.
func (s *Store) write() {
	defer s.joined.Done()
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	var group []request
	for {
		select {
		case r := <-s.requests:
			group = append(group, r)
			switch {
			case r.done != nil || len(group) >= commitRequests:
				timer.Stop()
				group = s.commit(s.gather(group))
			case len(group) == 1:
				timer.Reset(s.options.LazyDelay)
			}
		case <-timer.C:
			group = s.commit(s.gather(group))
		case <-s.stop:
			for group = s.gather(group); len(group) > 0; group = s.gather(group) {
				group = s.commit(group)
			}
			return
		}
	}
}

// gather adds what waits now, up to the bound of one commit.
func (s *Store) gather(group []request) []request {
	for len(group) < commitRequests {
		select {
		case r := <-s.requests:
			group = append(group, r)
		default:
			return group
		}
	}
	return group
}

// commit stores a group in one transaction and answers each request. It returns
// the emptied slice for reuse.
func (s *Store) commit(group []request) []request {
	if len(group) == 0 {
		return group
	}
	results := make([]error, len(group))
	err := s.transact(func(t *transaction) error {
		for i, r := range group {
			if results[i] = t.apply(r); results[i] != nil && !errors.Is(results[i], storage.ErrDuplicate) {
				return results[i]
			}
		}
		return s.prune(t)
	})
	err = writeError(s.path, err)
	stored := 0
	for i, r := range group {
		s.waiting.Add(-int64(len(r.changes)))
		result := results[i]
		if err != nil {
			result = err
			s.counters.failed.Add(uint64(len(r.changes)))
		} else {
			stored += len(r.changes)
		}
		if r.done != nil {
			r.done <- result
		}
	}
	s.counters.commits.Add(1)
	s.counters.changes.Add(uint64(stored))
	s.report(err)
	clear(group)
	return group[:0]
}

// report logs the first of a row of equal write errors, and the recovery.
func (s *Store) report(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == s.lastError {
		return
	}
	s.lastError = text
	if err != nil {
		s.log.Error(text)
	} else {
		s.log.Info("storage works again", "file", s.path)
	}
}

// transaction is one commit with the counts of the tables it touched.
type transaction struct {
	tx     *bolt.Tx
	counts map[string]*count
}

type count struct{ records, bytes int64 }

func (s *Store) transact(fn func(*transaction) error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.suspicion(&err)
	return s.db.Update(func(tx *bolt.Tx) error {
		t := &transaction{tx: tx, counts: map[string]*count{}}
		if err := fn(t); err != nil {
			return err
		}
		return t.saveCounts()
	})
}

// apply makes the changes of one request inside the transaction.
func (t *transaction) apply(r request) error {
	if r.once != "" {
		if t.tx.Bucket([]byte(storage.TableInbox)).Get([]byte(r.once)) != nil {
			return storage.ErrDuplicate
		}
		if err := t.put(storage.TableInbox, []byte(r.once), handled); err != nil {
			return err
		}
	}
	for _, c := range r.changes {
		var err error
		if c.Delete {
			err = t.remove(c.Table, []byte(c.Key))
		} else {
			err = t.put(c.Table, []byte(c.Key), c.Value)
		}
		if err != nil {
			return fmt.Errorf("%s/%s: %w", c.Table, c.Key, err)
		}
	}
	return nil
}

func (t *transaction) put(table string, key, value []byte) error {
	bucket, n := t.tx.Bucket([]byte(table)), t.count(table)
	if old := bucket.Get(key); old != nil {
		n.records, n.bytes = n.records-1, n.bytes-int64(len(old))
	}
	n.records, n.bytes = n.records+1, n.bytes+int64(len(value))
	return bucket.Put(key, value)
}

func (t *transaction) remove(table string, key []byte) error {
	bucket, n := t.tx.Bucket([]byte(table)), t.count(table)
	if old := bucket.Get(key); old != nil {
		n.records, n.bytes = n.records-1, n.bytes-int64(len(old))
	}
	return bucket.Delete(key)
}

func (t *transaction) count(table string) *count {
	if n := t.counts[table]; n != nil {
		return n
	}
	n := readCount(t.tx, table)
	t.counts[table] = &n
	return &n
}

func readCount(tx *bolt.Tx, table string) count {
	data := tx.Bucket([]byte(tableCounts)).Get([]byte(table))
	if len(data) != countBytes || binary.LittleEndian.Uint32(data[16:]) != crc32.ChecksumIEEE(data[:16]) {
		return recount(tx, table)
	}
	return count{int64(binary.LittleEndian.Uint64(data)), int64(binary.LittleEndian.Uint64(data[8:]))}
}

// recount walks a table whose count is missing or damaged: a wrong one would
// prune what must stay.
func recount(tx *bolt.Tx, table string) (n count) {
	if bucket := tx.Bucket([]byte(table)); bucket != nil {
		_ = bucket.ForEach(func(_, value []byte) error {
			n.records, n.bytes = n.records+1, n.bytes+int64(len(value))
			return nil
		})
	}
	return n
}

func (t *transaction) saveCounts() error {
	for table, n := range t.counts {
		data := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, uint64(n.records)), uint64(n.bytes))
		data = binary.LittleEndian.AppendUint32(data, crc32.ChecksumIEEE(data))
		if err := t.tx.Bucket([]byte(tableCounts)).Put([]byte(table), data); err != nil {
			return err
		}
	}
	return nil
}

// prune removes the oldest keys of the tables that this commit pushed over
// their limit, a bounded number a commit.
func (s *Store) prune(t *transaction) error {
	for table, limit := range s.options.Limits {
		if t.counts[table] == nil {
			continue
		}
		n := t.count(table)
		cursor := t.tx.Bucket([]byte(table)).Cursor()
		for removed := 0; removed < pruneAtOnce && limit.exceeded(*n); removed++ {
			key, value := cursor.First()
			if key == nil {
				break
			}
			n.records, n.bytes = n.records-1, n.bytes-int64(len(value))
			if err := cursor.Delete(); err != nil {
				return err
			}
			s.counters.pruned.Add(1)
		}
	}
	return nil
}

func (l Limit) exceeded(n count) bool {
	return l.Records > 0 && n.records > int64(l.Records) || l.Bytes > 0 && n.bytes > l.Bytes
}
