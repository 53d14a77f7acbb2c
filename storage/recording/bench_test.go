package recording

import (
	"math"
	"testing"
)

// BenchmarkRead checks a recording and visits its messages.
func BenchmarkRead(b *testing.B) {
	file := write(b, testHeader, 100_000, 2000)
	b.SetBytes(int64(len(file)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := read(file)
		if err != nil {
			b.Fatal(err)
		}
		if err := r.NewReader().Each(func(*Message) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWrite adds one message of the length of a reading.
func BenchmarkWrite(b *testing.B) {
	p, err := NewPacker()
	if err != nil {
		b.Fatal(err)
	}
	w, err := NewWriter(&broken{math.MaxInt}, p, testHeader, nil, testTopics)
	if err != nil {
		b.Fatal(err)
	}
	data := []byte(`{"monotonic":123456789012,"at":123456789001,"name":"range","value":1.2345,"validity":"valid","end":true}`)
	b.ReportAllocs()
	at := uint64(0)
	for b.Loop() {
		at += 1e6
		if err := w.Write(0, at, data); err != nil {
			b.Fatal(err)
		}
	}
}
