package expr

import (
	"fmt"

	"dancer/reflex/program"
)

// models are the built-in models: formulas with a name, which expand to the
// operations of the language. They are exact where the physics is: a step of any
// length gives what two half steps give.
//
// The distances are those of Responsibility-Sensitive Safety (Shalev-Shwartz,
// Shammah, Shashua: On a Formal Model of Safe and Scalable Self-driving Cars,
// arXiv 1708.06374): how far apart two must be so that both can still stop when
// one of them does its worst.
var models = map[string]function{
	"stopping_distance": model("stopping_distance", stoppingDistance,
		speed("speed"), response, acceleration, braking("braking")),
	"safe_distance": model("safe_distance", safeDistance,
		speed("rear_speed"), parameter{"front_speed", "m/s", notNegative}, response, acceleration, braking("braking"), braking("front_braking")),
	"safe_distance_opposite": model("safe_distance_opposite", safeDistanceOpposite,
		speed("speed"), speed("other_speed"), response, acceleration, braking("braking"), braking("other_braking")),
	"safe_lateral_distance": model("safe_lateral_distance", safeLateralDistance,
		speed("left_speed"), speed("right_speed"), response, acceleration, braking("braking"), parameter{"margin", "m", notNegative}),
	"growth":   {3, 3, "growth(x, time_constant, dt)", growth},
	"logistic": {4, 4, "logistic(x, capacity, time_constant, dt)", logistic},
	"approach": {4, 4, "approach(x, target, time_constant, dt)", approach},
	"battery":  {4, 4, "battery(charge, power, capacity, dt)", battery},
}

// withModels adds the models to the functions of the language.
func withModels(table map[string]function) map[string]function {
	for name, f := range models {
		table[name] = f
	}
	return table
}

// parameter is one argument of a model.
type parameter struct {
	name  string
	unit  string // in whose dimension it must be
	least least
}

// least says how small an argument may be. A constant that is smaller is an
// error; any other value that is smaller makes the result invalid.
type least uint8

const (
	anySize     least = iota
	notNegative       // 0 or more
	positive          // more than 0
)

var (
	response     = parameter{"response", "s", notNegative}
	acceleration = parameter{"acceleration", "m/s^2", notNegative}
	timeConstant = parameter{"time_constant", "s", positive}
	timeStep     = parameter{"dt", "s", notNegative}
)

func speed(name string) parameter   { return parameter{name, "m/s", anySize} }
func braking(name string) parameter { return parameter{name, "m/s^2", positive} }

// model is a function whose parameters all have a fixed dimension, and whose
// result is a distance in m.
func model(name string, expand func(formula, []program.Value) program.Value, parameters ...parameter) function {
	usage := name + "("
	for i, p := range parameters {
		if i > 0 {
			usage += ", "
		}
		usage += p.name
	}
	apply := func(c *compiler, arguments []operand) (operand, *Error) {
		values := make([]program.Value, len(parameters))
		for i, p := range parameters {
			x, err := c.argument(name, arguments[i], p)
			if err != nil {
				return operand{}, err
			}
			values[i] = x.value
		}
		return operand{value: expand(formula{&c.builder}, values), unit: unitTable["m"]}, nil
	}
	return function{len(parameters), len(parameters), usage + ")", apply}
}

// argument checks an argument of a model and brings it to base units.
func (c *compiler) argument(function string, x operand, p parameter) (operand, *Error) {
	unit, _, _ := readUnit(p.unit, unitTable)
	unit.name = p.unit
	switch {
	case x.boolean:
		return x, c.quantities(x)
	case c.isZero(x):
		x.unit = unit
	case x.bare:
		return x, &Error{Offset: x.from, What: fmt.Sprintf("%s of %s needs a unit: %s", p.name, function, p.unit), Hint: "write " + c.withUnit(x, unit)}
	case !x.unit.Fits(unit):
		return x, &Error{Offset: x.from, What: fmt.Sprintf("%s of %s must be a quantity in %s, this is %s", p.name, function, p.unit, describe(x)),
			Hint: c.fittingFactor(unit, x)}
	}
	x, err := c.convert(x, unit.coherent())
	if err != nil {
		return x, err
	}
	return c.bounded(function, x, p)
}

// bounded holds an argument to its least size.
func (c *compiler) bounded(function string, x operand, p parameter) (operand, *Error) {
	if k, constant := c.builder.ConstantOf(x.value); constant {
		if p.least == notNegative && k < 0 {
			return x, &Error{Offset: x.from, What: p.name + " of " + function + " is below 0", Hint: "write " + p.name + " as an amount, 0 or more"}
		}
		if p.least == positive && !(k > 0) {
			return x, &Error{Offset: x.from, What: p.name + " of " + function + " is not above 0", Hint: "write " + p.name + " as an amount above 0"}
		}
		return x, nil
	}
	if p.least != anySize { // a divisor of 0 is invalid by itself
		x.value = formula{&c.builder}.amount(x.value)
	}
	return x, nil
}

