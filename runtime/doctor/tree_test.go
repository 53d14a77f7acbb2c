package doctor

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"

	"dancer/boards"
)

// A tree is a file of testdata: text that names its source, then files as
//
//	-- path --                     what follows, to the next such line
//	-- path -> target --           a symbolic link
//	-- path c owner:group mode --  a character device (d: a folder, b: a block device)
//	-- path UNIT --                packaging/dancer@.service
//	-- path OPTION,OPTION --       packed with gzip, an option a line
func tree(t *testing.T, name string) fstest.MapFS {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	files := fstest.MapFS{}
	var open *fstest.MapFile
	for line := range strings.Lines(string(data)) {
		head, isHead := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "-- ")
		head, isEnd := strings.CutSuffix(head, " --")
		if !isHead || !isEnd {
			if open != nil {
				open.Data = append(open.Data, line...)
			}
			continue
		}
		var path string
		path, open = entry(t, strings.Fields(head))
		files[path] = open
	}
	if len(files) < 10 {
		t.Fatalf("%s: %d files", name, len(files))
	}
	return files
}

func entry(t *testing.T, words []string) (string, *fstest.MapFile) {
	t.Helper()
	f := &fstest.MapFile{Mode: 0o644, Sys: &syscall.Stat_t{}}
	switch {
	case len(words) == 1:
	case len(words) == 2 && words[1] == "UNIT":
		f.Data = packaged(t)
	case len(words) == 2:
		f.Data = packed(t, words[1])
	case len(words) == 3 && words[1] == "->":
		f.Mode, f.Data = fs.ModeSymlink|0o777, []byte(words[2])
	case len(words) == 4:
		special(t, f, words[1:])
	default:
		t.Fatalf("unknown entry %q", words)
	}
	return words[0], f
}

func special(t *testing.T, f *fstest.MapFile, words []string) {
	t.Helper()
	kinds := map[string]fs.FileMode{"c": fs.ModeDevice | fs.ModeCharDevice, "d": fs.ModeDir, "b": fs.ModeDevice, "f": 0}
	kind, known := kinds[words[0]]
	owner, group, _ := strings.Cut(words[1], ":")
	mode, err := strconv.ParseUint(words[2], 8, 32)
	if err != nil || !known {
		t.Fatalf("unknown entry %q", words)
	}
	id := func(name string) uint32 {
		if name == "root" {
			return 0
		}
		n, err := strconv.ParseUint(name, 10, 32)
		if err != nil {
			t.Fatal(err)
		}
		return uint32(n)
	}
	f.Mode, f.Sys = kind|fs.FileMode(mode&0o777), &syscall.Stat_t{Uid: id(owner), Gid: id(group)}
}

func packaged(t *testing.T) []byte {
	t.Helper()
	unit, err := os.ReadFile("../../packaging/dancer@.service")
	if err != nil {
		t.Fatal(err)
	}
	return unit
}

func packed(t *testing.T, options string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(strings.ReplaceAll(options, ",", "\n") + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// healthy answers as a machine on which all is well.
func healthy() System {
	return System{
		RealTime: func() error { return nil },
		MayLock:  func() bool { return true },
		Disk: func(string) (Disk, error) {
			return Disk{Total: 29 << 30, Free: 21 << 30, Files: 1900000, FreeFiles: 1800000}, nil
		},
		PowerSave: func(string) (bool, error) { return false, nil },
		InStep:    func() (bool, error) { return true, nil },
		Line: func(l boards.Line) (Line, error) {
			return Line{Chip: "/dev/gpiochip0", Offset: l.Offset}, nil
		},
		Reach: func(context.Context, Broker) error { return nil },
		Probe: func(string, uint16) error { return nil },
	}
}

// asUser answers as to an ordinary user without privileges.
func asUser(uid uint32, gids ...uint32) System {
	s := healthy()
	s.UID, s.GIDs = uid, gids
	s.RealTime = func() error { return errors.New("operation not permitted") }
	s.MayLock = func() bool { return false }
	return s
}

// examine gives the report of a machine.
func examine(t *testing.T, m Machine, r *Robot) Report {
	t.Helper()
	report, err := Examine(t.Context(), m, r)
	if err != nil {
		t.Fatal(err)
	}
	return report
}
