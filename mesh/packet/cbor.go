package packet

import (
	"encoding/binary"
	"math"
	"time"
	"unicode/utf8"

	"dancer/mesh"
)

// The wire form is deterministic CBOR (RFC 8949 section 4.2.1) of the simplest
// kind: maps with integer keys in ascending order, integers, byte and text strings
// and one array, lengths definite, nothing in a longer form than it needs, no tag,
// no float, no unknown key, and a field with its zero value left out. So a message
// has one form only, and what is read and written again is the same bytes. (Written
// by hand because the CBOR module needs twenty times as long and twelve allocations for
// the same bytes: BenchmarkModule. It is the oracle of the tests.)

// Major types of RFC 8949 section 3.1.
const (
	majorUint  = 0
	majorMinus = 1
	majorBytes = 2
	majorText  = 3
	majorArray = 4
	majorMap   = 5
)

// maxKey is the last key that one byte holds, with the map that has it.
const maxKey = 23

// noKey stands for the end of a map.
const noKey = -1

// coder walks over the fields of a message in the order of their keys, and either
// reads them from data or appends them to it: one description for both directions
// cannot come apart. After a fault it does nothing more.
type coder struct {
	data    []byte
	at      int // reading: the next byte
	writing bool
	level
	fault fault
}

// level is where the coder is in the innermost open map.
type level struct {
	head  int // writing: position of the map's head
	pairs int // reading: those left; writing: those written
	next  int // reading: key of the next pair, or noKey
	key   int // of the field that was walked over last, for faults
}

// fault is the first thing that is wrong. The zero fault is none. It is a value,
// so that refusing a message allocates nothing.
type fault struct {
	what string // "" for none
	key  int    // the field walked over last
	at   int    // reading: the byte
}

func (c *coder) fail(what string) {
	if c.fault.what == "" {
		c.fault = fault{what: what, key: c.key, at: c.at}
	}
	c.at, c.next, c.pairs = len(c.data), noKey, 0
}

// argument reads the head of a data item of one major type.
func (c *coder) argument(major byte) uint64 {
	if c.at >= len(c.data) {
		c.fail("ends too early")
		return 0
	}
	first := c.data[c.at]
	if first>>5 != major {
		c.fail("has another type than the field needs")
		return 0
	}
	c.at++
	if low := first & 31; low < 24 {
		return uint64(low)
	}
	return c.longArgument(first & 31)
}

// longArgument reads an argument of 1, 2, 4 or 8 bytes and refuses one that a
// shorter form would hold.
func (c *coder) longArgument(low byte) uint64 {
	if low > 27 {
		c.fail("has an indefinite length")
		return 0
	}
	size := 1 << (low - 24)
	if len(c.data)-c.at < size {
		c.fail("ends too early")
		return 0
	}
	var v, least uint64
	switch rest := c.data[c.at:]; size {
	case 1:
		v, least = uint64(rest[0]), 24
	case 2:
		v, least = uint64(binary.BigEndian.Uint16(rest)), 1<<8
	case 4:
		v, least = uint64(binary.BigEndian.Uint32(rest)), 1<<16
	default:
		v, least = binary.BigEndian.Uint64(rest), 1<<32
	}
	c.at += size
	if v < least {
		c.fail("is not in its shortest form")
		return 0
	}
	return v
}

// appendHead writes a head in its shortest form.
func appendHead(to []byte, major byte, v uint64) []byte {
	switch major <<= 5; {
	case v < 24:
		return append(to, major|byte(v))
	case v < 1<<8:
		return append(to, major|24, byte(v))
	case v < 1<<16:
		return binary.BigEndian.AppendUint16(append(to, major|25), uint16(v))
	case v < 1<<32:
		return binary.BigEndian.AppendUint32(append(to, major|26), uint32(v))
	}
	return binary.BigEndian.AppendUint64(append(to, major|27), v)
}

// open begins a map and gives the level around it, for shut.
func (c *coder) open() (outer level) {
	outer = c.level
	if c.writing {
		c.level = level{head: len(c.data)}
		c.data = append(c.data, majorMap<<5)
		return outer
	}
	n := c.argument(majorMap)
	if n > maxKey {
		c.fail("is a map with too many fields")
	}
	if c.fault.what == "" {
		c.level = level{pairs: int(n)}
		c.readKey()
	}
	return outer
}

// shut ends a map. What is left in it then is a key that is unknown, comes twice,
// or stands in another place than the order gives it.
func (c *coder) shut(outer level) {
	if c.writing {
		c.data[c.head] |= byte(c.pairs)
		c.level = outer
		return
	}
	if c.next != noKey {
		c.fail("is followed by a field that is unknown, comes twice or out of order")
	}
	if c.fault.what == "" {
		c.level = outer
	}
}

// readKey reads the key of the next pair, if there is one.
func (c *coder) readKey() {
	if c.pairs == 0 {
		c.next = noKey
		return
	}
	next := c.argument(majorUint)
	if next > maxKey {
		c.fail("is followed by an unknown field")
		return
	}
	if c.fault.what == "" {
		c.next = int(next)
	}
}

// done ends the reading of a pair.
func (c *coder) done() {
	if c.fault.what == "" {
		c.pairs--
		c.readKey()
	}
}

// has says, while reading, whether the field is there.
func (c *coder) has(key int) bool {
	if c.next != key {
		return false
	}
	c.key = key
	return true
}

// put begins, while writing, a pair.
func (c *coder) put(key int) {
	c.key = key
	c.data = append(c.data, byte(key))
	c.pairs++
}

