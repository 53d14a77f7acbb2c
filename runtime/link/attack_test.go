package link

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/hal"
)

const envAttack = "DANCER_LINK_ATTACK"

// trick is one thing that a hostile brain can try with what it inherits.
type trick struct {
	name    string
	refused bool // the kernel must not allow it
	do      func(a *attacker) error
}

// attacker is a process with the brain's descriptors and no good intentions.
type attacker struct {
	words []uint64 // its half
	mine  []byte
	other []byte // the spine's half
	seed  uint64
}

func tricks() []trick {
	return []trick{
		{"cut the brain's half short", true, func(*attacker) error { return unix.Ftruncate(MemoryFD, 0) }},
		{"cut the spine's half short", true, func(*attacker) error { return unix.Ftruncate(SpineFD, 0) }},
		{"make the brain's half longer", true, func(*attacker) error { return unix.Ftruncate(MemoryFD, 1<<24) }},
		{"seal the brain's half against writes", true, func(*attacker) error {
			_, err := unix.FcntlInt(MemoryFD, unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
			return err
		}},
		{"write to the spine's half", true, func(*attacker) error { _, err := unix.Pwrite(SpineFD, make([]byte, 4096), 0); return err }},
		{"open the spine's half again and write", true, func(*attacker) error {
			fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", SpineFD), unix.O_RDWR, 0)
			if err != nil {
				return err
			}
			defer unix.Close(fd)
			_, err = unix.Pwrite(fd, make([]byte, 4096), 0)
			return err
		}},
		{"map the spine's half writable", true, func(a *attacker) error {
			_, err := unix.Mmap(SpineFD, 0, len(a.other), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		}},
		{"make the mapped half writable", true, func(a *attacker) error { return unix.Mprotect(a.other, unix.PROT_READ|unix.PROT_WRITE) }},
		{"punch a hole into the spine's half", true, func(a *attacker) error { return punch(SpineFD, len(a.other)) }},
		{"remove pages of the spine's half", true, func(a *attacker) error { return unix.Madvise(a.other, unix.MADV_REMOVE) }},
		{"write to the bell", true, func(*attacker) error { _, err := unix.Write(ToBrainFD, one); return err }},

		{"punch holes into its own half", false, func(a *attacker) error {
			for range 50 {
				if err := punch(MemoryFD, len(a.mine)); err != nil {
					return err
				}
				a.scribble(20)
			}
			return nil
		}},
		{"remove pages of its own half", false, func(a *attacker) error {
			for range 50 {
				if err := unix.Madvise(a.mine, unix.MADV_REMOVE); err != nil {
					return err
				}
			}
			return nil
		}},
		{"drop its own half from memory", false, func(a *attacker) error { return unix.Madvise(a.mine, unix.MADV_DONTNEED) }},
		{"wake without end", false, func(*attacker) error {
			for range 500 {
				if _, err := unix.Write(ToSpineFD, one); err != nil {
					return err
				}
			}
			return nil
		}},
		{"fill the wake-up's counter", false, func(*attacker) error {
			most := ^uint64(0) - 1
			err := unix.SetNonblock(ToSpineFD, true)
			for filled := false; err == nil && !filled; { // another thread of it signals all the time
				_, _ = unix.Read(ToSpineFD, make([]byte, 8))
				_, failed := unix.Write(ToSpineFD, unsafe.Slice((*byte)(unsafe.Pointer(&most)), 8))
				filled = failed == nil
			}
			return err
		}},
		{"make its descriptors block", false, func(*attacker) error {
			return errors.Join(unix.SetNonblock(ToSpineFD, false), unix.SetNonblock(ToBrainFD, false))
		}},
		{"wait on the bell in many places", false, func(*attacker) error {
			for range 50 {
				fd, err := unix.EpollCreate1(0)
				if err != nil {
					return err
				}
				if err := unix.EpollCtl(fd, unix.EPOLL_CTL_ADD, ToBrainFD, &unix.EpollEvent{Events: unix.EPOLLIN}); err != nil {
					return err
				}
			}
			return nil
		}},
		{"scribble", false, func(a *attacker) error { a.scribble(2000); return nil }},
	}
}

func punch(fd, n int) error {
	return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, int64(n))
}

// scribble writes random words all over its half.
func (a *attacker) scribble(n int) {
	random := rand.New(rand.NewPCG(a.seed, uint64(n)))
	for range n {
		atomic.StoreUint64(&a.words[random.IntN(len(a.words))], random.Uint64()>>random.IntN(64))
	}
	a.seed++
}

// neverThere is memory that an access waits for for ever: every system call that
// copies to or from it stops in the middle, with all the locks that it has.
func neverThere() ([]byte, error) {
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		return nil, errno
	}
	api := [3]uint64{0xaa}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, 0xc018aa3f, uintptr(unsafe.Pointer(&api))); errno != 0 { // UFFDIO_API
		return nil, errno
	}
	memory, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, err
	}
	register := [4]uint64{uint64(uintptr(unsafe.Pointer(&memory[0]))), 4096, 1}                                      // missing pages
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, 0xc020aa00, uintptr(unsafe.Pointer(&register))); errno != 0 { // UFFDIO_REGISTER
		return nil, errno
	}
	return memory, nil
}

