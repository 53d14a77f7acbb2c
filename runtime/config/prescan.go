package config

import (
	"fmt"
	"regexp"
	"strings"
)

// place is a line and a column, both 1-based.
type place struct{ line, column int }

// maxDepth bounds the nesting of brackets and dashes, because the parser behind
// it recurses. Our own files nest four deep.
const maxDepth = 64

// prescan looks at the text before the YAML parser does, for two things that the
// parser cannot report well. A value that starts with ! (an unquoted expression
// such as !bumper) is reported and blanked, so that the rest of the file is
// still read. Nesting that no file of ours has is refused: the result is nil.
func (r *reader) prescan(data []byte) []byte {
	s := scanner{r: r, text: []rune(strings.ReplaceAll(string(data), "\r\n", "\n")), line: 1, column: 1, start: true, fresh: true}
	for s.i < len(s.text) {
		s.step()
		if s.depth > maxDepth || s.dashes > maxDepth {
			r.at(s.line, s.column, "brackets are nested too deep", fmt.Sprintf("at most %d levels are read", maxDepth))
			return nil
		}
	}
	return []byte(string(s.text))
}

// scanner walks YAML text just closely enough to know what is quoted.
type scanner struct {
	r      *reader
	text   []rune
	i      int
	line   int
	column int
	depth  int  // of flow brackets
	dashes int  // list markers at the start of this line
	start  bool // a value can start here
	fresh  bool // only indentation and list markers so far in this line
	indent int  // of this line
}

func (s *scanner) peek(n int) rune {
	if s.i+n < len(s.text) {
		return s.text[s.i+n]
	}
	return '\n'
}

func (s *scanner) move() {
	if s.text[s.i] == '\n' {
		s.line, s.column, s.dashes, s.indent = s.line+1, 0, 0, 0
		s.start, s.fresh = true, true
	}
	s.i++
	s.column++
}

func blank(c rune) bool { return c == ' ' || c == '\t' || c == '\n' }

// step consumes one character or one quoted text.
func (s *scanner) step() {
	c := s.text[s.i]
	switch {
	case c == '\n':
		s.move()
	case c == ' ' || c == '\t':
		if s.fresh {
			s.indent++
		}
		s.move()
	case c == '#' && (s.i == 0 || blank(s.text[s.i-1])):
		s.skipLine()
	case s.start && (c == '"' || c == '\''):
		s.skipQuoted(c)
	case s.start && c == '!':
		s.tag()
	case s.start && (c == '|' || c == '>') && s.depth == 0:
		s.skipBlock()
	default:
		s.indicator(c)
	}
}

// indicator handles what opens or closes a value.
func (s *scanner) indicator(c rune) {
	next := blank(s.peek(1))
	switch {
	case (c == '[' || c == '{') && (s.start || s.depth > 0):
		s.depth++
		s.start = true
	case (c == ']' || c == '}') && s.depth > 0:
		s.depth--
		s.start = false
	case c == ',' && s.depth > 0:
		s.start = true
	case (c == '-' || c == '?') && s.start && next:
		s.dashes++
	case c == ':' && next:
		s.start = true
	default:
		s.start, s.fresh = false, false
	}
	if c != '-' {
		s.fresh = false
	}
	s.move()
}

func (s *scanner) skipLine() {
	for s.i < len(s.text) && s.text[s.i] != '\n' {
		s.move()
	}
}

func (s *scanner) skipQuoted(quote rune) {
	s.move()
	for s.i < len(s.text) {
		c := s.text[s.i]
		s.move()
		if c == '\\' && quote == '"' && s.i < len(s.text) {
			s.move()
		} else if c == quote {
			break
		}
	}
	s.start, s.fresh = false, false
}

// skipBlock passes over a block scalar: the lines that are indented deeper than
// the one with its marker.
func (s *scanner) skipBlock() {
	base := s.indent
	s.skipLine()
	for s.i < len(s.text) {
		n := 1
		for s.peek(n) == ' ' {
			n++
		}
		if s.peek(n) != '\n' && n-1 <= base || s.i+n >= len(s.text) {
			return
		}
		s.move()
		s.skipLine()
	}
}

// tag reports a value that starts with ! and makes it harmless text of the same
// length, so that the places of everything after it stay right.
func (s *scanner) tag() {
	end := s.i
	for depth := 0; end < len(s.text) && s.text[end] != '\n'; end++ {
		c := s.text[end]
		if c == '(' {
			depth++
		} else if c == ')' {
			depth--
		} else if s.depth > 0 && depth <= 0 && (c == ',' || c == '}' || c == ']') {
			break
		} else if c == '#' && s.text[end-1] == ' ' {
			break
		}
	}
	for end > s.i+1 && blank(s.text[end-1]) {
		end--
	}
	value := string(s.text[s.i:end])
	s.r.at(s.line, s.column, "expression is not quoted, so YAML reads the ! as a tag: "+value, fmt.Sprintf("write %q", value))
	s.r.blanked[place{s.line, s.column}] = true
	for k := s.i; k < end; k++ {
		s.text[k] = 'x'
	}
	for s.i < end {
		s.move()
	}
	s.start, s.fresh = false, false
}

var plainValue = regexp.MustCompile(`(?:^|[{,\s])([A-Za-z_]+):\s+([^"'\[{|>#\s].*)$`)

// unquoted looks in a line that YAML could not read for a plain value that is
// meant as an expression: it has an operator or a call in it.
func (r *reader) unquoted(line int) (key, value string, column int, ok bool) {
	if line < 1 || line > len(r.lines) {
		return "", "", 0, false
	}
	text := r.lines[line-1]
	m := plainValue.FindStringSubmatchIndex(text)
	if m == nil {
		return "", "", 0, false
	}
	key, value = text[m[2]:m[3]], strings.TrimSpace(text[m[4]:m[5]])
	if !strings.ContainsAny(value, "?<>=&|!*/(") || strings.ContainsAny(value, "\"{}") {
		return "", "", 0, false
	}
	return key, value, len([]rune(text[:m[4]])) + 1, true
}
