package recording

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/foxglove/mcap/go/mcap"
)

// FuzzRead: whatever a file holds, the reader ends, refuses what is not whole,
// and what it says of the good part is so.
func FuzzRead(f *testing.F) {
	sound := write(f, testHeader, 60, 20)
	f.Add(sound)
	f.Add(sound[:len(sound)/2])
	f.Add(write(f, testHeader, 0, 1))
	for _, i := range []int{0, 9, 100, 700, 1200, len(sound) - 30} {
		b := bytes.Clone(sound)
		b[i] ^= 0x80
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		checkRead(t, b)
	})
}

// checkRead holds what the reader says of any bytes.
func checkRead(t *testing.T, b []byte) {
	t.Helper()
	r, err := read(b)
	var d *Damage
	if err != nil && !errors.As(err, &d) {
		t.Fatalf("refused without a position: %v", err)
	}
	visited := uint64(0)
	if err := r.NewReader().Each(func(m *Message) error {
		visited++
		if m.Topic < 0 || m.Topic >= len(r.Topics) {
			t.Fatalf("message of topic %d", m.Topic)
		}
		return nil
	}); err != nil {
		t.Fatalf("the good part cannot be read: %v", err)
	}
	if visited != r.Messages {
		t.Fatalf("%d messages, %d counted", visited, r.Messages)
	}
}

// FuzzChunk puts hostile records behind checksums that are right, where
// FuzzRead seldom gets.
func FuzzChunk(f *testing.F) {
	sound := write(f, testHeader, 60, 60)
	r, err := read(sound)
	if err != nil {
		f.Fatal(err)
	}
	p := r.chunks[0]
	c, records, err := newUnpacker().unpack(sound[p.offset : p.offset+p.length])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(records, c.start, c.end)
	f.Add(records[:len(records)-1], c.start, c.end)
	f.Add([]byte{}, uint64(0), uint64(0))
	f.Add(binary.LittleEndian.AppendUint64([]byte{byte(mcap.OpMessage)}, 1<<63), uint64(0), uint64(0))
	f.Add(append(bytes.Clone(records), records...), c.start, c.end)
	packer, err := NewPacker()
	if err != nil {
		f.Fatal(err)
	}
	before := sound[:p.offset-9]
	f.Fuzz(func(t *testing.T, records []byte, start, end uint64) {
		packed := packer.encoder.EncodeAll(records, nil)
		checkRead(t, append(bytes.Clone(before), chunkOf(records, packed, uint64(len(records)), start, end)...))
	})
}

// chunkOf is a chunk whose checksum is right, whatever is in it.
func chunkOf(records, packed []byte, size, start, end uint64) []byte {
	var chunk []byte
	for _, n := range []uint64{start, end, size} {
		chunk = binary.LittleEndian.AppendUint64(chunk, n)
	}
	chunk = binary.LittleEndian.AppendUint32(chunk, crc32.ChecksumIEEE(records))
	chunk = append(binary.LittleEndian.AppendUint32(chunk, uint32(len(compression))), compression...)
	chunk = append(binary.LittleEndian.AppendUint64(chunk, uint64(len(packed))), packed...)
	return append(binary.LittleEndian.AppendUint64([]byte{byte(mcap.OpChunk)}, uint64(len(chunk))), chunk...)
}
