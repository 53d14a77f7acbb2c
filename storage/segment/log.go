package segment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Options of Open. The zero value is the default.
type Options struct {
	// Head is the path of the head; default HeadOf the folder.
	Head string
	// Known is the newest head that is noted elsewhere, as in the index: the log
	// must reach it. nil: none.
	Known *Head
	// SegmentBytes is the length at which a new segment begins; default 4 MiB, at
	// most 32 MiB, because a segment is checked in memory.
	SegmentBytes int64
	// MaxBytes bounds all segments together; default 1 GiB. The oldest go, and a mark
	// in the log says which.
	MaxBytes int64
	// QueueRequests bounds the calls that wait for the writer; default 1024.
	QueueRequests int
	// Log takes what the log repairs, and every kind of write error once; default none.
	Log *slog.Logger

	// files makes files; tests put faults there.
	files files
}

// file is what the writer needs of one.
type file interface {
	io.WriterAt
	Sync() error
	Truncate(size int64) error
	Close() error
}

// files is what the writer needs of a file system.
type files interface {
	open(path string) (file, error)   // that exists, or is made
	create(path string) (file, error) // that must not exist
	remove(path string) error
	syncFolder(dir string) error
}

// Counters of a log since it was opened.
type Counters struct {
	Appended uint64 // records of the owner that are stored
	Commits  uint64 // writes that were synced; each may have many records
	Failed   uint64 // records that a failed write did not store
	Rotated  uint64 // segments begun
	Pruned   uint64 // segments removed for MaxBytes
	Waiting  int    // calls in the queue now
}

// Log is an open log. Its methods are safe for use by several goroutines.
type Log struct {
	dir     string
	options Options
	log     *slog.Logger
	lock    *os.File
	notes   []string

	requests chan request
	stop     chan struct{}
	stopped  chan struct{} // closed when the writer has ended
	closing  sync.RWMutex
	closed   bool
	ended    error // of the writer; read after stopped

	head     atomic.Pointer[Head]
	first    atomic.Uint64
	counters struct{ appended, commits, failed, rotated, pruned, waiting atomic.Uint64 }

	w writer // of the writer goroutine
}

// Position of a stored record.
type Position struct {
	Index   uint64
	Segment uint32
	Offset  int64
	Hash    Hash
}

type request struct {
	payload []byte
	done    chan result // capacity 1
}

type result struct {
	at  Position
	err error
}

// Bounds on one commit.
const (
	commitRequests = 512
	commitBytes    = 1 << 20
)

// Open opens the log in a folder, or makes one, and repairs what a power cut has
// left; Notes says what. Of several processes one may have it open: ErrInUse.
func Open(dir string, o Options) (*Log, error) {
	o = o.withDefaults(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make folder of the log: %w", writeError(dir, err))
	}
	lock, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	l := &Log{
		dir: dir, options: o, log: o.Log, lock: lock,
		requests: make(chan request, o.QueueRequests), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	l.w = writer{log: l, hasher: newHasher()}
	if err := l.w.recover(); err != nil {
		return nil, errors.Join(err, l.w.close(), lock.Close())
	}
	for _, note := range l.notes {
		l.log.Warn(note)
	}
	go l.write()
	return l, nil
}

func (o Options) withDefaults(dir string) Options {
	if o.Head == "" {
		o.Head = HeadOf(dir)
	}
	if o.SegmentBytes <= 0 {
		o.SegmentBytes = 4 << 20
	}
	o.SegmentBytes = min(o.SegmentBytes, maxSegmentBytes/2)
	if o.MaxBytes <= 0 {
		o.MaxBytes = 1 << 30
	}
	if o.QueueRequests <= 0 {
		o.QueueRequests = 1024
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.files == nil {
		o.files = disk{}
	}
	return o
}

// lockFolder takes the folder for one writer. The kernel frees it when the
// process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock log: %w", writeError(path, err))
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		cause := fmt.Errorf("lock log %s: %w", dir, err)
		if errors.Is(err, unix.EWOULDBLOCK) {
			cause = fmt.Errorf("%w: another process writes to %s", ErrInUse, dir)
		}
		return nil, errors.Join(cause, f.Close())
	}
	return f, nil
}

// Append stores a record and returns when it is on the disk, together with what
// others append at the time. When the context ends first the error is ErrDeadline
// and the record may or may not be stored. Any other error means that it is not,
// and that the call can be repeated. The payload must not change until it returns.
func (l *Log) Append(ctx context.Context, payload []byte) (Position, error) {
	if len(payload) == 0 || len(payload) > MaxPayloadBytes {
		return Position{}, fmt.Errorf("append %d bytes: %w", len(payload), ErrTooLarge)
	}
	r := request{payload: payload, done: make(chan result, 1)}
	if err := l.queue(ctx, r); err != nil {
		return Position{}, err
	}
	select {
	case result := <-r.done:
		return result.at, result.err
	case <-ctx.Done():
		return Position{}, fmt.Errorf("append to %s: %w (%w)", l.dir, ErrDeadline, context.Cause(ctx))
	}
}

