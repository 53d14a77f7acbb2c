package storage

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
)

// Kind of a stored record. Values are written to disk: never reuse one.
type Kind uint8

// The kinds of this version. The zero value is invalid.
const (
	KindInvalid    Kind = iota
	KindDecision        // dancer.Decision
	KindOutcome         // dancer.Outcome
	KindMarker          // swarm.DecisionMarker
	KindItem            // mesh.Item, an outbox entry
	KindEscalation      // mesh.Escalation or a conductor's register entry
	KindRuling          // mesh.Ruling
	KindInbox           // an id that was handled
	KindState           // any small state of one room, such as an open question
)

// Errors of Decode, by cause.
var (
	// ErrChecksum: the bytes are not what was written. Restore from the copy.
	ErrChecksum = errors.New("checksum does not match: the record is damaged")
	// ErrVersion: written by another version. Use that version, or migrate.
	ErrVersion = errors.New("record has another version")
	// ErrKind: a record of another kind stands in this place.
	ErrKind = errors.New("record has another kind")
	// ErrFrame: too short or without the mark: not a record.
	ErrFrame = errors.New("not a record")
)

// MaxRecordBytes bounds one framed record.
const MaxRecordBytes = 1 << 20

// The frame, little endian:
//
//	0  2  mark "DR"
//	2  1  format of the frame, 1
//	3  1  kind
//	4  2  version of the payload
//	6  4  length of the payload
//	10 4  CRC-32C of bytes 0-9 and the payload
//	14    payload, JSON
const (
	frameFormat = 1
	headerBytes = 14
	sumOffset   = 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Encode frames v as JSON.
func Encode(kind Kind, version uint16, v any) ([]byte, error) {
	payload, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode record of kind %d: %w", kind, err)
	}
	if len(payload) > MaxRecordBytes-headerBytes {
		return nil, fmt.Errorf("encode record of kind %d: %d bytes, the limit is %d", kind, len(payload), MaxRecordBytes-headerBytes)
	}
	data := make([]byte, headerBytes, headerBytes+len(payload))
	data[0], data[1], data[2], data[3] = 'D', 'R', frameFormat, byte(kind)
	binary.LittleEndian.PutUint16(data[4:], version)
	binary.LittleEndian.PutUint32(data[6:], uint32(len(payload)))
	data = append(data, payload...)
	binary.LittleEndian.PutUint32(data[sumOffset:], checksum(data))
	return data, nil
}

// Decode checks a frame and decodes its payload into v, a pointer. v is
// untouched when the frame is bad.
func Decode(kind Kind, version uint16, data []byte, v any) error {
	gotKind, gotVersion, payload, err := Open(data)
	switch {
	case err != nil:
		return err
	case gotKind != kind:
		return fmt.Errorf("%w: have kind %d, want %d", ErrKind, gotKind, kind)
	case gotVersion != version:
		return fmt.Errorf("%w: have version %d, this one reads %d", ErrVersion, gotVersion, version)
	}
	if err := json.Unmarshal(payload, v); err != nil {
		return fmt.Errorf("decode record of kind %d: %w", kind, err)
	}
	return nil
}

// Open checks a frame and gives what is in it. The payload aliases data.
func Open(data []byte) (kind Kind, version uint16, payload []byte, err error) {
	if len(data) < headerBytes || data[0] != 'D' || data[1] != 'R' {
		return 0, 0, nil, ErrFrame
	}
	if data[2] != frameFormat {
		return 0, 0, nil, fmt.Errorf("%w: frame format %d", ErrVersion, data[2])
	}
	if uint64(binary.LittleEndian.Uint32(data[6:])) != uint64(len(data)-headerBytes) ||
		binary.LittleEndian.Uint32(data[sumOffset:]) != checksum(data) {
		return 0, 0, nil, ErrChecksum
	}
	return Kind(data[3]), binary.LittleEndian.Uint16(data[4:]), data[headerBytes:], nil
}

func checksum(frame []byte) uint32 {
	return crc32.Update(crc32.Checksum(frame[:sumOffset], castagnoli), castagnoli, frame[headerBytes:])
}
