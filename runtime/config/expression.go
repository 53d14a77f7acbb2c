package config

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"dancer/dancer/expr"
	"dancer/reflex/program"
)

// words are the names that expressions read. One whose declaration is already
// reported is left alone.
type words struct {
	scope   expr.Scope
	world   *world
	windows *expr.Windows // nil: the expressions cannot look back in time
}

var word = regexp.MustCompile(`[A-Za-z_][A-Za-z0-9_]*`)

// touched says whether a source reads a name that is reported elsewhere.
func (w words) touched(source string) bool {
	if w.world.partial {
		return true
	}
	for _, name := range word.FindAllString(source, -1) {
		if w.world.broken[name] {
			return true
		}
	}
	return false
}

// expression compiles a quoted expression; key and what are for messages. The
// result is nil when anything is wrong with it.
func (r *reader) expression(n *node, key, what string, w words, want expr.Want) *program.Program {
	if n == nil || n.bad {
		return nil
	}
	if n.kind != kindScalar {
		r.faultf(n, fmt.Sprintf("write %s: \"...\" on one line, in quotes", key), "%s of %s is not an expression", key, what)
		return nil
	}
	hint := fmt.Sprintf("write %s: %q", key, n.text)
	switch {
	case n.split:
		r.faultf(n, hint, "expression is not quoted, so YAML splits it at the comma: %s", n.text)
		return nil
	case !n.quoted:
		r.faultf(n, hint, "expression is not quoted: %s", n.text)
	}
	if w.touched(n.text) {
		return nil
	}
	p, err := expr.CompileWindowed(n.text, w.scope, want, w.windows)
	if err != nil {
		r.compileFault(n, err)
		return nil
	}
	if !n.quoted {
		return nil
	}
	return p
}

func (r *reader) compileFault(n *node, err error) {
	var e *expr.Error
	if !errors.As(err, &e) {
		r.fault(n, err.Error(), "")
		return
	}
	line, column := r.locate(n, e.Offset)
	r.at(line, column, e.What, e.Hint)
}

// unit gives a key's unit as it is written, "" for none, and reports one that
// does not exist.
func (k keys) unit(name string) string {
	text := k.text(name, "")
	if text == "" {
		return ""
	}
	_, err := expr.ParseUnit(text)
	if err == nil {
		return text
	}
	var e *expr.Error
	if errors.As(err, &e) {
		k.fault(name, e.Hint, "%s of %s: %s", name, k.what, e.What)
	} else {
		k.fault(name, "", "%s of %s: %v", name, k.what, err)
	}
	return text
}

// locate gives the place in the file of a byte of a decoded text: it walks the
// written text and the decoded one side by side, over escapes and folded lines.
func (r *reader) locate(n *node, offset int) (line, column int) {
	c := cursor{lines: r.lines, line: n.line - 1, column: n.column - 1}
	if c.line < 0 || c.line >= len(r.lines) {
		return n.line, n.column
	}
	c.begin()
	for at, decoded := range n.text {
		if at >= offset {
			break
		}
		if !c.advance(decoded) {
			return n.line, n.column
		}
	}
	c.settle()
	return c.line + 1, c.column + 1
}

// cursor is a place in the text of a file, in characters from 0.
type cursor struct {
	lines  []string
	line   int
	column int
	quote  rune // ", ' or 0
	block  bool
}

func (c *cursor) rest() []rune {
	if c.line >= len(c.lines) {
		return nil
	}
	text := []rune(c.lines[c.line])
	if c.column >= len(text) {
		return nil
	}
	return text[c.column:]
}

// begin steps over what stands before the first character of the text.
func (c *cursor) begin() {
	rest := c.rest()
	if len(rest) == 0 {
		return
	}
	switch rest[0] {
	case '"', '\'':
		c.quote = rest[0]
		c.column++
	case '|', '>':
		c.block = true
		c.nextLine()
	}
}

func (c *cursor) nextLine() {
	c.line++
	c.column = 0
	rest := c.rest()
	c.column = len(rest) - len([]rune(strings.TrimLeft(string(rest), " \t")))
}

// settle moves to the next line with text when a place is at a line's end.
func (c *cursor) settle() {
	if strings.TrimSpace(string(c.rest())) == "" && c.line+1 < len(c.lines) && (c.block || c.quote != 0) {
		c.nextLine()
	}
}

// advance steps over one decoded character; false when the text ends first.
func (c *cursor) advance(decoded rune) bool {
	rest := c.rest()
	if strings.TrimSpace(string(rest)) == "" && (decoded == ' ' || decoded == '\n') {
		if c.line+1 >= len(c.lines) {
			return false
		}
		c.nextLine()
		return true
	}
	if len(rest) == 0 {
		return false
	}
	c.column += escaped(rest, c.quote)
	return true
}

// escaped is how many written characters make the next decoded one.
func escaped(rest []rune, quote rune) int {
	switch {
	case quote == '\'' && len(rest) > 1 && rest[0] == '\'' && rest[1] == '\'':
		return 2
	case quote == '"' && len(rest) > 1 && rest[0] == '\\':
		switch rest[1] {
		case 'x':
			return 4
		case 'u':
			return 6
		case 'U':
			return 10
		}
		return 2
	}
	return 1
}
