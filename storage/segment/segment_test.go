package segment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// begin opens a log in a folder, and closes it with the test.
func begin(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(context.Background()) })
	return l
}

func end(t testing.TB, l *Log) {
	t.Helper()
	if err := l.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, l *Log, from, to int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := l.Append(context.Background(), payload(i)); err != nil {
			t.Fatal(err)
		}
	}
}

func payload(i int) []byte {
	return []byte(fmt.Sprintf("record %d %s", i, strings.Repeat("x", i%7)))
}

// read gives the owner's records and the report, head included.
func read(t testing.TB, dir string) (data []string, r *Report) {
	t.Helper()
	r, err := Walk(dir, ReadOptions{Head: HeadOf(dir), Visit: func(e Entry) error {
		if e.Kind == KindData {
			data = append(data, string(e.Payload))
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	return data, r
}

func want(n int) (out []string) {
	for i := range n {
		out = append(out, string(payload(i)))
	}
	return out
}

// sound makes sure that a log has exactly the first n records and nothing wrong.
func sound(t testing.TB, dir string, n int) *Report {
	t.Helper()
	data, r := read(t, dir)
	if !slices.Equal(data, want(n)) {
		t.Fatalf("%d records, want %d: %v", len(data), n, r.Findings)
	}
	if !r.Sound() {
		t.Fatalf("findings: %v", r.Findings)
	}
	return r
}

func TestAppendAndReopen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	end(t, begin(t, dir, Options{}))
	sound(t, dir, 0)
	n := 0
	for range 5 {
		l := begin(t, dir, Options{SegmentBytes: 600})
		if len(l.Notes()) > 0 {
			t.Fatalf("repaired: %v", l.Notes())
		}
		put(t, l, n, n+13)
		n += 13
		if l.Head().Count != uint64(n) {
			t.Fatalf("head %+v after %d", l.Head(), n)
		}
		end(t, l)
		if _, err := l.Append(context.Background(), []byte("x")); !errors.Is(err, ErrClosed) {
			t.Errorf("append after close: %v", err)
		}
	}
	r := sound(t, dir, n)
	if r.Segments < 5 || r.Records != uint64(n) || r.First != 0 || len(r.Marks) != 0 {
		t.Errorf("%+v", r)
	}
	known, err := ParseHead(r.Head.String())
	if err != nil {
		t.Fatal(err)
	}
	if r, err := Walk(dir, ReadOptions{Known: &known}); err != nil || !r.Sound() {
		t.Errorf("against its own head: %v %v", r.Findings, err)
	}
	known.Hash[3] ^= 1
	if r, err := Walk(dir, ReadOptions{Known: &known}); err != nil || len(r.Findings) != 1 || r.Findings[0].Kind != FindingHead {
		t.Errorf("against another head: %v %v", r.Findings, err)
	}
}

// TestReadAt: what Append says is where the record is.
func TestReadAt(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{SegmentBytes: 500})
	for i := range 40 {
		at, err := l.Append(context.Background(), payload(i))
		if err != nil {
			t.Fatal(err)
		}
		e, err := ReadAt(dir, at.Segment, at.Offset)
		if err != nil || e.Index != at.Index || e.Hash != at.Hash || string(e.Payload) != string(payload(i)) {
			t.Fatalf("%d: %+v, %v", i, e, err)
		}
	}
	for _, offset := range []int64{-1, 0, 63, 65, 1 << 40} {
		if _, err := ReadAt(dir, 1, offset); !errors.Is(err, ErrDamaged) {
			t.Errorf("offset %d: %v", offset, err)
		}
	}
	if _, err := ReadAt(dir, 999, 64); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such segment: %v", err)
	}
}

func TestOneWriter(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second writer: %v", err)
	}
	end(t, l)
	begin(t, dir, Options{})
}

func TestAppendRefuses(t *testing.T) {
	l := begin(t, filepath.Join(t.TempDir(), "log"), Options{})
	for _, n := range []int{0, MaxPayloadBytes + 1} {
		if _, err := l.Append(context.Background(), make([]byte, n)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := l.Append(context.Background(), make([]byte, MaxPayloadBytes)); err != nil {
		t.Error(err)
	}
}

// TestManyWriters: each gets its own place, and none is lost.
func TestManyWriters(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{SegmentBytes: 4096})
	var wait sync.WaitGroup
	var mutex sync.Mutex
	places := map[uint64]string{}
	for w := range 8 {
		wait.Go(func() {
			for i := range 50 {
				text := fmt.Sprintf("%d/%d", w, i)
				at, err := l.Append(context.Background(), []byte(text))
				if err != nil {
					t.Error(err)
					return
				}
				mutex.Lock()
				places[at.Index] = text
				mutex.Unlock()
			}
		})
	}
	wait.Wait()
	if c := l.Counters(); c.Appended != 400 || c.Commits > 400 || c.Waiting != 0 || c.Rotated == 0 {
		t.Errorf("%+v", c)
	}
	end(t, l)
	data, r := read(t, dir)
	if len(data) != 400 || len(places) != 400 || !r.Sound() {
		t.Fatalf("%d records, %d places, %v", len(data), len(places), r.Findings)
	}
	for i, text := range data {
		if places[uint64(i)] != text {
			t.Fatalf("record %d is %q, its writer was told %q", i, text, places[uint64(i)])
		}
	}
}

func TestPrune(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{SegmentBytes: 500, MaxBytes: 2000})
	put(t, l, 0, 200)
	if c := l.Counters(); c.Pruned == 0 {
		t.Fatalf("%+v", c)
	}
	end(t, l)
	data, r := read(t, dir)
	if l.First() != r.First {
		t.Errorf("first %d, and %d is there", l.First(), r.First)
	}
	if !r.Sound() || r.First == 0 || len(r.Marks) == 0 || r.Bytes > 2600 {
		t.Fatalf("%+v", r)
	}
	if last := data[len(data)-1]; last != string(payload(199)) {
		t.Errorf("the newest is %q", last)
	}
	// The bound of an older log may be lowered.
	l = begin(t, dir, Options{SegmentBytes: 500, MaxBytes: 1000})
	put(t, l, 200, 201)
	end(t, l)
	if _, smaller := read(t, dir); !smaller.Sound() || smaller.Segments >= r.Segments {
		t.Errorf("%+v", smaller)
	}
	// Nobody else may take the oldest.
	list, err := listSegments(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, segmentName(list[0]))); err != nil {
		t.Fatal(err)
	}
	if _, r := read(t, dir); r.Sound() {
		t.Error("the oldest segment is gone, and nothing says so")
	}
}

func TestGoldenSegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	l := begin(t, dir, Options{})
	put(t, l, 0, 3)
	end(t, l)
	for _, name := range []string{"00000001.segment", "head"} {
		path := filepath.Join(dir, name)
		if name == "head" {
			path = HeadOf(dir)
		}
		have, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		golden := filepath.Join("testdata", "log-1."+name)
		if *rewrite {
			if err := os.WriteFile(golden, have, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(have, want) {
			t.Errorf("%s is not as version 1 writes it (%v)", name, err)
		}
	}
}

func TestParseHead(t *testing.T) {
	for _, bad := range []string{"", "1", "1:", "x:" + strings.Repeat("0", 64), "1:" + strings.Repeat("0", 63), "1:" + strings.Repeat("g", 64), "-1:" + strings.Repeat("0", 64)} {
		if h, err := ParseHead(bad); err == nil {
			t.Errorf("%q is %v", bad, h)
		}
	}
}
