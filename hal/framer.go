package hal

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// MaxLine bounds one line of a serial stream, in bytes. A longer one is skipped
// up to its end and counted as one error.
const MaxLine = 64 << 10

// ErrFraming is the cause of every error that a framer's constructor returns.
var ErrFraming = errors.New("framing cannot be used")

// Framer cuts a byte stream into frames and reads the wanted fields of each. It
// never allocates after construction, holds at most MaxLine bytes, and finds
// back into step after any garbage: at the next line end, or at the next packet
// that passes its check. Use it like this:
//
//	for len(chunk) > 0 {
//		frame, n, ok := framer.Next(chunk)
//		chunk = chunk[n:]
//		if ok {
//			// one atomic update of the signals of this port
//		}
//	}
type Framer interface {
	// Next consumes n bytes, at least 1 of a chunk that is not empty, and
	// reports whether they complete a frame. A frame without any wanted field is
	// complete and empty. The frame is valid until the next call.
	Next(chunk []byte) (frame Frame, n int, ok bool)
	// Reset forgets the started line or packet, for a port that was opened again.
	// The counters go on.
	Reset()
	// Counters tells what has passed since construction.
	Counters() Counters
}

// Frame is what one complete frame says, in the order of the fields.
type Frame []FieldValue

// FieldValue is one wanted field of a frame. Value is NaN if the frame has the
// field but no number or boolean in it; a field that is absent is not listed.
type FieldValue struct {
	Field int // index into the fields given to the constructor
	Value float64
}

// Counters of a port since it was made.
type Counters struct {
	Frames  uint64 // complete frames
	Bytes   uint64 // bytes consumed, good and bad
	Errors  uint64 // lines or packets refused: malformed, checksum, too long
	Dropped uint64 // bytes of the refused ones
}

// FramerConfig chooses and configures a framer.
type FramerConfig struct {
	Framing   string   // one of Framings
	Fields    []string // wanted fields; what a name means depends on the framing
	Columns   []string // csv: column names, nil to learn them from the stream's header
	Delimiter byte     // csv: default ','
	Pattern   string   // lines: text with {name} where a number stands
	System    int      // mavlink: the only system that is heard, 1 to 255; 0 all
	Sweep     Sweep    // ld06, rplidar
}

// Framings are the names of the framings: lines of text, then binary packets.
func Framings() []string {
	return []string{"json", "csv", "nmea", "lines", "mavlink", "ld06", "rplidar", "sbus"}
}

// NewFramer makes the framer that a configuration asks for. Errors wrap
// ErrFraming and name the setting.
func NewFramer(c FramerConfig) (Framer, error) {
	switch c.Framing {
	case "json":
		return NewJSONFramer(c.Fields)
	case "csv":
		return NewCSVFramer(c.Fields, c.Columns, c.Delimiter)
	case "nmea":
		return NewNMEAFramer(c.Fields)
	case "lines":
		return NewLinesFramer(c.Fields, c.Pattern)
	case "mavlink":
		return NewMAVLinkFramer(c.Fields, c.System)
	case "ld06":
		return NewLD06Framer(c.Fields, c.Sweep)
	case "rplidar":
		return NewRPLIDARFramer(c.Fields, c.Sweep)
	case "sbus":
		return NewSBUSFramer(c.Fields)
	}
	return nil, framingError("framing %q is unknown: use one of %s", c.Framing, strings.Join(Framings(), ", "))
}

// framingError wraps ErrFraming.
func framingError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrFraming, fmt.Sprintf(format, args...))
}

// verdict on one line.
type verdict uint8

const (
	rejected verdict = iota // malformed: nothing of it is used
	accepted                // a frame
	skipped                 // neither frame nor error: a header row, a blank line
)

// lineParser reads one line without its end. It puts what it finds into the
// fields; they are used only if it accepts. cut says that the line may lack its
// beginning, because the stream was joined in the middle of it.
type lineParser interface {
	parse(line []byte, cut bool, out *fields) verdict
}

// fields collects the wanted fields of one line.
type fields struct {
	values []float64
	seen   []bool
}

func (f *fields) put(i int, v float64) { f.values[i], f.seen[i] = v, true }

