package hal

import "strings"

// NewLinesFramer reads lines of text by a pattern: literal text with {name}
// where a number stands and {} where anything may stand, up to the literal text
// behind it. A blank in the pattern is one or more blanks in the line; blanks
// around the line do not count. The whole line must match: end the pattern with
// {} if more may follow. A field is one of the names.
//
//	dist={range} cm
//	T {temperature} H {humidity} {}
//
// A number that opens the pattern is not used from the first line of the
// stream, of which the beginning may be missing.
func NewLinesFramer(fields []string, pattern string) (Framer, error) {
	p := &linesParser{}
	if err := p.compile(strings.Trim(pattern, " \t"), fields); err != nil {
		return nil, err
	}
	for _, f := range fields {
		if !strings.Contains(pattern, "{"+f+"}") || f == "" {
			return nil, framingError("lines field %q is not in the pattern %q: write {%s} where its number stands", f, pattern, f)
		}
	}
	return newLineFramer(p, len(fields)), nil
}

// lineStep is literal text, then a number or anything or, at the end, nothing.
type lineStep struct {
	literal string
	kind    stepKind
	fields  []int // wanted fields that take the number
}

type stepKind uint8

const (
	stepEnd      stepKind = iota // the line ends here
	stepNumber                   // {name}
	stepAnything                 // {}
)

type linesParser struct{ steps []lineStep }

// compile cuts the pattern at its braces.
func (p *linesParser) compile(pattern string, fields []string) error {
	rest := pattern
	for {
		open := strings.IndexByte(rest, '{')
		if open < 0 {
			break
		}
		end := strings.IndexByte(rest[open:], '}')
		if end < 0 {
			return framingError("lines pattern %q has { without }", pattern)
		}
		step := lineStep{literal: rest[:open], kind: stepNumber}
		name := rest[open+1 : open+end]
		if name == "" {
			step.kind = stepAnything
		}
		for i, f := range fields {
			if f == name && name != "" {
				step.fields = append(step.fields, i)
			}
		}
		if step.literal == "" && len(p.steps) > 0 {
			return framingError("lines pattern %q has nothing between two pairs of braces", pattern)
		}
		p.steps = append(p.steps, step)
		rest = rest[open+end+1:]
	}
	if strings.IndexByte(rest, '}') >= 0 || len(p.steps) == 0 {
		return framingError("lines pattern %q needs {name} where a number stands, such as dist={range}", pattern)
	}
	p.steps = append(p.steps, lineStep{literal: rest})
	return nil
}

func (p *linesParser) parse(line []byte, cut bool, out *fields) verdict {
	line = trimBlanks(line)
	if len(line) == 0 {
		return skipped
	}
	if !printable(line) {
		return rejected
	}
	at := 0
	for i := range p.steps {
		s := &p.steps[i]
		n, ok := matchLiteral(line[at:], s.literal)
		if !ok {
			return rejected
		}
		at += n
		switch s.kind {
		case stepEnd:
			if at != len(line) {
				return rejected
			}
		case stepNumber:
			token := numberToken(line[at:])
			if token == 0 {
				return rejected
			}
			for _, f := range s.fields {
				if !cut || at > 0 {
					out.put(f, numberOrNaN(line[at:at+token]))
				}
			}
			at += token
		case stepAnything:
			at += p.anything(line[at:], p.steps[i+1].literal)
		}
	}
	return accepted
}

// matchLiteral matches at the start and gives the length of the match.
func matchLiteral(line []byte, literal string) (n int, ok bool) {
	for i := 0; i < len(literal); i++ {
		if !isBlank(literal[i]) {
			if n == len(line) || line[n] != literal[i] {
				return 0, false
			}
			n++
			continue
		}
		if n > 0 && isBlank(line[n-1]) {
			continue // a run of blanks in the pattern
		}
		if n == len(line) || !isBlank(line[n]) {
			return 0, false
		}
		for n < len(line) && isBlank(line[n]) {
			n++
		}
	}
	return n, true
}

// numberToken is the length of the number at the start, or of a word that says
// that there is none ("nan", "inf", "--"), which reads as NaN.
func numberToken(line []byte) int {
	if n := decimalPrefix(line); n > 0 {
		return n
	}
	for _, word := range [...]string{"nan", "inf", "-inf", "+inf", "--"} {
		if len(line) >= len(word) && equalFoldASCII(line[:len(word)], word) {
			return len(word)
		}
	}
	return 0
}

// anything gives the length of the text before the first match of the literal
// behind it, or of the whole rest.
func (p *linesParser) anything(line []byte, literal string) int {
	if literal == "" {
		return len(line)
	}
	for n := range line {
		if _, ok := matchLiteral(line[n:], literal); ok {
			return n
		}
	}
	return len(line)
}