func (l *Log) queue(ctx context.Context, r request) error {
	l.closing.RLock()
	defer l.closing.RUnlock()
	if l.closed {
		return ErrClosed
	}
	select {
	case l.requests <- r:
		l.counters.waiting.Add(1)
		return nil
	case <-ctx.Done():
		return fmt.Errorf("append to %s: the queue of %d is full: %w", l.dir, cap(l.requests), context.Cause(ctx))
	}
}

// Head is where the log ends by what is on the disk.
func (l *Log) Head() Head { return *l.head.Load() }

// First is the index of the oldest record that is there.
func (l *Log) First() uint64 { return l.first.Load() }

// Dir is the log's folder.
func (l *Log) Dir() string { return l.dir }

// Notes says what Open had to repair, one sentence each; usually none.
func (l *Log) Notes() []string { return l.notes }

// Counters gives a snapshot.
func (l *Log) Counters() Counters {
	c := &l.counters
	return Counters{Appended: c.appended.Load(), Commits: c.commits.Load(), Failed: c.failed.Load(),
		Rotated: c.rotated.Load(), Pruned: c.pruned.Load(), Waiting: int(c.waiting.Load())}
}

// Close stores what is queued and ends the writer. On a hung disk it gives
// ErrDeadline when the context ends; the writer ends when the disk answers.
func (l *Log) Close(ctx context.Context) error {
	l.closing.Lock()
	if l.closed {
		l.closing.Unlock()
		return ErrClosed
	}
	l.closed = true
	l.closing.Unlock()
	close(l.stop)
	select {
	case <-l.stopped:
		return l.ended
	case <-ctx.Done():
		return fmt.Errorf("close %s: %w", l.dir, ErrDeadline)
	}
}

// write is the one goroutine that writes. While one commit syncs, the next group
// gathers.
func (l *Log) write() {
	defer close(l.stopped)
	var group []request
	for {
		select {
		case r := <-l.requests:
			group = l.commit(l.gather(append(group, r)))
		case <-l.stop:
			for group = l.gather(group); len(group) > 0; group = l.gather(group) {
				group = l.commit(group)
			}
			l.ended = errors.Join(l.w.close(), l.lock.Close())
			return
		}
	}
}

// gather adds what waits now, up to the bound of one commit.
func (l *Log) gather(group []request) []request {
	size := 0
	for _, r := range group {
		size += len(r.payload)
	}
	for len(group) < commitRequests && size < commitBytes {
		select {
		case r := <-l.requests:
			group = append(group, r)
			size += len(r.payload)
		default:
			return group
		}
	}
	return group
}

// commit stores a group or none of it and answers each call.
func (l *Log) commit(group []request) []request {
	at, err := l.w.commit(group)
	if err != nil {
		l.counters.failed.Add(uint64(len(group)))
	} else {
		l.counters.appended.Add(uint64(len(group)))
		l.counters.commits.Add(1)
	}
	l.counters.waiting.Add(^uint64(len(group) - 1))
	for i, r := range group {
		if err != nil {
			r.done <- result{err: err}
		} else {
			r.done <- result{at: at[i]}
		}
	}
	clear(group)
	return group[:0]
}

// writer is the state of the writer goroutine.
type writer struct {
	log    *Log
	hasher *hasher

	current  file
	head     headFile
	segments []segmentState // of the files that are there, the current one last
	size     int64          // of the current file: what is acknowledged
	next     uint64
	hash     Hash
	broken   bool   // a write failed: what is behind size is not known
	marks    []Mark // that wait to be written
	buffer   []byte
	at       []Position
	pruneTo  uint32 // segments before this one go: a mark says so
	last     string // error that was told last
}

type segmentState struct {
	number uint32
	first  uint64
	size   int64
}

func (w *writer) number() uint32 { return w.segments[len(w.segments)-1].number }

// commit writes the marks that wait and the group. On an error nothing of the
// group is stored, or what is will be cut off before the next write.
func (w *writer) commit(group []request) ([]Position, error) {
	err := w.store(group)
	if err != nil {
		w.broken = true
		err = writeError(w.log.dir, err)
	}
	w.tell(err)
	return w.at, err
}

