package hal

import "math"

// MaxCANData is the longest data of a frame, in bytes: 8 of a classical CAN frame, 64
// of a CAN FD frame (ISO 11898-1).
const MaxCANData = 64

// CANField is where a number stands in the data of a CAN frame, and what it means:
// number times Factor plus Offset. Bits are counted as DBC files count them: bit 8*n is
// the lowest one of byte n.
type CANField struct {
	Start     uint16 // lowest bit (Intel), or highest bit (Motorola: BigEndian)
	Length    uint8  // bits, 1 to 64; 32 or 64 of a Float
	BigEndian bool   // Motorola: from the highest bit downwards, and on in the next byte's highest
	Signed    bool   // two's complement
	Float     bool   // IEEE 754
	Factor    float64
	Offset    float64
}

// Bytes is how long data must be to hold the field. More than MaxCANData: no frame
// holds it.
func (f *CANField) Bytes() int {
	if f.BigEndian {
		return (f.first()+int(f.Length)-1)/8 + 1
	}
	return (int(f.Start)+int(f.Length)-1)/8 + 1
}

// first is the highest bit of a Motorola field, counted as it is read: the highest bit
// of byte n is 8*n.
func (f *CANField) first() int { return int(f.Start)/8*8 + 7 - int(f.Start)%8 }

// Bits gives the field as it stands in the data, without its sign. Data must hold
// Bytes.
func (f *CANField) Bits(data []byte) (bits uint64) {
	if f.BigEndian {
		for at, left := f.first(), int(f.Length); left > 0; {
			in := 8 - at%8
			n := min(in, left)
			bits = bits<<n | uint64(data[at/8]>>(in-n))&(1<<n-1)
			at, left = at+n, left-n
		}
		return bits
	}
	for at, got := int(f.Start), 0; got < int(f.Length); {
		n := min(8-at%8, int(f.Length)-got)
		bits |= uint64(data[at/8]>>(at%8)) & (1<<n - 1) << got
		at, got = at+n, got+n
	}
	return bits
}

// Value gives the number that the field means, NaN where the data is too short.
func (f *CANField) Value(data []byte) float64 {
	if len(data) < f.Bytes() {
		return math.NaN()
	}
	return f.physical(f.Bits(data))
}

func (f *CANField) physical(bits uint64) float64 {
	var number float64
	switch {
	case f.Float && f.Length == 32:
		number = float64(math.Float32frombits(uint32(bits)))
	case f.Float:
		number = math.Float64frombits(bits)
	case f.Signed:
		unused := 64 - f.Length
		number = float64(int64(bits<<unused) >> unused)
	default:
		number = float64(bits)
	}
	return float64(number*f.Factor) + f.Offset
}

// Bounds gives the smallest and the largest number that the field can mean; all
// numbers for a Float.
func (f *CANField) Bounds() (low, high float64) {
	if f.Float {
		return math.Inf(-1), math.Inf(1)
	}
	least, most := uint64(0), ^uint64(0)>>(64-f.Length)
	if f.Signed {
		least, most = most>>1+1, most>>1 // two's complement: only the sign bit; all but it
	}
	low, high = f.physical(least), f.physical(most)
	return min(low, high), max(low, high)
}
