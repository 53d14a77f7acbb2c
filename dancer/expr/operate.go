package expr

import (
	"fmt"
	"math/big"
	"strings"

	"dancer/reflex/program"
)

// operate applies a binary operator.
func (c *compiler) operate(operator token, left, right operand) (operand, *Error) {
	switch operator.text {
	case "&&", "||":
		return c.logic(operator, left, right)
	case "*", "/":
		return c.scale(operator, left, right)
	case "==", "!=":
		if left.boolean && right.boolean {
			return c.compare(operator.text, left, right), nil
		}
	}
	left, right, err := c.agree(operator.text, left, right)
	if err != nil {
		return operand{}, err
	}
	switch operator.text {
	case "+":
		return c.sum(program.Add, left, right)
	case "-":
		return c.sum(program.Subtract, left, right)
	}
	return c.compare(operator.text, left, right), nil
}

func (c *compiler) logic(operator token, left, right operand) (operand, *Error) {
	for _, x := range []operand{left, right} {
		if !x.boolean {
			return operand{}, &Error{Offset: x.from, What: fmt.Sprintf("%s joins conditions, this is %s", operator.text, describe(x)), Hint: "compare it with something: <, >, =="}
		}
	}
	operation := program.And
	if operator.text == "||" {
		operation = program.Or
	}
	return operand{value: c.builder.Binary(operation, left.value, right.value), boolean: true, from: left.from, to: right.to}, nil
}

func (c *compiler) sum(operation program.Operation, left, right operand) (operand, *Error) {
	return c.checked(operand{
		value: c.builder.Binary(operation, left.value, right.value),
		unit:  left.unit, bare: left.bare && right.bare, from: left.from, to: right.to,
	})
}

// compare emits a comparison of two operands in the same unit.
func (c *compiler) compare(operator string, left, right operand) operand {
	operation, x, y := program.Less, left.value, right.value
	switch operator {
	case ">":
		x, y = y, x
	case "<=":
		operation = program.LessOrEqual
	case ">=":
		operation, x, y = program.LessOrEqual, y, x
	case "==", "!=":
		operation = program.Equal
	}
	value := c.builder.Binary(operation, x, y)
	if operator == "!=" {
		value = c.builder.Unary(program.Not, value)
	}
	return operand{value: value, boolean: true, from: left.from, to: right.to}
}

// scale multiplies or divides. A result without a dimension has scale 1.
func (c *compiler) scale(operator token, left, right operand) (operand, *Error) {
	if err := c.quantities(left, right); err != nil {
		return operand{}, err
	}
	operation, direction := program.Multiply, int8(1)
	if operator.text == "/" {
		operation, direction = program.Divide, -1
		if k, ok := c.builder.ConstantOf(right.value); ok && k == 0 {
			return operand{}, &Error{Offset: right.from, What: "division by zero", Hint: "divide by something else than 0"}
		}
	}
	unit, ok := left.unit.combine(right.unit, direction)
	if !ok {
		return operand{}, &Error{Offset: operator.from, What: "the unit of the result is out of all proportion", Hint: "divide by a reference value first"}
	}
	x, err := c.checked(operand{
		value: c.builder.Binary(operation, left.value, right.value),
		unit:  unit, bare: left.bare && right.bare, from: left.from, to: right.to,
	})
	if err == nil && unit.Dimensionless() {
		return c.convert(x, Unit{})
	}
	return x, err
}

func (c *compiler) negative(x operand) (operand, *Error) {
	if err := c.quantities(x); err != nil {
		return operand{}, err
	}
	x.value = c.builder.Unary(program.Negate, x.value)
	if x.exact != nil {
		x.exact = new(big.Rat).Neg(x.exact)
	}
	return x, nil
}

func (c *compiler) not(x operand) (operand, *Error) {
	if !x.boolean {
		return operand{}, &Error{Offset: x.from, What: "! negates a condition, this is " + describe(x), Hint: "compare it with something, or write -"}
	}
	x.value = c.builder.Unary(program.Not, x.value)
	return x, nil
}

