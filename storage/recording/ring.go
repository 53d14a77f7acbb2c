package recording

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// extension of a recording.
const extension = ".mcap"

// RingOptions of a ring of recordings.
type RingOptions struct {
	Folder string        // of the files; made if it is not there
	Sealed string        // folder of what is kept for good, on the same file system
	Keep   time.Duration // at least this much of the past is kept, as far as Limit allows
	Limit  int64         // bytes of all files of the ring together
	Piece  time.Duration // length of one file; 0: a twentieth of Keep
	Seals  int           // sealed situations that are kept

	// SealLimit is the bytes of all seals together; 0: only Seals bounds them. A
	// file that several of them share counts once. The newest seal is never deleted.
	SealLimit int64

	// Create begins a file. part counts the files of this ring from 0.
	Create func(path string, part int) (*File, error)
	Wall   func() time.Time // for the names of files and folders
}

// pieces is into how many files the past is cut.
const pieces = 20

// Ring keeps the last minutes as a series of files, the oldest of which are
// deleted, and seals them when something happened. It is not safe for
// concurrent use. All times are on one monotonic clock.
type Ring struct {
	o       RingOptions
	done    []piece // complete, the oldest first
	current *File
	from    time.Duration // start of the current file
	part    int
	file    int      // number of the next file; the names end with it
	seal    *seal    // the newest, while it may still grow
	seals   []string // folders of all that are kept, the oldest first
	number  uint64   // of the newest
	lost    int      // seals deleted
}

// piece is one complete file.
type piece struct {
	path  string
	bytes int64
	ended time.Duration
}

// OpenRing takes over the files of earlier runs in the folder: they count as
// ended now, because no clock but the wall's says how old they are.
func OpenRing(o RingOptions, now time.Duration) (*Ring, error) {
	if o.Piece <= 0 {
		o.Piece = o.Keep / pieces
	}
	r := &Ring{o: o}
	for _, folder := range []string{o.Folder, o.Sealed} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("open recordings: %w", err)
		}
	}
	entries, err := os.ReadDir(o.Folder)
	if err != nil {
		return nil, fmt.Errorf("open recordings: %w", err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err == nil && info.Mode().IsRegular() && strings.HasSuffix(e.Name(), extension) {
			r.done = append(r.done, piece{filepath.Join(o.Folder, e.Name()), info.Size(), now})
			r.file = max(r.file, fileNumber(e.Name())+1)
		}
	}
	// By their numbers, not by their times: the wall's clock can be set back.
	slices.SortStableFunc(r.done, func(a, b piece) int { return cmp.Compare(fileNumber(a.path), fileNumber(b.path)) })
	if err := r.findSeals(); err != nil {
		return nil, err
	}
	return r, nil
}

// File is the one to write to, nil before the first Turn and after Fail.
func (r *Ring) File() *File { return r.current }

// Due says whether it is time to Turn to a new file.
func (r *Ring) Due(now time.Duration) bool {
	return r.current == nil || now-r.from >= r.o.Piece || r.current.Size() >= r.pieceBytes()
}

// Overdue says whether a new file cannot wait for a good moment any longer.
func (r *Ring) Overdue(now time.Duration) bool {
	return r.current == nil || now-r.from >= 2*r.o.Piece || r.current.Size() >= 2*r.pieceBytes()
}

// pieceBytes keeps a ring that is bounded by its bytes in enough files to give
// room in small steps.
func (r *Ring) pieceBytes() int64 { return r.o.Limit / (pieces / 2) }

// Turn ends the current file and begins the next. An error leaves the ring
// without a file: Turn again later.
func (r *Ring) Turn(now time.Duration) error {
	if err := r.end(now); err != nil {
		return err
	}
	if err := r.prune(now); err != nil {
		return err
	}
	if err := os.MkdirAll(r.o.Folder, 0o700); err != nil { // somebody may have deleted it
		return fmt.Errorf("open recordings: %w", err)
	}
	path := filepath.Join(r.o.Folder, fmt.Sprintf("%s-%05d%s", stamp(r.o.Wall()), r.file, extension))
	file, err := r.o.Create(path, r.part)
	if err != nil {
		return err
	}
	r.current, r.from = file, now
	r.part++
	r.file++
	if r.seal != nil && !r.seal.over { // it was made while nothing could be written
		r.seal.until = path
		return r.seal.add(path)
	}
	return nil
}

// stamp is a moment as it begins the name of a file: sorted as text, and fit for
// every file system.
func stamp(at time.Time) string { return at.UTC().Format("20060102T150405.000Z") }

// fileNumber is the number that a file's name ends with, 0 where it has none.
func fileNumber(path string) int {
	name := strings.TrimSuffix(filepath.Base(path), extension)
	number, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return 0
	}
	return max(0, number)
}

// end completes the current file.
func (r *Ring) end(now time.Duration) error {
	if r.current == nil {
		return nil
	}
	file := r.current
	r.current = nil
	r.done = append(r.done, piece{file.Path(), 0, now})
	err := file.Close()
	r.done[len(r.done)-1].bytes = file.Size()
	if err != nil {
		return err
	}
	if r.seal == nil || r.seal.over {
		return nil
	}
	err = r.seal.ended(file.Path())
	_ = r.boundSeals(0) // it has grown; what cannot be deleted is tried again with the next seal
	return err
}

// Fail gives the current file up after an error of it. It is ended in order where
// the disk still takes that, as one that is getting full does; else it is left
// as it is. The next Turn tries again.
func (r *Ring) Fail(now time.Duration) {
	if r.current == nil {
		return
	}
	_ = r.end(now) // the error that matters came before
}

// prune deletes the oldest files: those whose last message is older than Keep,
// and what is too much for Limit beside the file to come.
func (r *Ring) prune(now time.Duration) error {
	total := r.pieceBytes()
	for _, p := range r.done {
		total += p.bytes
	}
	var errs []error
	for len(r.done) > 0 && (total > r.o.Limit || now-r.done[0].ended > r.o.Keep) {
		if err := os.Remove(r.done[0].path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("delete old recording: %w", err))
		}
		total -= r.done[0].bytes
		r.done = r.done[1:]
	}
	return errors.Join(errs...)
}

// Bytes of all files of the ring.
func (r *Ring) Bytes() int64 {
	var total int64
	if r.current != nil {
		total = r.current.Size()
	}
	for _, p := range r.done {
		total += p.bytes
	}
	return total
}

// SealsLost is the number of seals that were deleted because there were more
// than RingOptions.Seals, or bytes in them than RingOptions.SealLimit.
func (r *Ring) SealsLost() int { return r.lost }

// Close ends the current file.
func (r *Ring) Close(now time.Duration) error {
	err := r.end(now)
	if r.seal != nil {
		err = errors.Join(err, r.seal.finish())
	}
	return err
}

// past gives the files of the last Keep, the current one included.
func (r *Ring) past(now time.Duration) []string {
	var paths []string
	for _, p := range r.done {
		if now-p.ended <= r.o.Keep {
			paths = append(paths, p.path)
		}
	}
	if r.current != nil {
		paths = append(paths, r.current.Path())
	}
	return slices.Clip(paths)
}
