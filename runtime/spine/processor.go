package spine

import (
	"log/slog"
	"math/bits"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// oneProcessor keeps the loop, and the threads of Go's scheduler that hand it its
// turn, on one processor, the last of those that this process may run on (Linux
// directs interrupts to the first ones where nobody says otherwise). A hundred times a
// second the loop's turn goes to another thread and comes back (giveWay). On one
// processor that is two switches, 10 us. Across two it is an interrupt to a processor
// that may sleep and one back, each of which stops its sender too where the machine is
// a virtual one: with a brain at work the 99.9th percentile was 1.9 times that of the
// same loop in C, and is 1.0 to 1.2 times.
//
// What works for long at once, or waits for devices, runs on a thread of its own that
// may run on every processor (leave), so that it does not keep the loop from its own.
type oneProcessor struct {
	log     *slog.Logger
	all     unix.CPUSet // what the process may run on
	refused bool        // the kernel does not say
	mutex   sync.Mutex
	left    map[int]bool // threads that run where they like
}

func newOneProcessor(log *slog.Logger) *oneProcessor {
	p := &oneProcessor{log: log, left: map[int]bool{watcher(): true}}
	p.refused = unix.SchedGetaffinity(0, &p.all) != nil
	return p
}

// keep brings all threads but those that have left to one processor, and so those
// that come from them later. It gives the way back.
func (p *oneProcessor) keep() (undo func()) {
	last := lastOf(&p.all)
	if p.refused || p.all.Count() < 2 || last < 0 {
		return func() {}
	}
	var only unix.CPUSet
	only.Set(last)
	moved, err := true, error(nil)
	for pass := 0; moved && err == nil && pass < raisingPasses; pass++ {
		moved = false
		err = eachThread(func(tid int) error {
			p.mutex.Lock()
			defer p.mutex.Unlock()
			var now unix.CPUSet
			if unix.SchedGetaffinity(tid, &now) == nil && now == only || p.left[tid] {
				return nil
			}
			moved = true
			return unix.SchedSetaffinity(tid, &only)
		})
	}
	if err != nil {
		p.log.Warn("the reflex loop is not kept on one processor: reflexes can be late now and then", "cause", err)
	}
	return func() {
		_ = eachThread(func(tid int) error { return unix.SchedSetaffinity(tid, &p.all) }) // more is always permitted
	}
}

// leave gives the calling goroutine a thread of its own that may run on every
// processor. The thread ends with the goroutine.
func (p *oneProcessor) leave() {
	runtime.LockOSThread() // never unlocked
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.left[unix.Gettid()] = true
	if !p.refused {
		_ = unix.SchedSetaffinity(0, &p.all) // more is always permitted
	}
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
