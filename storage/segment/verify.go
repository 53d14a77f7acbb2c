package segment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Kinds of findings.
const (
	FindingTorn        = "torn"        // the log ends in the middle of a record: a power cut, or a cut tail
	FindingDamaged     = "damaged"     // bytes that are not as they were written
	FindingAltered     = "altered"     // a record that is whole and does not follow from the one before
	FindingOrder       = "order"       // a record or a segment in another's place
	FindingMissing     = "missing"     // records or a whole segment are not there
	FindingUnconfirmed = "unconfirmed" // records behind the head: a crash before they were acknowledged, or somebody else's
	FindingHead        = "head"        // the head cannot be read, or the log is not the one that it is of
)

// Finding is one thing that is wrong with a log, and where.
type Finding struct {
	Kind    string `json:"kind"`
	File    string `json:"file"`
	Segment uint32 `json:"segment,omitempty"`
	Offset  int64  `json:"offset"` // in the file
	Index   uint64 `json:"index"`  // of the first record that is concerned
	Problem string `json:"problem"`
}

// String says it in one line.
func (f Finding) String() string {
	return fmt.Sprintf("%s at byte %d: record %d: %s: %s", f.File, f.Offset, f.Index, f.Kind, f.Problem)
}

// Mark is what the log says of itself, as a record among the others.
type Mark struct {
	What    string    `json:"what"` // torn | unconfirmed | lost | pruned | head
	At      time.Time `json:"at"`
	From    uint64    `json:"from,omitempty"` // records that are concerned, from
	To      uint64    `json:"to,omitempty"`   // up to this one, which is not
	Segment uint32    `json:"segment,omitempty"`
	Bytes   int64     `json:"bytes,omitempty"`
	Aside   string    `json:"aside,omitempty"` // file that keeps what was cut
	Why     string    `json:"why"`
}

// What marks tell.
const (
	MarkTorn        = "torn"        // a tail that nobody was told is stored was cut and set aside
	MarkUnconfirmed = "unconfirmed" // records were there that nobody was told are stored; they stay
	MarkLost        = "lost"        // records that were acknowledged cannot be read
	MarkPruned      = "pruned"      // the oldest segments went, because the log reached its bound
	MarkHead        = "head"        // the head was missing or of another log
)

// maxFindings are listed; what follows is counted.
const maxFindings = 1000

// Report is what Walk found.
type Report struct {
	Segments int       `json:"segments"`
	Bytes    int64     `json:"bytes"`
	First    uint64    `json:"first"`   // index of the oldest record that is there
	Records  uint64    `json:"records"` // that were read, marks included
	Head     Head      `json:"-"`       // where the log ends by what was read
	Marks    []Mark    `json:"marks"`
	Findings []Finding `json:"findings"`
	More     int       `json:"more,omitempty"` // findings that are not listed

	marked bool // a pruned mark explains where the log begins
}

// Sound says that nothing is wrong.
func (r *Report) Sound() bool { return len(r.Findings) == 0 }

func (r *Report) find(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, f)
}

// ReadOptions of Walk. The zero value reads a log alone, without its head.
type ReadOptions struct {
	// Head is the path of the head; "" leaves it out, see HeadOf.
	Head string
	// Known is a head that was noted elsewhere: the log must reach it and agree with
	// it. nil: none.
	Known *Head
	// Visit is called with each record that can be read, in order; nil: none. Its
	// error ends the walk and is returned.
	Visit func(Entry) error
}

// HeadOf is where the head of the log in a folder is, unless Options say
// otherwise: beside the folder, so that who loses or replaces the folder does not
// take the head with it.
func HeadOf(dir string) string { return filepath.Clean(dir) + ".head" }

