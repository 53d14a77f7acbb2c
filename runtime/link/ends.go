package link

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Descriptors of the brain's process at its start.
const (
	MemoryFD  = 3 // the segment
	ToBrainFD = 4 // the brain's end of the pipe by which the spine wakes it
	ToSpineFD = 5 // the brain's end of the pipe by which it wakes the spine
)

// Ends is everything that one side holds of the link. The spine signals ToBrain
// and looks at ToSpine, the brain the other way round.
type Ends struct {
	Segment *Segment
	ToBrain *Wake
	ToSpine *Wake

	child []*os.File // spine: the brain's ends, kept for the next brain
}

// NewEnds makes the segment and both ways to wake (spine).
func NewEnds(l Layout) (*Ends, error) {
	s, err := Create(l)
	if err != nil {
		return nil, err
	}
	e := &Ends{Segment: s}
	if err := e.connect(); err != nil {
		return nil, errors.Join(fmt.Errorf("create link: %w", err), e.Close())
	}
	return e, nil
}

func (e *Ends) connect() error {
	toBrain, err := pipe()
	if err != nil {
		return err
	}
	e.ToBrain, e.child = toBrain[1], append(e.child, toBrain[0].file)
	toSpine, err := pipe()
	if err != nil {
		return err
	}
	e.ToSpine, e.child = toSpine[0], append(e.child, toSpine[1].file)
	// Go's own poller must not have the spine's ends, so they do not block only
	// from here on; the brain sets its own.
	return errors.Join(unix.SetNonblock(e.ToBrain.fd, true), unix.SetNonblock(e.ToSpine.fd, true))
}

// pipe gives the reading and the writing end.
func pipe() ([2]*Wake, error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return [2]*Wake{}, fmt.Errorf("create pipe: %w", err)
	}
	return [2]*Wake{wakeOf(fds[0]), wakeOf(fds[1])}, nil
}

// Files are the child's descriptors from MemoryFD on, for exec.Cmd.ExtraFiles.
func (e *Ends) Files() []*os.File { return append([]*os.File{e.Segment.File()}, e.child...) }

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

// brainEnd takes an inherited end and makes Wait's deadline work on it.
func brainEnd(fd int) (*Wake, error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, fmt.Errorf("inherit link: descriptor %d: %w", fd, err)
	}
	return wakeOf(fd), nil
}

// Close closes what is open.
func (e *Ends) Close() error {
	errs := []error{e.Segment.Close()}
	for _, w := range []*Wake{e.ToBrain, e.ToSpine} {
		if w != nil {
			errs = append(errs, w.Close())
		}
	}
	for _, f := range e.child {
		errs = append(errs, f.Close())
	}
	e.child = nil
	return errors.Join(errs...)
}