// need refuses a field that was left out.
func (c *coder) need(key int, there bool) {
	if !there {
		c.key = key
		c.fail("is missing")
	}
}

// uint is a field from 0 to limit, left out when 0.
func (c *coder) uint(key int, v, limit uint64) uint64 {
	if c.writing {
		if v == 0 {
			return 0
		}
		c.put(key)
		c.data = appendHead(c.data, majorUint, v)
	} else {
		if !c.has(key) {
			return 0
		}
		v = c.argument(majorUint)
		if v == 0 {
			c.fail("is 0 and not left out")
			return 0
		}
	}
	if v > limit {
		c.fail("is out of its range")
		return 0
	}
	if !c.writing {
		c.done()
	}
	return v
}

// must is a field from 1 to limit.
func (c *coder) must(key int, v, limit uint64) uint64 {
	v = c.uint(key, v, limit)
	c.need(key, v != 0)
	return v
}

// span is a duration in units, from 0 to limit.
func (c *coder) span(key int, d, unit, limit time.Duration) time.Duration {
	if d < 0 {
		c.key = key
		c.fail("is negative")
		return 0
	}
	return time.Duration(c.uint(key, uint64(d/unit), uint64(limit/unit))) * unit
}

// wall is a moment; a negative one is out of its range.
func (c *coder) wall(key int, w Wall) Wall {
	return Wall(c.uint(key, uint64(w), maxWall))
}

const maxWall = uint64(math.MaxInt64)

// trinary is a state, left out when Transit.
func (c *coder) trinary(key int, t mesh.Trinary) mesh.Trinary {
	if t == mesh.Conflict || !c.writing && c.next == key && c.at < len(c.data) && c.data[c.at] == majorMinus<<5 {
		return c.minusOne(key)
	}
	if t != mesh.Ready && t != mesh.Transit {
		c.key = key
		c.fail("is no trinary state")
	}
	return mesh.Trinary(c.uint(key, uint64(t), 1))
}

func (c *coder) minusOne(key int) mesh.Trinary {
	if c.writing {
		c.put(key)
		c.data = append(c.data, majorMinus<<5)
		return mesh.Conflict
	}
	c.key = key
	c.at++
	c.done()
	return mesh.Conflict
}

// string is a byte or text string of 1 to limit bytes, left out when empty. What
// is read aliases the data.
func (c *coder) string(key int, major byte, s []byte, limit int) []byte {
	if c.writing {
		if len(s) == 0 {
			return nil
		}
		c.put(key)
		c.data = append(appendHead(c.data, major, uint64(len(s))), s...)
	} else {
		if !c.has(key) {
			return nil
		}
		s = c.readString(major)
	}
	switch {
	case c.fault.what != "":
		return nil
	case len(s) == 0:
		c.fail("is empty and not left out")
		return nil
	case len(s) > limit:
		c.fail("is too long")
		return nil
	case major == majorText && !utf8.Valid(s):
		c.fail("is not UTF-8")
		return nil
	}
	if !c.writing {
		c.done()
	}
	return s
}

func (c *coder) readString(major byte) []byte {
	n := c.argument(major)
	if n > uint64(len(c.data)-c.at) {
		c.fail("ends too early")
		return nil
	}
	s := c.data[c.at : c.at+int(n) : c.at+int(n)]
	c.at += int(n)
	return s
}

// fixed is a byte string of exactly the length of s, left out when all is zero.
func (c *coder) fixed(key int, s []byte) (there bool) {
	if c.writing {
		if zero(s) {
			return false
		}
		c.string(key, majorBytes, s, len(s))
		return true
	}
	if !c.has(key) {
		return false
	}
	read := c.string(key, majorBytes, nil, len(s))
	switch {
	case c.fault.what != "":
	case len(read) != len(s):
		c.fail("has the wrong length")
	case zero(read):
		c.fail("is 0 and not left out")
	default:
		copy(s, read)
		return true
	}
	return false
}

func zero(s []byte) bool {
	for _, b := range s {
		if b != 0 {
			return false
		}
	}
	return true
}

func (c *coder) id(key int, id *ID) bool { return c.fixed(key, id[:]) }

// name is the name of a member, left out when there is none.
func (c *coder) name(key int, n *Name) bool {
	s := c.string(key, majorText, n.bytes(), MaxNameBytes)
	if len(s) == 0 {
		return false
	}
	if !validSender(s) {
		c.fail("is not a name")
		return false
	}
	if !c.writing {
		*n = nameOf(s)
	}
	return true
}

// capabilities is a list of 1 to MaxCapabilities, left out when empty.
func (c *coder) capabilities(key int, l *Capabilities) {
	if c.writing {
		if l.Count == 0 {
			return
		}
		c.put(key)
		c.data = appendHead(c.data, majorArray, uint64(l.Count))
	} else {
		if !c.has(key) {
			return
		}
		n := c.argument(majorArray)
		if n == 0 {
			c.fail("is empty and not left out")
		}
		l.Count = uint8(min(n, MaxCapabilities+1))
	}
	if l.Count > MaxCapabilities {
		c.fail("is a list that is too long")
		return
	}
	for i := range l.Count {
		c.capability(&l.List[i])
	}
	if !c.writing {
		c.done()
	}
}

func (c *coder) capability(one *Capability) {
	text := one.bytes()
	if !c.writing {
		text = c.readString(majorText)
	}
	if c.fault.what != "" {
		return
	}
	if !validCapability(text) {
		c.fail("is not a list of capabilities")
		return
	}
	if c.writing {
		c.data = append(appendHead(c.data, majorText, uint64(len(text))), text...)
		return
	}
	copy(one[:], text)
}
