package hal

// packetVerdict is what a parser says of the bytes it is shown.
type packetVerdict uint8

const (
	needsMore packetVerdict = iota // a packet may begin here; n bytes of it are needed to go on
	noise                          // no packet begins in the first n bytes
	damaged                        // what claims to be a packet of n bytes fails its check: only its first byte is given up
	passed                         // n bytes that are in order and say nothing
	sound                          // n bytes that are a frame
)

// packetParser reads binary packets. It is a function of the bytes alone: how a
// stream is cut into chunks changes nothing.
type packetParser interface {
	// scan looks at bytes that are not empty. It puts what it finds into the fields
	// where it says sound. n is at least 1 and, but for needsMore and damaged, at
	// most len(held).
	scan(held []byte, out *fields) (n int, v packetVerdict)
	// reset forgets what is known of the stream so far.
	reset()
	// longest is the most that scan ever needs, in bytes.
	longest() int
}

// packetFramer is a Framer over a parser of packets. What a damaged packet holds is
// looked through byte by byte, so that a false beginning costs no packet behind it.
// Packets that are found in one such look back are delivered as one frame, newer
// values over older ones.
type packetFramer struct {
	parser   packetParser
	fields   fields
	frame    []FieldValue
	buffer   []byte
	from, to int // of the buffer: what is held
	need     int // bytes that must be held before the parser can go on
	forgiven int // bytes that belong to an error which is counted already
	counters Counters
}

// newPacketFramer wraps a parser of count wanted fields.
func newPacketFramer(parser packetParser, count int) *packetFramer {
	return &packetFramer{
		parser: parser,
		fields: fields{values: make([]float64, count), seen: make([]bool, count)},
		frame:  make([]FieldValue, 0, count),
		buffer: make([]byte, 2*parser.longest()),
		need:   1,
	}
}

// Next implements Framer.
func (f *packetFramer) Next(chunk []byte) (Frame, int, bool) {
	used := 0
	for used < len(chunk) {
		used += f.keep(chunk[used:])
		if f.to-f.from >= f.need && f.look() {
			f.counters.Bytes += uint64(used)
			return f.frame, used, true
		}
	}
	f.counters.Bytes += uint64(used)
	return nil, used, false
}

// Reset implements Framer.
func (f *packetFramer) Reset() {
	f.parser.reset()
	f.from, f.to, f.need, f.forgiven = 0, 0, 1, 0
}

// Counters implements Framer.
func (f *packetFramer) Counters() Counters { return f.counters }

// keep holds as much of a chunk as the parser needs, never more: the caller learns
// of a frame with its last byte.
func (f *packetFramer) keep(chunk []byte) int {
	if f.from+f.need > len(f.buffer) {
		f.to = copy(f.buffer, f.buffer[f.from:f.to])
		f.from = 0
	}
	n := copy(f.buffer[f.to:f.from+f.need], chunk)
	f.to += n
	return n
}

// look lets the parser go on until it needs more, and says whether it found a frame.
func (f *packetFramer) look() (found bool) {
	f.fields.clear()
	for f.need = 1; f.to-f.from >= f.need; {
		n, v := f.parser.scan(f.buffer[f.from:f.to], &f.fields)
		switch v {
		case needsMore:
			f.need = n
			continue
		case noise:
			f.refuse(n, f.parser.longest())
		case damaged:
			f.refuse(1, n)
		case sound, passed:
			f.from += n
			f.forgiven = 0
			found = found || v == sound
		}
	}
	if found {
		f.counters.Frames++
		f.frame = f.fields.appendSeen(f.frame[:0])
	}
	return found
}

// refuse gives n bytes up. A damaged packet is one error together with the rest of
// the length that it claims; bytes between packets are one for each length of the
// longest packet.
func (f *packetFramer) refuse(n, claim int) {
	if f.forgiven == 0 {
		f.counters.Errors++
		f.forgiven = claim
	}
	f.forgiven = max(0, f.forgiven-n)
	f.counters.Dropped += uint64(n)
	f.from += n
}

// until is the number of bytes before the next one that may begin a packet, at
// least 1.
func until(held []byte, begins func(byte) bool) int {
	for i := 1; i < len(held); i++ {
		if begins(held[i]) {
			return i
		}
	}
	return len(held)
}

// littleEndian16 reads two bytes, the lower one first.
func littleEndian16(b []byte) uint16 { return uint16(b[0]) | uint16(b[1])<<8 }

// littleEndian32 reads four bytes, the lowest one first.
func littleEndian32(b []byte) uint32 {
	return uint32(littleEndian16(b)) | uint32(littleEndian16(b[2:]))<<16
}
