package packet

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names a message: a ULID in its binary form, 48 bits of milliseconds since
// 1970 and 80 bits of chance. The zero ID means none.
type ID [16]byte

// ParseID reads the text form, as mesh.NewID writes it; false if s is not one.
func ParseID(s string) (ID, bool) {
	id, err := ulid.ParseStrict(s)
	return ID(id), err == nil && id.String() == s
}

// String gives the text form: 26 characters that sort by time.
func (id ID) String() string { return ulid.ULID(id).String() }

// At gives the millisecond that the id was made in, by its maker's clock.
func (id ID) At() Wall {
	ms := uint64(binary.BigEndian.Uint32(id[:4]))<<16 | uint64(binary.BigEndian.Uint16(id[4:6]))
	return Wall(min(ms, uint64(math.MaxInt64/time.Millisecond))) * Wall(time.Millisecond)
}

// IDs makes ids that increase strictly, also within one millisecond and when the
// clock steps back. The zero value is ready. It allocates nothing, and is not safe
// for use by several goroutines (mesh.IDs is, and makes the text form).
type IDs struct {
	last ID
}

// Next gives the next id. at is the maker's clock; random is seeded by the caller:
// from the machine's entropy in a robot, from the run's seed in a simulation.
func (s *IDs) Next(at Wall, random *rand.Rand) ID {
	ms := uint64(max(at, 0)) / uint64(time.Millisecond)
	var id ID
	binary.BigEndian.PutUint64(id[:8], ms<<16|random.Uint64()>>48)
	binary.BigEndian.PutUint64(id[8:], random.Uint64())
	if string(id[:6]) <= string(s.last[:6]) {
		id = s.last.plus(1 + uint64(random.Uint32()))
	}
	s.last = id
	return id
}

// plus adds n to the id as one number of 128 bits.
func (id ID) plus(n uint64) ID {
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	if low+n < low {
		high++
	}
	binary.BigEndian.PutUint64(id[:8], high)
	binary.BigEndian.PutUint64(id[8:], low+n)
	return id
}

// mark is what tells the ids of one sender apart: chance and no time.
func (id ID) mark() uint64 { return binary.BigEndian.Uint64(id[8:]) }
