package hal

import (
	"math"
	"strconv"
	"unsafe"
)

// powersOfTen are exact in a float64.
var powersOfTen = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22}

// decimal is a number's text taken apart.
type decimal struct {
	negative bool
	digits   uint64 // the first 19 significant digits
	count    int    // significant digits in digits
	exponent int    // value = digits * 10^exponent, further digits cut off
	cutOff   bool   // there were more than 19
}

// parseDecimal reads [+-] digits [. digits] [e [+-] digits], where one side of
// the point may be empty, correctly rounded and without allocation. Too large
// gives an infinity, which the signal table refuses.
func parseDecimal(text []byte) (float64, bool) {
	d, ok := scanDecimal(text)
	if !ok {
		return 0, false
	}
	return d.value(text), true
}

// scanDecimal takes a number's text apart; false if it is no number.
func scanDecimal(text []byte) (decimal, bool) {
	var d decimal
	i := 0
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		d.negative = text[i] == '-'
		i++
	}
	digits, point := 0, false
	for ; i < len(text); i++ {
		c := text[i]
		if c == '.' && !point {
			point = true
			continue
		}
		if c < '0' || c > '9' {
			break
		}
		digits++
		d.add(c-'0', point)
	}
	if digits == 0 {
		return d, false
	}
	if i == len(text) {
		return d, true
	}
	exponent, ok := scanExponent(text[i:])
	d.exponent += exponent
	return d, ok
}

// add takes one more digit, before or after the point.
func (d *decimal) add(digit byte, afterPoint bool) {
	switch {
	case d.count == 19:
		d.cutOff = true
		if !afterPoint {
			d.exponent++
		}
		return
	case d.count > 0 || digit != 0:
		d.digits = d.digits*10 + uint64(digit)
		d.count++
	}
	if afterPoint {
		d.exponent--
	}
}

// decimalPrefix is the length of the number that text starts with, 0 if it
// starts with none.
func decimalPrefix(text []byte) int {
	n := signLength(text)
	whole := digitRun(text[n:])
	n += whole
	fraction := 0
	if n < len(text) && text[n] == '.' {
		if fraction = digitRun(text[n+1:]); whole+fraction > 0 {
			n += 1 + fraction
		}
	}
	if whole+fraction == 0 {
		return 0
	}
	if n < len(text) && (text[n] == 'e' || text[n] == 'E') {
		sign := signLength(text[n+1:])
		if power := digitRun(text[n+1+sign:]); power > 0 {
			n += 1 + sign + power
		}
	}
	return n
}

func signLength(text []byte) int {
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		return 1
	}
	return 0
}

func digitRun(text []byte) int {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	return n
}

// scanExponent reads e [+-] digits; the whole text must be it.
func scanExponent(text []byte) (int, bool) {
	if text[0] != 'e' && text[0] != 'E' {
		return 0, false
	}
	text = text[1:]
	sign := 1
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	if len(text) == 0 {
		return 0, false
	}
	e := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return 0, false
		}
		e = min(e*10+int(c-'0'), 1<<20) // far beyond any float64, and a line's zeros
	}
	return sign * e, true
}

// value rounds. Most sensor numbers take the exact short way; the others go
// through strconv, which allocates only for errors that cannot occur here.
func (d *decimal) value(text []byte) float64 {
	if !d.cutOff && d.digits < 1<<53 && d.exponent >= -22 && d.exponent <= 22 {
		v := float64(d.digits)
		if d.exponent < 0 {
			v /= powersOfTen[-d.exponent]
		} else {
			v *= powersOfTen[d.exponent]
		}
		return d.signed(v)
	}
	switch magnitude := d.count + d.exponent; {
	case d.digits == 0 || magnitude < -330:
		return d.signed(0)
	case magnitude > 309 || magnitude == 309 && d.tooLarge():
		return d.signed(math.Inf(1))
	}
	v, _ := strconv.ParseFloat(unsafe.String(&text[0], len(text)), 64)
	return v
}

// tooLarge says, of a number of magnitude 10^308, that it is more than the
// greatest float64 (1.7976931348623157e308).
func (d *decimal) tooLarge() bool {
	digits := d.digits
	for i := d.count; i < 19; i++ {
		digits *= 10
	}
	return digits >= 1797693134862315800
}

func (d *decimal) signed(v float64) float64 {
	if d.negative {
		return -v
	}
	return v
}
