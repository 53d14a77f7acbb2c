package storage

import (
	"context"
	"errors"
	"fmt"
)

// The tables of this version. Keys are ULIDs, so that a table sorts by time,
// unless said otherwise.
const (
	TableDecisions   = "decisions"   // dancer.Decision by id; the newest are kept
	TableOutcomes    = "outcomes"    // dancer.Outcome by the decision's id; the newest are kept
	TableMarkers     = "markers"     // swarm.DecisionMarker by id; never pruned
	TableOutbox      = "outbox"      // mesh.Item by envelope id, until acknowledged
	TableInbox       = "inbox"       // ids of handled envelopes; the newest are kept
	TableEscalations = "escalations" // by the question's id
	TableRulings     = "rulings"     // by the ruling's envelope id
	TableState       = "state"       // small state by a name of the room that keeps it
	TableConflicts   = "conflicts"   // index of the log of conflicts: keys and places, no records
)

// Tables lists every table.
func Tables() []string {
	return []string{TableDecisions, TableOutcomes, TableMarkers, TableOutbox, TableInbox, TableEscalations, TableRulings, TableState, TableConflicts}
}

// Errors that every port gives.
var (
	// ErrNotFound: no such key.
	ErrNotFound = errors.New("not found")
	// ErrQueueFull: the writer does not keep up; nothing of the call was stored.
	ErrQueueFull = errors.New("write queue full")
	// ErrDuplicate: a WriteOnce whose id was handled before; nothing was stored.
	ErrDuplicate = errors.New("handled before")
	// ErrClosed: the store is closed.
	ErrClosed = errors.New("store closed")
	// ErrNoSpace: the disk is full. What was stored stays stored; the call was
	// not, and can be repeated once there is space.
	ErrNoSpace = errors.New("no space left: free space, nothing stored so far is lost")
)

// Change is one write: a value under a key, or its removal.
type Change struct {
	Table  string
	Key    string
	Value  []byte // framed, see Encode
	Delete bool   // a missing key is no error
}

// Port is what a repository needs of a store.
type Port interface {
	// Write stores all changes or none and returns when they are on the disk.
	Write(ctx context.Context, changes ...Change) error
	// Enqueue stores all changes or none, within about a second, and does not
	// wait: a crash before that loses them. ErrQueueFull is counted by the store.
	Enqueue(changes ...Change) error
	// Get gives a copy of the value, or ErrNotFound.
	Get(table, key string) ([]byte, error)
	// Range calls fn in order of the keys for from <= key < to; an empty to has
	// no end. fn may write to the store. An error of fn ends it and is returned.
	Range(table, from, to string, fn func(key string, value []byte) error) error
	// Newest calls fn for up to n keys, the highest first.
	Newest(table string, n int, fn func(key string, value []byte) error) error
	// Len is the number of keys.
	Len(table string) int
}

// Repository keeps values of one type in one table. It holds no state.
type Repository[T any] struct {
	Port    Port
	Table   string
	Kind    Kind
	Version uint16
}

// NewRepository makes a repository of version 1 records.
func NewRepository[T any](port Port, table string, kind Kind) Repository[T] {
	return Repository[T]{Port: port, Table: table, Kind: kind, Version: 1}
}

// Change encodes a write, to be combined with others in one Port.Write.
func (r Repository[T]) Change(key string, v T) (Change, error) {
	data, err := Encode(r.Kind, r.Version, v)
	return Change{Table: r.Table, Key: key, Value: data}, err
}

// Put stores v durably.
func (r Repository[T]) Put(ctx context.Context, key string, v T) error {
	change, err := r.Change(key, v)
	if err != nil {
		return err
	}
	return r.Port.Write(ctx, change)
}

// Enqueue stores v soon, without waiting.
func (r Repository[T]) Enqueue(key string, v T) error {
	change, err := r.Change(key, v)
	if err != nil {
		return err
	}
	return r.Port.Enqueue(change)
}

// Get reads one value.
func (r Repository[T]) Get(key string) (T, error) {
	data, err := r.Port.Get(r.Table, key)
	if err != nil {
		var none T
		return none, err
	}
	return r.decode(key, data)
}

// Delete removes a key durably.
func (r Repository[T]) Delete(ctx context.Context, key string) error {
	return r.Port.Write(ctx, Change{Table: r.Table, Key: key, Delete: true})
}

// Range calls fn in order of the keys for from <= key < to; an empty to has no
// end.
func (r Repository[T]) Range(from, to string, fn func(key string, v T) error) error {
	return r.Port.Range(r.Table, from, to, func(key string, data []byte) error {
		v, err := r.decode(key, data)
		if err != nil {
			return err
		}
		return fn(key, v)
	})
}

// Newest gives up to n values, the newest first.
func (r Repository[T]) Newest(n int) ([]T, error) {
	var out []T
	err := r.Port.Newest(r.Table, n, func(key string, data []byte) error {
		v, err := r.decode(key, data)
		if err == nil {
			out = append(out, v)
		}
		return err
	})
	return out, err
}

// Len is the number of values.
func (r Repository[T]) Len() int { return r.Port.Len(r.Table) }

func (r Repository[T]) decode(key string, data []byte) (T, error) {
	var v T
	if err := Decode(r.Kind, r.Version, data, &v); err != nil {
		return v, fmt.Errorf("read %s/%s: %w", r.Table, key, err)
	}
	return v, nil
}
