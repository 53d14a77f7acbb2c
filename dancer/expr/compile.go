package expr

import (
	"fmt"
	"math/big"
	"slices"

	"dancer/reflex/program"
)

// maximumLength bounds the source text of one expression, in bytes.
const maximumLength = 4096

// Symbol is what a name stands for.
type Symbol struct {
	Slot     int     // where its value is at run time; not used for a constant
	Unit     Unit    // of the value in the slot, or of Value
	Boolean  bool    // a truth value: true where the slot is above 0
	Constant bool    // always Value
	Value    float64 // of a constant, in Unit; a constant truth value is true if not 0

	Commanded  bool // an output: it has values, and no readings that a rate could be taken of
	Unmeasured bool // it has no history: no window can look back at it
}

// Scope maps the names that an expression may use. A name consists of letters,
// digits and underscores, with at most one dot inside ("d.range").
type Scope map[string]Symbol

// Want says what the expression must give. The zero value asks for a plain
// number.
type Want struct {
	Boolean bool // a truth value; the unit is ignored
	Unit    Unit // the unit of the result: the compiler converts to its scale
	AnyUnit bool // any quantity, in base units (m, not cm)
}

// Compile compiles an expression. The error is an [*Error], which says where in
// the source the fault is.
func Compile(source string, scope Scope, want Want) (*program.Program, error) {
	return CompileWindowed(source, scope, want, nil)
}

// compiler parses and emits in one pass: every parsed part is an operand of the
// program under construction.
type compiler struct {
	source  string
	scope   Scope
	builder program.Builder
	windows *Windows // nil: the expression cannot look back
	token   token    // the one to be parsed next
	depth   int
}

// operand is a part of the expression that has been compiled.
type operand struct {
	value    program.Value
	unit     Unit
	boolean  bool
	bare     bool     // a constant written without any unit
	exact    *big.Rat // of a literal, so that a change of scale rounds once
	from, to int      // its place in the source
}

func (c *compiler) compile(want Want) (*program.Program, *Error) {
	if len(c.source) > maximumLength {
		return nil, &Error{Offset: maximumLength, What: "expression is too long", Hint: fmt.Sprintf("at most %d bytes", maximumLength)}
	}
	if err := c.advance(); err != nil {
		return nil, err
	}
	if c.token.kind == end {
		return nil, &Error{What: "expression is empty", Hint: "write a condition or a quantity, in quotation marks"}
	}
	x, err := c.expression()
	if err != nil {
		return nil, err
	}
	if c.token.kind != end {
		return nil, c.trailing()
	}
	if x, err = c.deliver(x, want); err != nil {
		return nil, err
	}
	p, fault := c.builder.Program(c.source, x.value)
	if fault != nil {
		return nil, &Error{What: fault.Error(), Hint: "split it into several"}
	}
	return p, nil
}

// trailing explains text behind a complete expression.
func (c *compiler) trailing() *Error {
	err := &Error{Offset: c.token.from, What: "operator expected, found " + c.found(), Hint: "write an operator before it, or remove it"}
	switch c.token.text {
	case "and":
		err.Hint = "write &&"
	case "or":
		err.Hint = "write ||"
	case ")":
		err.What, err.Hint = "unexpected )", "there is no ( that it closes"
	}
	return err
}

// deliver converts the result to what is wanted.
func (c *compiler) deliver(x operand, want Want) (operand, *Error) {
	switch {
	case want.Boolean && !x.boolean:
		return x, &Error{Offset: x.from, What: "a condition is needed, this is " + describe(x), Hint: "compare it with something: <, >, =="}
	case want.Boolean:
		return x, nil
	case x.boolean:
		return x, &Error{Offset: x.from, What: "a quantity is needed, this is a condition", Hint: "write (condition ? 1 : 0)"}
	case want.AnyUnit:
		return c.convert(x, x.unit.coherent())
	case c.isZero(x):
		return x, nil
	case x.bare && want.Unit.unlike():
		return x, &Error{Offset: x.from, What: "the result needs a unit: " + want.Unit.String(), Hint: "write " + c.withUnit(x, want.Unit)}
	case !x.unit.Fits(want.Unit):
		return x, &Error{Offset: x.from, What: fmt.Sprintf("the result is %s and not %s", describe(x), describe(operand{unit: want.Unit})),
			Hint: c.fittingFactor(want.Unit, x)}
	}
	return c.convert(x, want.Unit)
}

