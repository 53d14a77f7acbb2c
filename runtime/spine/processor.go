package spine

import (
	"log/slog"
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// oneProcessor keeps the loop, and the threads of Go's scheduler that hand it its
// turn, on one processor: the last that the kernel keeps free of everything else
// (isolcpus=), or else the last of those that this process may run on (Linux directs
// interrupts to the first ones where nobody says otherwise). A hundred times a
// second the loop's turn goes to another thread and comes back (giveWay). On one
// processor that is two switches, 10 us. Across two it is an interrupt to a processor
// that may sleep and one back, each of which stops its sender too where the machine is
// a virtual one: with a brain at work the 99.9th percentile was 283 us, and is 141.
//
// What works for long at once, or waits for devices, runs on a thread of its own on the
// other processors (leave): at the loop's priority it would keep the loop from its own, or
// the thread that has to hand the turn back, until it sleeps.
type oneProcessor struct {
	log     *slog.Logger
	all     unix.CPUSet // what the process may run on
	refused bool        // the kernel does not say
	mutex   sync.Mutex
	others  unix.CPUSet  // where those that left run: all, or all but the loop's
	left    map[int]bool // their threads
}

func newOneProcessor(log *slog.Logger) *oneProcessor {
	p := &oneProcessor{log: log, left: map[int]bool{watcher(): true}}
	p.refused = unix.SchedGetaffinity(0, &p.all) != nil
	p.others = p.all
	return p
}

// keep brings all threads but those that have left to one processor, and so those
// that come from them later. It gives the way back.
func (p *oneProcessor) keep() (undo func()) {
	if p.refused {
		return func() {}
	}
	only, ok := p.choose()
	if !ok {
		return func() {}
	}
	p.mutex.Lock()
	for i := range p.others {
		p.others[i] &^= only[i]
	}
	if p.others.Count() == 0 { // the loop's is all that there is
		p.others = p.all
	}
	p.mutex.Unlock()
	makeSpares()
	err := settleThreads(func(tid int) (bool, error) { return p.place(tid, &only) })
	if err != nil {
		p.log.Warn("the reflex loop is not kept on one processor: reflexes can be late now and then", "cause", err)
	}
	return func() {
		_ = eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &p.all) }) // more is always permitted
	}
}

// spareThreads is how many threads wait for work of Go's scheduler: one for each of its
// processors, and as many whose goroutines are in a system call when it wants another.
const spareThreads = 8

// makeSpares makes them before all have their places. Without, Go's watcher makes one
// where it finds a processor of Go's without a thread, and that one runs where the
// watcher does, and not with the loop.
func makeSpares() {
	var here, gone sync.WaitGroup
	release := make(chan struct{})
	here.Add(spareThreads)
	for range spareThreads {
		gone.Go(func() {
			runtime.LockOSThread() // so each has one to itself
			defer runtime.UnlockOSThread()
			here.Done()
			<-release
		})
	}
	here.Wait()
	close(release)
	gone.Wait()
}

// place gives a thread its place, and says whether it had another.
func (p *oneProcessor) place(tid int, only *unix.CPUSet) (changed bool, err error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	want := only
	if p.left[tid] {
		want = &p.others
	}
	var now unix.CPUSet
	if unix.SchedGetaffinity(tid, &now) == nil && now == *want {
		return false, nil
	}
	return true, unix.SchedSetaffinity(tid, want)
}

// choose gives the processor, and moves the calling thread to it; false where there is
// only one.
func (p *oneProcessor) choose() (only unix.CPUSet, ok bool) {
	text, _ := os.ReadFile("/sys/devices/system/cpu/isolated") // a kernel without it isolates none
	if isolated := lastListed(string(text)); isolated >= 0 {
		only.Set(isolated)
		if unix.SchedSetaffinity(0, &only) == nil { // else a control group keeps us from it
			return only, true
		}
	}
	last := lastOf(&p.all)
	if last < 0 || p.all.Count() < 2 {
		return only, false
	}
	only.Zero()
	only.Set(last)
	return only, true
}

// leave gives the calling goroutine a thread of its own beside the loop's processor.
// The thread ends with the goroutine.
func (p *oneProcessor) leave() {
	runtime.LockOSThread() // never unlocked
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.left[unix.Gettid()] = true
	if !p.refused {
		_ = unix.SchedSetaffinity(0, &p.others) // a part of what the process may run on
	}
}

// leaveAltogether lets the calling goroutine's thread, and the processes that come from
// it, run wherever this process may: at normal priority it keeps nothing from the loop.
// It is called when threads have their places.
func (p *oneProcessor) leaveAltogether() {
	runtime.LockOSThread() // never unlocked
	if !p.refused {
		_ = unix.SchedSetaffinity(0, &p.all) // what the process may run on
	}
}

// lastListed gives the last processor of a list such as "2-3,5", -1 where there is none
// (kernel: admin-guide/cputopology.rst).
func lastListed(list string) int {
	numbers := strings.FieldsFunc(list, func(r rune) bool { return r < '0' || r > '9' })
	if len(numbers) == 0 {
		return -1
	}
	n, err := strconv.Atoi(numbers[len(numbers)-1])
	if err != nil {
		return -1
	}
	return n
}

// lastOf gives the highest number of a set, -1 where it is empty.
func lastOf(set *unix.CPUSet) int {
	for i := len(set) - 1; i >= 0; i-- {
		if word := uint(set[i]); word != 0 {
			return i*bits.UintSize + bits.Len(word) - 1
		}
	}
	return -1
}

// watcher gives the thread of Go's scheduler that watches all others (sysmon). It is
// the first that Go makes beside the main thread (runtime.main), and has no turn to
// hand over; on the loop's processor it would wake there up to every 20 us. The folder
// lists threads in the order in which they were made. 0: not found.
func watcher() int {
	folder, err := os.Open("/proc/self/task")
	if err != nil {
		return 0
	}
	defer folder.Close()
	names, err := folder.Readdirnames(2)
	if err != nil || len(names) < 2 || names[0] != strconv.Itoa(os.Getpid()) {
		return 0
	}
	tid, _ := strconv.Atoi(names[1]) // the kernel writes numbers
	return tid
}
