package spine

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

// raiseHelpers gives the loop's priority to every other thread of the process, and
// so to those that Go makes from them later; the supervisor's leaves it again. It
// gives the way back.
//
// Go's scheduler needs them: its watcher asks the loop to give way every 10 ms (it
// never yields by itself), and then another thread must hand its turn back; a
// thread that holds one of the runtime's short locks must get on for the loop to go
// on. At normal priority these threads wait for a processor like anything else:
// the loop was 2 to 90 ms late up to several times a second on a busy machine.
// Below the loop they would not get on at all on the loop's own processor, because
// the runtime spins for such a lock, with sched_yield, which yields to equals only.
//
// Beside the loop there are only the keeper, the opener, a poller for each I2C bus and
// what the runtime itself does, all of them short and bounded. A poller's thread sleeps
// in the kernel while a bus controller works; only a bit-banged bus, which has none,
// spins there for its transfers (docs/i2c.md).
func raiseHelpers(log *slog.Logger) (undo func()) {
	attributes := realTimeAttributes()
	attributes.Flags = 0 // threads that come from them are helpers, too
	self := unix.Gettid()
	err := settleThreads(func(tid int) (raised bool, err error) {
		if a, err := unix.SchedGetAttr(tid, 0); tid == self || err == nil && a.Policy == unix.SCHED_FIFO && a.Flags == 0 {
			return false, nil
		}
		return true, unix.SchedSetAttr(tid, attributes, 0)
	})
	if err != nil {
		log.Warn("helper threads have no real-time priority: reflexes can be late on a busy machine", "cause", err)
	}
	return func() {
		_ = eachThread(func(tid int) error { return unix.SchedSetAttr(tid, ordinaryAttributes(), 0) }) // less is always permitted
	}
}

// How often threads are listed: until nothing was to be changed so many times in a row, and
// so often at most. Five are the rule.
const (
	cleanPasses   = 3
	settlingLimit = 20
)

// settleThreads changes each thread of the process. One that was not changed yet can make
// another while they are listed, and the kernel's list leaves one out when another ends
// meanwhile: so it is not done when one listing finds nothing.
func settleThreads(change func(tid int) (changed bool, err error)) error {
	for pass, clean := 0, 0; pass < settlingLimit && clean < cleanPasses; pass++ {
		clean++
		err := eachThread(func(tid int) error {
			changed, err := change(tid)
			if changed {
				clean = 0
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// refuseSignals keeps Go's signals of preemption from the calling thread, which
// must be locked and end with its goroutine. They cost it a few microseconds a
// hundred times a second, and the handler reads tables of the program that nobody
// else touches: page faults, from the disk where memory is short. The loop gives way
// at its next function call all the same, and counts as giving way while it waits,
// so that a collection need not wait for it.
func refuseSignals() {
	const bits, bit = int(unsafe.Sizeof(unix.Sigset_t{}.Val[0])) * 8, int(unix.SIGURG) - 1
	var set unix.Sigset_t
	set.Val[bit/bits] |= 1 << (bit % bits)
	_ = unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil) // the arguments are right
}

// leaveRealTime makes the calling thread, and the processes that come from it,
// ordinary ones.
func leaveRealTime(log *slog.Logger) {
	attributes, err := unix.SchedGetAttr(0, 0)
	if err == nil && attributes.Policy == unix.SCHED_FIFO {
		err = unix.SchedSetAttr(0, ordinaryAttributes(), 0)
	}
	if err != nil {
		log.Error("the brain's thread keeps a real-time priority", "cause", err)
	}
}

func ordinaryAttributes() *unix.SchedAttr {
	return &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
}

// eachThread does something with each thread of this process. One that ends
// meanwhile is left out.
func eachThread(do func(tid int) error) error {
	entries, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return fmt.Errorf("list threads: %w", err)
	}
	for _, e := range entries {
		tid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if err := do(tid); err != nil && err != unix.ESRCH {
			return fmt.Errorf("set priority of thread %d: %w", tid, err)
		}
	}
	return nil
}
