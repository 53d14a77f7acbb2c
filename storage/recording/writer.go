package recording

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/foxglove/mcap/go/mcap"
	"github.com/klauspost/compress/zstd"
)

// chunkBytes is the length of a chunk before it is packed. A power cut and a
// kill lose at most the chunk in hand.
const chunkBytes = 256 << 10

// window of the compressor: it bounds the memory that it holds for ever.
const window = 32 << 10

// Packer is the memory of a compressor, for one writer at a time.
type Packer struct{ encoder *zstd.Encoder }

// NewPacker makes a compressor that holds about 600 kB and starts no
// goroutine.
func NewPacker() (*Packer, error) {
	e, err := zstd.NewWriter(io.Discard, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithWindowSize(window), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	return &Packer{e}, nil
}

// Writer writes one recording. It is not safe for concurrent use. After an error
// of one method, ErrTooLong apart, nothing more can be written.
type Writer struct {
	header   Header
	mcap     *mcap.Writer
	options  *mcap.WriterOptions
	counting *counting
	sequence []uint32 // per topic
}

// counting remembers the first error of what it writes to, because the library
// does not say it again.
type counting struct {
	to  io.Writer
	err error
}

func (c *counting) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	n, err := c.to.Write(p)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	c.err = err
	return n, err
}

// NewWriter begins a recording: header, metadata and attachments are written at
// once, the topics with the first chunk.
func NewWriter(to io.Writer, p *Packer, h Header, files []Attachment, topics []Topic) (*Writer, error) {
	w := &Writer{header: h, counting: &counting{to: to}, sequence: make([]uint32, len(topics))}
	w.options = &mcap.WriterOptions{
		IncludeCRC: true, Chunked: true, ChunkSize: chunkBytes, OverrideLibrary: true,
		Compressor: mcap.NewCustomCompressor(compression, p.encoder),
	}
	var err error
	if w.mcap, err = mcap.NewWriter(w.counting, w.options); err != nil {
		return nil, fmt.Errorf("begin recording: %w", err)
	}
	if err := w.begin(files, topics); err != nil {
		return nil, fmt.Errorf("begin recording: %w", err)
	}
	return w, nil
}

func (w *Writer) begin(files []Attachment, topics []Topic) error {
	errs := []error{
		w.mcap.WriteHeader(&mcap.Header{Profile: profile, Library: profile}),
		w.mcap.WriteMetadata(&mcap.Metadata{Name: metadata, Metadata: w.header.entries()}),
	}
	at := w.header.LogTime(w.header.Monotonic)
	for _, f := range files {
		errs = append(errs, w.mcap.WriteAttachment(&mcap.Attachment{
			LogTime: at, CreateTime: at, Name: f.Name, MediaType: f.Media,
			DataSize: uint64(len(f.Data)), Data: bytes.NewReader(f.Data),
		}))
	}
	for i, t := range topics {
		id := uint16(i + 1)
		errs = append(errs,
			w.mcap.WriteSchema(&mcap.Schema{ID: id, Name: t.Title, Encoding: schemas, Data: t.Schema}),
			w.mcap.WriteChannel(&mcap.Channel{ID: id, SchemaID: id, Topic: t.Name, MessageEncoding: encoding}))
	}
	return errors.Join(errs...)
}

// Write adds a message to a topic, by its place in the list of NewWriter. The
// data is a JSON object; at is its log time, see Header.LogTime.
func (w *Writer) Write(topic int, at uint64, data []byte) error {
	if len(data) > maxMessage {
		return fmt.Errorf("write message: %w: %d bytes, at most %d", ErrTooLong, len(data), maxMessage)
	}
	w.sequence[topic]++
	err := w.mcap.WriteMessage(&mcap.Message{
		ChannelID: uint16(topic + 1), Sequence: w.sequence[topic], LogTime: at, PublishTime: at, Data: data,
	})
	if err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// WriteLast is Write that ends the chunk: this message and all before it are
// handed to what the writer writes to.
func (w *Writer) WriteLast(topic int, at uint64, data []byte) error {
	w.options.ChunkSize = 0 // the library looks at it after each message
	err := w.Write(topic, at, data)
	w.options.ChunkSize = chunkBytes
	return err
}

// Size is the number of bytes handed over so far.
func (w *Writer) Size() int64 { return int64(w.mcap.Offset()) }

// Close writes what is left and the index. A recording without it is refused,
// with its last good position.
func (w *Writer) Close() error {
	if err := errors.Join(w.mcap.Close(), w.counting.err); err != nil {
		return fmt.Errorf("end recording: %w", err)
	}
	return nil
}