// hang leaves threads in the middle of every system call that the descriptors
// take. It says whether this machine lets it.
func hang() bool {
	memory, err := neverThere()
	if err != nil {
		return false
	}
	at := uintptr(unsafe.Pointer(&memory[0]))
	for _, call := range [][4]uintptr{
		{unix.SYS_WRITE, ToSpineFD, at, 8}, {unix.SYS_READ, ToSpineFD, at, 8}, {unix.SYS_EPOLL_PWAIT, ToBrainFD, at, 1},
		{unix.SYS_PWRITE64, MemoryFD, at, 8}, {unix.SYS_PREAD64, MemoryFD, at, 8}, {unix.SYS_PREAD64, SpineFD, at, 8},
	} {
		go func() {
			runtime.LockOSThread()
			_, _, _ = unix.Syscall6(call[0], call[1], call[2], call[3], 0, 0, 0)
		}()
	}
	time.Sleep(3 * time.Millisecond)
	return true
}

// attack is the other process of TestHostileProcess.
func attack() int {
	l := testLayout().offsets()
	a := &attacker{}
	err := unix.SetNonblock(ToSpineFD, true) // the last one left it full
	_, _ = unix.Read(ToSpineFD, make([]byte, 8))
	if err != nil {
		return 1
	}
	if a.mine, err = unix.Mmap(MemoryFD, 0, l.brainTotal*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		return 1
	}
	if a.other, err = unix.Mmap(SpineFD, 0, l.total*8, unix.PROT_READ, unix.MAP_SHARED); err != nil {
		return 1
	}
	a.words = unsafe.Slice((*uint64)(unsafe.Pointer(&a.mine[0])), l.brainTotal)
	go func() { // beside everything else
		for b := (&attacker{words: a.words, seed: 1 << 40}); ; {
			b.scribble(1000)
			if b.seed%4 == 0 {
				_, _ = unix.Write(ToSpineFD, one)
			}
		}
	}()
	for _, trick := range tricks() {
		word := "done"
		if err := trick.do(a); err != nil {
			word = "refused"
		}
		fmt.Println(word, trick.name)
	}
	if hang() { // at the end: it stops the attacker as well
		fmt.Println("done hang in system calls")
	}
	return 0
}

// TestHostileProcess lets a process with the brain's descriptors do its worst, a
// hundred times, while the spine's side does what it does in a cycle: every call
// must return, what the spine published must stay as it was, and no command may
// come out that the attacker has not written as one.
func TestHostileProcess(t *testing.T) {
	runs := 100
	if testing.Short() {
		runs = 5
	}
	e, err := NewEnds(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Segment.Prefault()
	seen := map[string]int{}
	cycles, longest := 0, time.Duration(0)
	for range runs {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envAttack+"=1")
		cmd.ExtraFiles, cmd.Stderr = e.Files(), os.Stderr
		var out bytes.Buffer
		cmd.Stdout = &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		n, worst, err := underAttack(t, e, ended)
		if err != nil {
			t.Fatalf("attacker: %v\n%s", err, out.String())
		}
		cycles, longest = cycles+n, max(longest, worst)
		for lines := bufio.NewScanner(&out); lines.Scan(); {
			seen[lines.Text()]++
		}
	}
	for _, trick := range tricks() {
		word := "done "
		if trick.refused {
			word = "refused "
		}
		if seen[word+trick.name] != runs {
			t.Errorf("%s: %d of %d times", word+trick.name, seen[word+trick.name], runs)
		}
	}
	t.Logf("%d attackers, %d cycles of the spine's side, the longest %v (another process may have run in it)", runs, cycles, longest)
	for _, line := range slices.Sorted(maps.Keys(seen)) {
		t.Logf("%4d times %s", seen[line], line)
	}
	if seen["done hang in system calls"] == 0 {
		t.Log("this machine gives no userfaultfd: nothing hung in the middle of a system call")
	}
	honestAfter(t, e)
}

