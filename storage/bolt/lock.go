package bolt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// lockName is the file in a data folder that its owner holds locked. It stays
// when the owner ends; only the lock counts.
const lockName = "dancer.lock"

// Waiting for a predecessor that is just being killed.
const (
	lockWait  = time.Second
	lockRetry = 20 * time.Millisecond
)

// ErrInUse says that another process works in the data folder.
var ErrInUse = errors.New("data folder in use")

// inUse carries the exact message and is ErrInUse.
type inUse struct{ text string }

func (e inUse) Error() string        { return e.text }
func (e inUse) Is(target error) bool { return target == ErrInUse }

// lockFolder takes the lock of a data folder and writes the process id into it.
// The kernel frees the lock when the process ends, however it ends.
func lockFolder(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock data folder: %w", err)
	}
	deadline := time.Now().Add(lockWait)
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
		}
		if time.Now().After(deadline) {
			text := fmt.Sprintf("data folder %s is in use by another dancer%s: stop it or give --data another folder", dir, holder(f))
			return nil, errors.Join(inUse{text}, f.Close())
		}
		time.Sleep(lockRetry)
	}
	// The number is for the message only: a full disk must not keep us out.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

// holder gives " (pid N)", or nothing if the file does not say.
func holder(f *os.File) string {
	data, err := io.ReadAll(io.LimitReader(io.NewSectionReader(f, 0, 32), 32))
	pid, convErr := strconv.Atoi(strings.TrimSpace(string(data)))
	if err != nil || convErr != nil {
		return ""
	}
	return fmt.Sprintf(" (pid %d)", pid)
}
