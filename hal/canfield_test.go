package hal

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// drawField draws a field that fits into so many bytes.
func drawField(t *rapid.T, bytes int) CANField {
	f := CANField{
		BigEndian: rapid.Bool().Draw(t, "motorola"), Signed: rapid.Bool().Draw(t, "signed"),
		Factor: rapid.SampledFrom([]float64{1, 0.1, -0.5, 0.0078125, 1000}).Draw(t, "factor"),
		Offset: rapid.SampledFrom([]float64{0, -40, 0.25, 1e6}).Draw(t, "offset"),
	}
	bits := 8 * bytes
	length := rapid.IntRange(1, min(64, bits)).Draw(t, "length")
	first := rapid.IntRange(0, bits-length).Draw(t, "first") // in the order of reading
	f.Length, f.Start = uint8(length), uint16(first)
	if f.BigEndian {
		f.Start = uint16(first/8*8 + 7 - first%8)
	}
	return f
}

// bitByBit reads a field as the format's description does, one bit after another.
func bitByBit(f CANField, data []byte) (bits uint64) {
	at := int(f.Start)
	for i := range int(f.Length) {
		bit := uint64(data[at/8] >> (at % 8) & 1)
		if !f.BigEndian {
			bits |= bit << i
			at++
			continue
		}
		bits = bits<<1 | bit
		if at--; at%8 == 7 || at < 0 { // it was the lowest bit: on with the highest of the next byte
			at += 16
		}
	}
	return bits
}

func TestCANFieldBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bytes := rapid.IntRange(1, MaxCANData).Draw(t, "bytes")
		f := drawField(t, bytes)
		data := rapid.SliceOfN(rapid.Byte(), bytes, bytes).Draw(t, "data")
		if got, want := f.Bits(data), bitByBit(f, data); got != want {
			t.Fatalf("%+v of % x: %#x, want %#x", f, data, got, want)
		}
		if n := f.Bytes(); n > bytes || n < (int(f.Length)+7)/8 {
			t.Fatalf("%+v needs %d bytes and lies in %d", f, n, bytes)
		}
		if got := f.Value(data[:f.Bytes()-1]); !math.IsNaN(got) {
			t.Fatalf("%+v of too few bytes is %v", f, got)
		}
		low, high := f.Bounds()
		if got := f.Value(data); !(got >= low && got <= high) {
			t.Fatalf("%+v of % x is %v, not in [%v, %v]", f, data, got, low, high)
		}
	})
}

func TestCANFieldValues(t *testing.T) {
	for _, c := range []struct {
		name string
		f    CANField
		data []byte
		want float64
	}{
		{"Intel", CANField{Start: 0, Length: 16, Factor: 1}, []byte{0x34, 0x12}, 0x1234},
		{"Motorola", CANField{Start: 7, Length: 16, BigEndian: true, Factor: 1}, []byte{0x12, 0x34}, 0x1234},
		{"twelve bits, Motorola", CANField{Start: 3, Length: 12, BigEndian: true, Factor: 1}, []byte{0xf1, 0x23}, 0x123},
		{"a temperature", CANField{Start: 8, Length: 8, Factor: 1, Offset: -40}, []byte{0, 65}, 25},
		{"negative", CANField{Start: 0, Length: 12, Signed: true, Factor: 0.5}, []byte{0xff, 0x0f}, -0.5},
		{"the least", CANField{Start: 0, Length: 64, Signed: true, Factor: 1}, []byte{0, 0, 0, 0, 0, 0, 0, 0x80}, math.MinInt64},
		{"float", CANField{Start: 0, Length: 32, Float: true, Factor: 2}, []byte{0, 0, 0x80, 0x3f}, 2},
		{"double, Motorola", CANField{Start: 7, Length: 64, BigEndian: true, Float: true, Factor: 1, Offset: 1}, []byte{0x3f, 0xf8, 0, 0, 0, 0, 0, 0}, 2.5},
		{"a single bit", CANField{Start: 10, Length: 1, Factor: 1}, []byte{0, 4}, 1},
	} {
		if got := c.f.Value(c.data); got != c.want {
			t.Errorf("%s is %v, want %v", c.name, got, c.want)
		}
	}
	if got := (&CANField{Length: 32, Float: true, Factor: 1}).Value([]byte{0, 0, 0xc0, 0x7f}); !math.IsNaN(got) {
		t.Errorf("what is no number is %v", got)
	}
}

func TestCANFieldBounds(t *testing.T) {
	for _, c := range []struct {
		f         CANField
		low, high float64
	}{
		{CANField{Length: 8, Factor: 0.5, Offset: -10}, -10, 117.5},
		{CANField{Length: 8, Signed: true, Factor: 1}, -128, 127},
		{CANField{Length: 8, Factor: -1}, -255, 0},
		{CANField{Length: 1, Signed: true, Factor: 1}, -1, 0},
		{CANField{Length: 64, Factor: 1}, 0, math.MaxUint64},
	} {
		if low, high := c.f.Bounds(); low != c.low || high != c.high {
			t.Errorf("%+v: [%v, %v], want [%v, %v]", c.f, low, high, c.low, c.high)
		}
	}
}

func TestCANFieldAllocates(t *testing.T) {
	f := CANField{Start: 3, Length: 61, BigEndian: true, Factor: 0.1}
	data := make([]byte, MaxCANData)
	sum := 0.0
	if n := testing.AllocsPerRun(100, func() { sum += f.Value(data) }); n != 0 {
		t.Errorf("%v allocations a value", n)
	}
}

func BenchmarkCANField(b *testing.B) {
	data := []byte{1, 2, 3, 4, 5, 6, 7, 8}
	for _, f := range []CANField{
		{Start: 16, Length: 16, Factor: 0.01},
		{Start: 3, Length: 57, BigEndian: true, Signed: true, Factor: 0.01, Offset: -40},
	} {
		b.Run(map[bool]string{false: "16 bits", true: "57 bits unaligned"}[f.BigEndian], func(b *testing.B) {
			b.ReportAllocs()
			sum := 0.0
			for b.Loop() {
				sum += f.Value(data)
			}
			_ = sum
		})
	}
}