func (f *fields) clear() { clear(f.seen) }

// appendSeen adds the fields that were put.
func (f *fields) appendSeen(frame []FieldValue) []FieldValue {
	for i, seen := range f.seen {
		if seen {
			frame = append(frame, FieldValue{i, f.values[i]})
		}
	}
	return frame
}

// lineFramer is a Framer over a parser of lines.
type lineFramer struct {
	parser   lineParser
	fields   fields
	frame    []FieldValue
	buffer   []byte // the started line
	skipping bool   // the started line is too long
	lost     uint64 // bytes of it already skipped
	cut      bool   // no line end has been seen since the start
	counters Counters
}

// newLineFramer wraps a parser of count wanted fields.
func newLineFramer(parser lineParser, count int) *lineFramer {
	return &lineFramer{
		parser: parser,
		fields: fields{values: make([]float64, count), seen: make([]bool, count)},
		frame:  make([]FieldValue, 0, count),
		buffer: make([]byte, 0, MaxLine),
		cut:    true,
	}
}

// Next implements Framer.
func (f *lineFramer) Next(chunk []byte) (Frame, int, bool) {
	used := 0
	for used < len(chunk) {
		line, n, ok := f.line(chunk[used:])
		used += n
		if !ok {
			continue
		}
		cut := f.cut
		f.cut = false
		if f.take(line, cut) {
			f.counters.Bytes += uint64(used)
			return f.frame, used, true
		}
	}
	f.counters.Bytes += uint64(used)
	return nil, used, false
}

// Reset implements Framer.
func (f *lineFramer) Reset() {
	f.buffer, f.skipping, f.lost, f.cut = f.buffer[:0], false, 0, true
}

// Counters implements Framer.
func (f *lineFramer) Counters() Counters { return f.counters }

// line consumes bytes up to and including a line end (LF, CR, or both, which
// then gives an empty line more) and gives the completed line. It aliases the
// chunk or the buffer.
func (f *lineFramer) line(chunk []byte) (line []byte, n int, ok bool) {
	end := lineEnd(chunk)
	if end < 0 {
		f.keep(chunk)
		return nil, len(chunk), false
	}
	line = chunk[:end]
	if f.skipping || len(f.buffer) > 0 || end > MaxLine {
		f.keep(line)
		line, f.buffer = f.buffer, f.buffer[:0]
	}
	if f.skipping {
		f.reject(f.lost)
		f.skipping, f.lost = false, 0
		return nil, end + 1, true
	}
	return line, end + 1, true
}

// keep adds to the started line, or gives it up when it is too long.
func (f *lineFramer) keep(part []byte) {
	if !f.skipping && len(f.buffer)+len(part) <= MaxLine {
		f.buffer = append(f.buffer, part...)
		return
	}
	f.lost += uint64(len(f.buffer) + len(part))
	f.skipping, f.buffer = true, f.buffer[:0]
}

// take parses one line and fills the frame if it is one.
func (f *lineFramer) take(line []byte, cut bool) bool {
	if len(line) == 0 {
		return false
	}
	f.fields.clear()
	switch f.parser.parse(line, cut, &f.fields) {
	case rejected:
		f.reject(uint64(len(line)))
		return false
	case skipped:
		return false
	}
	f.frame = f.fields.appendSeen(f.frame[:0])
	f.counters.Frames++
	return true
}

func (f *lineFramer) reject(bytes uint64) {
	f.counters.Errors++
	f.counters.Dropped += bytes
}

// lineEnd is the index of the first CR or LF, or -1.
func lineEnd(b []byte) int {
	for i, c := range b {
		if c == '\n' || c == '\r' {
			return i
		}
	}
	return -1
}

// trimBlanks takes spaces and tabs off both ends.
func trimBlanks(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

// printable says that a line has no control characters but tabs: those are line
// noise, and a line with noise in it has no trustworthy numbers.
func printable(line []byte) bool {
	for _, c := range line {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// numberOrNaN reads a cell as a number, NaN if it is none.
func numberOrNaN(cell []byte) float64 {
	if v, ok := parseDecimal(trimBlanks(cell)); ok {
		return v
	}
	return math.NaN()
}
