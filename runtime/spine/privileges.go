package spine

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Priority is what the loop's thread asks for, SCHED_FIFO 1 to 99.
const Priority = priority

// MayRunRealTime tries on a thread of its own what the loop's thread will ask
// for; the thread ends with the trial. It sees what no file tells: limits,
// capabilities, the control group's share and a sandbox together.
func MayRunRealTime() error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		result <- unix.SchedSetAttr(0, realTimeAttributes(), 0)
	}()
	return <-result
}

// MayLockMemory says whether the spine of this process would lock its memory.
// It locks nothing; like the spine it raises the limit where it may.
func MayLockMemory() bool { return mayLock() }
