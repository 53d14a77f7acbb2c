package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// WakeBuffer is the length of the buffer that Drain wants, in bytes.
const WakeBuffer = 512

// Wake is one end of a way to wake somebody: any number of signals until the
// other side looks. Inside one process it is an eventfd. Between the spine and
// the brain it is a pipe, because the two ends of a pipe are descriptions of
// their own: with an eventfd a hostile brain could turn O_NONBLOCK off for both
// sides, fill or empty the counter, and so stop the spine in its write or read.
type Wake struct {
	file *os.File
	fd   int
}

// NewWake makes an eventfd for a loop that looks at FD with epoll. It is a
// blocking one, so that Go's own poller leaves it alone: Drain it only when it is
// readable.
func NewWake() (*Wake, error) { return newEventfd(0) }

// NewPolledWake makes an eventfd for two goroutines of one process, on which
// Wait works.
func NewPolledWake() (*Wake, error) { return newEventfd(unix.EFD_NONBLOCK) }

func newEventfd(flags int) (*Wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|flags)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return wakeOf(fd), nil
}

func wakeOf(fd int) *Wake { return &Wake{file: os.NewFile(uintptr(fd), "dancer-wake"), fd: fd} }

// FD is the descriptor for epoll.
func (w *Wake) FD() int { return w.fd }

// one is the number 1 as an eventfd reads it.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// Signal wakes the other side. It never blocks: what is full has signals that
// nobody has looked at yet.
func (w *Wake) Signal() error {
	if _, err := unix.Write(w.fd, one); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wake other side: %w", err)
	}
	return nil
}

// Drain takes signals into a buffer of WakeBuffer bytes. Call it when epoll says
// that there are some; those that do not fit come with the next call.
func (w *Wake) Drain(buffer []byte) error {
	if _, err := unix.Read(w.fd, buffer); err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("read wake-up: %w", err)
	}
	return nil
}

// Wait blocks until there is a signal, takes what is there and gives true; or
// until the time is over, and gives false (the brain's end and those of
// NewPolledWake, one goroutine at a time). It ends early with the context's error
// when that is done.
func (w *Wake) Wait(ctx context.Context, atMost time.Duration) (bool, error) {
	if err := w.file.SetReadDeadline(time.Now().Add(atMost)); err != nil {
		return false, fmt.Errorf("wait for wake-up: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var signals [WakeBuffer]byte
	_, err := w.file.Read(signals[:])
	switch {
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return false, nil
	}
	return false, fmt.Errorf("wait for wake-up: %w", err)
}

// Close gives the descriptor back.
func (w *Wake) Close() error { return w.file.Close() }
