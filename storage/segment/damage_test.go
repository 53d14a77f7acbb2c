package segment

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

var rewrite = flag.Bool("rewrite", false, "write the golden files anew")

// small makes a log of three segments and gives its files by name; the head is
// "head".
func small(t testing.TB, records int) map[string][]byte {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{SegmentBytes: 330, files: unsynced{}})
	put(t, l, 0, records)
	end(t, l)
	return load(t, dir)
}

func load(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			if files[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
				t.Fatal(err)
			}
		}
	}
	if files["head"], err = os.ReadFile(HeadOf(dir)); err != nil {
		t.Fatal(err)
	}
	return files
}

// restore puts files into a folder of their own.
func restore(t testing.TB, files map[string][]byte) string {
	t.Helper()
	dir := filepath.Join(inMemory(t), "log")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, data := range files {
		path := filepath.Join(dir, name)
		if name == "head" {
			path = HeadOf(dir)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inMemory gives a folder in memory, where there is one: what is tested is what the
// files have, thousands of times over.
func inMemory(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "segment")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func clone(files map[string][]byte) map[string][]byte {
	out := map[string][]byte{}
	for name, data := range files {
		out[name] = bytes.Clone(data)
	}
	return out
}

func names(files map[string][]byte) (out []string) {
	for name := range files {
		if name != "head" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// TestEveryBitIsFound flips each bit of a log of three segments: verify finds it,
// in that file, at the record that it is in or at one that follows from it.
func TestEveryBitIsFound(t *testing.T) {
	files := small(t, 11)
	list := names(files)
	if len(list) != 3 {
		t.Fatalf("%d segments", len(list))
	}
	dir := restore(t, files)
	for _, name := range list {
		path, data := filepath.Join(dir, name), bytes.Clone(files[name])
		for at := range data {
			from := int64(recordAt(files[name], at))
			for bit := range 8 {
				data[at] ^= 1 << bit
				if err := os.WriteFile(path, data, 0o600); err != nil {
					t.Fatal(err)
				}
				r, err := Walk(dir, ReadOptions{Head: HeadOf(dir)})
				if err != nil || r.Sound() {
					t.Fatalf("%s byte %d bit %d: not found (%v)", name, at, bit, err)
				}
				if f := r.Findings[0]; f.File != name || f.Offset != from || f.Problem == "" {
					t.Fatalf("%s byte %d bit %d, in the record at %d: first found %v", name, at, bit, from, f)
				}
				data[at] ^= 1 << bit
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sound(t, dir, 11)
}

// recordAt gives where the record begins that a byte is in; 0 in the header.
func recordAt(data []byte, at int) int {
	if at < headerBytes {
		return 0
	}
	for from := headerBytes; ; {
		length := recordBytes + int(binary.LittleEndian.Uint32(data[from+4:]))
		if at < from+length {
			return from
		}
		from += length
	}
}

// TestEveryBitOfTheHead: a damaged slot of the head is made up for by the other one
// or found; it never makes a log that lacks its last record look whole.
func TestEveryBitOfTheHead(t *testing.T) {
	files := small(t, 11)
	dir := restore(t, files)
	data := bytes.Clone(files["head"])
	for at := range data {
		if at >= slotBytes && at < slotSpacing {
			continue // between the slots
		}
		for bit := range 8 {
			data[at] ^= 1 << bit
			if err := os.WriteFile(HeadOf(dir), data, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Walk(dir, ReadOptions{Head: HeadOf(dir)})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range r.Findings {
				if f.Kind != FindingUnconfirmed { // the newer slot is the damaged one
					t.Fatalf("byte %d bit %d: %v", at, bit, f)
				}
			}
			data[at] ^= 1 << bit
		}
	}
}

// TestEveryCutIsFound cuts the last segment at each byte: verify says that
// acknowledged records are missing, an open log says it for good and goes on, and
// what was before the cut is still there.
func TestEveryCutIsFound(t *testing.T) {
	files := small(t, 11)
	list := names(files)
	last := list[len(list)-1]
	whole := files[last]
	before := 0
	for _, name := range list[:len(list)-1] {
		before += countRecords(files[name])
	}
	for cut := range whole {
		files[last] = whole[:cut]
		dir := restore(t, files)
		r, err := Walk(dir, ReadOptions{Head: HeadOf(dir)})
		if err != nil || !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == FindingMissing && f.Problem != "" }) {
			t.Fatalf("cut at %d: %v %v", cut, r.Findings, err)
		}
		l := begin(t, dir, Options{files: unsynced{}})
		put(t, l, 11, 13)
		end(t, l)
		data, r := read(t, dir)
		kept := before + countRecords(whole[:cut])
		if wantData := append(want(kept), string(payload(11)), string(payload(12))); !slices.Equal(data, wantData) {
			t.Fatalf("cut at %d: %d records left, want %d and two", cut, len(data), kept)
		}
		if !slices.ContainsFunc(r.Marks, func(m Mark) bool { return m.What == MarkLost && m.To == 11 && m.From == uint64(kept) }) || r.Sound() {
			t.Fatalf("cut at %d: marks %+v, findings %v", cut, r.Marks, r.Findings)
		}
	}
}

// countRecords counts the whole records of a segment.
func countRecords(data []byte) (n int) {
	for at := headerBytes; at+recordBytes <= len(data); n++ {
		at += recordBytes + int(binary.LittleEndian.Uint32(data[at+4:]))
		if at > len(data) {
			return n
		}
	}
	return n
}

// TestTornTail: what a power cut leaves of a write that was never acknowledged is
// told by verify, cut off, set aside and marked by an open log, and nothing before
// it is lost. The tail is cut at each byte, and also filled with zeros as some file
// systems do.
func TestTornTail(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{files: unsynced{}})
	put(t, l, 0, 4)
	end(t, l)
	acknowledged := load(t, dir)
	l = begin(t, dir, Options{files: unsynced{}})
	put(t, l, 4, 6)
	end(t, l)
	all := load(t, dir)
	const name = "00000001.segment"
	size := len(acknowledged[name])
	for cut := size + 1; cut < len(all[name]); cut++ {
		for _, zeros := range []bool{false, true} {
			tail := bytes.Clone(all[name][:cut])
			if zeros {
				tail = append(tail, make([]byte, len(all[name])-cut)...)
			}
			tornTail(t, map[string][]byte{name: tail, "head": acknowledged["head"]}, 4+countWhole(all[name], size, cut))
		}
	}
}

// countWhole counts the records that are whole between two places.
func countWhole(data []byte, from, to int) (n int) {
	for at := from; ; n++ {
		if at += recordBytes + int(binary.LittleEndian.Uint32(data[at+4:])); at > to {
			return n
		}
		if at == len(data) {
			return n + 1
		}
	}
}

func tornTail(t *testing.T, files map[string][]byte, records int) {
	t.Helper()
	dir := restore(t, files)
	size := len(files["00000001.segment"])
	if _, r := read(t, dir); r.Sound() {
		t.Fatalf("a tail of %d bytes is not found", size)
	}
	l := begin(t, dir, Options{files: unsynced{}})
	if len(l.Notes()) == 0 {
		t.Fatalf("a tail of %d bytes is repaired and not told", size)
	}
	end(t, l)
	r := sound(t, dir, records)
	if len(r.Marks) == 0 {
		t.Fatalf("a tail of %d bytes: no mark", size)
	}
	l = begin(t, dir, Options{files: unsynced{}})
	if len(l.Notes()) > 0 {
		t.Fatalf("repaired twice: %v", l.Notes())
	}
	put(t, l, records, records+2)
	end(t, l)
	sound(t, dir, records+2)
}

// TestTampering: what somebody does who knows the format, makes every checksum
// right and leaves the head alone.
func TestTampering(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, files map[string][]byte)
		kind string
		file string
	}{
		"delete the first segment": {func(_ *testing.T, f map[string][]byte) { delete(f, "00000001.segment") }, FindingMissing, "00000002.segment"},
		"delete a middle segment":  {func(_ *testing.T, f map[string][]byte) { delete(f, "00000002.segment") }, FindingMissing, "00000003.segment"},
		"delete the last segment":  {func(_ *testing.T, f map[string][]byte) { delete(f, "00000003.segment") }, FindingMissing, "log.head"},
		"delete all segments":      {func(_ *testing.T, f map[string][]byte) { clear3(f) }, FindingMissing, "log.head"},
		"swap two segments": {func(_ *testing.T, f map[string][]byte) {
			f["00000001.segment"], f["00000002.segment"] = f["00000002.segment"], f["00000001.segment"]
		}, FindingOrder, "00000001.segment"},
		"swap two and their number": {swapNumbers, FindingAltered, "00000001.segment"},
		"append a record":           {func(_ *testing.T, f map[string][]byte) { f["00000003.segment"] = forge(f["00000003.segment"]) }, FindingUnconfirmed, "00000003.segment"},
		"append a segment":          {appendSegment, FindingUnconfirmed, "00000004.segment"},
		"edit and sum up anew":      {func(_ *testing.T, f map[string][]byte) { edit(f["00000001.segment"], 1, false) }, FindingAltered, "00000001.segment"},
		"edit and hash anew":        {func(_ *testing.T, f map[string][]byte) { edit(f["00000001.segment"], 1, true) }, FindingAltered, "00000001.segment"},
		"edit the newest":           {func(_ *testing.T, f map[string][]byte) { edit(f["00000003.segment"], -1, true) }, FindingHead, "00000003.segment"},
		"edit one at an end":        {func(_ *testing.T, f map[string][]byte) { edit(f["00000001.segment"], -1, true) }, FindingAltered, "00000002.segment"},
		"remove a record":           {func(_ *testing.T, f map[string][]byte) { f["00000002.segment"] = without(f["00000002.segment"], 1) }, FindingMissing, "00000002.segment"},
		"write all of it anew":      {func(t *testing.T, f map[string][]byte) { rewriteAll(t, f) }, FindingHead, "00000003.segment"},
		"delete the head":           {func(_ *testing.T, f map[string][]byte) { delete(f, "head") }, FindingHead, "log.head"},
		"empty the head":            {func(_ *testing.T, f map[string][]byte) { f["head"] = nil }, FindingHead, "log.head"},
	} {
		t.Run(name, func(t *testing.T) {
			files := small(t, 11)
			c.do(t, files)
			dir := restore(t, files)
			_, r := read(t, dir)
			if !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Kind == c.kind && f.File == c.file && f.Problem != "" }) {
				t.Errorf("want %s in %s, have %v", c.kind, c.file, r.Findings)
			}
			// Whatever was done, a log opens, takes a record and keeps it.
			l := begin(t, dir, Options{SegmentBytes: 330, files: unsynced{}})
			put(t, l, 99, 100)
			end(t, l)
			data, _ := read(t, dir)
			if len(data) == 0 || data[len(data)-1] != string(payload(99)) {
				t.Errorf("the record after it is not there: %q", data)
			}
			// It looks at its end and its head; verify looks at all of it.
			if atEnd := c.file == "log.head" || c.kind == FindingHead || c.kind == FindingUnconfirmed; atEnd && len(l.Notes()) == 0 {
				t.Errorf("opened without a word: %v", r.Findings)
			}
		})
	}
}

func clear3(f map[string][]byte) {
	for _, name := range names(f) {
		delete(f, name)
	}
}

// forge appends a record that follows from the last one.
func forge(data []byte) []byte {
	h, _ := parseHeader(data)
	e := walkToEnd(data, &h, Head{})
	text := []byte("forged")
	sum := newHasher().next(&e.hash, e.next, KindData, text)
	return appendRecord(bytes.Clone(data), e.next, KindData, &sum, text)
}

func appendSegment(_ *testing.T, f map[string][]byte) {
	h, _ := parseHeader(f["00000003.segment"])
	e := walkToEnd(f["00000003.segment"], &h, Head{})
	h = segmentHeader{number: 4, first: e.next, before: e.hash}
	f["00000004.segment"] = forge(h.encode())
}

// swapNumbers exchanges two segments and makes their headers fit their names.
func swapNumbers(_ *testing.T, f map[string][]byte) {
	one, two := bytes.Clone(f["00000002.segment"]), bytes.Clone(f["00000001.segment"])
	for i, data := range [][]byte{one, two} {
		h, _ := parseHeader(data)
		h.number = uint32(i + 1)
		copy(data, h.encode())
	}
	f["00000001.segment"], f["00000002.segment"] = one, two
}

// edit changes a record in place and makes its checksum right, and its own hash.
func edit(data []byte, number int, hashToo bool) {
	h, _ := parseHeader(data)
	w := walker{data: data, at: headerBytes, next: h.first, hash: h.before, linked: true, hasher: newHasher()}
	if number < 0 {
		number += countRecords(data)
	}
	for range number {
		_, _ = w.step()
	}
	at, before := w.at, w.hash
	e, _ := w.step()
	data[at+recordBytes] ^= 0x20
	if hashToo {
		sum := w.hasher.next(&before, e.Index, e.Kind, e.Payload)
		copy(data[at+17:], sum[:])
	}
	binary.LittleEndian.PutUint32(data[at:], crc32.Checksum(data[at+4:at+recordBytes+len(e.Payload)], castagnoli))
}

func without(data []byte, number int) []byte {
	at := headerBytes
	for range number {
		at += recordBytes + int(binary.LittleEndian.Uint32(data[at+4:]))
	}
	length := recordBytes + int(binary.LittleEndian.Uint32(data[at+4:]))
	return slices.Delete(bytes.Clone(data), at, at+length)
}

// rewriteAll makes a whole other log, with as many records.
func rewriteAll(t *testing.T, f map[string][]byte) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{SegmentBytes: 330, files: unsynced{}})
	for i := range 11 {
		text := payload(i)
		text[0] = 'R'
		if _, err := l.Append(context.Background(), text); err != nil {
			t.Fatal(err)
		}
	}
	end(t, l)
	other := load(t, dir)
	other["head"] = f["head"]
	clear3(f)
	for name, data := range other {
		f[name] = data
	}
}

