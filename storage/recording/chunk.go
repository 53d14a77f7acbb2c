package recording

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"
	"github.com/klauspost/compress/zstd"
)

// Message is one message of a recording.
type Message struct {
	Topic    int // index into Recording.Topics
	Sequence uint32
	LogTime  uint64 // nanoseconds since 1970
	Data     []byte // JSON; valid until the visitor returns
}

// unpacker is the memory for one chunk at a time.
type unpacker struct {
	zstd    *zstd.Decoder
	records []byte
}

func newUnpacker() *unpacker {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxChunk))
	if err != nil {
		panic("recording: options of the decompressor: " + err.Error())
	}
	return &unpacker{zstd: d}
}

// chunkFields are those of a chunk before its records.
type chunkFields struct {
	start, end uint64
	size       uint64
	sum        uint32
}

// unpack checks a chunk's sizes and checksum and gives its records.
func (u *unpacker) unpack(content []byte) (chunkFields, []byte, error) {
	f := fields{rest: content}
	c := chunkFields{start: f.uint64(), end: f.uint64(), size: f.uint64(), sum: f.uint32()}
	name := f.text()
	packed := f.bytes(f.uint64())
	switch {
	case !f.ended():
		return c, nil, damaged("a chunk's lengths do not fit")
	case name != compression:
		return c, nil, damaged("a chunk is packed as %q, not %s", name, compression)
	case c.size > maxChunk:
		return c, nil, damaged("a chunk of %d bytes, at most %d are possible", c.size, maxChunk)
	}
	var err error
	if u.records, err = u.zstd.DecodeAll(packed, u.records[:0]); err != nil {
		return c, nil, fmt.Errorf("%w: unpack chunk: %w", ErrDamaged, err)
	}
	if uint64(len(u.records)) != c.size || crc32.ChecksumIEEE(u.records) != c.sum {
		return c, nil, damaged("a chunk does not match its checksum")
	}
	return c, u.records, nil
}

// record takes the next record of a chunk.
func (f *fields) record() (mcap.OpCode, []byte) {
	op := f.bytes(1)
	content := f.bytes(f.uint64())
	if f.bad {
		return 0, nil
	}
	return mcap.OpCode(op[0]), content
}

// chunk checks one and takes what it declares.
func (s *scan) chunk(content []byte) error {
	c, records, err := s.unpacker.unpack(content)
	if err != nil {
		return err
	}
	for id := range s.index {
		s.index[id] = s.index[id][:0]
	}
	found := tally{start: ^uint64(0)}
	f := fields{rest: records}
	for len(f.rest) > 0 {
		offset := len(records) - len(f.rest)
		op, content := f.record()
		if f.bad {
			return damaged("the records of a chunk do not fit")
		}
		if offset > chunkBytes { // it bounds how many messages there can be
			return damaged("a chunk goes on after %d bytes", chunkBytes)
		}
		if err := s.inChunk(op, content, uint64(offset), &found); err != nil {
			return err
		}
	}
	if found.messages == 0 {
		found.start = 0
	}
	if found.start != c.start || found.end != c.end {
		return damaged("a chunk's times are not those of its messages")
	}
	s.accept(&found, len(content))
	return nil
}

// tally is what the messages of a chunk come to.
type tally struct {
	start, end, last, messages uint64
}

// accept adds a chunk that is in order.
func (s *scan) accept(t *tally, length int) {
	s.r.chunks = append(s.r.chunks, place{s.at + 9, int64(length)})
	if t.messages == 0 {
		return
	}
	if s.r.Messages == 0 || t.start < s.r.First {
		s.r.First = t.start
	}
	s.r.Last = max(s.r.Last, t.end)
	s.r.Messages += t.messages
	s.used = s.r.Messages
	s.recent = time.Unix(0, int64(t.last))
}

func (s *scan) inChunk(op mcap.OpCode, content []byte, offset uint64, t *tally) error {
	f := fields{rest: content}
	switch op {
	case mcap.OpSchema:
		return s.schema(f)
	case mcap.OpChannel:
		return s.channel(f)
	case mcap.OpMessage:
		id := f.uint16()
		f.uint32()
		at := f.uint64()
		f.uint64()
		if _, known := s.r.ids[id]; !known || f.bad {
			return damaged("a message of channel %d, which is not declared", id)
		}
		entry := binary.LittleEndian.AppendUint64(s.index[id], at)
		s.index[id] = binary.LittleEndian.AppendUint64(entry, offset)
		t.start, t.end, t.last = min(t.start, at), max(t.end, at), at
		t.messages++
		return nil
	}
	return damaged("%s in a chunk", op)
}

func (s *scan) schema(f fields) error {
	id, topic := f.uint16(), Topic{Title: f.text()}
	named := f.text()
	topic.Schema = append([]byte(nil), f.block()...)
	_, twice := s.schemas[id]
	if !f.ended() || named != schemas || id == 0 || twice || len(s.schemas) == maxTopics {
		return damaged("a schema is not in order")
	}
	if s.schemas == nil {
		s.schemas = map[uint16]Topic{}
	}
	s.schemas[id] = topic
	return nil
}

func (s *scan) channel(f fields) error {
	id, schema := f.uint16(), f.uint16()
	topic, known := s.schemas[schema]
	topic.Name = f.text()
	named := f.text()
	f.block() // metadata: none of ours
	_, twice := s.r.ids[id]
	twice = twice || slices.ContainsFunc(s.r.Topics, func(t Topic) bool { return t.Name == topic.Name })
	if !f.ended() || !known || twice || named != encoding || len(s.r.Topics) == maxTopics {
		return damaged("a channel is not in order")
	}
	if s.index == nil {
		s.index = map[uint16][]byte{}
	}
	s.r.ids[id] = len(s.r.Topics)
	s.r.Topics = append(s.r.Topics, topic)
	s.channels = append(s.channels, id)
	return nil
}

// Chunks is the number of chunks, in the order in which they were written.
func (r *Recording) Chunks() int { return len(r.chunks) }

// Reader visits the messages of a recording. It holds the memory for one chunk;
// several readers may work on one recording at the same time.
type Reader struct {
	r        *Recording
	packed   []byte
	unpacker *unpacker
}

// NewReader makes a reader.
func (r *Recording) NewReader() *Reader { return &Reader{r: r, unpacker: newUnpacker()} }

// Chunk visits the messages of one chunk in the order in which they were
// written. It ends with the visitor's first error.
func (d *Reader) Chunk(i int, visit func(*Message) error) error {
	p := d.r.chunks[i]
	if int64(cap(d.packed)) < p.length {
		d.packed = make([]byte, p.length)
	}
	d.packed = d.packed[:p.length]
	if _, err := d.r.from.ReadAt(d.packed, p.offset); err != nil {
		return fmt.Errorf("read recording: %w", err)
	}
	_, records, err := d.unpacker.unpack(d.packed)
	if err != nil {
		return err // it was in order a moment ago: somebody writes to the file
	}
	var m Message
	for f := (fields{rest: records}); len(f.rest) > 0; {
		op, content := f.record()
		if op != mcap.OpMessage {
			continue
		}
		c := fields{rest: content}
		m.Topic, m.Sequence, m.LogTime = d.r.ids[c.uint16()], c.uint32(), c.uint64()
		c.uint64()
		m.Data = c.rest
		if err := visit(&m); err != nil {
			return err
		}
	}
	return nil
}

// Each visits all messages in the order in which they were written.
func (d *Reader) Each(visit func(*Message) error) error {
	for i := range d.r.chunks {
		if err := d.Chunk(i, visit); err != nil {
			return err
		}
	}
	return nil
}
