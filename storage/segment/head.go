package segment

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"strconv"
	"strings"
)

// Head says where a log ends.
type Head struct {
	Count   uint64 // records so far, from the log's beginning: the next one's index
	Segment uint32 // that has the last one; 0 in a head that was noted by hand
	Hash    Hash   // of the last one
}

// String is a head as people note it and ParseHead reads it: COUNT:HASH.
func (h Head) String() string { return fmt.Sprintf("%d:%s", h.Count, hex.EncodeToString(h.Hash[:])) }

// ParseHead is the reverse of String.
func ParseHead(text string) (Head, error) {
	count, sum, _ := strings.Cut(text, ":")
	n, err := strconv.ParseUint(count, 10, 64)
	raw, hexErr := hex.DecodeString(sum)
	if err != nil || hexErr != nil || len(raw) != len(Hash{}) {
		return Head{}, fmt.Errorf("head %.80q: want COUNT:HASH, as verify prints it", text)
	}
	return Head{Count: n, Hash: Hash(raw)}, nil
}

// The head's file has two slots in sectors of their own, written in turn, so that
// a power cut damages at most the one in hand. A slot, little endian:
//
//	0   4  mark "DHED"
//	4   2  version, 1
//	6   2  0
//	8   4  segment
//	12  8  count
//	20  32 hash
//	52  4  CRC-32C of the bytes before
const (
	headMark    = "DHED"
	slotBytes   = 56
	slotSpacing = 4096
)

// slotOf is where the head of a count is written.
func slotOf(turn uint64) int64 { return int64(turn%2) * slotSpacing }

func (h *Head) encode() []byte {
	data := make([]byte, slotBytes)
	copy(data, headMark)
	binary.LittleEndian.PutUint16(data[4:], formatVersion)
	binary.LittleEndian.PutUint32(data[8:], h.Segment)
	binary.LittleEndian.PutUint64(data[12:], h.Count)
	copy(data[20:], h.Hash[:])
	binary.LittleEndian.PutUint32(data[52:], crc32.Checksum(data[:52], castagnoli))
	return data
}

func parseSlot(data []byte) (h Head, ok bool) {
	if len(data) < slotBytes || string(data[:4]) != headMark || binary.LittleEndian.Uint16(data[4:]) != formatVersion ||
		binary.LittleEndian.Uint32(data[52:]) != crc32.Checksum(data[:52], castagnoli) {
		return h, false
	}
	h.Segment, h.Count = binary.LittleEndian.Uint32(data[8:]), binary.LittleEndian.Uint64(data[12:])
	copy(h.Hash[:], data[20:])
	return h, true
}

// errNoHead says that neither slot of a head can be read.
var errNoHead = errors.New("neither of its two slots can be read")

// errFirstHead says that the second slot was never written and the first is not
// whole: the power went in the first commit of all.
var errFirstHead = fmt.Errorf("%w, and the second was never written", errNoHead)

// readHead gives the newest head of a file, with the slot it stands in. A file
// that is missing is fs.ErrNotExist.
func readHead(path string) (h Head, slot uint64, err error) {
	data, err := readRegular(path, 2*slotSpacing)
	if err != nil {
		return h, 0, err
	}
	found := false
	for i := range uint64(2) {
		from := min(int(slotOf(i)), len(data))
		if other, ok := parseSlot(data[from:]); ok && (!found || other.Count > h.Count) {
			h, slot, found = other, i, true
		}
	}
	if !found && len(data) <= slotSpacing {
		return h, 0, fmt.Errorf("%s: %w", path, errFirstHead)
	}
	if !found {
		return h, 0, fmt.Errorf("%s: %w", path, errNoHead)
	}
	return h, slot, nil
}

// headFile writes heads.
type headFile struct {
	file file
	turn uint64 // slot that is written next, modulo 2
}

// write replaces the older slot and returns when that is on the disk.
func (f *headFile) write(h Head) error {
	if _, err := f.file.WriteAt(h.encode(), slotOf(f.turn)); err != nil {
		return err
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.turn++
	return nil
}

// missing says that a file is not there.
func missing(err error) bool { return errors.Is(err, fs.ErrNotExist) }
