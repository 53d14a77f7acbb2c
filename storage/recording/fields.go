package recording

import "encoding/binary"

// fields takes the fields of a record one after the other. After the first that
// is not there everything reads as zero and bad stays true.
type fields struct {
	rest []byte
	bad  bool
}

func (f *fields) bytes(n uint64) []byte {
	if f.bad || n > uint64(len(f.rest)) {
		f.bad = true
		return nil
	}
	b := f.rest[:n:n]
	f.rest = f.rest[n:]
	return b
}

func (f *fields) uint16() uint16 {
	if b := f.bytes(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

func (f *fields) uint32() uint32 {
	if b := f.bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (f *fields) uint64() uint64 {
	if b := f.bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// block is bytes with their length before them.
func (f *fields) block() []byte { return f.bytes(uint64(f.uint32())) }

func (f *fields) text() string { return string(f.block()) }

// ended says whether everything was there and nothing is left.
func (f *fields) ended() bool { return !f.bad && len(f.rest) == 0 }
