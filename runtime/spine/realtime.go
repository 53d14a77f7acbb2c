package spine

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// priority of the loop's thread, 1 to 99. Above threaded interrupt handlers
// (50) the loop would starve the serial driver that feeds it.
const priority = 40

// heapLimit is where the Go runtime collects garbage after all: a collection of
// 5-12 ms is better than the kernel's end of a process without memory. The loop
// allocates nothing, so only faults that repeat for months come near it.
const heapLimit = 64 << 20

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
	threads := runtime.GOMAXPROCS(2) // the loop's, and one for everything else
	locked := lockMemory(log)
	return func() {
		if locked {
			_ = unix.Munlockall() // there is nothing to do about an error here
		}
		runtime.GOMAXPROCS(threads)
		debug.SetMemoryLimit(limit)
		debug.SetGCPercent(percent)
	}
}

// lockMemory locks what is touched from now on. Pages of the program that only
// the start needed are let go first, and huge pages are off: both would be
// locked too.
func lockMemory(log *slog.Logger) bool {
	_ = unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0) // a kernel without them has nothing to turn off
	dropProgramPages()
	err := errLimit
	if mayLock() {
		err = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT)
	}
	if err != nil {
		log.Warn("memory is not locked: a reflex can wait for the disk when memory is short",
			"cause", err, "cure", privilegeCure("LimitMEMLOCK=infinity"))
		return false
	}
	return true
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

// dropProgramPages lets go of the clean pages of files that are mapped read
// only: they come back from the page cache when they are touched.
func dropProgramPages() {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return // it only saves memory
	}
	defer f.Close()
	for _, m := range cleanMappings(f) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// cleanMappings picks the private, read-only mappings of files out of an smaps
// file, but for those with a page that was written before it was made read only
// (a dynamic linker does that): such a page would not come back as it was.
func cleanMappings(smaps io.Reader) []mapping {
	var found []mapping
	candidate := false
	for lines := bufio.NewScanner(smaps); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
		case !strings.HasSuffix(fields[0], ":"):
			var m mapping
			if m, candidate = fileMapping(fields); candidate {
				found = append(found, m)
			}
		case candidate && len(fields) > 1 && fields[1] != "0" &&
			(fields[0] == "Private_Dirty:" || fields[0] == "Anonymous:" || fields[0] == "Swap:"):
			found, candidate = found[:len(found)-1], false
		}
	}
	return found
}

// fileMapping reads the first line of a mapping.
func fileMapping(fields []string) (mapping, bool) {
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || fields[1] != "r-xp" && fields[1] != "r--p" {
		return mapping{}, false
	}
	low, high, _ := strings.Cut(fields[0], "-")
	from, err1 := strconv.ParseUint(low, 16, strconv.IntSize)
	to, err2 := strconv.ParseUint(high, 16, strconv.IntSize)
	if err1 != nil || err2 != nil || to <= from {
		return mapping{}, false
	}
	return mapping{uintptr(from), uintptr(to)}, true
}

// panicError is what a panic in one of the spine's goroutines becomes, after
// the outputs are safe.
type panicError struct {
	value any
	stack []byte
}

// Error carries the stack: it is the only trace that is left.
func (e *panicError) Error() string { return fmt.Sprintf("run spine: panic: %v\n%s", e.value, e.stack) }
