package recording

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"strings"
	"testing"

	"github.com/foxglove/mcap/go/mcap"
)

// op is one record.
func op(code mcap.OpCode, content []byte) []byte {
	return append(binary.LittleEndian.AppendUint64([]byte{byte(code)}, uint64(len(content))), content...)
}

func block(texts ...string) []byte {
	var b []byte
	for _, s := range texts {
		b = append(binary.LittleEndian.AppendUint32(b, uint32(len(s))), s...)
	}
	return b
}

func schemaOp(id uint16, title string) []byte {
	return op(mcap.OpSchema, append(binary.LittleEndian.AppendUint16(nil, id), block(title, schemas, `{"type":"object"}`)...))
}

func channelOp(id, schema uint16, topic string) []byte {
	b := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, id), schema)
	return op(mcap.OpChannel, append(b, block(topic, encoding, "")...))
}

func messageOp(id uint16, data string) []byte {
	return op(mcap.OpMessage, append(append(binary.LittleEndian.AppendUint16(nil, id), make([]byte, 20)...), data...))
}

// TestHostileChunks: chunks whose checksums are right are refused for what is in
// them, at their own beginning, and cost no more memory than a chunk may.
func TestHostileChunks(t *testing.T) {
	sound := write(t, testHeader, 20, 20)
	r, err := read(sound)
	if err != nil {
		t.Fatal(err)
	}
	start := int(r.chunks[0].offset) - 9
	packer, err := NewPacker()
	if err != nil {
		t.Fatal(err)
	}
	pack := func(b []byte) []byte { return packer.encoder.EncodeAll(b, nil) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	begin := join(schemaOp(1, "a"), channelOp(1, 1, "/a"))
	simple := func(records []byte) []byte { return chunkOf(records, pack(records), uint64(len(records)), 0, 0) }
	bomb := make([]byte, 64<<20)
	for _, c := range []struct {
		name  string
		chunk []byte
		want  string
	}{
		{"a schema twice", simple(join(begin, schemaOp(1, "b"))), "a schema is not in order"},
		{"schema 0, which is none", simple(schemaOp(0, "a")), "a schema is not in order"},
		{"a channel twice", simple(join(begin, channelOp(1, 1, "/b"))), "a channel is not in order"},
		{"a topic twice", simple(join(begin, channelOp(2, 1, "/a"))), "a channel is not in order"},
		{"a channel of no schema", simple(channelOp(1, 9, "/a")), "a channel is not in order"},
		{"a message of no channel", simple(join(begin, messageOp(2, "{}"))), "not declared"},
		{"too many messages", simple(join(begin, bytes.Repeat(messageOp(1, "{}"), 20_000))), "goes on after"},
		{"a footer", simple(op(mcap.OpFooter, make([]byte, 20))), "in a chunk"},
		{"a bomb", chunkOf(bomb, pack(bomb), uint64(len(bomb)), 0, 0), "at most"},
		{"a bomb that says it is none", chunkOf(nil, pack(bomb), 0, 0, 0), "unpack chunk"},
		{"a bomb in many frames", chunkOf(nil, bytes.Repeat(pack(bomb[:1<<20]), 64), 0, 0, 0), "unpack chunk"},
		{"not packed", chunkOf([]byte("{}"), []byte("{}"), 2, 0, 0), "unpack chunk"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got, err := read(append(bytes.Clone(sound[:start]), c.chunk...))
			runtime.ReadMemStats(&after)
			d, ok := err.(*Damage)
			if !ok || !strings.Contains(err.Error(), c.want) || d.Offset != int64(start) || d.Good != int64(start) || got.Messages != 0 {
				t.Errorf("%v, want %q at byte %d", err, c.want, start)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 8*maxChunk {
				t.Errorf("%d bytes were allocated", spent)
			}
		})
	}
}
