package recording

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"
)

// Recording is a recording that was checked to its last byte, or the good part
// of a damaged one.
type Recording struct {
	Header      Header
	Attachments []Attachment
	Topics      []Topic // in the order of their ids
	Messages    uint64
	First, Last uint64 // log times of all messages, nanoseconds since 1970
	Bytes       int64

	from   io.ReaderAt
	chunks []place
	ids    map[uint16]int // channel id -> topic
}

// place is where a checked chunk is.
type place struct{ offset, length int64 }

// Attachment gives the attachment of that name.
func (r *Recording) Attachment(name string) ([]byte, bool) {
	for i := range r.Attachments {
		if r.Attachments[i].Name == name {
			return r.Attachments[i].Data, true
		}
	}
	return nil, false
}

// Duration is the time between the first and the last message.
func (r *Recording) Duration() time.Duration { return time.Duration(r.Last - r.First) }

// Open checks a file and leaves it open for Chunk until the returned function is
// called. It never writes. With a *Damage as error the recording is its good
// part, which may have no messages, and must be closed all the same; with any
// other error there is nothing.
func Open(path string) (*Recording, func() error, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("open recording: %w", err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		f.Close()
		return nil, nil, fmt.Errorf("open recording: %w", err)
	}
	r, err := Read(f, info.Size())
	return r, f.Close, err
}

// Read checks a recording of the given size. See Open for its errors.
func Read(from io.ReaderAt, size int64) (*Recording, error) {
	s := &scan{
		r:    &Recording{from: from, Bytes: size, ids: map[uint16]int{}},
		size: size, unpacker: newUnpacker(),
	}
	if err := s.all(); err != nil {
		return s.r, s.damage(err)
	}
	return s.r, nil
}

// scan checks a recording from front to back.
type scan struct {
	r          *Recording
	size       int64
	at         int64 // of the record in hand
	good       int64 // end of the last good record
	sum        uint32
	summarized int64  // where the summary begins, while it is checked
	record     []byte // of the last next
	unpacker   *unpacker
	channels   []uint16          // ids in the order in which they were declared
	schemas    map[uint16]Topic  // by id, until a channel names them
	index      map[uint16][]byte // entries of the message index that a chunk must have
	recent     time.Time         // log time of the last message in file order
	used       uint64            // messages of complete chunks
}

func (s *scan) damage(err error) error {
	good := s.good
	if s.summarized > 0 { // until its sum is known nothing in the summary is good
		good = s.summarized
	}
	return &Damage{Offset: s.at, Good: good, Messages: s.used, Last: s.recent, Err: err}
}

func damaged(format string, a ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDamaged}, a...)...)
}

func (s *scan) all() error {
	for _, part := range []func() error{s.magic, s.header, s.metadata, s.attachments, s.data, s.summary} {
		if err := part(); err != nil {
			return err
		}
	}
	if s.good != s.size {
		s.at = s.good
		return damaged("%d bytes after its end", s.size-s.good)
	}
	return nil
}

// take reads the next n bytes into the sum and moves on.
func (s *scan) take(n int64, into []byte) ([]byte, error) {
	if n > s.size-s.good-int64(len(into)) {
		return nil, damaged("it ends in the middle of a record")
	}
	start := len(into)
	into = slices.Grow(into, int(n))[:start+int(n)]
	if n == 0 {
		return into, nil
	}
	if _, err := s.r.from.ReadAt(into[start:], s.good+int64(start)); err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	return into, nil
}

// magic is at both ends of the file.
func (s *scan) magic() error {
	s.at = s.good
	b, err := s.take(min(int64(len(mcap.Magic)), s.size-s.good), s.record[:0])
	if err != nil {
		return err
	}
	if !bytes.Equal(b, mcap.Magic) {
		if s.good == 0 {
			return fmt.Errorf("%w: it does not begin as an MCAP file of version 0", ErrNotRecording)
		}
		return damaged("it does not end as it should")
	}
	s.pass(b)
	return nil
}

// pass takes bytes that are in order into the sum.
func (s *scan) pass(b []byte) {
	s.sum = crc32.Update(s.sum, crc32.IEEETable, b)
	s.good += int64(len(b))
	s.record = b
}

// next reads a record whole: operation, length and content. pass must follow
// when it is in order.
func (s *scan) next() (op mcap.OpCode, content []byte, err error) {
	s.at = s.good
	b, err := s.take(9, s.record[:0])
	if err != nil {
		return 0, nil, err
	}
	length := binary.LittleEndian.Uint64(b[1:])
	if length > maxRecord || int64(length) > s.size-s.good-9 {
		return 0, nil, damaged("a record of %d bytes, with %d left in the file", length, s.size-s.good-9)
	}
	if b, err = s.take(int64(length), b); err != nil {
		return 0, nil, err
	}
	s.record = b
	return mcap.OpCode(b[0]), b[9:], nil
}