// Walk reads every record of the log in a folder and checks all of it: checksums,
// the chain of hashes, the order of records and segments, and the end against the
// head. It never writes, and may run beside the writer. An error means that the
// folder cannot be read; what is wrong with the log is in the report.
func Walk(dir string, o ReadOptions) (*Report, error) {
	r := &Report{}
	before, hasHead := r.readHead(o.Head, true)
	list, err := listSegments(dir)
	if err != nil {
		return nil, err
	}
	c := chain{report: r, dir: dir, visit: o.Visit, hasher: newHasher(), watch: map[uint64]*Head{}}
	if hasHead && before.Count > 0 {
		c.watch[before.Count-1] = &before
	}
	if o.Known != nil && o.Known.Count > 0 {
		c.watch[o.Known.Count-1] = o.Known
	}
	for _, number := range list {
		if err := c.segment(number); err != nil {
			return r, err
		}
	}
	c.end()
	if hasHead {
		r.checkEnd(filepath.Base(o.Head), before, c.next)
		if after, ok := r.readHead(o.Head, false); ok && c.next > after.Count {
			r.find(Finding{Kind: FindingUnconfirmed, File: r.lastFile(list), Segment: r.Head.Segment, Index: after.Count,
				Problem: fmt.Sprintf("%d records stand behind the head: a crash kept them from being acknowledged, or somebody else wrote them", c.next-after.Count)})
		}
	} else if o.Head != "" && c.next > 0 && r.Sound() {
		r.find(Finding{Kind: FindingHead, File: filepath.Base(o.Head), Index: c.next, Problem: "the head is missing or empty: whether the log is whole cannot be said"})
	}
	if o.Known != nil {
		r.checkEnd("the head that was noted", *o.Known, c.next)
	}
	return r, nil
}

func (r *Report) lastFile(list []uint32) string {
	if len(list) == 0 {
		return ""
	}
	return segmentName(list[len(list)-1])
}

func (r *Report) readHead(path string, tell bool) (h Head, ok bool) {
	if path == "" {
		return h, false
	}
	h, _, err := readHead(path)
	if err != nil && !missing(err) && !errors.Is(err, errFirstHead) && tell {
		r.find(Finding{Kind: FindingHead, File: filepath.Base(path), Problem: err.Error()})
	}
	return h, err == nil
}

// checkEnd holds the end of the log against a head.
func (r *Report) checkEnd(name string, h Head, next uint64) {
	if next < h.Count {
		r.find(Finding{Kind: FindingMissing, File: name, Index: next,
			Problem: fmt.Sprintf("%d records were stored and the log ends after %d: its tail is missing", h.Count, next)})
	}
}

// chain is the walk through all segments.
type chain struct {
	report *Report
	dir    string
	visit  func(Entry) error
	hasher *hasher
	watch  map[uint64]*Head // what the hash of a record must be
	begun  bool
	oldest uint32 // segment that is there
	number uint32
	next   uint64
	hash   Hash
	linked bool
}

func (c *chain) find(kind string, number uint32, index uint64, format string, args ...any) {
	c.report.find(Finding{Kind: kind, File: segmentName(number), Segment: number, Index: index, Problem: fmt.Sprintf(format, args...)})
}

// segment walks through one file.
func (c *chain) segment(number uint32) error {
	data, err := readSegment(c.dir, number)
	if missing(err) && !c.begun {
		return nil // pruned since the folder was listed, or end says that it is not there
	}
	if err != nil {
		c.find(FindingDamaged, number, c.next, "%v", err)
		c.linked, c.begun = false, true
		if c.oldest == 0 {
			c.oldest = number
		}
		c.number = number
		return nil
	}
	if c.oldest == 0 {
		c.oldest = number
	}
	c.report.Segments++
	c.report.Bytes += int64(len(data))
	h, problem := parseHeader(data)
	if problem != "" {
		c.find(FindingDamaged, number, c.next, "%s", problem)
		// Without the header's word what follows is judged by itself.
		h = segmentHeader{number: number, first: c.next, before: c.hash}
		if !c.linked {
			h.first = firstIndex(data, c.next)
		}
	} else {
		c.join(number, &h)
	}
	w := walker{data: data, number: number, at: min(headerBytes, len(data)), next: h.first, hash: h.before, linked: problem == "" || c.linked, hasher: c.hasher}
	if err := c.records(&w); err != nil {
		return err
	}
	c.begun, c.number, c.next, c.hash, c.linked = true, number, w.next, w.hash, w.linked
	c.report.Head = Head{Count: w.next, Segment: number, Hash: w.hash}
	return nil
}

// firstIndex is the index that a segment without a header seems to begin with.
func firstIndex(data []byte, otherwise uint64) uint64 {
	if len(data) > headerBytes {
		if e, _, _, problem := parseRecord(data[headerBytes:]); problem == "" {
			return e.Index
		}
	}
	return otherwise
}

