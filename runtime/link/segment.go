package link

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// seals keep a half at its size for ever: neither side can cut it short under
// the other, which would be a bus error in the spine.
const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL

// F_SEAL_FUTURE_WRITE of linux/fcntl.h, since Linux 5.1: nobody but who has it
// mapped already can write the memory, punch holes into it or map it writable.
const sealFutureWrite = 0x10

// Segment is one process's view of the shared memory. The spine gets it from
// Create, the brain from Attach. It has two halves, each a sealed memfd: what the
// spine writes, which the brain can only read (its kernel refuses anything else),
// and what the brain writes.
type Segment struct {
	layout Layout
	at     offsets
	spine  half
	mail   half

	words      []word // of the spine's half
	brainWords []word // of the brain's half

	events   ring
	requests ring
	readings ring
	traces   ring
	gapTold  uint64     // spine: of the lost traces, those that a gap told of
	lastPost uint64     // spine: sequence of the last command taken
	brain    sync.Mutex // brain: what it posts comes from many goroutines
}

// half is one memfd and where it is mapped.
type half struct {
	file   *os.File
	memory []byte
}

// Create makes, seals and maps a segment (spine). The files are for the child;
// Close gives everything back.
func Create(l Layout) (*Segment, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	s := &Segment{layout: l, at: l.offsets()}
	if err := s.create(); err != nil {
		return nil, errors.Join(fmt.Errorf("create shared segment: %w", err), s.Close())
	}
	return s, nil
}

func (s *Segment) create() (err error) {
	if err = s.mail.create("dancer-link", s.at.brainTotal); err != nil {
		return err
	}
	if err = seal(s.mail.file, seals); err != nil {
		return err
	}
	if err = s.spine.create("dancer-spine", s.at.total); err != nil {
		return err
	}
	if err = seal(s.spine.file, seals|sealFutureWrite); errors.Is(err, unix.EINVAL) {
		err = seal(s.spine.file, seals) // a kernel before 5.1: the brain can scribble, and deceive itself
	}
	if err != nil {
		return err
	}
	s.divide()
	for i, w := range s.layout.header(s.at.total) {
		s.words[i].Store(w)
	}
	s.eraseSlots()
	return nil
}

func seal(f *os.File, which int) error {
	if _, err := unix.FcntlInt(f.Fd(), unix.F_ADD_SEALS, which); err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return nil
}

// create makes and maps a half that can still be written by anybody.
func (h *half) create(name string, words int) error {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return err
	}
	h.file = os.NewFile(uintptr(fd), name)
	if err := h.file.Truncate(int64(words) * 8); err != nil {
		return err
	}
	return h.mapInto(words, unix.PROT_READ|unix.PROT_WRITE)
}

func (h *half) mapInto(words, protection int) (err error) {
	if h.memory, err = unix.Mmap(int(h.file.Fd()), 0, words*8, protection, unix.MAP_SHARED); err != nil {
		return fmt.Errorf("map: %w", err)
	}
	return nil
}

// view gives the words of a half. It is page aligned, so the 64-bit atomics are
// aligned on 32-bit machines too.
func (h *half) view() []word {
	return unsafe.Slice((*word)(unsafe.Pointer(&h.memory[0])), len(h.memory)/8)
}

// divide finds the words and the rings in both halves.
func (s *Segment) divide() {
	s.words, s.brainWords = s.spine.view(), s.mail.view()
	s.findRings(EventCapacity, RequestCapacity, ReadingCapacity, TraceCapacity)
}

func (s *Segment) findRings(events, requests, readings, traces int) {
	s.events = newRing(s.words[s.at.events:], &s.brainWords[s.at.eventsTail], events, recordWords)
	s.requests = newRing(s.brainWords[s.at.requests:], &s.words[s.at.requestsTail], requests, recordWords)
	s.readings = newRing(s.brainWords[s.at.readings:], &s.words[s.at.readingsTail], readings, recordWords)
	s.traces = newRing(s.words[s.at.traces:], &s.brainWords[s.at.tracesTail], traces, traceWords)
}

// Attach maps a segment that the spine made (brain), from duplicates of its
// Files. The error wraps ErrLayout when the other side speaks of another robot,
// manual or version. The files stay the caller's until Close, which closes them.
func Attach(files [2]*os.File, l Layout) (*Segment, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	s := &Segment{layout: l, at: l.offsets(), mail: half{file: files[0]}, spine: half{file: files[1]}}
	if err := s.attach(); err != nil {
		s.unmap()
		return nil, fmt.Errorf("attach shared segment: %w", err)
	}
	s.resume()
	return s, nil
}

func (s *Segment) attach() error {
	if err := checkFile(s.mail.file, s.at.brainTotal); err != nil {
		return err
	}
	if err := checkFile(s.spine.file, s.at.total); err != nil {
		return err
	}
	if err := s.mail.mapInto(s.at.brainTotal, unix.PROT_READ|unix.PROT_WRITE); err != nil {
		return err
	}
	if err := s.spine.mapInto(s.at.total, unix.PROT_READ); err != nil {
		return err
	}
	s.divide()
	for i, want := range s.layout.header(s.at.total) {
		if got := s.words[i].Load(); got != want {
			return fmt.Errorf("%w: header word %d is %#x, want %#x (the robot's files or the program changed since dancer run was started: restart it)", ErrLayout, i, got, want)
		}
	}
	return nil
}

// resume takes over from a brain that was here before.
func (s *Segment) resume() {
	s.events.resumeConsumer()
	s.traces.resumeConsumer()
	s.requests.resumeProducer()
	s.readings.resumeProducer()
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

// Layout gives the layout that the segment was made with.
func (s *Segment) Layout() Layout { return s.layout }

// Files are the memfds of the brain's half and of the spine's, as Attach wants
// them. They stay the segment's.
func (s *Segment) Files() [2]*os.File { return [2]*os.File{s.mail.file, s.spine.file} }

// Prefault touches every page once, so that no page fault comes later (spine).
func (s *Segment) Prefault() {
	for _, words := range [][]word{s.words, s.brainWords} {
		for i := 0; i < len(words); i += 512 {
			words[i].Add(0)
		}
	}
}

// unmap gives the memory back and leaves the files open.
func (s *Segment) unmap() error {
	s.words, s.brainWords = nil, nil
	s.events, s.requests, s.readings, s.traces = ring{}, ring{}, ring{}, ring{}
	var errs []error
	for _, h := range []*half{&s.spine, &s.mail} {
		if h.memory != nil {
			errs = append(errs, unix.Munmap(h.memory))
			h.memory = nil
		}
	}
	return errors.Join(errs...)
}

// Close unmaps the memory and closes the files. No method may be called after.
func (s *Segment) Close() error {
	errs := []error{s.unmap()}
	for _, h := range []*half{&s.spine, &s.mail} {
		if h.file != nil {
			errs = append(errs, h.file.Close())
			h.file = nil
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close shared segment: %w", err)
	}
	return nil
}
