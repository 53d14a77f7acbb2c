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

// Descriptors of the brain's process at its start.
const (
	MemoryFD  = 3 // the segment
	ToBrainFD = 4 // eventfd: the spine wakes the brain
	ToSpineFD = 5 // eventfd: the brain wakes the spine
)

// Wake is one eventfd: any number of signals until the other side looks.
type Wake struct {
	file *os.File
	fd   int
}

// NewWake makes an eventfd. It is a blocking one, so that Go's own poller in the
// spine leaves it alone; the brain's end sets it to not block.
func NewWake() (*Wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return wakeOf(fd), nil
}

// NewPolledWake makes an eventfd for two goroutines of one process, on which
// Wait works.
func NewPolledWake() (*Wake, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("create eventfd: %w", err)
	}
	return wakeOf(fd), nil
}

func wakeOf(fd int) *Wake { return &Wake{file: os.NewFile(uintptr(fd), "dancer-wake"), fd: fd} }

// FD is the descriptor for epoll.
func (w *Wake) FD() int { return w.fd }

// one is the little and big endian word 1 as the kernel reads it.
var one = binary.NativeEndian.AppendUint64(nil, 1)

// Signal wakes the other side. It never blocks: the counter of an eventfd that
// nobody reads stays at its limit.
func (w *Wake) Signal() error {
	if _, err := unix.Write(w.fd, one); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("wake other side: %w", err)
	}
	return nil
}

// Drain takes all signals, into a buffer of at least 8 bytes that the caller
// owns. Call it when epoll says that there is one.
func (w *Wake) Drain(buffer []byte) error {
	if _, err := unix.Read(w.fd, buffer[:8]); err != nil && !errors.Is(err, unix.EAGAIN) {
		return fmt.Errorf("read eventfd: %w", err)
	}
	return nil
}

// Wait blocks until there is a signal, takes all of them and gives true; or
// until the time is over, and gives false (the brain's ends and those of
// NewPolledWake, one goroutine at a time). It ends early with the context's error
// when that is done.
func (w *Wake) Wait(ctx context.Context, atMost time.Duration) (bool, error) {
	if err := w.file.SetReadDeadline(time.Now().Add(atMost)); err != nil {
		return false, fmt.Errorf("wait for wake-up: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var count [8]byte
	_, err := w.file.Read(count[:])
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

// Ends is everything that one side holds of the link.
type Ends struct {
	Segment *Segment
	ToBrain *Wake
	ToSpine *Wake
}

// NewEnds makes the segment and both eventfds (spine).
func NewEnds(l Layout) (*Ends, error) {
	s, err := Create(l)
	if err != nil {
		return nil, err
	}
	e := &Ends{Segment: s}
	if e.ToBrain, err = NewWake(); err == nil {
		e.ToSpine, err = NewWake()
	}
	if err != nil {
		e.Close()
		return nil, err
	}
	return e, nil
}

// Files are the child's descriptors from MemoryFD on, for exec.Cmd.ExtraFiles.
func (e *Ends) Files() []*os.File {
	return []*os.File{e.Segment.File(), e.ToBrain.file, e.ToSpine.file}
}

// Inherit takes the link over from descriptors 3, 4 and 5 (brain). It closes
// none of them on an error: the process is about to end.
func Inherit(l Layout) (*Ends, error) {
	for fd := MemoryFD; fd <= ToSpineFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("inherit link: descriptor %d: %w (the brain is started by dancer run, not by hand)", fd, err)
		}
		unix.CloseOnExec(fd)
	}
	s, err := Attach(os.NewFile(MemoryFD, "dancer-link"), l)
	if err != nil {
		return nil, err
	}
	e := &Ends{Segment: s}
	if e.ToBrain, err = brainEnd(ToBrainFD); err != nil {
		return nil, err
	}
	if e.ToSpine, err = brainEnd(ToSpineFD); err != nil {
		return nil, err
	}
	return e, nil
}

// brainEnd takes an inherited eventfd and makes Wait's deadline work on it.
func brainEnd(fd int) (*Wake, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("inherit link: descriptor %d: %w", fd, err)
	}
	return wakeOf(fd), nil
}

// Close closes what is open.
func (e *Ends) Close() error {
	var errs []error
	if e.Segment != nil {
		errs = append(errs, e.Segment.Close())
	}
	for _, w := range []*Wake{e.ToBrain, e.ToSpine} {
		if w != nil {
			errs = append(errs, w.Close())
		}
	}
	return errors.Join(errs...)
}