func (w *writer) store(group []request) error {
	if err := w.heal(); err != nil {
		return err
	}
	if w.size > headerBytes && w.size+int64(w.estimate(group)) > w.log.options.SegmentBytes {
		if err := w.rotate(); err != nil {
			return err
		}
	}
	number, next, hash := w.number(), w.next, w.hash
	w.buffer, w.at = w.buffer[:0], w.at[:0]
	add := func(kind uint8, payload []byte) Position {
		hash = w.hasher.next(&hash, next, kind, payload)
		p := Position{Index: next, Segment: number, Offset: w.size + int64(len(w.buffer)), Hash: hash}
		w.buffer = appendRecord(w.buffer, next, kind, &hash, payload)
		next++
		return p
	}
	for _, m := range w.marks {
		payload, err := json.Marshal(m)
		if err != nil {
			return err
		}
		add(KindMark, payload)
	}
	for _, r := range group {
		w.at = append(w.at, add(KindData, r.payload))
	}
	if _, err := w.current.WriteAt(w.buffer, w.size); err != nil {
		return err
	}
	if err := w.current.Sync(); err != nil {
		return err
	}
	head := Head{Count: next, Segment: number, Hash: hash}
	if err := w.head.write(head); err != nil {
		return err
	}
	w.size, w.next, w.hash, w.marks = w.size+int64(len(w.buffer)), next, hash, nil
	w.segments[len(w.segments)-1].size = w.size
	w.log.head.Store(&head)
	w.prune()
	return nil
}

func (w *writer) estimate(group []request) (n int) {
	for _, r := range group {
		n += recordBytes + len(r.payload)
	}
	return n + len(w.marks)*(recordBytes+256)
}

// heal cuts off what a failed write may have left. Pages that a failed sync has
// not written are not trusted again: they are written anew.
func (w *writer) heal() error {
	if !w.broken {
		return nil
	}
	// The head may name already what is cut off: both slots, and before it is, lest a
	// power cut between the two looks like a loss.
	for range 2 {
		if err := w.head.write(Head{Count: w.next, Segment: w.number(), Hash: w.hash}); err != nil {
			return err
		}
	}
	if err := w.current.Truncate(w.size); err != nil {
		return err
	}
	if err := w.current.Sync(); err != nil {
		return err
	}
	w.broken = false
	return nil
}

// rotate begins a new segment.
func (w *writer) rotate() error {
	number := w.number() + 1
	f, err := w.begin(number, w.next, w.hash)
	if err != nil {
		return err
	}
	old := w.current
	w.current, w.size = f, headerBytes
	w.segments = append(w.segments, segmentState{number, w.next, headerBytes})
	w.log.counters.rotated.Add(1)
	w.planPrune()
	return old.Close()
}

// begin makes the file of a segment.
func (w *writer) begin(number uint32, first uint64, before Hash) (file, error) {
	files, path := w.log.options.files, filepath.Join(w.log.dir, segmentName(number))
	if info, err := os.Stat(path); err == nil && info.Size() <= headerBytes {
		if err := files.remove(path); err != nil { // left by a try that failed: no record is in it
			return nil, err
		}
	}
	f, err := files.create(path)
	if err != nil {
		return nil, err
	}
	h := segmentHeader{number: number, first: first, before: before}
	if _, err = f.WriteAt(h.encode(), 0); err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = files.syncFolder(w.log.dir)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), files.remove(path))
	}
	return f, nil
}

// planPrune says in the log which segments go, before they do.
func (w *writer) planPrune() {
	if drop := w.tooMany(); drop > 0 && w.segments[drop].number > w.pruneTo {
		from, to := w.segments[0], w.segments[drop]
		w.pruneTo = to.number
		w.marks = append(w.marks, Mark{What: MarkPruned, At: time.Now().UTC(), From: from.first, To: to.first, Segment: to.number - 1,
			Why: fmt.Sprintf("the log reached its bound of %d bytes: segments %d to %d were removed", w.log.options.MaxBytes, from.number, to.number-1)})
	}
}

// tooMany is how many of the oldest segments must go. The current one and the one
// before stay.
func (w *writer) tooMany() int {
	total := w.log.options.SegmentBytes // the current one will be as large
	for i := len(w.segments) - 2; i >= 0; i-- {
		if total += w.segments[i].size; total > w.log.options.MaxBytes && i < len(w.segments)-2 {
			return i + 1
		}
	}
	return 0
}

// prune removes them, once the mark is on the disk. What cannot be removed now is
// removed with the next segment.
func (w *writer) prune() {
	for len(w.segments) > 1 && w.segments[0].number < w.pruneTo {
		path := filepath.Join(w.log.dir, segmentName(w.segments[0].number))
		if err := w.log.options.files.remove(path); err != nil && !missing(err) {
			w.log.log.Warn("prune log", "error", err)
			return
		}
		w.segments = w.segments[1:]
		w.log.first.Store(w.segments[0].first)
		w.log.counters.pruned.Add(1)
	}
}

// tell logs the first of a row of equal errors, and the recovery.
func (w *writer) tell(err error) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	if text == w.last {
		return
	}
	w.last = text
	if err != nil {
		w.log.log.Error(text)
	} else {
		w.log.log.Info("the log works again", "folder", w.log.dir)
	}
}

func (w *writer) close() error {
	var errs []error
	if w.current != nil {
		if w.broken {
			errs = append(errs, w.heal())
		}
		errs = append(errs, w.current.Close())
	}
	if w.head.file != nil {
		errs = append(errs, w.head.file.Close())
	}
	return errors.Join(errs...)
}