// formula builds the operations of a model, all in base units.
type formula struct{ *program.Builder }

func (f formula) add(x, y program.Value) program.Value      { return f.Binary(program.Add, x, y) }
func (f formula) subtract(x, y program.Value) program.Value { return f.Binary(program.Subtract, x, y) }
func (f formula) multiply(x, y program.Value) program.Value { return f.Binary(program.Multiply, x, y) }
func (f formula) divide(x, y program.Value) program.Value   { return f.Binary(program.Divide, x, y) }
func (f formula) half(x program.Value) program.Value        { return f.multiply(x, f.Constant(0.5)) }
func (f formula) exp(x program.Value) program.Value         { return f.Unary(program.Exponential, x) }

// above0 is [x]+ of the paper: x, or 0 where it is below.
func (f formula) above0(x program.Value) program.Value {
	return f.Binary(program.Maximum, x, f.Constant(0))
}

// amount is x where it is 0 or more, and invalid elsewhere: the square root of
// what is below 0 has no value. (Intervals see that it is never below 0.)
func (f formula) amount(x program.Value) program.Value {
	return f.add(f.above0(x), f.multiply(f.Constant(0), f.Unary(program.SquareRoot, x)))
}

// braked is the way from a speed to a stand: v^2 / (2 b).
func (f formula) braked(v, b program.Value) program.Value {
	return f.divide(f.multiply(v, v), f.multiply(f.Constant(2), b))
}

// stopped is the way of something that accelerates for the whole response time
// and then brakes: v rho + a rho^2 / 2 + (v + rho a)^2 / (2 b).
func (f formula) stopped(v, rho, a, b program.Value) program.Value {
	gained := f.multiply(rho, a)
	responding := f.add(f.multiply(v, rho), f.half(f.multiply(gained, rho)))
	return f.add(responding, f.braked(f.add(v, gained), b))
}

// stoppingDistance takes the speed by its amount, forwards or backwards.
func stoppingDistance(f formula, x []program.Value) program.Value {
	return f.stopped(f.Unary(program.Absolute, x[0]), x[1], x[2], x[3])
}

// safeDistance is the paper's longitudinal distance in the same direction: both
// drive the same way, and the one in front brakes as hard as it can. The one behind counts as standing where it
// backs away. A front that comes nearer is another case (safe_distance_opposite):
// a front speed below 0 has no value here.
func safeDistance(f formula, x []program.Value) program.Value {
	rear, front := f.above0(x[0]), x[1]
	return f.above0(f.subtract(f.stopped(rear, x[2], x[3], x[4]), f.braked(front, x[5])))
}

// safeDistanceOpposite is the paper's longitudinal distance in opposite directions:
// they drive towards each other, each accelerates for the response time and then brakes. Speeds count by
// their amount.
func safeDistanceOpposite(f formula, x []program.Value) program.Value {
	one, other := f.Unary(program.Absolute, x[0]), f.Unary(program.Absolute, x[1])
	return f.add(f.stopped(one, x[2], x[3], x[4]), f.stopped(other, x[2], x[3], x[5]))
}

// safeLateralDistance is the paper's lateral distance. Speeds are positive to the
// right, so the left one nears at +v and the right one at -v. One that still
// draws away after the response gets no credit for it: it may stop at once.
func safeLateralDistance(f formula, x []program.Value) program.Value {
	left, right := f.sideways(x[0], x[2], x[3], x[4]), f.sideways(f.Unary(program.Negate, x[1]), x[2], x[3], x[4])
	return f.add(x[5], f.above0(f.add(left, right)))
}

// sideways is the way of one of them towards the other.
func (f formula) sideways(v, rho, a, b program.Value) program.Value {
	gained := f.multiply(rho, a)
	responding := f.add(f.multiply(v, rho), f.half(f.multiply(gained, rho)))
	return f.add(responding, f.braked(f.above0(f.add(v, gained)), b))
}

// times checks a time constant and a step, and gives their ratio.
func (c *compiler) times(function string, constant, step operand) (program.Value, *Error) {
	tau, err := c.argument(function, constant, timeConstant)
	if err != nil {
		return 0, err
	}
	dt, err := c.argument(function, step, timeStep)
	if err != nil {
		return 0, err
	}
	return formula{&c.builder}.divide(dt.value, tau.value), nil
}

