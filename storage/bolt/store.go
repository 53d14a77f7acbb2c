package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"dancer/storage"
)

// Limit bounds a table: the oldest keys go when either is passed. Zero is no
// bound.
type Limit struct {
	Records int   // number of keys
	Bytes   int64 // sum of the values' lengths
}

// Options of OpenWith. The zero value is the default.
type Options struct {
	// MaxBytes bounds the file; default 512 MiB, so that a 32-bit board can map
	// it. Writes past it fail and lose nothing.
	MaxBytes int64
	// QueueRequests bounds the calls that wait for the writer; default 4096.
	// Enqueue refuses past it, Write waits until its context ends.
	QueueRequests int
	// LazyDelay is how long Enqueue may wait for company; default 1 s. It trades
	// wear of the card (25 KB a commit) against what a crash can lose.
	LazyDelay time.Duration
	// Limits per table; default DefaultLimits.
	Limits map[string]Limit
	// Log takes what the store repairs and every kind of write error once;
	// default none.
	Log *slog.Logger
}

// DefaultLimits are the bounds of the tables that grow by themselves.
func DefaultLimits() map[string]Limit {
	return map[string]Limit{
		storage.TableDecisions: {Records: 100_000, Bytes: 192 << 20},
		storage.TableOutcomes:  {Records: 100_000, Bytes: 64 << 20},
		storage.TableInbox:     {Records: 50_000},
	}
}

// Counters of a store since it was opened.
type Counters struct {
	Commits  uint64 // transactions written
	Changes  uint64 // changes in them
	Refused  uint64 // changes that Enqueue refused because the queue was full
	Failed   uint64 // changes that a failed commit did not store
	Pruned   uint64 // keys removed by a Limit
	Waiting  int    // changes in the queue now
	CopiedAt time.Time
}

// Store is an open data file. All methods are safe for use by several
// goroutines.
type Store struct {
	path    string
	options Options
	log     *slog.Logger
	db      *bolt.DB
	lock    *os.File
	notes   []string

	requests chan request  // durable writes
	stop     chan struct{} // closed by Close
	closing  sync.RWMutex  // held shared while a request is put into a queue
	closed   bool
	joined   sync.WaitGroup // writer and copier

	waiting   atomic.Int64
	counters  counters
	outbox    *Outbox
	lastError string // of the writer goroutine
}

type counters struct{ commits, changes, refused, failed, pruned, copied atomic.Uint64 }

var _ storage.Port = (*Store)(nil)

// Open opens dir/name with the default options; see OpenWith.
func Open(dir, name string) (*Store, error) { return OpenWith(dir, name, Options{}) }

// OpenWith makes dir if need be, locks it, and opens or creates the file name in
// it. A damaged file is set aside and the copy of the day before restored; Notes
// says so. The errors name the cure: ErrInUse if another process works in dir,
// storage.ErrNoSpace if the disk is full.
func OpenWith(dir, name string, o Options) (*Store, error) {
	o = o.withDefaults()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make data folder: %w", err)
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	db, notes, err := openFile(path, o.MaxBytes, time.Now())
	if err == nil {
		err = writeError(path, ensureTables(db))
	}
	if err != nil {
		if db != nil {
			err = errors.Join(err, db.Close())
		}
		return nil, errors.Join(err, lock.Close())
	}
	s := &Store{
		path: path, options: o, log: o.Log, db: db, lock: lock, notes: notes,
		requests: make(chan request, o.QueueRequests), stop: make(chan struct{}),
	}
	for _, note := range notes {
		s.log.Warn(note)
	}
	s.outbox, err = newOutbox(s)
	if err != nil {
		return nil, errors.Join(err, db.Close(), lock.Close())
	}
	s.joined.Add(2)
	go s.write()
	go s.keepCopy()
	return s, nil
}

