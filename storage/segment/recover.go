package segment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ending is where the readable part of a log ends.
type ending struct {
	number   uint32 // segment that has it; 0: there is none
	next     uint64
	hash     Hash
	size     int64 // of its file up to there
	fileSize int64
	fault    *Finding // why it ends there; nil: it is the end of the file

	confirmed *Hash // of the record that the head is of, if it was read
}

// recover finds the end of the log, cuts off what a power cut has left behind it,
// and begins a new segment where acknowledged records cannot be read.
func (w *writer) recover() error {
	dir := w.log.dir
	head, hasHead, err := w.openHead()
	if err != nil {
		return err
	}
	list, err := listSegments(dir)
	if err != nil {
		return err
	}
	had := len(list) > 0
	end, list := w.findEnd(list, head, hasHead)
	if err := w.goOn(end, list, head); err != nil {
		return err
	}
	w.judge(&end, head, hasHead, had)
	w.log.first.Store(w.segments[0].first)
	w.log.head.Store(&Head{Count: w.next, Segment: w.number(), Hash: w.hash})
	w.planPrune()
	if len(w.marks) > 0 {
		_, _ = w.commit(nil) // told by tell; the marks go with the first record otherwise
	}
	return nil
}

// openHead reads the head and opens its file. What is noted elsewhere counts too.
func (w *writer) openHead() (head Head, ok bool, err error) {
	path := w.log.options.Head
	head, slot, err := readHead(path)
	fresh := missing(err)
	switch {
	case err == nil:
		ok = true
		w.head.turn = slot + 1
	case errors.Is(err, errFirstHead):
		ok = true // nothing was ever acknowledged
	case errors.Is(err, errNoHead):
		w.note("head of the log: " + err.Error())
	case !missing(err):
		return head, false, fmt.Errorf("read head of the log: %w", err)
	}
	if known := w.log.options.Known; known != nil && (!ok || known.Count > head.Count) {
		head, ok = *known, true
	}
	f, err := w.log.options.files.open(path)
	if err != nil {
		return head, ok, fmt.Errorf("open head of the log: %w", writeError(path, err))
	}
	w.head.file = f
	if !fresh {
		return head, ok, nil
	}
	// Its name, and that of the log's folder, must outlast a power cut too.
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Clean(w.log.dir))} {
		if err := w.log.options.files.syncFolder(dir); err != nil {
			return head, ok, fmt.Errorf("open head of the log: %w", writeError(path, err))
		}
	}
	return head, ok, nil
}

func (w *writer) note(text string) { w.log.notes = append(w.log.notes, text) }

func (w *writer) mark(m Mark) {
	m.At = time.Now().UTC()
	w.marks = append(w.marks, m)
	w.note("log " + w.log.dir + ": " + m.Why)
}

// findEnd walks through the newest segment. One that a crash has left without a
// header is set aside; one that has to have records and cannot be read stays, and
// the end is that of the segment before.
func (w *writer) findEnd(list []uint32, head Head, hasHead bool) (ending, []uint32) {
	none := ending{hash: genesis}
	for i := len(list) - 1; i >= 0; i-- {
		number := list[i]
		data, err := readSegment(w.log.dir, number)
		h, problem := segmentHeader{}, ""
		if err != nil {
			problem = err.Error()
		} else if h, problem = parseHeader(data); problem == "" && h.number != number {
			problem = fmt.Sprintf("it is of segment %d", h.number)
		}
		if problem == "" {
			return walkToEnd(data, &h, head), list
		}
		empty := err == nil && len(data) <= headerBytes
		if i == len(list)-1 && empty && !(hasHead && head.Segment >= number) {
			if aside := w.setAside(number, data, 0); aside != "" && w.log.options.files.remove(filepath.Join(w.log.dir, segmentName(number))) == nil {
				w.note(fmt.Sprintf("log %s: segment %d was begun and has no record: set aside as %s", w.log.dir, number, aside))
				list = list[:i]
				continue
			}
		}
		w.mark(Mark{What: MarkLost, Segment: number, Why: fmt.Sprintf("segment %d cannot be read: %s; it stays as it is", number, problem)})
	}
	return none, list
}

// walkToEnd goes through a segment up to its first fault.
func walkToEnd(data []byte, h *segmentHeader, head Head) ending {
	w := walker{data: data, number: h.number, at: headerBytes, next: h.first, hash: h.before, linked: true, hasher: newHasher()}
	end := ending{number: h.number, fileSize: int64(len(data))}
	if head.Count == h.first && head.Count > 0 {
		end.confirmed = &h.before
	}
	for {
		end.next, end.hash, end.size = w.next, w.hash, int64(w.at)
		e, fault := w.step()
		if fault != nil {
			end.fault = fault
			return end
		}
		if e.Payload == nil {
			return end
		}
		if e.Index+1 == head.Count {
			end.confirmed = &e.Hash
		}
	}
}