func (s *scan) header() error {
	op, content, err := s.next()
	if err != nil {
		return err
	}
	f := fields{rest: content}
	named, library := f.text(), f.text()
	switch {
	case op != mcap.OpHeader || !f.ended():
		return damaged("its header is not in order")
	case named != profile || library != profile:
		return fmt.Errorf("%w: its profile is %q by %q", ErrNotRecording, named, library)
	}
	s.pass(s.record)
	return nil
}

func (s *scan) metadata() error {
	op, content, err := s.next()
	if err != nil {
		return err
	}
	if op != mcap.OpMetadata {
		return damaged("%s in place of the metadata", op)
	}
	f := fields{rest: content}
	name := f.text()
	pairs := fields{rest: f.block()}
	entries := map[string]string{}
	for len(pairs.rest) > 0 && !pairs.bad && len(entries) < maxMetadata {
		key := pairs.text()
		if _, twice := entries[key]; twice {
			return damaged("%q is twice in the metadata", key)
		}
		entries[key] = pairs.text()
	}
	if name != metadata || !f.ended() || !pairs.ended() {
		return damaged("its metadata is not in order")
	}
	if s.r.Header, err = headerOf(entries); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	s.pass(s.record)
	return nil
}

func (s *scan) attachments() error {
	for {
		op, content, err := s.next()
		if err != nil {
			return err
		}
		if op != mcap.OpAttachment {
			return nil // data reads it again
		}
		f := fields{rest: content}
		f.bytes(16) // log and creation time
		a := Attachment{Name: f.text(), Media: f.text(), Data: bytes.Clone(f.bytes(f.uint64()))}
		sum := f.uint32()
		switch {
		case !f.ended() || crc32.ChecksumIEEE(content[:len(content)-4]) != sum:
			return damaged("attachment %q does not match its checksum", a.Name)
		case len(s.r.Attachments) == maxAttachments:
			return damaged("more than %d attachments", maxAttachments)
		}
		s.r.Attachments = append(s.r.Attachments, a)
		s.pass(s.record)
	}
}

// data is the chunks, each with the index of its messages, and the sum of
// everything so far.
func (s *scan) data() error {
	for {
		op, content, err := s.next()
		if err != nil {
			return err
		}
		switch op {
		case mcap.OpChunk:
			if err := s.chunk(content); err != nil {
				return err
			}
			s.pass(s.record)
			if err := s.indexes(); err != nil {
				return err
			}
		case mcap.OpDataEnd:
			f := fields{rest: content}
			if sum := f.uint32(); !f.ended() || sum != s.sum {
				return damaged("the data section does not match its checksum")
			}
			s.pass(s.record)
			return nil
		default:
			return damaged("%s in place of a chunk", op)
		}
	}
}

// indexes checks the index of messages that follows a chunk.
func (s *scan) indexes() error {
	for _, id := range s.channels {
		want := s.index[id]
		if len(want) == 0 {
			continue
		}
		op, content, err := s.next()
		if err != nil {
			return err
		}
		f := fields{rest: content}
		if op != mcap.OpMessageIndex || f.uint16() != id || !bytes.Equal(f.block(), want) || !f.ended() {
			return damaged("the index of a chunk does not match its messages")
		}
		s.pass(s.record)
	}
	return nil
}

// summary is checked by its sum alone: everything in it repeats what was read.
func (s *scan) summary() error {
	s.summarized = s.good
	s.sum = 0
	for {
		op, content, err := s.next()
		if err != nil {
			return err
		}
		switch op {
		case mcap.OpSchema, mcap.OpChannel, mcap.OpStatistics, mcap.OpChunkIndex, mcap.OpAttachmentIndex, mcap.OpMetadataIndex, mcap.OpSummaryOffset:
			s.pass(s.record)
			continue
		case mcap.OpFooter:
		default:
			return damaged("%s in the summary", op)
		}
		f := fields{rest: content}
		begins := f.uint64()
		f.uint64() // of the summary offsets: the sum covers it
		sum := f.uint32()
		if !f.ended() || begins != uint64(s.summarized) || crc32.Update(s.sum, crc32.IEEETable, s.record[:len(s.record)-4]) != sum {
			return damaged("the summary does not match its checksum")
		}
		s.pass(s.record)
		s.summarized = 0
		return s.magic()
	}
}
