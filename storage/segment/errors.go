package segment

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Errors by cause.
var (
	// ErrInUse: another process writes to the log.
	ErrInUse = errors.New("log in use")
	// ErrClosed: the log is closed.
	ErrClosed = errors.New("log closed")
	// ErrNoSpace: the disk is full. Nothing of the call was stored, everything
	// before is; it can be repeated once there is space.
	ErrNoSpace = errors.New("no space left: free space, nothing stored so far is lost")
	// ErrReadOnly: the disk takes no writes. A card does so at the end of its life.
	ErrReadOnly = errors.New("the file system is read-only: remount it, or replace the card")
	// ErrDeadline: the disk did not answer in time. Whether the record is stored is
	// not known.
	ErrDeadline = errors.New("no answer from the disk in time: whether the record is stored is not known")
	// ErrTooLarge: a payload that is empty or over MaxPayloadBytes.
	ErrTooLarge = fmt.Errorf("a record has 1 to %d bytes", MaxPayloadBytes)
	// ErrDamaged: a record cannot be read, or is another one than was asked for.
	ErrDamaged = errors.New("the log is damaged")
)

// writeError names the cause that an operator can cure.
func writeError(path string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("write %s: %w", path, ErrNoSpace)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("write %s: %w", path, ErrReadOnly)
	}
	return fmt.Errorf("write %s: %w", path, err)
}
