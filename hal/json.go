package hal

import (
	"math"
	"unicode/utf8"
)

// maxJSONDepth bounds nesting, and with it the stack.
const maxJSONDepth = 32

// NewJSONFramer reads one JSON object a line (RFC 8259). A field is a key; keys
// of nested objects and indices of arrays (from 0) are joined by dots:
// "gps.lat", "scan.3". Booleans are 0 and 1; null, text, an object or an array
// in a wanted place is NaN. Of a key that occurs twice the last one counts.
// Nesting deeper than 32 is refused.
func NewJSONFramer(fields []string) (Framer, error) {
	longest := 0
	for _, f := range fields {
		if f == "" {
			return nil, framingError("json field is empty: give the key, such as field: distance")
		}
		longest = max(longest, len(f))
	}
	p := &jsonParser{fields: fields, path: make([]byte, 0, longest+utf8.UTFMax)}
	return newLineFramer(p, len(fields)), nil
}

// jsonParser is a validating scanner of one line.
type jsonParser struct {
	fields []string
	path   []byte // of the value being read, as far as it fits; longer ones match nothing
	text   []byte
	at     int
	depth  int
	out    *fields
}

func (p *jsonParser) parse(line []byte, _ bool, out *fields) verdict {
	p.text, p.at, p.depth, p.path, p.out = line, 0, 0, p.path[:0], out
	p.space()
	if p.at == len(line) {
		return skipped
	}
	if p.peek() != '{' || !p.object(true) {
		return rejected
	}
	p.space()
	if p.at != len(line) {
		return rejected
	}
	return accepted
}

// peek gives the next byte, 0 at the end (0 is not valid anywhere in JSON).
func (p *jsonParser) peek() byte {
	if p.at < len(p.text) {
		return p.text[p.at]
	}
	return 0
}

func (p *jsonParser) space() {
	for p.at < len(p.text) && isBlank(p.text[p.at]) {
		p.at++
	}
}

// skip consumes one byte if it is c, after blanks.
func (p *jsonParser) skip(c byte) bool {
	p.space()
	if p.peek() != c {
		return false
	}
	p.at++
	return true
}

// value reads any value. live says that the path is that of the value, so that
// a wanted field may be here.
func (p *jsonParser) value(live bool) bool {
	p.space()
	switch c := p.peek(); {
	case c == '{':
		p.put(live, math.NaN())
		return p.object(live)
	case c == '[':
		p.put(live, math.NaN())
		return p.array(live)
	case c == '"':
		p.put(live, math.NaN())
		_, ok := p.string()
		return ok
	case c == 't':
		return p.literal("true", live, 1)
	case c == 'f':
		return p.literal("false", live, 0)
	case c == 'n':
		return p.literal("null", live, math.NaN())
	}
	return p.number(live)
}

func (p *jsonParser) object(live bool) bool {
	if p.depth++; p.depth > maxJSONDepth {
		return false
	}
	p.at++ // {
	if p.skip('}') {
		p.depth--
		return true
	}
	parent := len(p.path)
	for {
		p.space()
		key, ok := p.string()
		if !ok || !p.skip(':') {
			return false
		}
		inner := live && p.enter() && p.appendKey(key)
		if !p.value(inner) {
			return false
		}
		p.path = p.path[:parent]
		if p.skip(',') {
			continue
		}
		p.depth--
		return p.skip('}')
	}
}

func (p *jsonParser) array(live bool) bool {
	if p.depth++; p.depth > maxJSONDepth {
		return false
	}
	p.at++ // [
	if p.skip(']') {
		p.depth--
		return true
	}
	parent := len(p.path)
	for i := 0; ; i++ {
		inner := live && p.enter() && p.appendIndex(i)
		if !p.value(inner) {
			return false
		}
		p.path = p.path[:parent]
		if p.skip(',') {
			continue
		}
		p.depth--
		return p.skip(']')
	}
}