// join holds a header against the end of the segment before.
func (c *chain) join(number uint32, h *segmentHeader) {
	if h.number != number {
		c.find(FindingOrder, number, h.first, "the file is of segment %d", h.number)
	}
	switch {
	case !c.begun:
		c.report.First = h.first
		if number == 1 && (h.first != 0 || h.before != genesis) {
			c.find(FindingAltered, number, h.first, "the first segment does not begin as a log does")
		}
		return
	case number != c.number+1:
		c.find(FindingMissing, number, c.next, "segments %d to %d are not there", c.number+1, number-1)
	}
	switch {
	case h.first > c.next:
		c.find(FindingMissing, number, c.next, "records %d to %d are not there", c.next, h.first-1)
	case h.first < c.next:
		c.find(FindingOrder, number, h.first, "it begins with record %d, and the segment before ends with %d", h.first, c.next-1)
	case c.linked && h.before != c.hash:
		c.find(FindingAltered, number, h.first, "it does not follow from the segment before: one of the two is not as it was written")
	}
}

func (c *chain) records(w *walker) error {
	for {
		e, fault := w.step()
		if fault != nil {
			fault.File = segmentName(w.number)
			c.report.find(*fault)
		}
		if e.Payload == nil {
			if fault == nil {
				return nil
			}
			continue
		}
		c.report.Records++
		c.check(&e)
		if e.Kind == KindMark {
			c.mark(&e)
		}
		if c.visit != nil {
			if err := c.visit(e); err != nil {
				return err
			}
		}
	}
}

// check holds a record against the heads that were noted.
func (c *chain) check(e *Entry) {
	if h := c.watch[e.Index]; h != nil && h.Hash != e.Hash {
		c.report.find(Finding{Kind: FindingHead, File: segmentName(e.Segment), Segment: e.Segment, Offset: e.Offset, Index: e.Index,
			Problem: fmt.Sprintf("record %d is not the one that was confirmed: the log was written anew", e.Index)})
	}
}

func (c *chain) mark(e *Entry) {
	var m Mark
	if json.Unmarshal(e.Payload, &m) != nil {
		return
	}
	if m.What == MarkPruned && m.To >= c.report.First {
		c.report.marked = true
	}
	if len(c.report.Marks) < maxFindings {
		c.report.Marks = append(c.report.Marks, m)
	}
}

// end judges what can be said only at the end.
func (c *chain) end() {
	if c.oldest > 1 && !c.report.marked {
		c.find(FindingMissing, c.oldest, 0, "segments 1 to %d are not there, and no mark says that they were pruned", c.oldest-1)
	}
}

// ReadAt reads one record by its place, as an index has it.
func ReadAt(dir string, number uint32, offset int64) (Entry, error) {
	path := filepath.Join(dir, segmentName(number))
	f, err := openRegular(path)
	if err != nil {
		return Entry{}, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	data := make([]byte, recordBytes+MaxPayloadBytes)
	n, _ := f.ReadAt(data, max(0, offset)) // too short shows below
	e, _, _, problem := parseRecord(data[:n])
	if problem != "" || offset < headerBytes {
		return Entry{}, fmt.Errorf("read %s at byte %d: %w: %s", path, offset, ErrDamaged, problem)
	}
	e.Segment, e.Offset = number, offset
	return e, nil
}

const suffix = ".segment"

func segmentName(number uint32) string { return fmt.Sprintf("%08d%s", number, suffix) }

// listSegments gives the numbers of the segments in a folder, in order.
func listSegments(dir string) (list []uint32, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	for _, e := range entries {
		digits, ok := strings.CutSuffix(e.Name(), suffix)
		n, err := strconv.ParseUint(digits, 10, 32)
		if ok && err == nil && n > 0 && segmentName(uint32(n)) == e.Name() {
			list = append(list, uint32(n))
		}
	}
	slices.Sort(list)
	return list, nil
}

// IsLog says whether a folder has segments in it.
func IsLog(dir string) bool {
	list, err := listSegments(dir)
	return err == nil && len(list) > 0
}

func readSegment(dir string, number uint32) ([]byte, error) {
	return readRegular(filepath.Join(dir, segmentName(number)), maxSegmentBytes)
}

// readRegular reads a file of a bounded length. Whoever reads a log may be root, and
// whoever wrote it may have put a pipe or a device in its place: nothing waits for
// such a file, and nothing of it is read.
func readRegular(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	data := bytes.NewBuffer(make([]byte, 0, min(info.Size(), limit)+bytes.MinRead))
	if _, err := data.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, err
	}
	if int64(data.Len()) > limit {
		return nil, fmt.Errorf("%s has more than the %d bytes that are possible", path, limit)
	}
	return data.Bytes(), nil
}

func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
