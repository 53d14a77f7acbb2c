package spine

import (
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// helperPriority is that of the spine's other threads: the lowest of the real-time
// ones. They do little, but they share the locks of Go's scheduler with the loop:
// one that holds such a lock and waits behind a brain that spins would make the
// loop wait as long.
const helperPriority = 1

// raiseHelpers gives every thread of this process real-time priority, below the
// loop's, and gives the way back. Threads that Go makes later inherit it; so would
// a process that is started, if its thread did not call asOrdinary first.
func raiseHelpers() (undo func()) {
	raised := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: helperPriority}
	ordinary := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}
	changeThreads(unix.SCHED_NORMAL, 0, raised)
	return func() { changeThreads(unix.SCHED_FIFO, helperPriority, ordinary) }
}

// changeThreads gives every thread that has one policy and priority another. What
// is refused stays as it is.
func changeThreads(policy, priority uint32, to unix.SchedAttr) {
	tasks, _ := os.ReadDir("/proc/self/task") // without it nothing is changed
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if now, err := unix.SchedGetAttr(tid, 0); err == nil && now.Policy == policy && now.Priority == priority {
			_ = unix.SchedSetAttr(tid, &to, 0)
		}
	}
}

// asOrdinary takes real-time priority from the calling thread, and from what it
// starts.
func asOrdinary() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0)
}
