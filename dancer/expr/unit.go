package expr

import (
	"math"
	"math/big"
	"strconv"
	"strings"
)

// The base dimensions. Angles, degrees Celsius, parts per million and others
// that have no safe conversion into SI are dimensions of their own: a scale
// factor between them would be a guess.
const (
	length = iota
	mass
	duration
	current
	kelvin
	celsius // an offset, not a factor, lies between °C and K
	angle
	illuminance
	partsPerMillion
	decibel
	dose
	acidity
	dimensions
)

// baseNames are the names of the base units, in the order above.
var baseNames = [dimensions]string{"m", "kg", "s", "A", "K", "°C", "rad", "lx", "ppm", "dB", "Sv", "pH"}

// maximumExponent bounds the power of a base unit in a derived one.
const maximumExponent = 24

// Unit is a unit of measure: a vector of powers of base units and a scale. The
// zero value is the dimensionless unit of scale 1.
type Unit struct {
	power [dimensions]int8
	// The scale is a fraction, so that 1/3600 and the like lose nothing. Zero
	// means 1 in both.
	numerator, denominator float64
	name                   string // as written; "" means: print the base units
}

// String gives the unit as it was written, or as a product of base units.
func (u Unit) String() string {
	if u.name != "" {
		return u.name
	}
	over, under := u.factors(1), u.factors(-1)
	scale := ""
	if s := u.Scale(); s != 1 {
		scale = strconv.FormatFloat(s, 'g', 6, 64) + " "
	}
	switch {
	case over == "" && under == "":
		return strings.TrimSpace(scale)
	case over == "":
		over = "1"
	}
	if under == "" {
		return scale + over
	}
	return scale + over + "/" + strings.ReplaceAll(under, "·", "/")
}

// factors prints the base units whose power has the given sign.
func (u Unit) factors(sign int8) string {
	var list []string
	for i, p := range u.power {
		switch p *= sign; {
		case p == 1:
			list = append(list, baseNames[i])
		case p > 1:
			list = append(list, baseNames[i]+"^"+strconv.Itoa(int(p)))
		}
	}
	return strings.Join(list, "·")
}

// Dimensionless says whether the unit is a plain ratio, of whatever scale.
func (u Unit) Dimensionless() bool { return u.power == [dimensions]int8{} }

// Fits says whether values in the two units can be compared and added.
func (u Unit) Fits(other Unit) bool { return u.power == other.power }

// Scale is the size of the unit in base units: 0.01 for cm and for %.
func (u Unit) Scale() float64 { n, d := u.fraction(); return n / d }

// Convert gives a value in this unit in another one that fits it.
func (u Unit) Convert(value float64, to Unit) float64 {
	multiply, divide := u.factor(to)
	return value * multiply / divide
}

func (u Unit) fraction() (numerator, denominator float64) {
	n, d := u.numerator, u.denominator
	if n == 0 {
		n = 1
	}
	if d == 0 {
		d = 1
	}
	return n, d
}

// factor gives the conversion into a unit that fits, as one multiplication or
// one division, whichever is exact.
func (u Unit) factor(to Unit) (multiply, divide float64) {
	n, d := u.fraction()
	if toN, toD := to.fraction(); n == toN && d == toD {
		return 1, 1
	}
	up, down := u.ratio(to), to.ratio(u)
	f, exact := up.Float64()
	if g, inverse := down.Float64(); inverse && !exact {
		return 1, g
	}
	return f, 1
}

// ratio is the exact quotient of two scales.
func (u Unit) ratio(to Unit) *big.Rat {
	n, d := u.fraction()
	toN, toD := to.fraction()
	r := new(big.Rat).Mul(rational(n), rational(toD))
	return r.Quo(r, new(big.Rat).Mul(rational(d), rational(toN)))
}

// rational reads a scale as the decimal that it was written as. Scales are
// finite and positive (see combine), so the reading succeeds.
func rational(value float64) *big.Rat {
	r, _ := new(big.Rat).SetString(strconv.FormatFloat(value, 'g', -1, 64))
	return r
}

// raise gives the unit to the power of n.
func (u Unit) raise(n int) (Unit, bool) {
	result, ok := Unit{}, true
	for i := 0; i < max(n, -n) && ok; i++ {
		result, ok = result.combine(u, sign(n))
	}
	return result, ok
}

func sign(n int) int8 {
	if n < 0 {
		return -1
	}
	return 1
}

// combine gives the product (sign 1) or the quotient (sign -1) of two units. It
// fails where a power or a scale grows beyond all use.
func (u Unit) combine(other Unit, sign int8) (Unit, bool) {
	result := u
	for i, p := range other.power {
		result.power[i] += sign * p
		if result.power[i] > maximumExponent || result.power[i] < -maximumExponent {
			return Unit{}, false
		}
	}
	n, d := u.fraction()
	otherN, otherD := other.fraction()
	if sign < 0 {
		otherN, otherD = otherD, otherN
	}
	result.numerator, result.denominator = reduce(n*otherN, d*otherD)
	result.name = ""
	const limit = 1e100
	s := result.Scale()
	return result, s < limit && s > 1/limit && result.numerator < limit && result.denominator < limit
}

// reduce shortens a fraction of two whole numbers.
func reduce(n, d float64) (float64, float64) {
	if n == d {
		return 1, 1
	}
	a, b := n, d
	for b >= 1 && a == math.Trunc(a) && b == math.Trunc(b) {
		a, b = b, math.Mod(a, b)
	}
	if b == 0 && a > 1 {
		return n / a, d / a
	}
	return n, d
}

// root gives the unit whose square this one is.
func (u Unit) root() (Unit, bool) {
	for i, p := range u.power {
		if p%2 != 0 {
			return Unit{}, false
		}
		u.power[i] = p / 2
	}
	u.numerator, u.denominator, u.name = 1, 1, ""
	return u, true
}

// coherent is the unit of the same dimension with scale 1.
func (u Unit) coherent() Unit {
	if n, d := u.fraction(); n == d {
		return u
	}
	return Unit{power: u.power}
}
