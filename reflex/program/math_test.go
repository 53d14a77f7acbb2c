package program

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"math/big"
	"testing"
)

// ulps is the distance between two numbers in units of the last place.
func ulps(a, b float64) float64 {
	return math.Abs(a-b) / math.Abs(math.Nextafter(b, math.Inf(1))-b)
}

func TestExponentialIsAccurate(t *testing.T) {
	for i := range 20000 {
		x := -700 + 1400*float64(i)/20000 + 1/float64(i+3)
		if d := ulps(exponential(x), math.Exp(x)); d > 2 {
			t.Fatalf("exp(%v) is off by %v units in the last place", x, d)
		}
	}
}

func TestLogarithmIsAccurate(t *testing.T) {
	for i := range 20000 {
		x := math.Ldexp(1+float64(i%997)/1000, i%2000-1000)
		if d := ulps(logarithm(x), math.Log(x)); d > 2 {
			t.Fatalf("log(%v) is off by %v units in the last place", x, d)
		}
	}
}

func TestExponentialUndoesLogarithm(t *testing.T) {
	for i := range 5000 {
		x := math.Ldexp(1+float64(i)/5000, i%40-20)
		if y := exponential(logarithm(x)); math.Abs(y-x) > 1e-14*x {
			t.Fatalf("exp(log(%v)) = %v", x, y)
		}
	}
}

// The exponential of 1 to many digits, by its series in exact arithmetic: a
// reference that is not package math.
func TestExponentialOfOne(t *testing.T) {
	sum, term := big.NewRat(1, 1), big.NewRat(1, 1)
	for i := range int64(30) {
		term.Quo(term, big.NewRat(i+1, 1))
		sum.Add(sum, term)
	}
	want, _ := sum.Float64()
	if got := exponential(1); ulps(got, want) > 1 {
		t.Errorf("exp(1) = %v, want %v", got, want)
	}
}

// The hash over many results is the same on every machine. A change here changes
// the decisions that recordings replay.
func TestResultsAreTheSameOnEveryMachine(t *testing.T) {
	h := fnv.New64a()
	write := func(x float64) {
		var bytes [8]byte
		binary.LittleEndian.PutUint64(bytes[:], math.Float64bits(x))
		h.Write(bytes[:])
	}
	for i := range 5000 {
		write(exponential(-40 + float64(i)/61))
		write(logarithm(float64(i+1) / 37))
	}
	const want = uint64(0xf29f0b3c7be3bf4a)
	if got := h.Sum64(); got != want {
		t.Errorf("hash %#x, want %#x", got, want)
	}
}
