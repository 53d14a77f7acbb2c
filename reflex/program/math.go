package program

import "math"

// The exponential and the logarithm follow the FreeBSD C library (e_exp.c and
// e_log.c), whose results are within one unit in the last place. They are
// written out here because the machine-specific versions of package math, and
// fused multiply-add, give other last bits on other machines: every product
// that is added to something is rounded explicitly first.

const (
	ln2High = 6.93147180369123816490e-01
	ln2Low  = 1.90821492927058770002e-10
	log2e   = 1.44269504088896338700e+00
)

// exponential gives e to the power of x; +Inf where that overflows, 0 where it
// is too small.
func exponential(x float64) float64 {
	const overflow, underflow, tiny = 7.09782712893383973096e+02, -7.45133219101941108420e+02, 1.0 / (1 << 28)
	switch {
	case x != x:
		return x
	case x > overflow:
		return math.Inf(1)
	case x < underflow:
		return 0
	case -tiny < x && x < tiny:
		return 1 + x
	}
	half := 0.5
	if x < 0 {
		half = -0.5
	}
	k := int(float64(log2e*x) + half) // x = k ln 2 + rest
	high := x - float64(float64(k)*ln2High)
	low := float64(float64(k) * ln2Low)
	return exponentialOf(high, low, k)
}

// exponentialOf gives e to the power of high - low, times 2 to the power of k.
func exponentialOf(high, low float64, k int) float64 {
	const (
		p1 = 1.66666666666666657415e-01
		p2 = -2.77777777770155933842e-03
		p3 = 6.61375632143793436117e-05
		p4 = -1.65339022054652515390e-06
		p5 = 4.13813679705723846039e-08
	)
	r := high - low
	t := float64(r * r)
	s := p4 + float64(t*p5)
	s = p3 + float64(t*s)
	s = p2 + float64(t*s)
	s = p1 + float64(t*s)
	c := r - float64(t*s)
	y := 1 - ((low - float64(r*c)/(2-c)) - high)
	return math.Ldexp(y, k)
}

// logarithm gives the natural logarithm of x; NaN for negative numbers, -Inf
// for 0.
func logarithm(x float64) float64 {
	const (
		l1 = 6.666666666666735130e-01
		l2 = 3.999999999940941908e-01
		l3 = 2.857142874366239149e-01
		l4 = 2.222219843214978396e-01
		l5 = 1.818357216161805012e-01
		l6 = 1.531383769920937332e-01
		l7 = 1.479819860511658591e-01
	)
	switch {
	case x != x || x > math.MaxFloat64:
		return x
	case x < 0:
		return math.NaN()
	case x == 0:
		return math.Inf(-1)
	}
	fraction, exponent := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		exponent--
	}
	f := fraction - 1
	k := float64(exponent)
	s := f / (2 + f)
	s2 := float64(s * s)
	s4 := float64(s2 * s2)
	odd := float64(s2 * (l1 + float64(s4*(l3+float64(s4*(l5+float64(s4*l7)))))))
	even := float64(s4 * (l2 + float64(s4*(l4+float64(s4*l6)))))
	r := odd + even
	h := float64(float64(0.5*f) * f)
	return float64(k*ln2High) - ((h - (float64(s*(h+r)) + float64(k*ln2Low))) - f)
}
