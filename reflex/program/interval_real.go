package program

import "math"

// Arithmetic on spans of real numbers, with ends rounded outward. An end may be
// infinite here: a difference has no largest value.

// twoDifference gives a - b rounded, and what the rounding took away, which is
// exact (Knuth's two-sum).
func twoDifference(a, b float64) (d, rest float64) {
	d = a - b
	back := d - a
	return d, (a - (d - back)) - (b + back)
}

// lowerSum is not above a + b, and exact where that is a number.
func lowerSum(a, b float64) float64 {
	s, rest := twoDifference(a, -b)
	if rest == 0 {
		return s
	}
	if rest < 0 || rest != rest {
		return lower(s)
	}
	return s
}

func upperSum(a, b float64) float64 { return -lowerSum(-a, -b) }

// lower is below any exact value that rounds to v.
func lower(v float64) float64 {
	switch {
	case v != v:
		return math.Inf(-1)
	case math.IsInf(v, 0):
		return min(v, math.MaxFloat64)
	}
	return math.Nextafter(v, math.Inf(-1))
}

func upper(v float64) float64 { return -lower(-v) }

func sum(x, y Span) Span { return Span{lowerSum(x.Low, y.Low), upperSum(x.High, y.High)} }

func negative(x Span) Span { return Span{-x.High, -x.Low} }

// product encloses the products, none of which is on the other side of 0 for
// being rounded.
func product(x, y Span) Span {
	out := noSpan
	for _, a := range [2]float64{x.Low, x.High} {
		for _, b := range [2]float64{y.Low, y.High} {
			if a == 0 || b == 0 {
				out = out.hull(Span{0, 0})
				continue
			}
			out = out.hull(outwardOf(a*b, (a > 0) == (b > 0)))
		}
	}
	return out
}

// quotient encloses the quotients by a span without 0.
func quotient(x, y Span) Span {
	out := noSpan
	for _, a := range [2]float64{x.Low, x.High} {
		for _, b := range [2]float64{y.Low, y.High} {
			if a == 0 {
				out = out.hull(Span{0, 0})
				continue
			}
			out = out.hull(outwardOf(a/b, (a > 0) == (b > 0)))
		}
	}
	return out
}

// outwardOf encloses an exact value of known sign that rounds to v.
func outwardOf(v float64, positive bool) Span {
	s := Span{lower(v), upper(v)}
	if positive {
		s.Low = max(s.Low, 0)
	} else {
		s.High = min(s.High, 0)
	}
	return s
}

// signOf is all that is known of a value that has the sign of a difference.
func signOf(d Span) Span {
	s := Span{math.Inf(-1), math.Inf(1)}
	if d.Low >= 0 {
		s.Low = 0
	}
	if d.High <= 0 {
		s.High = 0
	}
	return s
}

// wider encloses the exact values that round into a span.
func wider(s Span) Span { return Span{lower(s.Low), upper(s.High)} }

// shrink and grow take a sum of roots, each rounded, outward.
func shrink(v float64) float64 { return v - float64(v*0x1p-50) }
func grow(v float64) float64   { return v + float64(v*0x1p-50) }
