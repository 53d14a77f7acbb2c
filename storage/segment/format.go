package segment

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/crc32"
)

// Hash is SHA-256.
type Hash = [sha256.Size]byte

// MaxPayloadBytes bounds one record's payload; none is empty.
const MaxPayloadBytes = 64 << 10

// maxSegmentBytes is what a reader takes into memory at a time.
const maxSegmentBytes = 64 << 20

// A segment is a header and records, little endian. The header:
//
//	0   8  mark "DANCERLG"
//	8   2  version of the format, 1
//	10  2  0
//	12  4  number of the segment, from 1; also its file's name
//	16  8  index of its first record, from 0
//	24  32 hash of the record before that
//	56  4  0
//	60  4  CRC-32C of the bytes before
//
// A record:
//
//	0   4  CRC-32C of the rest
//	4   4  length of the payload
//	8   8  index
//	16  1  kind
//	17  32 SHA-256 of the hash of the record before, index, kind and payload
//	49     payload
const (
	formatVersion = 1
	headerBytes   = 64
	recordBytes   = 49
)

const segmentMark = "DANCERLG"

// Kinds of records.
const (
	KindData uint8 = 1 // the owner's
	KindMark uint8 = 2 // the log's own: a Mark, what was repaired or pruned
)

// genesis stands in for the hash of the record before the first.
var genesis = sha256.Sum256([]byte("dancer segment log, version 1"))

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Entry is one record of a log.
type Entry struct {
	Index   uint64
	Kind    uint8
	Payload []byte // valid until the visitor returns
	Segment uint32
	Offset  int64 // in its file
	Hash    Hash
}

// segmentHeader begins a segment.
type segmentHeader struct {
	number uint32
	first  uint64
	before Hash
}

func (h *segmentHeader) encode() []byte {
	data := make([]byte, headerBytes)
	copy(data, segmentMark)
	binary.LittleEndian.PutUint16(data[8:], formatVersion)
	binary.LittleEndian.PutUint32(data[12:], h.number)
	binary.LittleEndian.PutUint64(data[16:], h.first)
	copy(data[24:], h.before[:])
	binary.LittleEndian.PutUint32(data[60:], crc32.Checksum(data[:60], castagnoli))
	return data
}

// parseHeader gives the header, or what is wrong with it.
func parseHeader(data []byte) (h segmentHeader, problem string) {
	switch {
	case len(data) < headerBytes:
		return h, fmt.Sprintf("the file has %d bytes and no whole header", len(data))
	case string(data[:8]) != segmentMark:
		return h, "the file is no segment of a log"
	case binary.LittleEndian.Uint32(data[60:]) != crc32.Checksum(data[:60], castagnoli):
		return h, "the header does not match its checksum"
	case binary.LittleEndian.Uint16(data[8:]) != formatVersion:
		return h, fmt.Sprintf("the header has version %d, this program reads %d", binary.LittleEndian.Uint16(data[8:]), formatVersion)
	}
	h.number, h.first = binary.LittleEndian.Uint32(data[12:]), binary.LittleEndian.Uint64(data[16:])
	copy(h.before[:], data[24:])
	return h, ""
}

// hasher makes the hashes of a chain, without allocating for each.
type hasher struct {
	digest hash.Hash
	prefix [sha256.Size + 9]byte
}

func newHasher() *hasher { return &hasher{digest: sha256.New()} }

func (h *hasher) next(before *Hash, index uint64, kind uint8, payload []byte) (sum Hash) {
	copy(h.prefix[:], before[:])
	binary.LittleEndian.PutUint64(h.prefix[sha256.Size:], index)
	h.prefix[sha256.Size+8] = kind
	h.digest.Reset()
	h.digest.Write(h.prefix[:])
	h.digest.Write(payload)
	h.digest.Sum(sum[:0])
	return sum
}

// appendRecord adds an encoded record to a buffer.
func appendRecord(to []byte, index uint64, kind uint8, sum *Hash, payload []byte) []byte {
	from := len(to)
	to = append(to, 0, 0, 0, 0)
	to = binary.LittleEndian.AppendUint32(to, uint32(len(payload)))
	to = binary.LittleEndian.AppendUint64(to, index)
	to = append(to, kind)
	to = append(to, sum[:]...)
	to = append(to, payload...)
	binary.LittleEndian.PutUint32(to[from:], crc32.Checksum(to[from+4:], castagnoli))
	return to
}

