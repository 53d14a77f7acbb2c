package spine

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// spineOOM is "never" (proc(5), oom_score_adj): the spine holds little, and what
// it holds is what keeps the robot safe.
const spineOOM = -1000

// fairOOM is what is protected well enough to say nothing about: half of the
// memory is taken off what the process uses.
const fairOOM = -500

// adjustOOM sets how readily the kernel ends a process, "self" or a number, when
// memory runs out.
func adjustOOM(process string, adjustment int) error {
	return os.WriteFile(filepath.Join("/proc", process, "oom_score_adj"), []byte(strconv.Itoa(adjustment)), 0)
}

func oomAdjustment() (int, error) {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// shield keeps the spine from being ended for memory, as far as it may, and from
// being traced by its own user, who can be the brain's. It gives the way back.
func shield(log *slog.Logger) (undo func()) {
	before, err := oomAdjustment()
	if err == nil {
		err = adjustOOM("self", spineOOM)
	}
	if err != nil && before > fairOOM {
		log.Info("the kernel may end the spine when memory runs out", "cause", err, "cure", "systemd: OOMScoreAdjust=-1000")
	}
	traceable := uintptr(1)
	if os.Geteuid() != 0 { // a brain of another user may not trace us anyway, and root's tools need no more than root
		traceable = 0
	}
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, traceable, 0, 0, 0) // never refused with 0 or 1
	return func() {
		_ = unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)
		if err == nil {
			_ = adjustOOM("self", before) // higher than now: never refused
		}
	}
}
