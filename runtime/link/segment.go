package link

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep the segment at its size for ever: neither side can cut it short
// under the other, which would be a bus error in the spine.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// Segment is one process's view of the shared memory. The spine gets it from
// Create, the brain from Attach.
type Segment struct {
	layout Layout
	at     offsets
	file   *os.File
	memory []byte
	words  []atomic.Uint64

	events   ring
	requests ring
	traces   ring
	gapTold  uint64     // spine: of the lost traces, those that a gap told of
	lastPost uint64     // spine: sequence of the last command taken
	brain    sync.Mutex // brain: PostCommand and PostRequest come from many goroutines
}

// Create makes, seals and maps a segment (spine). The file is for the child;
// Close gives everything back.
func Create(l Layout) (*Segment, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("dancer-link", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("create shared segment: %w", err)
	}
	f := os.NewFile(uintptr(fd), "dancer-link")
	s, err := create(f, l)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("create shared segment: %w", err)
	}
	return s, nil
}

func create(f *os.File, l Layout) (*Segment, error) {
	o := l.offsets()
	if err := f.Truncate(int64(o.total) * 8); err != nil {
		return nil, err
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, seals); err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	s, err := mapSegment(f, l)
	if err != nil {
		return nil, err
	}
	for i, w := range l.header(o.total) {
		s.words[i].Store(w)
	}
	s.eraseSlots()
	return s, nil
}

// Attach maps a segment that the spine made (brain). The error wraps ErrLayout
// when the other side speaks of another robot, manual or version. The file
// stays the caller's until Close, which closes it.
func Attach(f *os.File, l Layout) (*Segment, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	if err := checkFile(f, l.offsets().total); err != nil {
		return nil, fmt.Errorf("attach shared segment: %w", err)
	}
	s, err := mapSegment(f, l)
	if err != nil {
		return nil, fmt.Errorf("attach shared segment: %w", err)
	}
	for i, want := range l.header(s.at.total) {
		if got := s.words[i].Load(); got != want {
			unix.Munmap(s.memory)
			return nil, fmt.Errorf("attach shared segment: %w: header word %d is %#x, want %#x (the robot's files or the program changed since dancer run was started: restart it)", ErrLayout, i, got, want)
		}
	}
	s.events.resumeConsumer()
	s.traces.resumeConsumer()
	s.requests.resumeProducer()
	return s, nil
}

func checkFile(f *os.File, words int) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	if st.Size != int64(words)*8 {
		return fmt.Errorf("%w: %d bytes, want %d (the robot's files or the program changed since dancer run was started: restart it)", ErrLayout, st.Size, words*8)
	}
	got, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return fmt.Errorf("%w: read seals: %w", ErrLayout, err)
	}
	if got&seals != seals {
		return fmt.Errorf("%w: it is not sealed", ErrLayout)
	}
	return nil
}

func mapSegment(f *os.File, l Layout) (*Segment, error) {
	o := l.offsets()
	m, err := unix.Mmap(int(f.Fd()), 0, o.total*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	s := &Segment{layout: l, at: o, file: f, memory: m}
	// Page aligned, so the 64-bit atomics are aligned on 32-bit machines too.
	s.words = unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&m[0])), o.total)
	s.events = newRing(s.words[o.events:], EventCapacity, recordWords)
	s.requests = newRing(s.words[o.requests:], RequestCapacity, recordWords)
	s.traces = newRing(s.words[o.traces:], TraceCapacity, traceWords)
	return s, nil
}

// Layout gives the layout that the segment was made with.
func (s *Segment) Layout() Layout { return s.layout }

// File is the memfd, to hand to the child as descriptor 3.
func (s *Segment) File() *os.File { return s.file }

// Prefault touches every page once, so that no page fault comes later (spine).
func (s *Segment) Prefault() {
	for i := 0; i < len(s.words); i += 512 {
		s.words[i].Add(0)
	}
}

// Close unmaps the memory and closes the file. No method may be called after.
func (s *Segment) Close() error {
	if s.memory == nil {
		return nil
	}
	err := unix.Munmap(s.memory)
	s.memory, s.words = nil, nil
	s.events, s.requests, s.traces = ring{}, ring{}, ring{}
	if cerr := s.file.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("close shared segment: %w", err)
	}
	return nil
}
