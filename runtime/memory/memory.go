package memory

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// garbagePercent is how much garbage there may be beside what is in use, in place
// of Go's 100; of the 4 MiB below which Go collects nothing a quarter is left. A
// brain holds 2 MB and allocates little: a collection comes every few seconds.
const garbagePercent = 25

// Lean makes this process hold less garbage, where the environment (GOGC) does not
// say how much. Call it first.
func Lean() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
}

// GiveBack collects garbage, returns free memory to the kernel and lets go of the
// pages of files that are mapped read only and not locked, all at once:
// milliseconds. The kernel keeps such pages in its page cache and maps them again,
// 64 KiB at a time, when they are touched. The error says why the last of it was
// left out; what was not given back does no harm.
func GiveBack() error {
	debug.FreeOSMemory()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		return fmt.Errorf("drop pages of the program: %w", err)
	}
	defer f.Close()
	for _, m := range cleanMappings(f) {
		if err := m.advise(unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("drop pages of the program: madvise %x-%x: %w", m.from, m.to, err)
		}
	}
	return nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

func (m mapping) advise(advice uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, advice); e != 0 {
		return e
	}
	return nil
}

// cleanMappings picks the read-only mappings of files (the program, a database)
// out of an smaps file, but for those with a page that was written before it was made read only
// (a dynamic linker does that): such a page is anonymous and would not come back
// as it was. Private_Dirty is no reason: a file that was just written to, such as
// a new version of the program, is dirty in the page cache and stays there.
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
		case candidate && len(fields) > 1 && fields[1] != "0" && (fields[0] == "Anonymous:" || fields[0] == "Swap:"):
			found, candidate = found[:len(found)-1], false
		}
	}
	return found
}

// fileMapping reads the first line of a mapping.
func fileMapping(fields []string) (mapping, bool) {
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || fields[1] != "r-xp" && fields[1] != "r--p" && fields[1] != "r--s" {
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