// unlike says whether a bare number must not stand for a quantity in the unit.
func (u Unit) unlike() bool { return !u.Dimensionless() || u.Scale() != 1 }

// describe names a kind of operand for a message.
func describe(x operand) string {
	switch {
	case x.boolean:
		return "a condition"
	case x.unit.unlike():
		return "a quantity in " + x.unit.String()
	}
	return "a plain number"
}

// withUnit writes a number with the unit that it lacks.
func (c *compiler) withUnit(x operand, unit Unit) string {
	text := c.source[x.from:x.to]
	if x.exact != nil {
		return text + " " + unit.String()
	}
	return text + " * 1 " + unit.String()
}

// isZero says whether the operand is the constant 0 without a unit, which fits
// every unit.
func (c *compiler) isZero(x operand) bool {
	k, ok := c.builder.ConstantOf(x.value)
	return ok && k == 0 && x.bare
}

// convert changes the scale of an operand to that of a unit that fits.
func (c *compiler) convert(x operand, to Unit) (operand, *Error) {
	multiply, divide := x.unit.factor(to)
	switch {
	case multiply == 1 && divide == 1:
	case x.exact != nil:
		f, _ := new(big.Rat).Mul(x.exact, x.unit.ratio(to)).Float64()
		x.value = c.builder.Constant(f)
	case divide != 1:
		x.value = c.builder.Binary(program.Divide, x.value, c.builder.Constant(divide))
	default:
		x.value = c.builder.Binary(program.Multiply, x.value, c.builder.Constant(multiply))
	}
	x.unit, x.exact = to, nil
	return c.checked(x)
}

// checked refuses a constant that is no number, such as log(0).
func (c *compiler) checked(x operand) (operand, *Error) {
	if k, ok := c.builder.ConstantOf(x.value); ok && k-k != 0 {
		return x, &Error{Offset: x.from, What: fmt.Sprintf("%s has no value", c.text(x)), Hint: "it is infinite or not a number"}
	}
	return x, nil
}

// literal makes an operand of a number in the source.
func (c *compiler) literal(t token) operand {
	f, _ := t.value.Float64()
	return operand{value: c.builder.Constant(f), unit: t.unit, bare: t.bare, exact: t.value, from: t.from, to: t.to}
}

// name makes an operand of a name in the source.
func (c *compiler) name(t token) (operand, *Error) {
	x := operand{from: t.from, to: t.to}
	s, known := c.scope[t.text]
	switch {
	case known && s.Constant && s.Boolean:
		x.value, x.boolean = c.truth(s.Value != 0), true
	case known && s.Constant:
		x.value, x.unit = c.builder.Constant(s.Value), s.Unit
		return c.checked(x)
	case known && s.Slot < 0:
		return x, &Error{Offset: t.from, What: t.text + " has no value here", Hint: "use another name"}
	case known && s.Boolean:
		x.value, x.boolean = c.builder.Binary(program.Less, c.builder.Constant(0), c.builder.Slot(s.Slot)), true
	case known:
		x.value, x.unit = c.builder.Slot(s.Slot), s.Unit
	case t.text == "true" || t.text == "false":
		x.value, x.boolean = c.truth(t.text == "true"), true
	default:
		return x, c.unknownName(t)
	}
	return x, nil
}

func (c *compiler) truth(is bool) program.Value {
	if is {
		return c.builder.Constant(1)
	}
	return c.builder.Constant(0)
}

// unknownName explains a name that means nothing here.
func (c *compiler) unknownName(t token) *Error {
	err := &Error{Offset: t.from, What: "unknown name " + t.text, Hint: "write the name of a signal or an output"}
	_, isUnit := unitTable[t.text]
	f, isFunction := functions[t.text]
	if !isFunction {
		f, isFunction = windowed(t.text)
	}
	switch {
	case isFunction:
		err.What, err.Hint = t.text+" is a function", "write "+f.usage
	case t.text == "not":
		err.Hint = "write ! for not"
	default:
		names := c.names()
		if n, ok := nearest(t.text, names); ok {
			err.Hint = "did you mean " + n + "?"
		} else if isUnit {
			err.Hint = "a unit stands behind a number: 1 " + t.text
		} else if len(names) > 0 && len(names) <= 12 {
			err.Hint = "known names: " + joined(names)
		}
	}
	return err
}

// names gives all names in scope, sorted.
func (c *compiler) names() []string {
	names := make([]string, 0, len(c.scope))
	for n := range c.scope {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
