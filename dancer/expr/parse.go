package expr

import (
	"fmt"
	"strings"
)

// maximumDepth bounds the nesting of parentheses and prefix operators.
const maximumDepth = 100

// levels are the binary operators, from the loosest to the tightest.
var levels = [][]string{
	{"||"},
	{"&&"},
	{"==", "!="},
	{"<", "<=", ">", ">="},
	{"+", "-"},
	{"*", "/"},
}

// comparisons are the levels on which operators do not chain.
const firstComparison, lastComparison = 2, 3

// advance reads the next token into c.token.
func (c *compiler) advance() *Error {
	t, err := c.scan(c.token.to)
	if err == nil {
		c.token = t
	}
	return err
}

// accept moves past the symbol if it is next.
func (c *compiler) accept(text string) (bool, *Error) {
	if c.token.kind != symbol || c.token.text != text {
		return false, nil
	}
	return true, c.advance()
}

// expect moves past a symbol that must be next.
func (c *compiler) expect(text, where string) *Error {
	ok, err := c.accept(text)
	if err != nil || ok {
		return err
	}
	hint := "every ( needs its )"
	if text == ":" {
		hint = "write condition ? a : b"
	}
	return &Error{Offset: c.token.from, What: fmt.Sprintf("%s expected %s, found %s", text, where, c.found()), Hint: hint}
}

// found names the current token for a message.
func (c *compiler) found() string {
	if c.token.kind == end {
		return "the end"
	}
	return fmt.Sprintf("%q", c.source[c.token.from:c.token.to])
}

// expression parses a choice, or whatever binds tighter.
func (c *compiler) expression() (operand, *Error) {
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maximumDepth {
		return operand{}, &Error{Offset: c.token.from, What: "expression is nested too deeply", Hint: fmt.Sprintf("at most %d levels", maximumDepth)}
	}
	condition, err := c.binary(0)
	if err != nil {
		return operand{}, err
	}
	if ok, err := c.accept("?"); err != nil || !ok {
		return condition, err
	}
	yes, err := c.expression()
	if err != nil {
		return operand{}, err
	}
	if err := c.expect(":", "after the first branch of ?"); err != nil {
		return operand{}, err
	}
	no, err := c.expression()
	if err != nil {
		return operand{}, err
	}
	return c.choice(condition, yes, no)
}

// binary parses the operators of one level, from left to right.
func (c *compiler) binary(level int) (operand, *Error) {
	if level == len(levels) {
		return c.prefix()
	}
	left, err := c.binary(level + 1)
	for n := 0; err == nil; n++ {
		operator := c.token
		if !operator.among(levels[level]) {
			return left, nil
		}
		if n > 0 && level >= firstComparison && level <= lastComparison {
			return operand{}, &Error{Offset: operator.from, What: "comparisons do not chain", Hint: "write a < b && b < c"}
		}
		if err := c.advance(); err != nil {
			return operand{}, err
		}
		right, err := c.binary(level + 1)
		if err != nil {
			return operand{}, err
		}
		if left, err = c.operate(operator, left, right); err != nil {
			return operand{}, err
		}
	}
	return left, err
}

func (t token) among(texts []string) bool {
	if t.kind != symbol {
		return false
	}
	for _, s := range texts {
		if t.text == s {
			return true
		}
	}
	return false
}

// prefix parses ! and unary minus.
func (c *compiler) prefix() (operand, *Error) {
	operator := c.token
	if !operator.among([]string{"!", "-"}) {
		return c.primary()
	}
	c.depth++
	defer func() { c.depth-- }()
	if c.depth > maximumDepth {
		return operand{}, &Error{Offset: operator.from, What: "expression is nested too deeply", Hint: fmt.Sprintf("at most %d levels", maximumDepth)}
	}
	if err := c.advance(); err != nil {
		return operand{}, err
	}
	x, err := c.prefix()
	if err != nil {
		return operand{}, err
	}
	if operator.text == "!" {
		x, err = c.not(x)
	} else {
		x, err = c.negative(x)
	}
	x.from = operator.from
	return x, err
}

// primary parses a number, a name, a call or a parenthesis.
func (c *compiler) primary() (operand, *Error) {
	t := c.token
	switch {
	case t.kind == number:
		return c.literal(t), c.advance()
	case t.kind == name:
		if err := c.advance(); err != nil {
			return operand{}, err
		}
		if ok, err := c.accept("("); err != nil || ok {
			return c.call(t, err)
		}
		return c.name(t)
	case t.kind == symbol && t.text == "(":
		return c.parenthesis()
	}
	return operand{}, &Error{Offset: t.from, What: "a number or a name expected, found " + c.found(), Hint: "write what it is applied to, or remove the operator"}
}

func (c *compiler) parenthesis() (operand, *Error) {
	from := c.token.from
	if err := c.advance(); err != nil {
		return operand{}, err
	}
	x, err := c.expression()
	if err != nil {
		return operand{}, err
	}
	to := c.token.to
	err = c.expect(")", "to close the parenthesis")
	x.from, x.to = from, to
	return x, err
}

// call parses the arguments behind "name(" and applies the function.
func (c *compiler) call(t token, err *Error) (operand, *Error) {
	if err != nil {
		return operand{}, err
	}
	f, err := c.function(t)
	if err != nil {
		return operand{}, err
	}
	var arguments []operand
	for more := true; more; {
		x, err := c.expression()
		if err != nil {
			return operand{}, err
		}
		arguments = append(arguments, x)
		if more, err = c.accept(","); err != nil {
			return operand{}, err
		}
	}
	to := c.token.to
	if err := c.expect(")", "after the arguments of "+t.text); err != nil {
		return operand{}, err
	}
	if n := len(arguments); n < f.least || n > f.most {
		return operand{}, &Error{Offset: t.from, What: fmt.Sprintf("%s has %d arguments", t.text, n), Hint: "write " + f.usage}
	}
	x, err := f.apply(c, arguments)
	if err != nil {
		return operand{}, err
	}
	x.from, x.to = t.from, to
	return c.checked(x)
}

// text gives the source text of an operand, shortened for a message.
func (c *compiler) text(x operand) string {
	s := strings.TrimSpace(c.source[x.from:x.to])
	if len(s) > 40 {
		return "the right side"
	}
	return s
}
