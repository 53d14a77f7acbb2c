package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"dancer/runtime/guest"
)

// The controller of the GPIO lines is an ARM PL061: eight lines, whose levels a read
// of the data register with all address bits of its mask set gives, inputs and outputs
// alike (ARM DDI 0190B, 3.3.1).
const (
	controllerName = "pl061"
	controllerSize = 4096
	dataOfAll      = 0x3fc
)

// lookEvery is how often the levels are read, watchPriority the reader's priority,
// above the spine's loop and the kernel's interrupt threads.
const (
	lookEvery     = 50 * time.Microsecond
	watchPriority = 98
)

// keptLevels bounds the changes of one call.
const keptLevels = 1 << 16

// Watch sends a signal and records the lines' levels from then on.
func (s *service) Watch(w guest.Watched, seen *[]guest.Levels) error {
	levels, done, err := mapLevels()
	if err != nil {
		return err
	}
	defer done()
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its priority
		var err error
		*seen, err = watch(levels, w)
		result <- err
	}()
	return <-result
}

func watch(levels *uint32, w guest.Watched) ([]guest.Levels, error) {
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: watchPriority, Flags: unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	if err != nil {
		return nil, fmt.Errorf("watch: real-time priority: %w", err)
	}
	seen := make([]guest.Levels, 1, 64)
	began := monotonic()
	seen[0].Bits = uint8(atomic.LoadUint32(levels))
	if w.PID != 0 {
		if err := unix.Kill(w.PID, unix.Signal(w.Signal)); err != nil {
			return nil, fmt.Errorf("watch: signal process %d: %w", w.PID, err)
		}
	}
	for next := began; ; {
		next += lookEvery
		at := unix.NsecToTimespec(int64(next))
		if err := unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil); err != nil && err != unix.EINTR {
			return nil, fmt.Errorf("watch: sleep: %w", err)
		}
		bits := uint8(atomic.LoadUint32(levels))
		now := monotonic()
		if bits != seen[len(seen)-1].Bits && len(seen) < keptLevels {
			seen = append(seen, guest.Levels{After: now - began, Bits: bits})
		}
		if now-began >= w.For {
			return seen, nil
		}
	}
}

func monotonic() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // there always is one
	return time.Duration(now.Nano())
}

// mapLevels maps the register that has the levels. The kernel lets the first process do
// that with iomem=relaxed on its command line.
func mapLevels() (register *uint32, done func(), err error) {
	base, err := controllerBase()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.OpenFile("/dev/mem", os.O_RDONLY|unix.O_SYNC, 0)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	page, err := unix.Mmap(int(f.Fd()), base, controllerSize, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("map the GPIO controller at %#x: %w", base, err)
	}
	return (*uint32)(unsafe.Pointer(&page[dataOfAll])), func() { _ = unix.Munmap(page) }, nil
}

// controllerBase looks where the kernel found the controller.
func controllerBase() (int64, error) {
	f, err := os.Open("/proc/iomem")
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var from, to int64
		if n, _ := fmt.Sscanf(strings.TrimSpace(lines.Text()), "%x-%x", &from, &to); n == 2 && strings.Contains(lines.Text(), controllerName) {
			return from, nil
		}
	}
	return 0, fmt.Errorf("/proc/iomem has no %s", controllerName)
}
