package expr

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"dancer/reflex/program"
)

// Bounds of the windows of one set of expressions.
const (
	MaximumWindows      = 64
	MinimumWindowLength = 10 * time.Millisecond
	MaximumWindowLength = 10 * time.Minute
	DefaultRateLength   = 500 * time.Millisecond
)

// Window is one call of a function that looks back in time. Its result is a
// derived signal: the expression that calls it reads a slot, which the caller
// fills at run time.
type Window struct {
	Name     string           // the call in one way of writing it, such as "mean(smoke, 2s)"
	Function string           // rate, mean, lowest, highest, held or since
	Argument *program.Program // a quantity in its own unit, or of held and since a condition
	Length   time.Duration    // MinimumWindowLength to MaximumWindowLength; 0 for since
	Slot     int              // of the result
	Unit     Unit             // of the result: per second for rate, seconds for since
	Boolean  bool             // the result is a truth value: held
}

// Windows collects the windowed calls of several expressions. Calls that mean the
// same are one window. The zero value is ready.
type Windows struct {
	First int // slot of the first window; the others follow in the order of List
	list  []Window
}

// List gives the windows in the order of their slots. A window reads only
// windows before it.
func (w *Windows) List() []Window { return w.list }

// CompileWindowed is Compile for an expression that may look back in time: its
// windows are added to those of other expressions.
func CompileWindowed(source string, scope Scope, want Want, windows *Windows) (*program.Program, error) {
	c := &compiler{source: source, scope: scope, windows: windows}
	p, err := c.compile(want)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// windowed gives a function that looks back in time. It is no entry of the table
// of functions because it reads the source again, which asks that table.
func windowed(name string) (function, bool) {
	f := function{least: 2, most: 2, usage: name + "(x, 2s)"}
	switch name {
	case "rate":
		f.least = 1
	case "mean", "lowest", "highest":
	case "held":
		f.usage = "held(condition, 300ms)"
	case "since":
		f.least, f.most, f.usage = 1, 1, "since(condition)"
	default:
		return function{}, false
	}
	f.apply = func(c *compiler, arguments []operand) (operand, *Error) { return c.lookBack(name, arguments) }
	return f, true
}

// lookBack compiles one windowed call.
func (c *compiler) lookBack(name string, arguments []operand) (operand, *Error) {
	x, v := arguments[0], Window{Function: name}
	if c.windows == nil {
		return operand{}, &Error{Offset: x.from, What: name + " cannot be used here",
			Hint: "reflexes, model and impact of a manual can look back in time"}
	}
	err := c.windowArgument(&v, x)
	if err == nil {
		err = c.windowLength(&v, arguments)
	}
	if err == nil {
		err = c.addWindow(&v, x)
	}
	if err != nil {
		return operand{}, err
	}
	result := operand{value: c.builder.Slot(v.Slot), unit: v.Unit, boolean: v.Boolean}
	if v.Boolean {
		result.value = c.builder.Binary(program.Less, c.builder.Constant(0), result.value)
	}
	return result, nil
}

// windowArgument checks what is looked back at, and gives the window its unit.
func (c *compiler) windowArgument(v *Window, x operand) *Error {
	if condition := v.Function == "held" || v.Function == "since"; condition != x.boolean {
		if x.boolean {
			return c.quantities(x)
		}
		return &Error{Offset: x.from, What: fmt.Sprintf("%s looks back at a condition, this is %s", v.Function, describe(x)), Hint: "compare it with something: <, >, =="}
	}
	switch v.Function {
	case "mean", "lowest", "highest":
		v.Unit = x.unit
	case "held":
		v.Boolean = true
	case "since":
		v.Unit = unitTable["s"]
		v.Unit.name = "s"
	case "rate":
		unit, ok := x.unit.perSecond()
		if !ok {
			return &Error{Offset: x.from, What: "the unit of the result is out of all proportion", Hint: "divide by a reference value first"}
		}
		v.Unit = unit
	}
	return c.windowNames(v, x)
}

// perSecond gives the unit of a rate, under the name that people give it if it
// has one.
func (u Unit) perSecond() (Unit, bool) {
	rate, ok := u.combine(unitTable["s"], -1)
	for _, name := range []string{u.name + "^2", u.name + "/s"} { // m/s^2 of m/s, and m/s of m
		if named, err := ParseUnit(name); err == nil && ok && named.Fits(rate) && named.Scale() == rate.Scale() {
			return named, true
		}
	}
	return rate, ok
}

// windowNames checks the names that the argument reads, and gives the window its
// own.
func (c *compiler) windowNames(v *Window, x operand) *Error {
	text, measured := strings.Builder{}, false
	var before, last token
	for offset := x.from; offset < x.to; offset = last.to {
		t, err := c.scan(offset)
		if err != nil {
			return err
		}
		if s := c.scope[t.text]; t.kind == name && s.Unmeasured {
			return &Error{Offset: t.from, What: fmt.Sprintf("%s looks back at %s, which is never measured", v.Function, t.text), Hint: "look back at signals and outputs"}
		}
		text.WriteString(spaceBetween(before, last, t))
		text.WriteString(t.normal())
		measured = measured || c.measured(t)
		before, last = last, t
	}
	v.Name = text.String()
	if v.Function == "rate" && !measured {
		return &Error{Offset: x.from, What: "rate needs the readings of a signal, and this has none", Hint: "mean, lowest, highest, held and since look back at outputs too"}
	}
	return nil
}

// measured says whether a token stands for something with readings.
func (c *compiler) measured(t token) bool {
	s, known := c.scope[t.text]
	_, isWindow := windowed(t.text)
	return t.kind == name && (known && !s.Constant && !s.Commanded || !known && isWindow)
}

// normal gives a token in the one way of writing it.
func (t token) normal() string {
	switch {
	case t.kind != number || t.bare:
		return t.text
	case t.unit.Fits(unitTable["s"]):
		return t.text + t.unit.String() // as times are usually written
	}
	return t.text + " " + t.unit.String()
}

// spaceBetween gives the space between two tokens in the one way of writing
// them; before is the token in front of both.
func spaceBetween(before, last, next token) string {
	sign := last.among([]string{"-", "!"}) && (last.text == "!" || before.kind == end || before.kind == symbol && before.text != ")")
	switch {
	case last.kind == end, sign, last.among([]string{"("}), next.among([]string{")", ","}):
		return ""
	case last.kind == name && next.among([]string{"("}):
		return ""
	}
	return " "
}

// windowLength reads how far the call looks back.
func (c *compiler) windowLength(v *Window, arguments []operand) *Error {
	switch {
	case v.Function == "since":
		v.Name = "since(" + v.Name + ")"
		return nil
	case len(arguments) == 1:
		v.Length = DefaultRateLength
	default:
		d, err := c.fixedTime(v, arguments[1])
		if err != nil {
			return err
		}
		v.Length = d
	}
	v.Name = fmt.Sprintf("%s(%s, %s)", v.Function, v.Name, lengthText(v.Length))
	return nil
}

// fixedTime reads a constant time inside the bounds of a window.
func (c *compiler) fixedTime(v *Window, x operand) (time.Duration, *Error) {
	call, _ := windowed(v.Function)
	fault := &Error{Offset: x.from, Hint: "write a time, as in " + call.usage}
	k, constant := c.builder.ConstantOf(x.value)
	second := unitTable["s"]
	switch {
	case x.boolean || !constant:
		fault.What = fmt.Sprintf("the window of %s is not a fixed time", v.Function)
		return 0, fault
	case x.bare:
		fault.What = fmt.Sprintf("the window of %s has no unit", v.Function)
		if x.exact != nil {
			text := c.source[x.from:x.to]
			fault.Hint = fmt.Sprintf("write %sms or %ss", text, text)
		}
		return 0, fault
	case !x.unit.Fits(second):
		fault.What = fmt.Sprintf("the window of %s is %s, and no time", v.Function, describe(x))
		return 0, fault
	}
	seconds := x.unit.Convert(k, second)
	if !(seconds >= MinimumWindowLength.Seconds() && seconds <= MaximumWindowLength.Seconds()) {
		fault.What = fmt.Sprintf("the window of %s is out of range", v.Function)
		fault.Hint = fmt.Sprintf("give a time from %s to %s", lengthText(MinimumWindowLength), lengthText(MaximumWindowLength))
		return 0, fault
	}
	return time.Duration(math.Round(seconds * float64(time.Second))), nil
}

// lengthText writes a time as expressions read it.
func lengthText(d time.Duration) string {
	switch {
	case d%time.Minute == 0:
		return strconv.FormatInt(int64(d/time.Minute), 10) + "min"
	case d%time.Second == 0:
		return strconv.FormatInt(int64(d/time.Second), 10) + "s"
	}
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', -1, 64) + "ms"
}

// addWindow finds the window among those that are known, or adds it.
func (c *compiler) addWindow(v *Window, x operand) *Error {
	w := c.windows
	for i := range w.list {
		if w.list[i].Name == v.Name {
			*v = w.list[i]
			return nil
		}
	}
	if len(w.list) == MaximumWindows {
		return &Error{Offset: x.from, What: fmt.Sprintf("%s is one window too many: there are %d", v.Name, MaximumWindows), Hint: "calls that are the same share one window"}
	}
	p, fault := c.builder.Program(c.source[x.from:x.to], x.value)
	switch {
	case fault != nil:
		return &Error{Offset: x.from, What: fault.Error(), Hint: "split it into several"}
	case len(p.Reads()) == 0:
		return &Error{Offset: x.from, What: fmt.Sprintf("%s looks back at a constant", v.Function), Hint: "look back at signals and outputs"}
	}
	v.Argument, v.Slot = p, w.First+len(w.list)
	w.list = append(w.list, *v)
	return nil
}
