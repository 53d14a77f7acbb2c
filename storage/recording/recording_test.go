package recording

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"
)

var testTopics = []Topic{
	{Name: "/reading", Title: "dancer.Reading", Schema: Schema("dancer.Reading", struct{ Name string }{})},
	{Name: "/decision", Title: "dancer.Decision", Schema: []byte(`{"type":"object"}`)},
}

var testHeader = Header{
	Robot: "one", Board: "sim", Binary: "v1", Manual: "sha256:00", Boot: "b", Run: "r", Part: 3,
	Wall: time.Date(2026, 11, 21, 12, 0, 0, 5, time.UTC), Monotonic: time.Hour,
}

var testFiles = []Attachment{
	{"robot.yaml", "application/yaml", []byte("robot: one\n")},
	{"manual.yaml", "application/yaml", bytes.Repeat([]byte("values: []\n"), 20)},
}

// write makes a recording with the given number of messages, the chunks of which
// are ended every each messages.
func write(t testing.TB, h Header, messages, each int) []byte {
	t.Helper()
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, p, h, testFiles, testTopics)
	if err != nil {
		t.Fatal(err)
	}
	for i := range messages {
		at := h.LogTime(h.Monotonic + time.Duration(i)*time.Millisecond)
		put := w.Write
		if i%each == each-1 {
			put = w.WriteLast
		}
		if err := put(i%2, at, fmt.Appendf(nil, `{"i":%d}`, i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if w.Size() != int64(b.Len()) {
		t.Errorf("size %d, want %d", w.Size(), b.Len())
	}
	return b.Bytes()
}

func read(b []byte) (*Recording, error) { return Read(bytes.NewReader(b), int64(len(b))) }

// messages reads what a recording says.
func messages(t testing.TB, r *Recording) []string {
	t.Helper()
	var all []string
	err := r.NewReader().Each(func(m *Message) error {
		all = append(all, fmt.Sprintf("%s %d %d %s", r.Topics[m.Topic].Name, m.Sequence, m.LogTime, m.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRoundTrip(t *testing.T) {
	b := write(t, testHeader, 1000, 100)
	r, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	if r.Header != testHeader {
		t.Errorf("header %+v, want %+v", r.Header, testHeader)
	}
	for _, f := range testFiles {
		if got, ok := r.Attachment(f.Name); !ok || !bytes.Equal(got, f.Data) {
			t.Errorf("%s is %q", f.Name, got)
		}
	}
	if len(r.Topics) != 2 || r.Topics[1].Name != "/decision" || !bytes.Equal(r.Topics[0].Schema, testTopics[0].Schema) {
		t.Errorf("topics %+v", r.Topics)
	}
	if r.Messages != 1000 || r.Duration() != 999*time.Millisecond || r.Chunks() != 10 {
		t.Errorf("%d messages in %d chunks over %v", r.Messages, r.Chunks(), r.Duration())
	}
	all := messages(t, r)
	start := testHeader.Wall.UnixNano()
	for i, got := range all {
		topic := []string{"/reading", "/decision"}[i%2]
		if want := fmt.Sprintf(`%s %d %d {"i":%d}`, topic, i/2+1, start+int64(i)*1e6, i); got != want {
			t.Fatalf("message %d is %s, want %s", i, got, want)
		}
	}
	if len(all) != 1000 {
		t.Errorf("%d messages visited", len(all))
	}
}

// TestLibraryReads: the format's own reader says the same of a recording, by its
// index as Foxglove uses it and by its checksums.
func TestLibraryReads(t *testing.T) {
	b := write(t, testHeader, 1000, 100)
	own, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	library, err := mcap.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	defer library.Close()
	info, err := library.Info()
	if err != nil {
		t.Fatal(err)
	}
	if info.Statistics.MessageCount != own.Messages || int(info.Statistics.ChunkCount) != own.Chunks() || info.Header.Profile != profile {
		t.Errorf("the library counts %+v", info.Statistics)
	}
	if s := info.Schemas[1]; s == nil || s.Encoding != "jsonschema" || !bytes.Equal(s.Data, testTopics[0].Schema) {
		t.Errorf("schema %+v", s)
	}
	meta, err := library.GetMetadata(info.MetadataIndexes[0].Offset)
	if err != nil || meta.Metadata["robot"] != "one" {
		t.Errorf("metadata %v, %v", meta, err)
	}
	it, err := library.Messages(mcap.UsingIndex(true), mcap.InOrder(mcap.LogTimeOrder))
	if err != nil {
		t.Fatal(err)
	}
	want := messages(t, own)
	for i := 0; ; i++ {
		_, c, m, err := it.NextInto(nil)
		if errors.Is(err, io.EOF) {
			if i != len(want) {
				t.Errorf("the library reads %d messages, we %d", i, len(want))
			}
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s %d %d %s", c.Topic, m.Sequence, m.LogTime, m.Data); got != want[i] {
			t.Fatalf("message %d is %s, we read %s", i, got, want[i])
		}
	}
	lexer, err := mcap.NewLexer(bytes.NewReader(b), &mcap.LexerOptions{ValidateChunkCRCs: true})
	if err != nil {
		t.Fatal(err)
	}
	defer lexer.Close()
	for {
		kind, content, err := lexer.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		if kind == mcap.TokenDataEnd {
			if end, err := mcap.ParseDataEnd(content); err != nil || end.DataSectionCRC == 0 {
				t.Errorf("data end %+v, %v", end, err)
			}
		}
		if kind == mcap.TokenFooter {
			break
		}
	}
}

// refused wants a recording to be refused and its good part to be as it was
// written.
func refused(t *testing.T, b []byte, all []string) *Damage {
	t.Helper()
	r, err := read(b)
	var d *Damage
	if !errors.As(err, &d) {
		t.Fatalf("it was not refused: %v", err)
	}
	if d.Good > int64(len(b)) || d.Good > d.Offset || d.Messages != r.Messages {
		t.Fatalf("%v, with %d messages in the good part", d, r.Messages)
	}
	got := messages(t, r)
	if len(got) != int(d.Messages) {
		t.Fatalf("%d messages in the good part, %d said", len(got), d.Messages)
	}
	for i := range got {
		if got[i] != all[i] {
			t.Fatalf("message %d of the good part is %s, written was %s", i, got[i], all[i])
		}
	}
	if n := len(got); n > 0 && d.Last.UnixNano() != testHeader.Wall.UnixNano()+int64(n-1)*1e6 {
		t.Fatalf("the last of %d good messages at %v", n, d.Last)
	}
	return d
}

// TestFlippedBit turns one bit of every byte, so that every region is met:
// header, metadata, attachments, chunks, their indexes, summary and footer.
func TestFlippedBit(t *testing.T) {
	b := write(t, testHeader, 60, 20)
	r, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	all := messages(t, r)
	seen := map[uint64]int{}
	for i := range b {
		b[i] ^= 1 << (i % 8)
		d := refused(t, b, all)
		unpacked := d.Messages == 60 && strings.Contains(d.Error(), "data section")
		if int64(i) < d.Good && !unpacked {
			t.Fatalf("byte %d is damaged, and said to be good is everything up to %d: %v", i, d.Good, d)
		}
		seen[d.Messages]++
		b[i] ^= 1 << (i % 8)
	}
	for _, n := range []uint64{0, 20, 40, 60} {
		if seen[n] == 0 {
			t.Errorf("no damage left %d good messages: %v", n, seen)
		}
	}
}

// TestCut cuts a recording at every length.
func TestCut(t *testing.T) {
	b := write(t, testHeader, 60, 20)
	r, err := read(b)
	if err != nil {
		t.Fatal(err)
	}
	all := messages(t, r)
	last := uint64(0)
	for i := range b {
		d := refused(t, b[:i], all)
		if d.Messages < last {
			t.Fatalf("cut at %d there are %d good messages, cut before there were %d", i, d.Messages, last)
		}
		last = d.Messages
	}
	if last != 60 {
		t.Errorf("at the end there are %d good messages", last)
	}
	if d := refused(t, append(bytes.Clone(b), 0), all); d.Good != int64(len(b)) {
		t.Errorf("with a byte too much: %v", d)
	}
}

func TestOtherFiles(t *testing.T) {
	sound := write(t, testHeader, 10, 5)
	other := testHeader.entries()
	other["recording_version"] = "2"
	other["check"] = checkOf(other)
	for _, c := range []struct {
		name  string
		bytes []byte
		want  error
	}{
		{"empty", nil, ErrNotRecording},
		{"text", []byte("not a recording at all"), ErrNotRecording},
		{"another MCAP version", append([]byte("\x89MCAP1\r\n"), sound[8:]...), ErrNotRecording},
		{"another program's MCAP", foreign(t, "ros2", nil), ErrNotRecording},
		{"another version", foreign(t, profile, other), ErrVersion},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.bytes)
			var d *Damage
			if !errors.Is(err, c.want) || !errors.As(err, &d) || d.Messages != 0 {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

// foreign is an MCAP file that another program might write.
func foreign(t *testing.T, profile string, entries map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := mcap.NewWriter(&b, &mcap.WriterOptions{OverrideLibrary: true, IncludeCRC: true})
	if err == nil {
		err = errors.Join(w.WriteHeader(&mcap.Header{Profile: profile, Library: profile}),
			w.WriteMetadata(&mcap.Metadata{Name: metadata, Metadata: entries}), w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestFiles: a recording on a disk is never overwritten, never changed by who
// reads it, and without its end readable up to its last chunk.
func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "one.mcap")
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	f, err := Create(path, p, testHeader, testFiles, testTopics)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Create(path, p, testHeader, testFiles, testTopics); !errors.Is(err, os.ErrExist) {
		t.Errorf("create it again: %v", err)
	}
	for i := range 10 {
		if err := f.Write(0, testHeader.LogTime(testHeader.Monotonic), []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
		if i == 4 {
			if err := f.Sync(1, testHeader.LogTime(testHeader.Monotonic+time.Second), []byte(`{}`)); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := digest(t, path)
	r, done, err := Open(path)
	var d *Damage
	if !errors.As(err, &d) || d.Messages != 6 || len(messages(t, r)) != 6 || !d.Last.Equal(testHeader.Wall.Add(time.Second)) {
		t.Errorf("without its end: %v", err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if digest(t, path) != before {
		t.Error("reading a damaged recording has changed it")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r, done, err = Open(path); err != nil || r.Messages != 11 {
		t.Fatalf("%v", err)
	}
	if err := done(); err != nil {
		t.Error(err)
	}
	if _, _, err := Open(t.TempDir()); err == nil {
		t.Error("a folder was opened")
	}
}

func digest(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(b))
}

// broken is a disk that has become full.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, errors.New("no space left")
	}
	return len(p), nil
}

func TestFullDisk(t *testing.T) {
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := NewWriter(&broken{10}, p, testHeader, testFiles, testTopics); err == nil {
		t.Error("a recording was begun without room for its header")
	}
	w, err := NewWriter(&broken{2000}, p, testHeader, testFiles, testTopics)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err = w.WriteLast(0, 1, []byte(`{"text":"something to write"}`)); err != nil {
			break
		}
	}
	if err == nil || w.Close() == nil {
		t.Errorf("messages were written to a full disk: %v", err)
	}
	// The compressor is as good as new for the next file.
	var b bytes.Buffer
	if w, err = NewWriter(&b, p, testHeader, nil, testTopics); err == nil {
		err = errors.Join(w.Write(0, 1, []byte(`{}`)), w.Close())
	}
	if r, rerr := read(b.Bytes()); err != nil || rerr != nil || r.Messages != 1 {
		t.Errorf("the next recording: %v, %v", err, rerr)
	}
}

func TestTooLong(t *testing.T) {
	p, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, p, testHeader, nil, testTopics)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(0, 1, make([]byte, maxMessage+1)); !errors.Is(err, ErrTooLong) {
		t.Errorf("a message of %d bytes: %v", maxMessage+1, err)
	}
	if err := errors.Join(w.Write(0, 1, bytes.Repeat([]byte(" "), maxMessage)), w.Close()); err != nil {
		t.Fatal(err)
	}
	if r, err := read(b.Bytes()); err != nil || r.Messages != 1 {
		t.Errorf("%v", err)
	}
}