// TestPlantedFiles: a pipe, a device or a folder in the place of a file is found and
// waited for by nobody.
func TestPlantedFiles(t *testing.T) {
	for name, plant := range map[string]func(path string) error{
		"pipe":   func(path string) error { return unix.Mkfifo(path, 0o600) },
		"device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"folder": func(path string) error { return os.Mkdir(path, 0o700) },
	} {
		for _, file := range []string{"00000002.segment", "00000003.segment", "head"} {
			dir := restore(t, small(t, 11))
			path := filepath.Join(dir, file)
			if file == "head" {
				path = HeadOf(dir)
			}
			if err := errors.Join(os.Remove(path), plant(path)); err != nil {
				t.Fatal(err)
			}
			if _, r := read(t, dir); r.Sound() {
				t.Errorf("%s for %s is not found", name, file)
			}
			l, err := Open(dir, Options{files: unsynced{}})
			if (err == nil) != (file != "head") {
				t.Errorf("%s for %s: %v", name, file, err)
			}
			if err == nil {
				put(t, l, 99, 100)
				end(t, l)
			}
		}
	}
}

// TestKnownHeadFindsRollback: who cuts the log and puts an old head in its place is
// found by a head that was noted elsewhere, at the start and by verify.
func TestKnownHeadFindsRollback(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{files: unsynced{}})
	put(t, l, 0, 4)
	end(t, l)
	old := load(t, dir)
	l = begin(t, dir, Options{files: unsynced{}})
	put(t, l, 4, 8)
	known := l.Head()
	end(t, l)
	dir = restore(t, old)
	sound(t, dir, 4) // by itself it is
	r, err := Walk(dir, ReadOptions{Head: HeadOf(dir), Known: &known})
	if err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != FindingMissing || r.Findings[0].Index != 4 {
		t.Errorf("%v %v", r.Findings, err)
	}
	l = begin(t, dir, Options{Known: &known, files: unsynced{}})
	put(t, l, 8, 9)
	end(t, l)
	if _, r := read(t, dir); r.Sound() || len(r.Marks) != 1 || r.Marks[0].What != MarkLost || r.Marks[0].From != 4 || r.Marks[0].To != 8 || r.Head.Count != 10 {
		t.Errorf("%+v", r)
	}
}

