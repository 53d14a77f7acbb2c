package link

import (
	"time"

	"golang.org/x/sys/unix"
)

// Now reads CLOCK_MONOTONIC, the one clock of both processes: ages, leases and
// deadlines are differences of it. It is one system call; the spine's loop has a
// cheaper clock of its own that agrees with it.
func Now() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		panic("link: no monotonic clock: " + err.Error())
	}
	return time.Duration(ts.Nano())
}
