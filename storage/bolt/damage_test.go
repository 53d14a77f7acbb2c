package bolt

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dancer/storage"
)

// prepared makes a folder with a store of n records and a copy of it, and adds
// one record after the copy.
func prepared(t *testing.T, n int) (dir, path string) {
	t.Helper()
	dir = t.TempDir()
	s := open(t, dir, Options{})
	for i := range n {
		put(t, s, storage.TableMarkers, fmt.Sprintf("%06d", i), strings.Repeat("m", 300))
	}
	if err := s.Copy(); err != nil {
		t.Fatal(err)
	}
	put(t, s, storage.TableMarkers, "later", "x")
	closeStore(t, s)
	return dir, s.path
}

// newestMeta finds the pages of the free list and of the root.
func newestMeta(data []byte) (freelist int, root uint64) {
	newest := uint64(0)
	for meta := range 2 {
		at := meta*4096 + 16 // after the page header: magic, version, page size, flags, root, freelist, ...
		if id := binary.LittleEndian.Uint64(data[at+48:]); id >= newest {
			newest, freelist, root = id, int(binary.LittleEndian.Uint64(data[at+32:])), binary.LittleEndian.Uint64(data[at+16:])
		}
	}
	return freelist, root
}

func rewrite(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(data), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestDamage: whatever happened to the file, it is set aside, the copy comes
// back, and a note says so.
func TestDamage(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"free list of another type": func(d []byte) []byte {
			page, _ := newestMeta(d)
			binary.LittleEndian.PutUint16(d[page*4096+8:], 0x02) // a leaf page: bbolt panics on it
			return d
		},
		"free list counts too many": func(d []byte) []byte {
			page, _ := newestMeta(d)
			binary.LittleEndian.PutUint16(d[page*4096+10:], 0xfffe)
			return d
		},
		"free list frees used pages": func(d []byte) []byte {
			page, root := newestMeta(d)
			binary.LittleEndian.PutUint16(d[page*4096+10:], 1)
			binary.LittleEndian.PutUint64(d[page*4096+16:], root)
			return d
		},
		"both meta pages": func(d []byte) []byte {
			clear(d[:8192])
			return d
		},
		"end missing":  func(d []byte) []byte { return d[:len(d)/3/4096*4096] },
		"cut in metas": func(d []byte) []byte { return d[:1000] },
		"empty pages": func(d []byte) []byte {
			clear(d[8192:])
			return d
		},
		"not a database": func(d []byte) []byte { return bytes.Repeat([]byte("text"), len(d)/4) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, path := prepared(t, 200)
			rewrite(t, path, damage)
			s := open(t, dir, Options{})
			if n := s.Len(storage.TableMarkers); n != 200 {
				t.Errorf("%d of the copy's 200 records are there", n)
			}
			notes := strings.Join(s.Notes(), "\n")
			prefix, suffix := "data file "+path+" was damaged (data file is damaged: ", "; what was stored later is only in the file set aside"
			if len(s.Notes()) != 1 || !strings.HasPrefix(notes, prefix) || !strings.HasSuffix(notes, suffix) || !strings.Contains(notes, "restored the copy of 20") {
				t.Errorf("notes: %s", notes)
			}
			if aside, _ := filepath.Glob(path + ".damaged-*"); len(aside) != 1 {
				t.Errorf("set aside: %v", aside)
			}
			put(t, s, storage.TableMarkers, "new", "x")
		})
	}
}

// TestMissing: a missing file is the copy's, as after a restore that was cut
// short; with no copy either the store is new and says nothing.
func TestMissing(t *testing.T) {
	dir, path := prepared(t, 10)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, Options{})
	notes := strings.Join(s.Notes(), "\n")
	if s.Len(storage.TableMarkers) != 10 || !strings.HasPrefix(notes, "data file "+path+" was missing: restored the copy of 20") || !strings.HasSuffix(notes, "; delete both to start empty") {
		t.Errorf("%d records, notes %q", s.Len(storage.TableMarkers), notes)
	}
	closeStore(t, s)
	for _, name := range []string{path, copyOf(path)} {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if s = open(t, dir, Options{}); s.Len(storage.TableMarkers) != 0 || len(s.Notes()) != 0 {
		t.Errorf("%d records, notes %q", s.Len(storage.TableMarkers), s.Notes())
	}
}

// TestDamagedCopy: with file and copy damaged the store starts empty, and with
// no copy as well.
func TestDamagedCopy(t *testing.T) {
	wreck := func(d []byte) []byte { return d[:1000] }
	dir, path := prepared(t, 10)
	rewrite(t, path, wreck)
	rewrite(t, copyOf(path), wreck)
	s := open(t, dir, Options{})
	if n := len(s.Notes()); n != 2 || !strings.HasSuffix(s.Notes()[1], "started empty") || s.Len(storage.TableMarkers) != 0 {
		t.Errorf("notes %q", s.Notes())
	}
	closeStore(t, s)

	dir, path = prepared(t, 10)
	rewrite(t, path, wreck)
	if err := os.Remove(copyOf(path)); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	if n := len(s.Notes()); n != 1 || !strings.HasSuffix(s.Notes()[0], "no copy to restore, started empty") {
		t.Errorf("notes %q", s.Notes())
	}
}

// TestRandomDamage: bytes changed anywhere never end the process, and what can
// be read then is what was written, or the copy's.
func TestRandomDamage(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	dir, path := prepared(t, 200)
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rounds := 150
	if testing.Short() {
		rounds = 20
	}
	for range rounds {
		broken := bytes.Clone(sound)
		for range 1 + random.IntN(8) {
			broken[random.IntN(len(broken))] ^= byte(1 + random.IntN(255))
		}
		if err := os.WriteFile(path, broken, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(dir, filepath.Base(path))
		if err != nil {
			t.Fatal(err)
		}
		_ = s.Range(storage.TableMarkers, "", "", func(string, []byte) error { return nil })
		_ = s.Write(background, storage.Change{Table: storage.TableState, Key: "k", Value: []byte("v")})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		aside, _ := filepath.Glob(path + ".damaged-*")
		for _, name := range aside {
			_ = os.Remove(name)
		}
	}
}