// TestEmptySegment: a crash between making a segment's file and its header.
func TestEmptySegment(t *testing.T) {
	files := small(t, 11)
	for size := range headerBytes + 1 {
		f := clone(files)
		h := segmentHeader{number: 4, first: 11, before: genesis}
		f["00000004.segment"] = h.encode()[:size]
		dir := restore(t, f)
		l := begin(t, dir, Options{SegmentBytes: 330, files: unsynced{}})
		put(t, l, 11, 20)
		end(t, l)
		data, r := read(t, dir)
		if !slices.Equal(data, want(20)) || size < headerBytes && !r.Sound() {
			t.Fatalf("%d bytes: %d records, %v", size, len(data), r.Findings)
		}
	}
}

// FuzzWalk: no bytes of a segment panic, cost more than they are worth or are
// believed without their sums; what is sound encodes to the same bytes.
func FuzzWalk(f *testing.F) {
	files := small(f, 7)
	for _, name := range names(files) {
		f.Add(files[name])
		f.Add(files[name][:len(files[name])-1])
	}
	h := segmentHeader{number: 1, before: genesis}
	f.Add(h.encode())
	f.Add(append(h.encode(), make([]byte, 200)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, problem := parseHeader(data)
		if problem != "" {
			return
		}
		w := walker{data: data, number: h.number, at: headerBytes, next: h.first, hash: h.before, linked: true, hasher: newHasher()}
		again, faults := h.encode(), 0
		for steps := 0; ; steps++ {
			if steps > 2*len(data)+2 {
				t.Fatal("it goes on for ever")
			}
			e, fault := w.step()
			if fault != nil {
				faults++
			}
			if e.Payload == nil && fault == nil {
				break
			}
			if e.Payload != nil {
				again = appendRecord(again, e.Index, e.Kind, &e.Hash, e.Payload)
			}
		}
		if reserved := data[10] | data[11] | data[56] | data[57] | data[58] | data[59]; faults == 0 && reserved == 0 && !bytes.Equal(again, data) {
			t.Fatalf("believed, and not what would be written:\n%x\n%x", data, again)
		}
	})
}

// FuzzHead: no bytes of a head panic, and one that is read is written the same.
func FuzzHead(f *testing.F) {
	h := Head{Count: 7, Segment: 2}
	f.Add(h.encode())
	f.Fuzz(func(t *testing.T, data []byte) {
		h, ok := parseSlot(data)
		if ok && data[6]|data[7] == 0 && !bytes.Equal(h.encode(), data[:slotBytes]) {
			t.Fatalf("%x", data)
		}
		if other, err := ParseHead(string(data)); err == nil {
			if back, err := ParseHead(other.String()); err != nil || back != other {
				t.Fatal(io.ErrUnexpectedEOF)
			}
		}
	})
}
