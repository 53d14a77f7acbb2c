package memory

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"

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
// milliseconds. The kernel keeps such pages in its page cache and maps them again
// when they are touched: of the program 16 KiB at a time from the first call on,
// see divide. The error says why the last of it was left out; what was not given
// back does no harm.
func GiveBack() error {
	debug.FreeOSMemory()
	given, err := givable()
	if err != nil {
		return fmt.Errorf("drop pages of the program: %w", err)
	}
	for _, m := range given {
		if err := m.advise(unix.MADV_DONTNEED); err != nil {
			return fmt.Errorf("drop pages of the program: madvise %x-%x: %w", m.from, m.to, err)
		}
	}
	return nil
}

// program is where this program is mapped read only, once that was found and
// divided. It stays there to the end, and a list of all that is mapped is long then.
var program struct {
	sync.Mutex
	mappings []mapping
}

// givable gives what can be let go of: the program, and the files that are shared
// at the time.
func givable() ([]mapping, error) {
	program.Lock()
	defer program.Unlock()
	if program.mappings != nil {
		shared, err := read("/proc/self/maps", sharedMappings)
		return slices.Concat(program.mappings, shared), err
	}
	private, err := read("/proc/self/smaps", cleanMappings)
	if err != nil {
		return nil, err
	}
	shared, err := read("/proc/self/maps", sharedMappings)
	if err != nil {
		return nil, err
	}
	for _, m := range private {
		m.divide()
	}
	program.mappings = private
	return slices.Concat(private, shared), nil
}

func read(path string, pick func(io.Reader) []mapping) ([]mapping, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return pick(f), nil
}

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

func (m mapping) advise(advice uintptr) error {
	if _, _, e := unix.Syscall(unix.SYS_MADVISE, m.from, m.to-m.from, advice); e != 0 {
		return e
	}
	return nil
}

// part is how much of the program the kernel maps around a page that is touched,
// in place of its 64 KiB (fault_around_bytes, which is the whole machine's). An
// idle brain touches a third of what 64 KiB around each page map.
const part = 16 << 10

// divide gives every second part of a mapping another mark than its neighbours,
// one that means nothing for a file that is only read (it is left out of a core
// dump, where it never was). The kernel then keeps each part as an area of its
// own, and maps no page across the edge of an area. 26 MB become 1,700 areas of
// about 200 bytes; a process may have 65,530. Where the kernel refuses, more
// stays mapped.
func (m mapping) divide() {
	for at := (m.from + part - 1) &^ (part - 1); at+part <= m.to; at += 2 * part {
		if (mapping{at, at + part}).advise(unix.MADV_DONTDUMP) != nil {
			return
		}
	}
}

// cleanMappings picks the private read-only mappings of files, which is the
// program, out of an smaps file, but for those with a page that was written before it was made read only
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
			if m, candidate = fileMapping(fields, "r-xp", "r--p"); candidate {
				found = append(found, m)
			}
		case candidate && len(fields) > 1 && fields[1] != "0" && (fields[0] == "Anonymous:" || fields[0] == "Swap:"):
			found, candidate = found[:len(found)-1], false
		}
	}
	return found
}

// sharedMappings picks the shared read-only mappings of files, such as a
// database, out of a maps file.
func sharedMappings(maps io.Reader) []mapping {
	var found []mapping
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		if m, ok := fileMapping(strings.Fields(lines.Text()), "r--s"); ok {
			found = append(found, m)
		}
	}
	return found
}

// fileMapping reads the first line of a mapping of a file with one of these
// permissions.
func fileMapping(fields []string, permissions ...string) (mapping, bool) {
	if len(fields) < 6 || !strings.HasPrefix(fields[5], "/") || !slices.Contains(permissions, fields[1]) {
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
