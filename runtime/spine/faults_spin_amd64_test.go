package spine

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// endlessLoop is the end of Go's runtime.exitThread, on amd64: int 3 and a jump to
// itself. Go never preempts a thread there.
var endlessLoop = []byte{0xcd, 0x03, 0xeb, 0xfe}

// spinThreads makes every thread of a process run in a circle until release is
// closed, and lets each go on where it was. The process is stopped by the way for
// well below a millisecond.
func spinThreads(pid int, release <-chan struct{}) error {
	runtime.LockOSThread() // a tracer is a thread
	defer runtime.UnlockOSThread()
	loop, err := findCode(pid, endlessLoop)
	if err != nil {
		return err
	}
	where := map[int]unix.PtraceRegs{}
	err = eachStopped(pid, func(tid int) error {
		var regs unix.PtraceRegs
		if err := unix.PtraceGetRegs(tid, &regs); err != nil {
			return err
		}
		where[tid] = regs
		regs.Rip = loop + 2
		regs.Orig_rax = ^uint64(0) // a system call that was interrupted is not tried again from here
		return unix.PtraceSetRegs(tid, &regs)
	})
	if err != nil {
		return err
	}
	<-release
	return eachStopped(pid, func(tid int) error {
		regs, known := where[tid]
		if !known {
			return nil // made meanwhile, by nobody we know
		}
		return unix.PtraceSetRegs(tid, &regs)
	})
}

// eachStopped stops every thread, does something with it, and lets all of them go.
func eachStopped(pid int, do func(tid int) error) error {
	tasks, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		return err
	}
	var stopped []int
	defer func() {
		for _, tid := range stopped {
			_ = unix.PtraceDetach(tid)
		}
	}()
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.PtraceSeize(tid); err != nil {
			return fmt.Errorf("seize thread: %w", err)
		}
		stopped = append(stopped, tid)
		if err := unix.PtraceInterrupt(tid); err != nil {
			return fmt.Errorf("interrupt thread: %w", err)
		}
		var status unix.WaitStatus
		if _, err := unix.Wait4(tid, &status, unix.WALL, nil); err != nil {
			return fmt.Errorf("wait for thread: %w", err)
		}
		if err := do(tid); err != nil {
			return fmt.Errorf("move thread: %w", err)
		}
	}
	return nil
}

// findCode gives the address of some code in a process.
func findCode(pid int, code []byte) (uint64, error) {
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		return 0, err
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		return 0, err
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to uint64
		var how string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &how); n < 3 || how != "r-xp" {
			continue
		}
		text := make([]byte, to-from)
		if _, err := memory.ReadAt(text, int64(from)); err != nil {
			continue // the kernel's own page
		}
		if i := bytes.Index(text, code); i >= 0 {
			return from + uint64(i), nil
		}
	}
	return 0, fmt.Errorf("no such code in process %d", pid)
}
