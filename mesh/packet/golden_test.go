package packet

import (
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// goldenPath of a message in a version: testdata/<name>-<version>.hex.
func goldenPath(name string, version int) string {
	return filepath.Join("testdata", fmt.Sprintf("%s-%d.hex", name, version))
}

// TestGolden holds the bytes of each kind of message: members of other versions
// read them.
func TestGolden(t *testing.T) {
	for name, m := range samples() {
		t.Run(name, func(t *testing.T) {
			have := sealed(t, sealer(t, "_conductor-east"), noon, m)
			path := goldenPath(name, Version)
			if *rewrite {
				writeGolden(t, path, have)
			}
			if want := readGolden(t, path); !slices.Equal(have, want) {
				t.Errorf("have %x\nwant %x", have, want)
			}
			t.Logf("%d bytes", len(have))
		})
	}
}

// TestOldVersions reads every golden file there is, of this version and of those
// before it. A version that is not read any more leaves this test together with
// its files.
func TestOldVersions(t *testing.T) {
	paths, err := filepath.Glob("testdata/*.hex")
	if err != nil || len(paths) < len(samples()) {
		t.Fatalf("%d golden files: %v", len(paths), err)
	}
	want := samples()
	for _, path := range paths {
		base := strings.TrimSuffix(filepath.Base(path), ".hex")
		name, version := base[:strings.LastIndexByte(base, '-')], base[strings.LastIndexByte(base, '-')+1:]
		var m Message
		data := readGolden(t, path)
		if err := Decode(data, &m); err != nil {
			t.Errorf("%s: %v", base, err)
			continue
		}
		if fmt.Sprint(data[0]) != version {
			t.Errorf("%s is of version %d", base, data[0])
		}
		expected, ok := want[name]
		if !ok {
			t.Errorf("%s: no sample to compare it with", base)
			continue
		}
		expected.From, expected.Epoch, expected.Seq, expected.At = m.From, uint64(started)/1e6, 1, noon
		expected.Hash = m.Hash
		if m.From.String() != "_conductor-east" || !reflect.DeepEqual(m, expected) {
			t.Errorf("%s\nhave %+v\nwant %+v", base, m, expected)
		}
	}
}

func writeGolden(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, []byte(hex.EncodeToString(data)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func readGolden(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return data
}
