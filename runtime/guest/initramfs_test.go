package guest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// entry is one entry of an archive as the kernel's unpacker would see it.
type entry struct {
	name string
	mode uint64
	data string
}

// unpack reads an archive by the kernel's description of it.
func unpack(t *testing.T, archive []byte) (entries []entry) {
	t.Helper()
	aligned := func(n int) int { return (n + 3) &^ 3 }
	for at := 0; ; {
		if at+110 > len(archive) || string(archive[at:at+6]) != "070701" {
			t.Fatalf("no header at %d of %d", at, len(archive))
		}
		field := func(i int) int {
			n, err := strconv.ParseUint(string(archive[at+6+8*i:at+14+8*i]), 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			return int(n)
		}
		mode, size, length := field(1), field(6), field(11)
		name := string(archive[at+110 : at+110+length-1])
		data := aligned(at + 110 + length)
		if name == "TRAILER!!!" {
			return entries
		}
		entries = append(entries, entry{name, uint64(mode), string(archive[data : data+size])})
		at = aligned(data + size)
	}
}

// TestInitramfsOfSystem: a folder's content is taken as it is, and a file whose path
// leads through one of its links does not replace the link.
func TestInitramfsOfSystem(t *testing.T) {
	root := t.TempDir()
	for _, err := range []error{
		os.MkdirAll(filepath.Join(root, "usr/bin"), 0o755), os.Symlink("usr/bin", filepath.Join(root, "bin")),
		os.WriteFile(filepath.Join(root, "usr/bin/tool"), []byte("tool"), 0o755), os.MkdirAll(filepath.Join(root, "dev"), 0o755),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	files := []File{{Path: "/bin/mine", Data: []byte("m"), Mode: 0o700}, {Path: "/etc/to", Link: "/bin/mine"}}
	if err := writeInitramfs(&out, root, files); err != nil {
		t.Fatal(err)
	}
	want := []entry{
		{"bin", 0o120777, "usr/bin"}, {"dev", 0o040755, ""}, {"usr", 0o040755, ""}, {"usr/bin", 0o040755, ""}, {"usr/bin/tool", 0o100755, "tool"},
		{"dev/console", 0o020600, ""}, {"dev/null", 0o020666, ""}, {"bin/mine", 0o100700, "m"},
		{"etc", 0o040755, ""}, {"etc/to", 0o120777, "/bin/mine"},
	}
	if got := unpack(t, out.Bytes()); !slices.Equal(got, want) {
		t.Errorf("unpacked %v\nwant %v", got, want)
	}
	if err := writeInitramfs(&out, filepath.Join(root, "not"), nil); err == nil {
		t.Error("a system that is not there was packed")
	}
}

func TestInitramfs(t *testing.T) {
	from := filepath.Join(t.TempDir(), "copied")
	if err := os.WriteFile(from, []byte("from a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	files := []File{{Path: "/init", From: from}, {Path: "/a/b/c", Mode: 0o640}, {Path: "a/b/d", Data: []byte("12345")}}
	for n := range 9 { // every length of the padding
		files = append(files, File{Path: fmt.Sprintf("/a/%0*d", n+1, n), Data: bytes.Repeat([]byte("x"), n), Mode: 0o644})
	}
	var out bytes.Buffer
	if err := writeInitramfs(&out, "", files); err != nil {
		t.Fatal(err)
	}
	got := unpack(t, out.Bytes())
	want := []entry{
		{"dev", 0o040755, ""}, {"dev/console", 0o020600, ""}, {"dev/null", 0o020666, ""}, {"init", 0o100755, "from a file"},
		{"a", 0o040755, ""}, {"a/b", 0o040755, ""}, {"a/b/c", 0o100640, ""}, {"a/b/d", 0o100755, "12345"},
	}
	for n := range 9 {
		want = append(want, entry{fmt.Sprintf("a/%0*d", n+1, n), 0o100644, string(bytes.Repeat([]byte("x"), n))})
	}
	if !slices.Equal(got, want) {
		t.Errorf("unpacked %v\nwant %v", got, want)
	}
	if err := writeInitramfs(&out, "", []File{{Path: "/x", From: from + ".not"}}); err == nil {
		t.Error("a file that is not there was copied")
	}
}
