package expr

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind of a token.
type kind uint8

const (
	end    kind = iota // of the text
	number             // with its unit, if it has one
	name
	symbol // operator, parenthesis or comma
)

// token is one word of the source text, at source[from:to].
type token struct {
	kind     kind
	text     string
	from, to int

	value *big.Rat // of a number, exactly as written
	unit  Unit
	bare  bool // a number without a unit
}

// symbols in the order in which they are tried: the longer ones first.
var symbols = []string{"<=", ">=", "==", "!=", "&&", "||", "<", ">", "+", "-", "*", "/", "!", "?", ":", "(", ")", ","}

// strangers are signs of other languages, with what to write here.
var strangers = []struct{ text, hint string }{
	{"=", "write == to compare"},
	{"&", "write && for and"},
	{"|", "write || for or"},
	{"^", "there is no power operator: write x * x"},
	{"%", "there is no remainder; a percentage follows its number: 20 %"},
	{"\"", "write names and numbers without quotation marks"},
	{"'", "write names and numbers without quotation marks"},
	{";", "one expression only"},
	{"[", "write ( and )"},
	{"{", "write ( and )"},
	{"≤", "write <="},
	{"≥", "write >="},
	{"≠", "write !="},
	{"·", "write *"},
	{"×", "write *"},
	{"−", "write -"},
}

// scan reads the token that begins at or after the offset.
func (c *compiler) scan(offset int) (token, *Error) {
	rest := strings.TrimLeft(c.source[offset:], " \t\r\n")
	from := len(c.source) - len(rest)
	if rest == "" {
		return token{kind: end, from: from, to: from}, nil
	}
	if isDigit(rest[0]) || rest[0] == '.' && len(rest) > 1 && isDigit(rest[1]) {
		return c.scanNumber(from)
	}
	if word := nameWord(rest); word != "" {
		return token{kind: name, text: word, from: from, to: from + len(word)}, nil
	}
	for _, s := range symbols {
		if strings.HasPrefix(rest, s) {
			return token{kind: symbol, text: s, from: from, to: from + len(s)}, nil
		}
	}
	r, _ := utf8.DecodeRuneInString(rest)
	err := &Error{Offset: from, What: fmt.Sprintf("unexpected %q", r), Hint: "it means nothing in an expression: remove it"}
	for _, s := range strangers {
		if strings.HasPrefix(rest, s.text) {
			err.Hint = s.hint
		}
	}
	return token{}, err
}

// scanNumber reads a number and the unit behind it.
func (c *compiler) scanNumber(from int) (token, *Error) {
	to := from + numberLength(c.source[from:])
	text := c.source[from:to]
	value, ok := readNumber(text)
	if !ok {
		return token{}, &Error{Offset: from, What: "number is out of range or too long", Hint: fmt.Sprintf("at most %d characters, between about 5e-324 and 1.8e308", maximumDigits)}
	}
	return c.scanUnit(token{kind: number, text: text, from: from, to: to, value: value, bare: true})
}

// readNumber reads a number exactly. ParseFloat comes first: it refuses, or calls
// 0, whatever has an exponent that would fill a big.Rat with millions of digits.
func readNumber(text string) (*big.Rat, bool) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || len(text) > maximumDigits {
		return nil, false
	}
	if f == 0 {
		mantissa, _, _ := strings.Cut(strings.ToLower(text), "e")
		return new(big.Rat), !strings.ContainsAny(mantissa, "123456789")
	}
	return new(big.Rat).SetString(text)
}

// maximumDigits bounds the text of one number.
const maximumDigits = 40

// numberLength gives the length of "12", "1.5", ".5", "2e-3". An e without digits
// behind it begins a unit.
func numberLength(text string) int {
	n := digits(text, 0)
	if n < len(text) && text[n] == '.' {
		n = digits(text, n+1)
	}
	if n < len(text) && (text[n] == 'e' || text[n] == 'E') {
		m := n + 1
		if m < len(text) && (text[m] == '+' || text[m] == '-') {
			m++
		}
		if e := digits(text, m); e > m {
			n = e
		}
	}
	return n
}

// digits gives the offset behind the digits at an offset.
func digits(text string, at int) int {
	for at < len(text) && isDigit(text[at]) {
		at++
	}
	return at
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

// scanUnit adds the unit that follows a number, if any.
func (c *compiler) scanUnit(t token) (token, *Error) {
	rest := strings.TrimLeft(c.source[t.to:], " \t\r\n")
	from := len(c.source) - len(rest)
	if unitWord(rest) == "" {
		return t, nil
	}
	unit, after, err := readUnit(rest, unitTable)
	if err != nil {
		err.Offset = from
		return t, err
	}
	text := rest[:len(rest)-len(after)]
	if text == "" || unitWord(after) != "" { // no unit, or one with letters behind it
		word := unitWord(rest[len(text):])
		return t, &Error{Offset: from + len(text), What: fmt.Sprintf("unknown unit %q", text+word), Hint: c.afterNumber(word)}
	}
	if word := c.strayUnit(after); word != "" {
		return t, &Error{Offset: from + len(text) + 1, What: fmt.Sprintf("unknown unit %q", text+after[:1]+word), Hint: unitHint(word)}
	}
	if word, at, ok := c.alsoName(text); ok {
		return t, &Error{Offset: from + at, What: fmt.Sprintf("%q could be the unit or the name %s", text, word),
			Hint: "put spaces around the operator to calculate with the name, or rename it"}
	}
	unit.name = text
	t.unit, t.bare, t.to = unit, false, from+len(text)
	return t, nil
}

// afterNumber hints at what was meant by a word behind a number that is no unit.
func (c *compiler) afterNumber(word string) string {
	if _, ok := c.scope[nameWord(word)]; ok {
		return "write * between a number and a name"
	}
	return unitHint(word)
}

// strayUnit gives the word that follows a unit behind an operator without a
// space, if it means nothing else: the sec of "5 m/sec".
func (c *compiler) strayUnit(after string) string {
	if after == "" || after[0] != '/' && after[0] != '*' {
		return ""
	}
	word := nameWord(after[1:])
	_, isName := c.scope[word]
	_, isFunction := functions[word]
	_, isWindow := windowed(word)
	if isName || isFunction || isWindow {
		return ""
	}
	return word
}

// alsoName finds a part of a compound unit, behind its first operator, that is
// a name in scope too: in "2 m/s" the s could be a signal.
func (c *compiler) alsoName(unit string) (word string, offset int, ok bool) {
	for i, r := range unit {
		if r != '/' && r != '*' {
			continue
		}
		word = nameWord(unit[i+1:])
		if _, ok = c.scope[word]; ok && word != "" {
			return word, i + 1, true
		}
	}
	return "", 0, false
}

// nameWord gives the name at the front of the text: letters, digits and
// underscores, not beginning with a digit, with at most one dot inside.
func nameWord(text string) string {
	length, dots := 0, 0
	for i, r := range text {
		switch {
		case unicode.IsLetter(r) || r == '_':
		case i > 0 && unicode.IsDigit(r) && text[i-1] != '.':
		case r == '.' && i > 0 && dots == 0 && startsName(text[i+1:]):
			dots++
		default:
			return text[:length]
		}
		length = i + utf8.RuneLen(r)
	}
	return text[:length]
}

func startsName(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return unicode.IsLetter(r) || r == '_'
}
