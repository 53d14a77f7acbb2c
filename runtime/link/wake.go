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
// other side looks. It is an eventfd.
//
// Between the spine and the brain it must not let one side stop the other. A
// pipe does: each of its system calls holds the pipe's mutex while it copies, so
// a brain whose buffer has to come from a disk, or from a file system or
// userfaultfd of its own, stops the spine in a read that "does not block". An
// eventfd has no such lock, but its two sides share O_NONBLOCK and the counter. So the
// spine makes no call on a descriptor that the brain has. The brain's own eventfd
// it only watches for edges and never reads. Its own it only writes; the brain
// has no descriptor of that, but an epoll set that watches it (newBell).
type Wake struct {
	file *os.File
	fd   int
	bell bool // an epoll set, which is not read but asked
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

// newBell makes an epoll set for the other process, which reports each signal once
// and through which nobody can get at the eventfd itself.
func (w *Wake) newBell() (*os.File, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create bell: %w", err)
	}
	e := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}
	if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, w.fd, &e); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("watch eventfd: %w", err)
	}
	return os.NewFile(uintptr(fd), "dancer-bell"), nil
}

// answerBell is the other process's side of newBell.
func answerBell(fd int) (*Wake, error) {
	if err := unix.SetNonblock(fd, true); err != nil { // for Wait's deadline
		return nil, err
	}
	w := wakeOf(fd)
	w.bell = true
	return w, nil
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
	err := w.take()
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

// take waits for a signal and takes it.
func (w *Wake) take() error {
	if !w.bell {
		var signals [WakeBuffer]byte
		_, err := w.file.Read(signals[:])
		return err
	}
	raw, err := w.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		var events [1]unix.EpollEvent
		n, err := unix.EpollWait(int(fd), events[:], 0)
		if err != nil && !errors.Is(err, unix.EINTR) {
			failed = err
		}
		return n > 0 || failed != nil
	})
	return errors.Join(err, failed)
}

// Close gives the descriptor back.
func (w *Wake) Close() error { return w.file.Close() }
