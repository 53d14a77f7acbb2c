package spine

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"dancer/hal"
	"dancer/hal/can"
	"dancer/hal/evdev"
	"dancer/hal/gpio"
	"dancer/hal/serial"
	"dancer/reflex"
	"dancer/reflex/program"
	"dancer/runtime/link"
	"dancer/runtime/memory"
)

// priority of the loop's thread, 1 to 99. Above threaded interrupt handlers
// (50) the loop would starve the serial driver that feeds it.
const priority = 40

// heapLimit is where the Go runtime collects garbage after all: a collection of
// 5-12 ms is better than the kernel's end of a process without memory. The loop
// allocates nothing, so only faults that repeat for months come near it.
const heapLimit = 64 << 20

// processors is how many of Go's processors there are: the loop's, and enough for
// everything else, even while a fork and a log line hold one each. With two, the
// loop found none when it came back from the kernel, for up to 100 ms. Each costs
// 60 kB.
const processors = 4

// madeRealTime gives the calling thread SCHED_FIFO. Threads and processes that
// come from it do not inherit that.
func madeRealTime(log *slog.Logger) bool {
	err := unix.SchedSetAttr(0, realTimeAttributes(), 0)
	if err == nil {
		return true
	}
	log.Warn("no real-time priority: reflexes are up to 4 ms late on a busy machine",
		"cause", err, "cure", privilegeCure("LimitRTPRIO=50"))
	return false
}

func realTimeAttributes() *unix.SchedAttr {
	return &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: priority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}
}

// privilegeCure says what grants a privilege, and who knows what else this
// machine lacks.
func privilegeCure(unit string) string {
	return "systemd: " + unit + ", or: sudo setcap cap_sys_nice,cap_ipc_lock+ep " + programPath() + "; dancer doctor says what else this machine lacks"
}

func programPath() string {
	if path, err := os.Executable(); err == nil {
		return path
	}
	return "dancer"
}

// tune sets the process up for the loop and gives the way back, for tests and
// for whatever runs after the spine in the same process.
func tune(log *slog.Logger) (undo func()) {
	percent := debug.SetGCPercent(-1)
	limit := debug.SetMemoryLimit(heapLimit)
	threads := runtime.GOMAXPROCS(processors)
	locked := lockMemory(log)
	expose := shield(log)
	return func() {
		expose()
		if locked {
			_ = unix.Munlockall() // there is nothing to do about an error here
		}
		runtime.GOMAXPROCS(threads)
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// lockMemory locks what is touched from now on. What only the start needed is
// given back first, and huge pages are off: both would be locked too.
func lockMemory(log *slog.Logger) bool {
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) // a kernel without them has nothing to turn off
	code := loopCode()
	_ = memory.GiveBack() // it only saves memory
	err := errLimit
	if mayLock() {
		err = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	if err != nil {
		log.Warn("memory is not locked: a reflex can wait for the disk when memory is short",
			"cause", err, "cure", privilegeCure("LimitMEMLOCK=infinity"))
		return false
	}
	_ = code.Prefault() // a kernel before 5.14 maps it as it runs
	return true
}

// loopCode is the code that stands between an input and an output.
func loopCode() memory.Code {
	return memory.FindCode(lockMemory, link.NewEnds, hal.NewFramer, reflex.NewTable, program.Invalid, gpio.RequestOutputs, serial.New, evdev.New, can.New)
}

// errLimit is why memory is better not locked: under a small limit every later
// mmap of the Go runtime could be refused.
var errLimit = errors.New("RLIMIT_MEMLOCK is too small")

// mayLock says whether memory can be locked without a limit that matters.
func mayLock() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&header, &data[0]) == nil && data[0].Effective&(1<<unix.CAP_IPC_LOCK) != 0 {
		return true
	}
	var limit unix.Rlimit
	everything := &unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	return unix.Setrlimit(unix.RLIMIT_MEMLOCK, everything) == nil ||
		unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur >= 1<<30
}

// panicError is what a panic in one of the spine's goroutines becomes, after
// the outputs are safe.
type panicError struct {
	value any
	stack []byte
}

// Error carries the stack: it is the only trace that is left.
func (e *panicError) Error() string { return fmt.Sprintf("run spine: panic: %v\n%s", e.value, e.stack) }
