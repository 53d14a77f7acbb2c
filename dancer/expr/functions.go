package expr

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"dancer/reflex/program"
)

// function is one function of the language.
type function struct {
	least, most int // number of arguments
	usage       string
	apply       func(c *compiler, arguments []operand) (operand, *Error)
}

// functions by name. The map is never written after initialisation.
var functions = withModels(map[string]function{
	"min":   {2, math.MaxInt, "min(a, b)", extreme(program.Minimum)},
	"max":   {2, math.MaxInt, "max(a, b)", extreme(program.Maximum)},
	"clamp": {3, 3, "clamp(x, low, high)", clamp},
	"abs":   {1, 1, "abs(x)", absolute},
	"sqrt":  {1, 1, "sqrt(x)", squareRoot},
	"exp":   {1, 1, "exp(x)", ofRatio("exp", program.Exponential)},
	"log":   {1, 1, "log(x)", ofRatio("log", program.Logarithm)},
})

// function finds the function that a token names.
func (c *compiler) function(t token) (function, *Error) {
	if f, ok := functions[t.text]; ok {
		return f, nil
	}
	if f, ok := windowed(t.text); ok {
		return f, nil
	}
	err := &Error{Offset: t.from, What: "unknown function " + t.text}
	names := functionNames()
	if _, ok := c.scope[t.text]; ok {
		err.What, err.Hint = t.text+" is no function", "write * to multiply"
	} else if n, ok := nearest(t.text, names); ok {
		err.Hint = "did you mean " + n + "?"
	} else {
		err.Hint = "known functions: " + joined(names)
	}
	return function{}, err
}

// functionNames gives the names of all functions, sorted.
func functionNames() []string {
	names := append(slices.Collect(maps.Keys(functions)), "rate", "mean", "lowest", "highest", "held", "since")
	slices.Sort(names)
	return names
}

// extreme is min or max of two or more quantities.
func extreme(operation program.Operation) func(*compiler, []operand) (operand, *Error) {
	return func(c *compiler, arguments []operand) (operand, *Error) {
		result := arguments[0]
		for _, x := range arguments[1:] {
			left, right, err := c.agree(",", result, x)
			if err != nil {
				return operand{}, err
			}
			if result, err = c.sum(operation, left, right); err != nil {
				return operand{}, err
			}
		}
		return result, nil
	}
}

// clamp is min(max(x, low), high).
func clamp(c *compiler, arguments []operand) (operand, *Error) {
	low, lowConstant := c.builder.ConstantOf(arguments[1].value)
	high, highConstant := c.builder.ConstantOf(arguments[2].value)
	if lowConstant && highConstant && low*arguments[1].unit.Scale() > high*arguments[2].unit.Scale() {
		return operand{}, &Error{Offset: arguments[1].from, What: "the low limit of clamp is above the high one", Hint: "write clamp(x, low, high)"}
	}
	x, err := extreme(program.Maximum)(c, arguments[:2])
	if err != nil {
		return operand{}, err
	}
	return extreme(program.Minimum)(c, []operand{x, arguments[2]})
}

func absolute(c *compiler, arguments []operand) (operand, *Error) {
	x := arguments[0]
	if err := c.quantities(x); err != nil {
		return operand{}, err
	}
	x.value, x.exact = c.builder.Unary(program.Absolute, x.value), nil
	return x, nil
}

func squareRoot(c *compiler, arguments []operand) (operand, *Error) {
	x := arguments[0]
	if err := c.quantities(x); err != nil {
		return operand{}, err
	}
	unit, ok := x.unit.root()
	if !ok {
		return operand{}, &Error{Offset: x.from, What: fmt.Sprintf("%s has no square root as a unit", x.unit), Hint: "the powers in it must be even, as in m^2"}
	}
	x, err := c.convert(x, x.unit.coherent())
	if err != nil {
		return operand{}, err
	}
	x.value, x.unit, x.exact = c.builder.Unary(program.SquareRoot, x.value), unit, nil
	return x, nil
}

// ofRatio is a function of a plain ratio.
func ofRatio(name string, operation program.Operation) func(*compiler, []operand) (operand, *Error) {
	return func(c *compiler, arguments []operand) (operand, *Error) {
		x := arguments[0]
		if err := c.quantities(x); err != nil {
			return operand{}, err
		}
		if !x.unit.Dimensionless() {
			return operand{}, &Error{Offset: x.from, What: fmt.Sprintf("%s needs a plain number, this is %s", name, describe(x)),
				Hint: fmt.Sprintf("divide it by a reference value: %s / 1 %s", c.text(x), x.unit)}
		}
		x, err := c.convert(x, Unit{})
		if err != nil {
			return operand{}, err
		}
		x.value, x.bare, x.exact = c.builder.Unary(operation, x.value), false, nil
		return x, nil
	}
}