// underAttack does the spine's side until the attacker has ended.
func underAttack(t *testing.T, e *Ends, ended chan error) (cycles int, longest time.Duration, err error) {
	s, c := e.Segment, newCommandOf(2)
	var r Request
	for ; ; cycles++ {
		select {
		case err := <-ended:
			return cycles, longest, err
		default:
		}
		begin := Now()
		i := uint64(cycles)
		s.StoreSignal(0, float64(i), time.Duration(i), hal.Valid)
		want := statusOfCycle(i)
		s.StoreStatus(&want)
		s.PutEvent(&Event{Kind: EventSignal, Index: int32(i)})
		s.PutTrace(&Trace{Kind: TraceTick})
		if got := s.TakeCommand(&c); got == TookCommand {
			t.Fatalf("took %+v from garbage", c)
		}
		for range RequestCapacity {
			if !s.TakeRequest(&r) {
				break
			}
			if r.Kind != RequestNone {
				t.Fatalf("took %+v from garbage", r)
			}
		}
		if err := e.ToBrain.Signal(); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, Now()-begin)
		time.Sleep(20 * time.Microsecond) // the attacker wants a processor
		if v, at, ok := s.LoadSignal(0); v != float64(i) || at != time.Duration(i) || ok != hal.Valid {
			t.Fatalf("signal %v %v %v, want %d", v, at, ok, i)
		}
		if got, ok := s.LoadStatus(); !ok || got != want {
			t.Fatalf("status %+v, want %+v", got, want)
		}
	}
}

func statusOfCycle(i uint64) Status {
	return Status{Epoch: i, Cycles: i, Discarded: i, LatencyMax: time.Duration(i)}
}

// honestAfter is a good brain after all the bad ones: it is told what happens from
// now on, and it is obeyed.
func honestAfter(t *testing.T, e *Ends) {
	t.Helper()
	e.Segment.PutEvent(&Event{Kind: EventSignal}) // finds the garbage that the last one left
	brain := attach(t, e.Segment)
	var event Event
	for brain.TakeEvent(&event) {
	}
	want := Event{Kind: EventLease, Flags: 1, Index: 7}
	e.Segment.PutEvent(&want)
	if !brain.TakeEvent(&event) || event != want {
		t.Errorf("the next brain is told %+v, want %+v", event, want)
	}
	var r Request
	for e.Segment.TakeRequest(&r) {
	}
	if asked := (Request{RequestStop, -1, 5, 6, 7}); !brain.PostRequest(asked) || !e.Segment.TakeRequest(&r) || r != asked {
		t.Errorf("the spine is asked %+v, want %+v", r, asked)
	}
	c := newCommandOf(2)
	for decision := range uint64(2) { // one can be missed: 1 in 2^64 that garbage is the sequence before the last one taken
		if err := brain.PostCommand(&Command{Decision: 1 + decision, Values: []float64{1, 2}}); err != nil {
			t.Fatal(err)
		}
	}
	if got := e.Segment.TakeCommand(&c); got != TookCommand || c.Values[1] != 2 {
		t.Errorf("the next brain's command: %v %+v", got, c)
	}
}

// TestNextBrainAfterGarbage: whatever a brain left in its half, the next one hears
// of what happens and is heard.
func TestNextBrainAfterGarbage(t *testing.T) {
	for _, left := range []uint64{0, 1, EventCapacity, 1 << 40, 1 << 63, ^uint64(0)} {
		for _, round := range []int{0, 3, EventCapacity + 5} {
			t.Run(strings.Join([]string{fmt.Sprintf("%#x", left), fmt.Sprint(round)}, " after "), func(t *testing.T) {
				e, err := NewEnds(testLayout())
				if err != nil {
					t.Fatal(err)
				}
				defer e.Close()
				for range round {
					e.Segment.PutEvent(&Event{Kind: EventSignal})
				}
				for i := range e.Segment.brainWords {
					e.Segment.brainWords[i].Store(left)
				}
				honestAfter(t, e)
			})
		}
	}
}

// TestTailsAreMended: the end of a brain that wrote nonsense over its counts of what
// it has taken is told to the next one.
func TestTailsAreMended(t *testing.T) {
	for _, left := range []uint64{EventCapacity + 5, 1 << 40, 1 << 63} {
		e, err := NewEnds(testLayout())
		if err != nil {
			t.Fatal(err)
		}
		e.Segment.PutEvent(&Event{Kind: EventSignal})
		e.Segment.events.tail.Store(left)
		e.Segment.traces.tail.Store(left)
		e.Segment.MendTails()
		if !e.Segment.PutEvent(&Event{Kind: EventBrain}) {
			t.Fatalf("%#x: no room for the brain's end", left)
		}
		e.Segment.PutTrace(&Trace{Kind: TraceTick})
		if lost := e.Segment.TracesLost(); lost != 0 {
			t.Errorf("%#x: %d traces lost", left, lost)
		}
		next := attach(t, e.Segment)
		var heard Event
		if !next.TakeEvent(&heard) || heard.Kind != EventBrain {
			t.Errorf("%#x: the next brain hears %v first", left, heard.Kind)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
