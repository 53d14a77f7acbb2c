package expr

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// definition of a unit: its scale as a fraction, over units defined before it.
type definition struct {
	names                  string // separated by spaces, all with the same meaning
	numerator, denominator float64
	of                     string // a unit in terms of earlier ones; "" for a plain ratio
}

// definitions of all units. Sources: the SI brochure, 9th edition.
var definitions = []definition{
	{"km", 1000, 1, "m"}, {"cm", 1, 100, "m"}, {"mm", 1, 1000, "m"}, {"µm um", 1, 1e6, "m"}, {"nm", 1, 1e9, "m"},
	{"g", 1, 1000, "kg"}, {"mg", 1, 1e6, "kg"}, {"µg ug", 1, 1e9, "kg"}, {"t", 1000, 1, "kg"},
	{"ms", 1, 1000, "s"}, {"µs us", 1, 1e6, "s"}, {"ns", 1, 1e9, "s"}, {"min", 60, 1, "s"}, {"h", 3600, 1, "s"},
	{"degC", 1, 1, "°C"},
	{"mrad", 1, 1000, "rad"}, {"° deg", math.Pi, 180, "rad"}, {"turn rev", 2 * math.Pi, 1, "rad"}, {"rpm", 2 * math.Pi, 60, "rad/s"},
	{"lux", 1, 1, "lx"}, {"klx", 1000, 1, "lx"}, {"ppb", 1, 1000, "ppm"}, {"mSv", 1, 1000, "Sv"}, {"µSv uSv", 1, 1e6, "Sv"},
	{"%", 1, 100, ""},
	{"Hz", 1, 1, "1/s"}, {"kHz", 1000, 1, "Hz"}, {"MHz", 1e6, 1, "Hz"}, {"GHz", 1e9, 1, "Hz"},
	{"L l", 1, 1000, "m^3"}, {"mL ml", 1, 1e6, "m^3"},
	{"N", 1, 1, "kg·m/s^2"}, {"mN", 1, 1000, "N"}, {"kN", 1000, 1, "N"}, {"Nm", 1, 1, "N·m"},
	{"Pa", 1, 1, "N/m^2"}, {"hPa mbar", 100, 1, "Pa"}, {"kPa", 1000, 1, "Pa"}, {"MPa", 1e6, 1, "Pa"}, {"bar", 1e5, 1, "Pa"},
	{"J", 1, 1, "N·m"}, {"kJ", 1000, 1, "J"}, {"MJ", 1e6, 1, "J"},
	{"W", 1, 1, "J/s"}, {"mW", 1, 1000, "W"}, {"kW", 1000, 1, "W"}, {"Wh", 3600, 1, "J"}, {"kWh", 3.6e6, 1, "J"},
	{"mA", 1, 1000, "A"}, {"µA uA", 1, 1e6, "A"}, {"Ah", 3600, 1, "A·s"}, {"mAh", 36, 10, "A·s"},
	{"V", 1, 1, "W/A"}, {"mV", 1, 1000, "V"}, {"µV uV", 1, 1e6, "V"}, {"kV", 1000, 1, "V"},
	{"Ω ohm", 1, 1, "V/A"}, {"kΩ kohm", 1000, 1, "Ω"}, {"MΩ Mohm", 1e6, 1, "Ω"},
	{"T", 1, 1, "V·s/m^2"}, {"mT", 1, 1000, "T"}, {"µT uT", 1, 1e6, "T"},
}

// unitTable maps every unit name to its meaning. It is built once, from
// constants, and never written again.
var unitTable = buildUnits()

// lookalike gives the other code points that keyboards produce for the same
// letters: Greek mu for the micro sign, the ohm sign for Greek omega.
var lookalike = strings.NewReplacer("µ", "\u03bc", "Ω", "\u2126")

func buildUnits() map[string]Unit {
	table := make(map[string]Unit)
	for i, name := range baseNames {
		u := Unit{name: name}
		u.power[i] = 1
		table[name] = u
	}
	for _, d := range definitions {
		of, _, _ := readUnit(d.of, table)
		n, m := of.fraction()
		of.numerator, of.denominator = reduce(n*d.numerator, m*d.denominator)
		for _, name := range strings.Fields(d.names) {
			of.name = name
			table[name] = of
			table[lookalike.Replace(name)] = of
		}
	}
	return table
}

