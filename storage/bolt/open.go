package bolt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"

	"dancer/storage"
)

// checkBytes is the size up to which Open reads every page of the file before
// it trusts it: about 0.1 s on a Raspberry Pi's card.
const checkBytes = 32 << 20

// copyAge is the age at which the copy of the file is renewed.
const copyAge = 24 * time.Hour

// settings of bbolt: 4 KiB pages because one commit writes several of them, the
// hash map because the array degrades with fragmentation, a bounded wait for
// the lock because the default waits for ever.
func settings(limit int64, opened func(*os.File)) *bolt.Options {
	return &bolt.Options{
		PageSize: 4096, Timeout: time.Second, FreelistType: bolt.FreelistMapType, MaxSize: int(limit), NoStatistics: true,
		OpenFile: func(name string, flag int, mode fs.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, mode)
			if err == nil {
				opened(f)
			}
			return f, err
		},
	}
}

// openFile opens the file at path, restores yesterday's copy if it is damaged,
// and says so in notes.
func openFile(path string, limit int64, now time.Time) (db *bolt.DB, notes []string, err error) {
	if !exists(path) {
		// Also after a restore that a crash has cut short.
		if notes, err = begin(path, limit); err != nil {
			return nil, nil, err
		}
	}
	db, err = tryOpen(path, limit)
	if err == nil || !errors.Is(err, errDamaged) {
		return db, notes, err
	}
	note, restoreErr := restore(path, err, now)
	if restoreErr != nil {
		return nil, nil, restoreErr
	}
	notes = append(notes, note)
	if db, err = tryOpen(path, limit); err == nil || !errors.Is(err, errDamaged) {
		return db, notes, err
	}
	// The copy is damaged as well: begin anew rather than not at all.
	aside, moveErr := setAside(path, now)
	if moveErr != nil {
		return nil, nil, moveErr
	}
	notes = append(notes, fmt.Sprintf("copy of data file %s was damaged too (%v): set aside as %s, started empty", path, err, aside))
	if err := create(path, limit); err != nil {
		return nil, nil, err
	}
	db, err = tryOpen(path, limit)
	return db, notes, err
}

// begin puts the copy in the place of a file that is missing, or makes a new
// one.
func begin(path string, limit int64) (notes []string, err error) {
	info, err := os.Stat(copyOf(path))
	if err != nil {
		return nil, create(path, limit)
	}
	if err := copyFile(copyOf(path), path); err != nil {
		return nil, writeError(path, err)
	}
	return []string{fmt.Sprintf("data file %s was missing: restored the copy of %s; delete both to start empty", path, stamp(info))}, nil
}

func stamp(info fs.FileInfo) string { return info.ModTime().UTC().Format(time.RFC3339) }

// errDamaged marks a file that cannot be used.
var errDamaged = errors.New("data file is damaged")

// create makes a new file under another name first, so that a full disk or a
// crash never leaves a half-made file behind.
func create(path string, limit int64) error {
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	db, err := tryOpen(fresh, limit)
	if err == nil {
		err = errors.Join(makeTables(db), db.Close())
	}
	if err != nil {
		_ = os.Remove(fresh)
		return writeError(path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return writeError(path, err)
	}
	return syncFolder(filepath.Dir(path))
}

func makeTables(db *bolt.DB) error {
	return db.Update(func(tx *bolt.Tx) error {
		for _, table := range append(storage.Tables(), tableCounts) {
			if _, err := tx.CreateBucketIfNotExists([]byte(table)); err != nil {
				return err
			}
		}
		return nil
	})
}

// tryOpen opens and checks a file. bbolt panics on a damaged free list, and a
// file that is shorter than its pages say faults in the memory map: both become
// errDamaged here.
func tryOpen(path string, limit int64) (db *bolt.DB, err error) {
	if err := inspect(path); err != nil {
		return nil, err
	}
	var file *os.File
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			release(db, file)
			db, err = nil, fmt.Errorf("%w: %v", errDamaged, cause)
		}
	}()
	db, err = bolt.Open(path, 0o600, settings(limit, func(f *os.File) { file = f }))
	switch {
	case err == nil:
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrChecksum), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fmt.Errorf("%w: %w", errDamaged, err)
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fmt.Errorf("open %s: another program has it open: stop it", path)
	default:
		return nil, writeError(path, err)
	}
	return db, nil
}

// inspect verifies a file that exists: all of it if it is small, or if a read or
// a write has met a damaged page in it.
func inspect(path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	suspect := exists(suspectOf(path))
	if err := verify(path, suspect || info.Size() <= checkBytes); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	if suspect {
		return os.Remove(suspectOf(path))
	}
	return nil
}

// suspectOf names the mark that makes the next Open verify the whole file.
func suspectOf(path string) string { return path + ".suspect" }

// suspicion turns a panic on a damaged page into an error and leaves the mark.
func (s *Store) suspicion(err *error) {
	cause := recover()
	if cause == nil {
		return
	}
	if f, markErr := os.Create(suspectOf(s.path)); markErr == nil {
		_ = f.Close()
	}
	*err = fmt.Errorf("use %s: damaged page: %v: restart to restore the copy", s.path, cause)
}

// release gives up a file whose database may be unusable. The lock is dropped
// by hand because a leaked memory map would keep it.
func release(db *bolt.DB, file *os.File) {
	if file != nil {
		_ = unix.Flock(int(file.Fd()), unix.LOCK_UN)
	}
	if db != nil {
		_ = db.Close()
	} else if file != nil {
		_ = file.Close()
	}
}

// restore sets a damaged file aside and puts the copy in its place.
func restore(path string, cause error, now time.Time) (note string, err error) {
	aside, err := setAside(path, now)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(copyOf(path))
	if err != nil {
		if err := create(path, 0); err != nil {
			return "", err
		}
		return fmt.Sprintf("data file %s was damaged (%v): set aside as %s, no copy to restore, started empty", path, cause, aside), nil
	}
	if err := copyFile(copyOf(path), path); err != nil {
		return "", writeError(path, err)
	}
	return fmt.Sprintf("data file %s was damaged (%v): set aside as %s, restored the copy of %s; what was stored later is only in the file set aside",
		path, cause, aside, stamp(info)), nil
}

func setAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405")
	for n := 2; exists(aside); n++ {
		aside = fmt.Sprintf("%s.damaged-%s-%d", path, now.UTC().Format("20060102T150405"), n)
	}
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set damaged file aside: %w", err)
	}
	return aside, syncFolder(filepath.Dir(path))
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func copyOf(path string) string { return path + ".copy" }

// copyFile copies through another name, so that to is whole or absent.
func copyFile(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	return replaceFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, source)
		return err
	})
}

// replaceFile writes a file under another name, syncs it and moves it in place.
func replaceFile(path string, write func(io.Writer) error) error {
	fresh := path + ".new"
	f, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	err = errors.Join(write(f), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(fresh, path)
	}
	if err != nil {
		_ = os.Remove(fresh)
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeError names the cause that an operator can cure.
func writeError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, storage.ErrNoSpace):
		return fmt.Errorf("write %s: %w", path, storage.ErrNoSpace)
	case errors.Is(err, berrors.ErrMaxSizeReached):
		return fmt.Errorf("write %s: the file has reached its limit: raise the limit or prune, nothing stored so far is lost", path)
	}
	return fmt.Errorf("write %s: %w", path, err)
}
