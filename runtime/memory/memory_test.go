package memory

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestCleanMappings(t *testing.T) {
	const smaps = `00400000-00401000 r--p 00000000 fe:00 1 /usr/bin/dancer
Private_Dirty:         0 kB
Anonymous:             0 kB
00401000-00500000 r-xp 00001000 fe:00 1 /usr/bin/dancer
Private_Dirty:        64 kB
Anonymous:             0 kB
Swap:                  0 kB
00600000-00601000 r--p 00000000 fe:00 2 /lib/relro.so
Private_Dirty:         4 kB
Anonymous:             4 kB
00650000-00651000 r--p 00000000 fe:00 2 /lib/swapped.so
Anonymous:             0 kB
Swap:                  4 kB
00700000-00701000 rw-p 00000000 fe:00 1 /usr/bin/dancer
Private_Dirty:         0 kB
00800000-00900000 r--s 00000000 fe:00 3 /var/lib/dancer/robot/robot
Private_Dirty:         8 kB
Anonymous:             0 kB
00900000-00a00000 rw-s 00000000 fe:00 4 /memfd:dancer-link (deleted)
Anonymous:             0 kB
7fff0000-7fff1000 r-xp 00000000 00:00 0 [vdso]
Private_Dirty:         0 kB
`
	want := []mapping{{0x400000, 0x401000}, {0x401000, 0x500000}}
	if got := cleanMappings(strings.NewReader(smaps)); !slices.Equal(got, want) {
		t.Errorf("private: %x, want %x", got, want)
	}
	want = []mapping{{0x800000, 0x900000}}
	if got := sharedMappings(strings.NewReader(smaps)); !slices.Equal(got, want) {
		t.Errorf("shared: %x, want %x", got, want)
	}
}

// residentIn counts the pages of these that this process has mapped.
func residentIn(t *testing.T, mapped []byte) int {
	t.Helper()
	at := uintptr(unsafe.Pointer(&mapped[0]))
	return resident(t, mapping{at, at + uintptr(len(mapped))})
}

// resident counts the pages of a mapping that this process has mapped, as the
// kernel's page map shows them.
func resident(t *testing.T, m mapping) int {
	t.Helper()
	f, err := os.Open("/proc/self/pagemap")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	const entry = 8 // bytes a page; the top bit of the little-endian word says present
	size := uintptr(os.Getpagesize())
	b := make([]byte, (m.to-m.from)/size*entry)
	if _, err := f.ReadAt(b, int64(m.from/size*entry)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i := entry - 1; i < len(b); i += entry {
		n += int(b[i] >> 7)
	}
	return n
}

// What was read through a mapping of a file goes, even where the file was
// written a moment ago, and comes back as it was.
func TestGiveBack(t *testing.T) {
	const pages = 64
	content := bytes.Repeat([]byte("a page of the program"), pages*os.Getpagesize()/21+1)[:pages*os.Getpagesize()]
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, len(content), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	if !bytes.Equal(mapped, content) || residentIn(t, mapped) != pages {
		t.Fatalf("%d of %d pages are mapped after all were read", residentIn(t, mapped), pages)
	}
	if err := GiveBack(); err != nil {
		t.Fatal(err)
	}
	if n := residentIn(t, mapped); n != 0 {
		t.Errorf("%d of %d pages are still mapped", n, pages)
	}
	if !bytes.Equal(mapped, content) {
		t.Error("the pages came back changed")
	}
}

// Where the program was divided, one page that is touched brings at most its part
// with it. It is not page size alone that does it: the kernel maps around a page.
func TestDivide(t *testing.T) {
	const size = 1 << 20
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(mapped) }()
	at := uintptr(unsafe.Pointer(&mapped[0]))
	m := mapping{at, at + size}
	touch := func() int {
		if err := m.advise(unix.MADV_DONTNEED); err != nil {
			t.Fatal(err)
		}
		if mapped[size/2+part/2] != 0 {
			t.Fatal("not the file")
		}
		return resident(t, m) * os.Getpagesize()
	}
	if whole := touch(); whole <= part {
		t.Skipf("this kernel maps only %d bytes around a page", whole)
	}
	m.divide()
	if divided := touch(); divided > part {
		t.Errorf("%d bytes are mapped around a page, want %d at most", divided, part)
	}
}

func BenchmarkGiveBack(b *testing.B) {
	for b.Loop() {
		if err := GiveBack(); err != nil {
			b.Fatal(err)
		}
	}
}

// All code of a package is found from any function of it, and mapped.
func TestFindCode(t *testing.T) {
	code := FindCode(cleanMappings, strings.Cut)
	for i, inside := range [][]any{{FindCode, Code.Prefault, TestFindCode, Lean}, {strings.Split, strings.NewReplacer, strings.Map}} {
		for _, f := range inside {
			if at := reflect.ValueOf(f).Pointer(); at < code[i].from || at >= code[i].to {
				t.Errorf("%x is not within %x", at, code[i])
			}
		}
		if size := code[i].to - code[i].from; size > 512<<10 {
			t.Errorf("%d bytes of code: more than the package", size)
		}
	}
	if err := GiveBack(); err != nil {
		t.Fatal(err)
	}
	if err := code.Prefault(); err != nil {
		t.Skipf("a kernel before 5.14: %v", err)
	}
	for _, m := range code {
		if n, pages := resident(t, m), int(m.to-m.from)/os.Getpagesize(); n != pages {
			t.Errorf("%d of %d pages are mapped", n, pages)
		}
	}
}