// parseRecord reads the record at the beginning of data: its whole length, or
// which kind of finding it is and why. The payload aliases data.
func parseRecord(data []byte) (e Entry, length int, kind, problem string) {
	if len(data) < recordBytes {
		return e, 0, FindingTorn, fmt.Sprintf("%d bytes are too few for a record", len(data))
	}
	n := binary.LittleEndian.Uint32(data[4:])
	switch {
	case n == 0 || n > MaxPayloadBytes:
		return e, 0, FindingDamaged, fmt.Sprintf("a record of %d bytes, 1 to %d are possible", n, MaxPayloadBytes)
	case int(n) > len(data)-recordBytes:
		return e, 0, FindingTorn, fmt.Sprintf("a record of %d bytes ends after %d", n, len(data)-recordBytes)
	}
	length = recordBytes + int(n)
	if binary.LittleEndian.Uint32(data) != crc32.Checksum(data[4:length], castagnoli) {
		return e, length, FindingDamaged, "a record does not match its checksum"
	}
	e.Index, e.Kind, e.Payload = binary.LittleEndian.Uint64(data[8:]), data[16], data[recordBytes:length]
	copy(e.Hash[:], data[17:])
	return e, length, "", ""
}

// walker goes through the records of one segment.
type walker struct {
	data   []byte
	number uint32
	at     int
	next   uint64 // index of the next record
	hash   Hash   // of the record before
	linked bool   // hash is known: the record before was good
	hasher *hasher

	searched int // see searchBytes
}

// step gives the next record, or the fault at this place; neither at the end.
// After a fault it goes on behind it where it can find a record again.
func (w *walker) step() (e Entry, fault *Finding) {
	if w.at >= len(w.data) {
		return e, nil
	}
	at := w.at
	e, length, kind, problem := parseRecord(w.data[at:])
	if problem == "" && e.Index > w.next && e.Index-w.next <= aheadIndex {
		fault = &Finding{Kind: FindingMissing, Segment: w.number, Offset: int64(at), Index: w.next,
			Problem: fmt.Sprintf("records %d to %d are not there", w.next, e.Index-1)}
		w.next, w.linked = e.Index, false // the record itself comes with the next step
		return Entry{}, fault
	}
	if problem == "" && e.Index != w.next {
		kind, problem = FindingOrder, fmt.Sprintf("record %d stands where record %d belongs", e.Index, w.next)
	}
	if problem == "" && e.Kind != KindData && e.Kind != KindMark {
		kind, problem = FindingDamaged, fmt.Sprintf("a record of kind %d, which this version does not know", e.Kind)
	}
	if problem != "" {
		return Entry{}, w.fault(at, length, kind, problem)
	}
	if w.linked && w.hasher.next(&w.hash, e.Index, e.Kind, e.Payload) != e.Hash {
		fault = &Finding{Kind: FindingAltered, Segment: w.number, Offset: int64(at), Index: e.Index,
			Problem: fmt.Sprintf("record %d does not follow from what stands before it: one of the two is not as it was written", e.Index)}
	}
	e.Segment, e.Offset = w.number, int64(at)
	w.at, w.next, w.hash, w.linked = at+length, e.Index+1, e.Hash, true
	return e, fault
}

// fault makes the finding at a place and goes on behind it.
func (w *walker) fault(at, length int, kind, problem string) *Finding {
	f := &Finding{Kind: kind, Segment: w.number, Offset: int64(at), Index: w.next, Problem: problem}
	if len(bytes.TrimRight(w.data[at:], "\x00")) == 0 {
		f.Kind, f.Problem = FindingTorn, fmt.Sprintf("%d zero bytes", len(w.data)-at) // a file system's hole
		w.linked, w.at = false, len(w.data)
		return f
	}
	w.resume(at, length)
	if f.Kind == FindingTorn && w.at < len(w.data) {
		f.Kind = FindingDamaged // records follow: its length is wrong, not its end missing
	}
	return f
}

// aheadIndex is how far the next record that is found may be ahead: it is what
// keeps chance from being taken for a record.
const aheadIndex = 1 << 20

// searchBytes bounds what is summed up in the search for the next record of a
// segment, so that a hostile file costs a second and not an hour.
const searchBytes = 1 << 30

// resume finds the next record behind a fault; the end if there is none. What was
// skipped is not known, so that the next record's hash is taken as it stands.
func (w *walker) resume(at, length int) {
	w.linked = false
	if length > 0 && w.takeUp(at+length) {
		return
	}
	for at++; at+recordBytes <= len(w.data); at++ {
		if w.takeUp(at) {
			return
		}
	}
	w.at = len(w.data)
}

// takeUp goes on at a place if a record of this log stands there.
func (w *walker) takeUp(at int) bool {
	if at+recordBytes > len(w.data) {
		return false
	}
	index := binary.LittleEndian.Uint64(w.data[at+8:])
	if index < w.next || index-w.next > aheadIndex {
		return false
	}
	w.searched += recordBytes + min(int(binary.LittleEndian.Uint32(w.data[at+4:])), MaxPayloadBytes)
	if w.searched > searchBytes {
		return false
	}
	if _, _, _, problem := parseRecord(w.data[at:]); problem != "" {
		return false
	}
	w.at, w.next = at, index
	return true
}
