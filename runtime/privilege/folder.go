package privilege

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Bounds of what Hand looks at: a brain has a few thousand files, three folders
// deep.
const (
	maximumDepth   = 8
	maximumEntries = 100_000
)

// Handed counts what became of the entries of a folder.
type Handed struct {
	Given   int // entries that belong to the new owner now
	Skipped int // entries of others, and what is beyond the bounds: left as they are
}

// MakeFolder makes a folder for a brain in a folder of ours, or checks the one
// that is there: the name must not be a link.
func MakeFolder(path string) error {
	err := os.Mkdir(path, 0o700)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the brain's folder: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("make the brain's folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("make the brain's folder: %s is there and not a folder: move it away", path)
	}
	return nil
}

// Owner gives the user id that a file or folder belongs to, of a link the link's.
func Owner(path string) (int, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, &fs.PathError{Op: "lstat", Path: path, Err: err}
	}
	return int(st.Uid), nil
}

// Hand gives a folder, or a file, and what is in it to another owner. Nothing is
// opened but folders, no link is followed, and only what belonged to whom the
// folder itself belonged to changes hands: a hard link to a file of somebody else
// stays theirs. The folder comes last, so that a Hand that was cut short is done
// again. One that belongs to the new owner already is not looked into.
//
// ours says that nobody but us could write there so far. Otherwise files of root's
// with a second name are left alone: whoever could write may have linked them.
func Hand(path string, to User, ours bool) (Handed, error) {
	var done Handed
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return done, fmt.Errorf("hand over %s: %w", path, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return done, fmt.Errorf("hand over %s: %w", path, err)
	}
	if int(st.Uid) == to.ID && int(st.Gid) == to.Group {
		return done, nil
	}
	h := hand{to: to, from: st.Uid, ours: ours, done: &done}
	if h.borrowed(&st) {
		done.Skipped++
		return done, nil
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		h.inside(fd, 0)
	}
	if err := h.give(fd); err != nil {
		return done, fmt.Errorf("hand over %s to user %s: %w", path, to, err)
	}
	return done, nil
}

// hand is one Hand under way.
type hand struct {
	to   User
	from uint32 // whose things change hands
	ours bool
	done *Handed
}

// inside hands over what is in a folder, given as an O_PATH descriptor.
func (h *hand) inside(folder, depth int) {
	fd, err := unix.Openat(folder, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		h.done.Skipped++
		return
	}
	listing := os.NewFile(uintptr(fd), "folder")
	defer listing.Close()
	for h.done.Given+h.done.Skipped < maximumEntries {
		names, err := listing.Readdirnames(256)
		for _, name := range names {
			h.entry(fd, name, depth)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				h.done.Skipped++
			}
			return
		}
	}
}

// entry hands over one name of a folder.
func (h *hand) entry(folder int, name string, depth int) {
	fd, err := unix.Openat(folder, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		h.done.Skipped++
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		h.done.Skipped++
		return
	}
	if st.Uid == uint32(h.to.ID) && st.Gid == uint32(h.to.Group) { // of a Hand that was cut short
		return
	}
	isFolder := st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Uid != h.from || depth >= maximumDepth || h.borrowed(&st) {
		h.done.Skipped++
		return
	}
	if isFolder {
		h.inside(fd, depth+1)
	}
	if h.give(fd) != nil {
		h.done.Skipped++
		return
	}
	h.done.Given++
}

// borrowed says whether a file of root's may be known elsewhere by another name.
func (h *hand) borrowed(st *unix.Stat_t) bool {
	return !h.ours && h.from == 0 && st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1
}

// give changes the owner of exactly what the descriptor was opened on.
func (h *hand) give(fd int) error {
	return unix.Fchownat(fd, "", h.to.ID, h.to.Group, unix.AT_EMPTY_PATH|unix.AT_SYMLINK_NOFOLLOW)
}

// Move moves names of one folder into another on the same file system, unless
// they are there already. It gives the names that stayed.
func Move(from, to string, names []string) (stayed []string, err error) {
	var errs []error
	for _, name := range names {
		source, target := filepath.Join(from, name), filepath.Join(to, name)
		switch err := rename(source, target); {
		case errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrExist):
			stayed = append(stayed, name)
		case err != nil:
			errs = append(errs, fmt.Errorf("move %s to %s: %w", source, to, err))
		}
	}
	return stayed, errors.Join(errs...)
}

// rename never replaces anything.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) {
		return err
	}
	// A file system that cannot promise it. Nothing of ours runs in the folder now.
	if _, err := os.Lstat(to); err == nil {
		return fs.ErrExist
	}
	return os.Rename(from, to)
}