// alike brings x, which a model moves, and the argument that must be of its kind
// to one unit.
func (c *compiler) alike(what string, x, other operand) (l, r operand, err *Error) {
	if err := c.quantities(x, other); err != nil {
		return l, r, err
	}
	if !x.unit.Fits(other.unit) && !c.isZero(x) && !c.isZero(other) && !x.bare && !other.bare {
		err := c.mismatch(",", x, other) // for its hint
		err.What = fmt.Sprintf("%s must be %s like x, this is %s", what, describe(x), describe(other))
		return l, r, err
	}
	return c.agree(",", x, other)
}

// growth is a hazard that feeds itself: x' = x / tau, so x exp(dt / tau).
func growth(c *compiler, arguments []operand) (operand, *Error) {
	x, f := arguments[0], formula{&c.builder}
	if err := c.quantities(x); err != nil {
		return operand{}, err
	}
	ratio, err := c.times("growth", arguments[1], arguments[2])
	if err != nil {
		return operand{}, err
	}
	x.value, x.exact = f.multiply(x.value, f.exp(ratio)), nil
	return x, nil
}

// logistic is growth with an end: x' = x (1 - x / k) / tau, so
// k x e / (k + x (e - 1)) with e = exp(dt / tau). A hazard below 0 counts as none.
func logistic(c *compiler, arguments []operand) (operand, *Error) {
	x, capacity, err := c.alike("capacity of logistic", arguments[0], arguments[1])
	if err != nil {
		return operand{}, err
	}
	if capacity, err = c.bounded("logistic", capacity, parameter{name: "capacity", least: positive}); err != nil {
		return operand{}, err
	}
	ratio, err := c.times("logistic", arguments[2], arguments[3])
	if err != nil {
		return operand{}, err
	}
	f := formula{&c.builder}
	e, now, k := f.exp(ratio), f.above0(x.value), capacity.value
	x.value, x.exact = f.divide(f.multiply(f.multiply(k, now), e), f.add(k, f.multiply(now, f.subtract(e, f.Constant(1))))), nil
	return x, nil
}

// approach is a first-order lag: x' = (target - x) / tau, so
// target + (x - target) exp(-dt / tau).
func approach(c *compiler, arguments []operand) (operand, *Error) {
	x, target, err := c.alike("target of approach", arguments[0], arguments[1])
	if err != nil {
		return operand{}, err
	}
	ratio, err := c.times("approach", arguments[2], arguments[3])
	if err != nil {
		return operand{}, err
	}
	f := formula{&c.builder}
	left := f.multiply(f.subtract(x.value, target.value), f.exp(f.Unary(program.Negate, ratio)))
	x.value, x.bare, x.exact = f.add(target.value, left), x.bare && target.bare, nil
	return x, nil
}

// battery is the state of charge after a step: charge - power dt / capacity,
// kept in 0-1. Power may be a current and capacity a charge (A and Ah); what
// loads the battery is a power below 0.
func battery(c *compiler, arguments []operand) (operand, *Error) {
	charge, err := c.ratio("charge of battery", arguments[0])
	if err != nil {
		return operand{}, err
	}
	dt, err := c.argument("battery", arguments[3], timeStep)
	if err != nil {
		return operand{}, err
	}
	power, capacity, err := c.load(arguments[1], arguments[2])
	if err != nil {
		return operand{}, err
	}
	f := formula{&c.builder}
	drawn := f.divide(f.multiply(power.value, dt.value), capacity.value)
	left := f.above0(f.subtract(charge.value, drawn))
	return operand{value: f.Binary(program.Minimum, left, f.Constant(1))}, nil
}

// ratio brings a plain number or a percentage to scale 1.
func (c *compiler) ratio(what string, x operand) (operand, *Error) {
	if err := c.quantities(x); err != nil {
		return x, err
	}
	if !x.unit.Dimensionless() {
		return x, &Error{Offset: x.from, What: what + " must be a share from 0 to 1 or in %, this is " + describe(x), Hint: "divide it by the capacity"}
	}
	return c.convert(x, Unit{})
}

// load checks that the capacity is what the power draws from: Wh for W, Ah for A.
func (c *compiler) load(power, capacity operand) (p, k operand, err *Error) {
	if err := c.quantities(power, capacity); err != nil {
		return p, k, err
	}
	zero := c.isZero(power)
	if watts, amperes := unitTable["W"], unitTable["A"]; !zero && !power.unit.Fits(watts) && !power.unit.Fits(amperes) {
		return p, k, &Error{Offset: power.from, What: "power of battery must be a quantity in W or A, this is " + describe(power), Hint: "write 30 W with a capacity in Wh, or 2 A with one in Ah"}
	}
	drawn := "Wh"
	if power.unit.Fits(unitTable["A"]) || zero && capacity.unit.Fits(unitTable["Ah"]) {
		drawn = "Ah"
	}
	if k, err = c.argument("battery", capacity, parameter{"capacity", drawn, positive}); err != nil {
		return p, k, err
	}
	p, err = c.convert(power, power.unit.coherent())
	return p, k, err
}