// ensureTables adds the tables that a file of an earlier version lacks; it
// writes nothing when none is missing, so that a full disk still opens.
func ensureTables(db *bolt.DB) error {
	missing := false
	err := db.View(func(tx *bolt.Tx) error {
		for _, table := range append(storage.Tables(), tableCounts) {
			missing = missing || tx.Bucket([]byte(table)) == nil
		}
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return makeTables(db)
}

func (o Options) withDefaults() Options {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 512 << 20
	}
	if o.QueueRequests <= 0 {
		o.QueueRequests = 4096
	}
	if o.LazyDelay <= 0 {
		o.LazyDelay = time.Second
	}
	if o.Limits == nil {
		o.Limits = DefaultLimits()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Path of the data file.
func (s *Store) Path() string { return s.path }

// Notes says what Open had to repair, one sentence each; usually none.
func (s *Store) Notes() []string { return s.notes }

// Counters gives a snapshot.
func (s *Store) Counters() Counters {
	c := Counters{
		Commits: s.counters.commits.Load(), Changes: s.counters.changes.Load(), Refused: s.counters.refused.Load(),
		Failed: s.counters.failed.Load(), Pruned: s.counters.pruned.Load(), Waiting: int(s.waiting.Load()),
	}
	if at := s.counters.copied.Load(); at != 0 {
		c.CopiedAt = time.Unix(int64(at), 0)
	}
	return c
}

// Close stores what is queued, joins the goroutines and gives up the lock.
// Later calls give storage.ErrClosed.
func (s *Store) Close() error {
	s.closing.Lock()
	if s.closed {
		s.closing.Unlock()
		return storage.ErrClosed
	}
	s.closed = true
	s.closing.Unlock()
	close(s.stop)
	s.joined.Wait()
	return errors.Join(s.db.Close(), s.lock.Close())
}

// Write stores all changes or none and returns when they are on the disk.
// Several callers share one commit. If the context ends first the changes may
// or may not be stored.
func (s *Store) Write(ctx context.Context, changes ...storage.Change) error {
	return s.submit(ctx, request{changes: changes, done: make(chan error, 1)})
}

// WriteOnce is Write, once per id: it stores the id in the inbox together with
// the changes, or gives storage.ErrDuplicate and stores nothing when the id is
// there already. With it an at-least-once message has its effect exactly once.
func (s *Store) WriteOnce(ctx context.Context, id string, changes ...storage.Change) error {
	return s.submit(ctx, request{once: id, changes: changes, done: make(chan error, 1)})
}

// Handled says whether WriteOnce has stored the id.
func (s *Store) Handled(id string) bool {
	_, err := s.Get(storage.TableInbox, id)
	return err == nil
}

// Put is Write of one value; the channel gives its result once.
func (s *Store) Put(table, key string, value []byte) <-chan error {
	r := request{changes: []storage.Change{{Table: table, Key: key, Value: value}}, done: make(chan error, 1)}
	if err := s.queue(context.Background(), r); err != nil {
		r.done <- err
	}
	return r.done
}

// Enqueue stores all changes or none within Options.LazyDelay, or with the next
// Write, and does not wait. It gives storage.ErrQueueFull, counted, when the
// disk does not keep up; a crash before the commit loses the changes.
func (s *Store) Enqueue(changes ...storage.Change) error {
	if err := checkChanges(changes); err != nil {
		return err
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	select {
	case s.requests <- request{changes: changes}:
		s.waiting.Add(int64(len(changes)))
		return nil
	default:
		s.counters.refused.Add(uint64(len(changes)))
		return storage.ErrQueueFull
	}
}

// Flush commits what Enqueue has taken so far.
func (s *Store) Flush(ctx context.Context) error {
	return s.submit(ctx, request{done: make(chan error, 1)})
}

func (s *Store) submit(ctx context.Context, r request) error {
	if err := s.queue(ctx, r); err != nil {
		return err
	}
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("write %s: %w", s.path, context.Cause(ctx))
	}
}

func (s *Store) queue(ctx context.Context, r request) error {
	if err := checkChanges(r.changes); err != nil {
		return err
	}
	s.closing.RLock()
	defer s.closing.RUnlock()
	if s.closed {
		return storage.ErrClosed
	}
	select {
	case s.requests <- r:
		s.waiting.Add(int64(len(r.changes)))
		return nil
	case <-ctx.Done():
		return fmt.Errorf("write %s: %w", s.path, context.Cause(ctx))
	}
}
