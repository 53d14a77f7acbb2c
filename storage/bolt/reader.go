package bolt

import (
	"bytes"
	"fmt"
	"runtime/debug"

	bolt "go.etcd.io/bbolt"

	"dancer/storage"
)

// readAtOnce bounds the records of one read transaction: a long one would keep
// freed pages from being used again.
const readAtOnce = 128

// record is a copy: nothing of the memory map leaves a transaction.
type record struct {
	key   string
	value []byte
}

// Get gives a copy of the value, or storage.ErrNotFound.
func (s *Store) Get(table, key string) (value []byte, err error) {
	err = s.view(table, func(b *bolt.Bucket) {
		if found := b.Get([]byte(key)); found != nil {
			value = bytes.Clone(found)
		}
	})
	if err == nil && value == nil {
		err = fmt.Errorf("read %s/%s: %w", table, key, storage.ErrNotFound)
	}
	return value, err
}

// Range calls fn in order of the keys for from <= key < to; an empty to has no
// end. fn may write to the store, and sees its own writes at higher keys. An
// error of fn ends it and is returned.
func (s *Store) Range(table, from, to string, fn func(key string, value []byte) error) error {
	for next := []byte(from); ; {
		var page []record
		err := s.view(table, func(b *bolt.Bucket) {
			cursor := b.Cursor()
			for k, v := cursor.Seek(next); k != nil && len(page) < readAtOnce; k, v = cursor.Next() {
				if to != "" && string(k) >= to {
					break
				}
				page = append(page, record{string(k), bytes.Clone(v)})
			}
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if err := fn(r.key, r.value); err != nil {
				return err
			}
		}
		next = append([]byte(page[len(page)-1].key), 0)
	}
}

// Newest calls fn for up to n keys, the highest first.
func (s *Store) Newest(table string, n int, fn func(key string, value []byte) error) error {
	for below := ""; n > 0; {
		var page []record
		err := s.view(table, func(b *bolt.Bucket) {
			cursor := b.Cursor()
			k, v := cursor.Last()
			if below != "" {
				cursor.Seek([]byte(below))
				k, v = cursor.Prev()
			}
			for ; k != nil && len(page) < min(n, readAtOnce); k, v = cursor.Prev() {
				page = append(page, record{string(k), bytes.Clone(v)})
			}
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if err := fn(r.key, r.value); err != nil {
				return err
			}
		}
		below, n = page[len(page)-1].key, n-len(page)
	}
	return nil
}

// Len is the number of keys of a table; 0 for an unknown one.
func (s *Store) Len(table string) int {
	n := 0
	_ = s.db.View(func(tx *bolt.Tx) error {
		n = int(readCount(tx, table).records)
		return nil
	})
	return n
}

// view runs fn on a table in a read transaction. A page that went bad under a
// running store becomes an error rather than the end of the process.
func (s *Store) view(table string, fn func(*bolt.Bucket)) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer s.suspicion(&err)
	return s.db.View(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte(table))
		if b == nil {
			return fmt.Errorf("read %s: no table %q", s.path, table)
		}
		fn(b)
		return nil
	})
}