// string reads a string and gives what stands between its quotes.
func (p *jsonParser) string() ([]byte, bool) {
	if p.peek() != '"' {
		return nil, false
	}
	p.at++
	from := p.at
	for p.at < len(p.text) {
		switch c := p.text[p.at]; {
		case c == '"':
			p.at++
			return p.text[from : p.at-1], true
		case c < ' ':
			return nil, false
		case c == '\\':
			n := escapeLength(p.text[p.at:])
			if n == 0 {
				return nil, false
			}
			p.at += n
		default:
			p.at++
		}
	}
	return nil, false
}

// escapeLength is the length of the escape at the start of text, 0 if it is
// none.
func escapeLength(text []byte) int {
	if len(text) < 2 {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hexDigits(text[2:]); ok {
			return 6
		}
	}
	return 0
}

// hexDigits reads four.
func hexDigits(text []byte) (rune, bool) {
	if len(text) < 4 {
		return 0, false
	}
	var r rune
	for _, c := range text[:4] {
		d, ok := hexDigit(c)
		if !ok {
			return 0, false
		}
		r = r<<4 | rune(d)
	}
	return r, true
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

func (p *jsonParser) literal(word string, live bool, v float64) bool {
	end := p.at + len(word)
	if end > len(p.text) || string(p.text[p.at:end]) != word {
		return false
	}
	p.at = end
	p.put(live, v)
	return true
}

// number reads by JSON's grammar, which is narrower than parseDecimal's.
func (p *jsonParser) number(live bool) bool {
	from := p.at
	if p.peek() == '-' {
		p.at++
	}
	switch {
	case p.peek() == '0':
		p.at++
	case !p.digits():
		return false
	}
	if p.peek() == '.' {
		p.at++
		if !p.digits() {
			return false
		}
	}
	if c := p.peek(); c == 'e' || c == 'E' {
		p.at++
		if c := p.peek(); c == '+' || c == '-' {
			p.at++
		}
		if !p.digits() {
			return false
		}
	}
	if live {
		v, _ := parseDecimal(p.text[from:p.at])
		p.put(live, v)
	}
	return true
}

func (p *jsonParser) digits() bool {
	from := p.at
	for c := p.peek(); c >= '0' && c <= '9'; c = p.peek() {
		p.at++
	}
	return p.at > from
}

// put delivers a value if its path is a wanted one.
func (p *jsonParser) put(live bool, v float64) {
	if !live {
		return
	}
	for i, f := range p.fields {
		if string(p.path) == f {
			p.out.put(i, v)
		}
	}
}

// enter adds the dot before the next part of the path.
func (p *jsonParser) enter() bool {
	return p.depth == 1 || p.appendByte('.')
}

func (p *jsonParser) appendByte(c byte) bool {
	if len(p.path) == cap(p.path) {
		return false
	}
	p.path = append(p.path, c)
	return true
}

// appendKey adds a key, its escapes resolved.
func (p *jsonParser) appendKey(key []byte) bool {
	for len(key) > 0 {
		if key[0] != '\\' {
			if !p.appendByte(key[0]) {
				return false
			}
			key = key[1:]
			continue
		}
		r, n := unescape(key)
		if utf8.RuneLen(r) > cap(p.path)-len(p.path) {
			return false
		}
		p.path = utf8.AppendRune(p.path, r)
		key = key[n:]
	}
	return true
}

func (p *jsonParser) appendIndex(i int) bool {
	if i >= 10 && !p.appendIndex(i/10) {
		return false
	}
	return p.appendByte('0' + byte(i%10))
}

// unescape resolves the valid escape at the start of text. Halves of surrogate
// pairs become U+FFFD, as in encoding/json.
func unescape(text []byte) (r rune, n int) {
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unescapeUnicode(text)
	}
	return rune(text[1]), 2
}

func unescapeUnicode(text []byte) (r rune, n int) {
	r, _ = hexDigits(text[2:])
	if r < 0xd800 || r > 0xdfff {
		return r, 6
	}
	if r < 0xdc00 && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' {
		if low, ok := hexDigits(text[8:]); ok && low >= 0xdc00 && low <= 0xdfff {
			return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, 12
		}
	}
	return utf8.RuneError, 6
}