// ParseUnit reads a unit: names from the table joined by "·", "*" and "/", each
// with an optional power ("m/s^2", "m/s²" and "m/s2" are the same). "" and "1" are
// the dimensionless unit. The error is an [*Error].
func ParseUnit(text string) (Unit, error) {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" || trimmed == "1" {
		return Unit{}, nil
	}
	u, rest, err := readUnit(trimmed, unitTable)
	if err == nil && rest != "" {
		err = &Error{What: fmt.Sprintf("unknown unit %q", rest), Hint: unitHint(rest)}
	}
	if err != nil {
		err.Offset = strings.Index(text, trimmed) + len(trimmed) - len(rest)
		return Unit{}, err
	}
	u.name = trimmed
	return u, nil
}

// readUnit reads as long a unit as it can and gives what is left over.
func readUnit(text string, table map[string]Unit) (u Unit, rest string, err *Error) {
	rest, sign := text, int8(1)
	if strings.HasPrefix(rest, "1/") {
		rest, sign = rest[2:], -1
	}
	for first := true; rest != ""; first = false {
		after := rest
		if !first {
			var ok bool
			if after, sign, ok = unitOperator(rest); !ok {
				return u, rest, nil
			}
		}
		factor, tail, ok := readFactor(after, table)
		if !ok {
			return u, rest, nil
		}
		if u, ok = u.combine(factor, sign); !ok {
			return Unit{}, rest, &Error{What: "unit is out of all proportion", Hint: "use fewer and smaller powers"}
		}
		rest = tail
	}
	return u, rest, nil
}

// unitOperator takes a "·", "*" or "/" off the front.
func unitOperator(text string) (rest string, sign int8, ok bool) {
	r, size := utf8.DecodeRuneInString(text)
	switch r {
	case '·', '*':
		return text[size:], 1, true
	case '/':
		return text[size:], -1, true
	}
	return text, 0, false
}

// readFactor reads one name and its power.
func readFactor(text string, table map[string]Unit) (u Unit, rest string, ok bool) {
	name := unitWord(text)
	rest = text[len(name):]
	power := 1
	if u, ok = table[name]; !ok && len(name) > 1 { // m2, s3
		last := len(name) - 1
		if power = int(name[last] - '0'); power < 2 || power > 4 {
			return Unit{}, text, false
		}
		u, ok = table[name[:last]]
	}
	if !ok {
		return Unit{}, text, false
	}
	if written, tail, found := readPower(rest); found && power == 1 {
		power, rest = written, tail
	}
	if u, ok = u.raise(power); !ok {
		return Unit{}, text, false
	}
	return u, rest, true
}

// readPower reads "^2", "^-1", "²" or "³".
func readPower(text string) (power int, rest string, ok bool) {
	for i, superscript := range []string{"²", "³"} {
		if strings.HasPrefix(text, superscript) {
			return i + 2, text[len(superscript):], true
		}
	}
	digits, found := strings.CutPrefix(text, "^")
	negative := false
	if found {
		digits, negative = strings.CutPrefix(digits, "-")
	}
	if !found || digits == "" || digits[0] < '1' || digits[0] > '9' {
		return 0, text, false
	}
	power = int(digits[0] - '0')
	if negative {
		power = -power
	}
	return power, digits[1:], true
}

// unitWord gives the letters and digits at the front, or a single % or °.
func unitWord(text string) string {
	end := 0
	for i, r := range text {
		if !unicode.IsLetter(r) && r != '°' && r != '%' && !(i > 0 && r >= '0' && r <= '9') && r != '_' {
			break
		}
		end = i + utf8.RuneLen(r)
		if r == '%' {
			break
		}
	}
	return text[:end]
}

// unitHint says what to write in place of an unknown unit.
func unitHint(text string) string {
	word := unitWord(strings.TrimLeft(text, "/*·"))
	switch word {
	case "C", "celsius":
		return "write °C or degC"
	case "F":
		return "convert it to °C"
	case "sec", "second", "seconds":
		return "write s"
	case "meter", "metre", "meters", "metres":
		return "write m"
	case "pct", "percent":
		return "write %"
	}
	names := make([]string, 0, len(unitTable))
	for name := range unitTable {
		names = append(names, name)
	}
	slices.Sort(names)
	if name, ok := nearest(word, names); ok {
		return "did you mean " + name + "?"
	}
	return "known units are, for example, m, cm, s, ms, m/s, kg, N, Pa, V, A, W, °C, K, rad, °, %, ppm, dB, lx"
}
