package bolt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"dancer/mesh"
	"dancer/storage"
)

// OutboxItems bounds the outbox: about 20 MB of escalations, a day's worth at
// one a minute.
const OutboxItems = 2000

// ErrOutboxFull says that OutboxItems messages wait for their acknowledgement.
var ErrOutboxFull = errors.New("outbox full")

// Outbox keeps the messages that must arrive until they are acknowledged. All
// methods are safe for use by several goroutines.
type Outbox struct {
	store *Store
	items storage.Repository[mesh.Item]
	mutex sync.Mutex
	ids   []string // in order of the ids, which is that of their making
}

// Outbox gives the store's outbox.
func (s *Store) Outbox() *Outbox { return s.outbox }

func newOutbox(s *Store) (*Outbox, error) {
	o := &Outbox{store: s, items: storage.NewRepository[mesh.Item](s, storage.TableOutbox, storage.KindItem)}
	err := s.Range(storage.TableOutbox, "", "", func(id string, _ []byte) error {
		o.ids = append(o.ids, id)
		return nil
	})
	return o, err
}

// Put stores an item durably, together with other changes if any are given (the
// question that the item carries, say). The same id again replaces it.
func (o *Outbox) Put(ctx context.Context, item mesh.Item, with ...storage.Change) error {
	change, err := o.items.Change(item.ID, item)
	if err != nil {
		return err
	}
	if err := o.reserve(item.ID); err != nil {
		return err
	}
	if err := o.store.Write(ctx, append(with, change)...); err != nil {
		// The write may still be under way: only a definite failure frees the id.
		if ctx.Err() == nil {
			o.forget(item.ID)
		}
		return err
	}
	return nil
}

func (o *Outbox) reserve(id string) error {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	at, found := slices.BinarySearch(o.ids, id)
	if found {
		return nil
	}
	if len(o.ids) >= OutboxItems {
		return fmt.Errorf("%w: %d messages wait for their acknowledgement: check the broker and the conductor", ErrOutboxFull, len(o.ids))
	}
	o.ids = slices.Insert(o.ids, at, id)
	return nil
}

func (o *Outbox) forget(id string) bool {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	at, found := slices.BinarySearch(o.ids, id)
	if found {
		o.ids = slices.Delete(o.ids, at, at+1)
	}
	return found
}

// Get reads one item; storage.ErrNotFound when it is not in the outbox.
func (o *Outbox) Get(id string) (mesh.Item, error) { return o.items.Get(id) }

// IDs lists the ids of what waits, the oldest first.
func (o *Outbox) IDs() []string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return slices.Clone(o.ids)
}

// Pending reads everything that waits, the oldest first.
func (o *Outbox) Pending() []mesh.Item {
	var out []mesh.Item
	for _, id := range o.IDs() {
		if item, err := o.Get(id); err == nil {
			out = append(out, item)
		}
	}
	return out
}

// Remove takes an acknowledged item out. It does not wait for the disk: if a
// crash undoes it the item is sent once more, and the receiver knows its id.
func (o *Outbox) Remove(id string) error {
	if !o.forget(id) {
		return nil
	}
	return o.store.Enqueue(storage.Change{Table: storage.TableOutbox, Key: id, Delete: true})
}

// Len is the number of items that wait.
func (o *Outbox) Len() int {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	return len(o.ids)
}