// choice emits condition ? yes : no.
func (c *compiler) choice(condition, yes, no operand) (operand, *Error) {
	if !condition.boolean {
		return operand{}, &Error{Offset: condition.from, What: "? needs a condition before it, this is " + describe(condition), Hint: "compare it with something: <, >, =="}
	}
	if yes.boolean != no.boolean {
		return operand{}, &Error{Offset: no.from, What: fmt.Sprintf("one branch of ? : is %s, the other %s", describe(yes), describe(no)), Hint: "make both of one kind"}
	}
	if !yes.boolean {
		var err *Error
		if yes, no, err = c.agree(":", yes, no); err != nil {
			return operand{}, err
		}
	}
	return operand{
		value: c.builder.Select(condition.value, yes.value, no.value),
		unit:  yes.unit, boolean: yes.boolean, bare: yes.bare && no.bare, from: condition.from, to: no.to,
	}, nil
}

// quantities refuses conditions where numbers are needed.
func (c *compiler) quantities(list ...operand) *Error {
	for _, x := range list {
		if x.boolean {
			return &Error{Offset: x.from, What: fmt.Sprintf("%s is a condition, no number", c.text(x)), Hint: "write (" + c.text(x) + " ? 1 : 0)"}
		}
	}
	return nil
}

// agree brings two quantities to one unit, that of the left one unless only the
// left one is a constant: so signals stay as they are.
func (c *compiler) agree(operator string, left, right operand) (l, r operand, err *Error) {
	if err := c.quantities(left, right); err != nil {
		return l, r, err
	}
	switch {
	case c.isZero(left):
		left.unit, left.bare = right.unit, right.bare
		return left, right, nil
	case c.isZero(right):
		right.unit, right.bare = left.unit, left.bare
		return left, right, nil
	case right.bare && !left.bare && left.unit.unlike():
		return l, r, c.lacksUnit(right, left.unit)
	case left.bare && !right.bare && right.unit.unlike():
		return l, r, c.lacksUnit(left, right.unit)
	case !left.unit.Fits(right.unit):
		return l, r, c.mismatch(operator, left, right)
	}
	if _, constant := c.builder.ConstantOf(left.value); constant {
		if _, both := c.builder.ConstantOf(right.value); !both {
			left, err = c.convert(left, right.unit)
			return left, right, err
		}
	}
	right, err = c.convert(right, left.unit)
	return left, right, err
}

// lacksUnit explains a bare number beside a quantity that has a unit.
func (c *compiler) lacksUnit(x operand, unit Unit) *Error {
	return &Error{Offset: x.from, What: fmt.Sprintf("%s has no unit beside a quantity in %s", c.text(x), unit), Hint: "write " + c.withUnit(x, unit)}
}

// mismatch explains two quantities of different dimensions.
func (c *compiler) mismatch(operator string, left, right operand) *Error {
	verb := "compare %s with %s"
	switch operator {
	case "+":
		verb = "add %[2]s to %[1]s"
	case "-":
		verb = "subtract %[2]s from %[1]s"
	case ":":
		verb = "choose between %s and %s"
	}
	verb = fmt.Sprintf(verb, describe(left), describe(right))
	hint := c.fittingFactor(left.unit, right)
	if temperatures(left.unit, right.unit) {
		hint = "an offset of 273.15 lies between K and °C: write it in " + left.unit.String()
	}
	return &Error{Offset: right.from, What: "cannot " + verb, Hint: hint}
}

// temperatures says whether one unit is a temperature in K and the other in °C.
func temperatures(a, b Unit) bool {
	k, c := unitTable["K"], unitTable["°C"]
	return a.Fits(k) && b.Fits(c) || a.Fits(c) && b.Fits(k)
}

// fittingFactor names the factor that brings x to a unit, by a constant in scope
// if there is one.
func (c *compiler) fittingFactor(unit Unit, x operand) string {
	factor, ok := unit.coherent().combine(x.unit.coherent(), -1)
	if !ok {
		return ""
	}
	if inverse, _ := (Unit{}).combine(factor, -1); factor.factors(1) == "" && factor.factors(-1) != "" {
		return fmt.Sprintf("divide %s by %s", c.text(x), c.quantityIn(inverse))
	}
	return fmt.Sprintf("multiply %s by %s", c.text(x), c.quantityIn(factor))
}

// quantityIn names a constant in scope that has the unit's dimension, or else
// the unit.
func (c *compiler) quantityIn(unit Unit) string {
	for _, n := range c.names() {
		if s := c.scope[n]; s.Constant && !s.Boolean && s.Unit.Fits(unit) {
			return n
		}
	}
	return "a quantity in " + unit.String()
}

func joined(names []string) string { return strings.Join(names, ", ") }
