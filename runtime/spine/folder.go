package spine

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// ErrFolderInUse means that another spine runs on the data folder.
var ErrFolderInUse = errors.New("data folder is in use")

// folderLock keeps a second spine away from a data folder. The kernel gives it
// up when the process dies.
type folderLock struct{ file *os.File }

func lockFolder(folder string) (*folderLock, error) {
	path := filepath.Join(folder, "spine.lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	readOnly := errors.Is(err, unix.EROFS)
	if readOnly { // a disk that has failed: it holds the lock all the same
		f, err = os.Open(path)
	}
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder: %w", err)
		}
		return nil, fmt.Errorf("%w: %s is used by another dancer (pid %s): stop it or give --data another folder", ErrFolderInUse, folder, holder(f))
	}
	if !readOnly {
		_ = errors.Join(f.Truncate(0), writePid(f)) // it is locked: the number is for people, and a full disk has no room for it
	}
	return &folderLock{f}, nil
}

func writePid(f *os.File) error {
	_, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	return err
}

func holder(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0) // a short read is the usual one
	if pid := bytes.TrimSpace(b[:n]); len(pid) > 0 {
		return string(pid)
	}
	return "unknown"
}

func (l *folderLock) close() error { return l.file.Close() }

// leaveLink makes or replaces a link in the run folder.
func leaveLink(name, target string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, name)
}

// removeLink removes the link if it is still ours.
func removeLink(name, target string) error {
	target, err := filepath.Abs(target)
	if err != nil {
		return err
	}
	if now, err := os.Readlink(name); err != nil || now != target {
		return nil // another robot of this name has it now
	}
	return os.Remove(name)
}