// goOn opens the segment that is written next: the newest, or a new one where it
// must not be touched.
func (w *writer) goOn(end ending, list []uint32, head Head) error {
	for _, number := range list {
		w.segments = append(w.segments, w.stateOf(number))
	}
	newest := uint32(0)
	if len(list) > 0 {
		newest = list[len(list)-1]
	}
	w.next, w.hash = end.next, end.hash
	lost := head.Count > end.next
	if end.number != 0 && end.number == newest && !lost {
		return w.reopen(&end)
	}
	if lost {
		w.next, w.hash = head.Count, head.Hash
	}
	number := max(newest, head.Segment) + 1
	f, err := w.begin(number, w.next, w.hash)
	if err != nil {
		return fmt.Errorf("begin segment %d: %w", number, writeError(w.log.dir, err))
	}
	w.current, w.size = f, headerBytes
	w.segments = append(w.segments, segmentState{number, w.next, headerBytes})
	return nil
}

func (w *writer) stateOf(number uint32) segmentState {
	s := segmentState{number: number}
	path := filepath.Join(w.log.dir, segmentName(number))
	f, err := openRegular(path)
	if err != nil {
		return s
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		s.size = info.Size()
	}
	data := make([]byte, headerBytes)
	if n, _ := f.ReadAt(data, 0); n == headerBytes {
		if h, problem := parseHeader(data); problem == "" {
			s.first = h.first
		}
	}
	return s
}

// reopen goes on in the newest segment, without what stands behind its end.
func (w *writer) reopen(end *ending) error {
	path := filepath.Join(w.log.dir, segmentName(end.number))
	f, err := w.log.options.files.open(path)
	if err != nil {
		return fmt.Errorf("open segment %d: %w", end.number, writeError(path, err))
	}
	w.current, w.size = f, end.size
	w.segments[len(w.segments)-1].size = end.size
	if end.fileSize == end.size {
		return nil
	}
	m := Mark{What: MarkTorn, From: end.next, To: end.next, Segment: end.number, Bytes: end.fileSize - end.size}
	if data, err := readSegment(w.log.dir, end.number); err == nil {
		m.Aside = w.setAside(end.number, data, end.size)
	}
	m.Why = fmt.Sprintf("segment %d ends in %d bytes behind record %d that nobody was told are stored (%s): cut off", end.number, m.Bytes, int64(end.next)-1, end.fault.Problem)
	if m.Aside != "" {
		m.Why += ", set aside as " + m.Aside
	}
	w.mark(m)
	if err := f.Truncate(end.size); err != nil {
		return fmt.Errorf("cut segment %d: %w", end.number, writeError(path, err))
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("cut segment %d: %w", end.number, writeError(path, err))
	}
	return nil
}

// maxAside bounds the files that are set aside; what comes later is only told.
const maxAside = 8

// setAside keeps what is about to be cut off, and gives the name; "" where that
// cannot be done, as on a full disk: nothing of it was ever acknowledged.
func (w *writer) setAside(number uint32, data []byte, from int64) string {
	entries, err := os.ReadDir(w.log.dir)
	if err != nil {
		return ""
	}
	kept := 0
	for _, e := range entries {
		if strings.Contains(e.Name(), suffix+".cut-") {
			kept++
		}
	}
	name := fmt.Sprintf("%s.cut-%s-%d", segmentName(number), time.Now().UTC().Format("20060102T150405.000"), from)
	if kept >= maxAside || os.WriteFile(filepath.Join(w.log.dir, name), data[from:], 0o600) != nil {
		return ""
	}
	return name
}

// judge says what the head has to say of the log.
func (w *writer) judge(end *ending, head Head, hasHead, had bool) {
	switch {
	case !hasHead && had:
		w.mark(Mark{What: MarkHead, From: end.next, To: end.next, Why: fmt.Sprintf("the head was missing: whether records after %d were lost cannot be said", int64(end.next)-1)})
	case !hasHead:
	case head.Count > end.next:
		w.mark(Mark{What: MarkLost, From: end.next, To: head.Count, Segment: end.number,
			Why: fmt.Sprintf("records %d to %d were stored and cannot be read any more: what is left of them stays as it is", end.next, head.Count-1)})
	case end.confirmed != nil && head.Count > 0 && *end.confirmed != head.Hash:
		w.mark(Mark{What: MarkHead, From: head.Count - 1, To: head.Count, Why: fmt.Sprintf("record %d is not the one that was confirmed: somebody wrote the log anew, or put another in its place", head.Count-1)})
	case head.Count < end.next:
		w.mark(Mark{What: MarkUnconfirmed, From: head.Count, To: end.next,
			Why: fmt.Sprintf("records %d to %d stood behind the head: a crash kept them from being acknowledged, or somebody else wrote them; they stay", head.Count, end.next-1)})
	}
}
