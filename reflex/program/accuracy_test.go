package program

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

const digits = 400 // bits of the reference

func bigOf(x float64) *big.Float { return new(big.Float).SetPrec(digits).SetFloat64(x) }

// exactExponential is e to the power of x by its series, after x has been halved
// until the series converges fast: nothing of package math.
func exactExponential(x *big.Float) *big.Float {
	const halvings = 20
	small := new(big.Float).SetPrec(digits).SetMantExp(x, -halvings)
	sum, term := bigOf(1), bigOf(1)
	for n := 1; n < 200; n++ {
		term.Quo(term.Mul(term, small), bigOf(float64(n)))
		sum.Add(sum, term)
		if term.Sign() == 0 || term.MantExp(nil) < -digits {
			break
		}
	}
	for range halvings {
		sum.Mul(sum, sum)
	}
	return sum
}

// exactLogarithm is found from a guess by Newton's method on the exponential.
func exactLogarithm(x, guess float64) *big.Float {
	y := bigOf(guess)
	for range 4 {
		e := exactExponential(y)
		difference := new(big.Float).SetPrec(digits).Sub(bigOf(x), e)
		y.Add(y, difference.Quo(difference, e))
	}
	return y
}

// unitsOff is how far a result is from the truth, in units of its last place.
func unitsOff(got float64, want *big.Float) float64 {
	nearest, _ := want.Float64()
	place := math.Abs(math.Nextafter(nearest, math.Inf(1)) - nearest)
	off, _ := new(big.Float).SetPrec(digits).Sub(bigOf(got), want).Float64()
	return math.Abs(off) / place
}

// TestWithinOneUnitOfTheTruth holds exp and log to what their comment says, on
// random arguments of every size and around every place where they change ways.
func TestWithinOneUnitOfTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 15))
	draws := 4000
	if testing.Short() {
		draws = 500
	}
	worstExp, worstLog := 0.0, 0.0
	try := func(x float64) {
		if x < 709.78 && x > -708.39 { // below, results are subnormal
			d := unitsOff(exponential(x), exactExponential(bigOf(x)))
			if worstExp = max(worstExp, d); d > 1 {
				t.Errorf("exp(%v) = %v is off by %v units in the last place", x, exponential(x), d)
			}
		}
		if y := math.Abs(x); y > 0 && y != 1 && y <= math.MaxFloat64 {
			d := unitsOff(logarithm(y), exactLogarithm(y, logarithm(y)))
			if worstLog = max(worstLog, d); d > 1 {
				t.Errorf("log(%v) = %v is off by %v units in the last place", y, logarithm(y), d)
			}
		}
	}
	for k := -10; k <= 10; k++ {
		for _, x := range []float64{(float64(k) + 0.5) * math.Ln2, float64(k) * math.Ln2, math.Sqrt2 * math.Ldexp(1, k), math.Ldexp(1, k)} {
			try(x)
			try(math.Nextafter(x, math.Inf(1)))
			try(math.Nextafter(x, math.Inf(-1)))
		}
	}
	for _, x := range []float64{1 + 0x1p-52, 1 - 0x1p-53, 0x1p-28, -0x1p-28, 0x1p-29, 5e-324, 1e-310, math.MaxFloat64, 709.7827, -708.38} {
		try(x)
	}
	for range draws {
		try((2*r.Float64() - 1) * 709)
		try(2*r.Float64() - 1)
		try(1 + (2*r.Float64()-1)*math.Ldexp(1, -r.IntN(50)))
		try(math.Ldexp(1+r.Float64(), r.IntN(2046)-1023))
	}
	t.Logf("worst: exp %.4f, log %.4f", worstExp, worstLog)
	for _, x := range []float64{-708.5, -720, -744, -745.1} {
		if d := math.Abs(exponential(x) - math.Exp(x)); d > 5e-324 {
			t.Errorf("exp(%v) is off by %v", x, d)
		}
	}
}
