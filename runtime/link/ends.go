package link

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// Descriptors of the brain's process at its start.
const (
	MemoryFD  = 3 // the half of the segment that the brain writes
	ToBrainFD = 4 // what the brain waits on for the spine
	ToSpineFD = 5 // what the brain wakes the spine with
	SpineFD   = 6 // the half of the segment that the brain can only read
)

// Ends is everything that one side holds of the link. The spine signals ToBrain
// and looks at ToSpine, the brain the other way round.
type Ends struct {
	Segment *Segment
	ToBrain *Wake
	ToSpine *Wake

	bell *os.File // spine: what this brain waits on
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

func (e *Ends) connect() (err error) {
	if e.ToBrain, err = NewWake(); err != nil {
		return err
	}
	if e.ToSpine, err = NewWake(); err != nil {
		return err
	}
	e.bell, err = e.ToBrain.newBell()
	return err
}

// Files are the child's descriptors from MemoryFD on, for exec.Cmd.ExtraFiles.
// Each brain gets a bell of its own, so that one cannot spoil it for the next;
// only where there is no descriptor left it gets the last one's.
func (e *Ends) Files() []*os.File {
	if bell, err := e.ToBrain.newBell(); err == nil {
		e.bell.Close()
		e.bell = bell
	}
	memory := e.Segment.Files()
	return []*os.File{memory[0], e.bell, e.ToSpine.file, memory[1]}
}

// Inherit takes the link over from descriptors 3 to 6 (brain). It closes none of
// them on an error: the process is about to end.
func Inherit(l Layout) (*Ends, error) {
	for fd := MemoryFD; fd <= SpineFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			return nil, fmt.Errorf("inherit link: descriptor %d: %w (the brain is started by dancer run, not by hand)", fd, err)
		}
		unix.CloseOnExec(fd)
	}
	s, err := Attach([2]*os.File{os.NewFile(MemoryFD, "dancer-link"), os.NewFile(SpineFD, "dancer-spine")}, l)
	if err != nil {
		return nil, err
	}
	e := &Ends{Segment: s, ToSpine: wakeOf(ToSpineFD)}
	// Only now that Go's poller has left it alone: it would report every signal.
	if err := unix.SetNonblock(ToSpineFD, true); err != nil {
		return nil, fmt.Errorf("inherit link: descriptor %d: %w", ToSpineFD, err)
	}
	// The spine never reads it: one that the last brain filled would wake nobody.
	var count [8]byte
	_, _ = unix.Read(ToSpineFD, count[:])
	if e.ToBrain, err = answerBell(ToBrainFD); err != nil {
		return nil, fmt.Errorf("inherit link: descriptor %d: %w", ToBrainFD, err)
	}
	return e, nil
}

// Close closes what is open.
func (e *Ends) Close() error {
	errs := []error{e.Segment.Close()}
	for _, w := range []*Wake{e.ToBrain, e.ToSpine} {
		if w != nil {
			errs = append(errs, w.Close())
		}
	}
	if e.bell != nil {
		errs = append(errs, e.bell.Close())
	}
	return errors.Join(errs...)
}
