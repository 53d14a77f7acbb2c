package expr

import (
	"math"
	"strings"
	"testing"
)

func mustUnit(t testing.TB, text string) Unit {
	t.Helper()
	u, err := ParseUnit(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// museum is the scope of the design's example, with the values of values().
func museum(t testing.TB) Scope {
	t.Helper()
	return Scope{
		"range":        {Slot: 0, Unit: mustUnit(t, "m")},
		"smoke":        {Slot: 1, Unit: mustUnit(t, "ppm")},
		"people":       {Slot: 2},
		"bumper":       {Slot: 3, Boolean: true},
		"drive":        {Slot: 4},
		"extinguisher": {Slot: 5},
		"d.range":      {Slot: 6, Unit: mustUnit(t, "m")},
		"near":         {Slot: 7, Unit: mustUnit(t, "cm")},
		"battery":      {Slot: 8, Unit: mustUnit(t, "%")},
		"speed":        {Slot: 9, Unit: mustUnit(t, "m/s")},
		"heat":         {Slot: 10, Unit: mustUnit(t, "°C")},
		"sonar":        {Slot: 11},
		"broken":       {Slot: 12},
		"dt":           {Constant: true, Value: 0.1, Unit: mustUnit(t, "s")},
		"armed":        {Constant: true, Boolean: true, Value: 1},
	}
}

func values() []float64 {
	return []float64{0.25, 90, 2, 1, 0.5, 0, 0.01, 30, 40, 1.5, 21, 3, math.NaN()}
}

func TestCompileQuantities(t *testing.T) {
	tests := []struct {
		source, unit string
		want         float64
	}{
		{"1 + 2 * 3", "", 7},
		{"range - 1.2 m/s * drive * dt + d.range", "m", 0.25 - 1.2*0.5*0.1 + 0.01},
		{"10 - smoke / 60 ppm * min(people, 1) - (range < 0.20 m ? 6 : 0)", "", 8.5},
		{"smoke / 60 ppm", "", 1.5},
		{"smoke * (extinguisher > 0 ? 0.8 : 1.02)", "ppm", 90 * 1.02},
		{"range", "cm", 25},
		{"near", "m", 0.3},
		{"near + 5 cm", "cm", 35},
		{"range + near", "m", 0.55},
		{"29 cm", "m", 0.29},
		{"0.29 m", "cm", 29},
		{"300ms", "s", 0.3},
		{"36 km/h", "m/s", 10},
		{"speed * 2 s", "m", 3},
		{"speed / (2 m)", "Hz", 0.75},
		{"9.81 m/s^2", "m/s2", 9.81},
		{"9.81 m/s²", "m/s^2", 9.81},
		{"180 °", "rad", math.Pi},
		{"battery", "%", 40},
		{"battery * 1", "", 0.4},
		{"battery / 1 %", "", 40},
		{"10 - 5 * battery", "", 8},
		{"sqrt(range * range)", "m", 0.25},
		{"abs(-3)", "", 3},
		{"clamp(range, 0, 20 cm)", "m", 0.2},
		{"max(1, 2, 3)", "", 3},
		{"-range", "m", -0.25},
		{"bumper ? 0 : 0.3 m", "m", 0},
		{"armed ? 2 : 1", "", 2},
		{"1 / 2 s", "Hz", 0.5},
		{"6 / sonar", "", 2},
		{".5", "", 0.5},
		{"2e-3", "", 0.002},
		{"0", "m", 0},
		{"0e-999999", "", 0},
		{"12 V * 2 A", "W", 24},
	}
	for _, test := range tests {
		p, err := Compile(test.source, museum(t), Want{Unit: mustUnit(t, test.unit)})
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		got := p.Eval(values(), make([]float64, p.Registers()))
		if math.Abs(got-test.want) > 1e-12*math.Abs(test.want) {
			t.Errorf("%s = %v, want %v", test.source, got, test.want)
		}
	}
}

func TestCompileConditions(t *testing.T) {
	tests := []struct {
		source string
		want   float64
	}{
		{"range < 0.30 m && drive > 0", 1},
		{"range < 25 cm", 0},
		{"range <= 25 cm", 1},
		{"near == 0.30 m", 1},
		{"near != 0.30 m", 0},
		{"near < 0.31 m", 1},
		{"bumper", 1},
		{"!bumper", 0},
		{"bumper == armed", 1},
		{"bumper != true", 0},
		{"false || true", 1},
		{"battery < 50 %", 1},
		{"battery > 0", 1},
		{"heat > 20 °C", 1},
		{"drive < 60 %", 1},
		{"speed > 5 km/h", 1},
		{"bumper ? range > 1 m : true", 0},
		{"1 < 2 == true", 1},
		{"false && true || true", 1},
		{"true || true && false", 1},
		{"broken > 1", math.NaN()},
		{"broken > 1 || true", math.NaN()},
		{"false && broken > 1", math.NaN()},
	}
	for _, test := range tests {
		p, err := Compile(test.source, museum(t), Want{Boolean: true})
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		got := p.Eval(values(), make([]float64, p.Registers()))
		if got != test.want && !(got != got && test.want != test.want) {
			t.Errorf("%s = %v, want %v", test.source, got, test.want)
		}
	}
}

func TestCompileAnyUnitGivesBaseUnits(t *testing.T) {
	for source, want := range map[string]float64{"near": 0.3, "battery": 0.4, "5": 5, "36 km/h": 10} {
		p, err := Compile(source, museum(t), Want{AnyUnit: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Eval(values(), make([]float64, p.Registers())); got != want {
			t.Errorf("%s = %v, want %v", source, got, want)
		}
	}
}

// The simple conditions of reflexes must reach the fast path of the table, in
// the unit of the signal.
func TestSimpleConditionsHaveBounds(t *testing.T) {
	for source, want := range map[string]bool{
		"range < 0.30 m && drive > 0": true, "near < 0.30 m": true, "bumper": true, "!bumper || battery < 20 %": true, "0.2 m > range": true,
		"range < near": false, "range < 1 m && bumper || drive > 0": false, "range * 2 < 1 m": false,
	} {
		p, err := Compile(source, museum(t), Want{Boolean: true})
		if err != nil {
			t.Fatal(err)
		}
		if _, _, ok := p.Bounds(); ok != want {
			t.Errorf("%s: bounds %v, want %v", source, ok, want)
		}
	}
}

func TestCompileErrors(t *testing.T) {
	quantity, condition := Want{}, Want{Boolean: true}
	metres := Want{Unit: mustUnit(t, "m")}
	tests := []struct {
		source string
		want   Want
		error  string
	}{
		{"", condition, "column 1: expression is empty (write a condition or a quantity, in quotation marks)"},
		{"rnage < 0.30 m", condition, "column 1: unknown name rnage (did you mean range?)"},
		{"d.rnage < 0.30 m", condition, "column 1: unknown name d.rnage (did you mean d.range?)"},
		{"range < 0.30", condition, "column 9: 0.30 has no unit beside a quantity in m (write 0.30 m)"},
		{"60 < smoke", condition, "column 1: 60 has no unit beside a quantity in ppm (write 60 ppm)"},
		{"range < -(1 + 2)", condition, "column 9: -(1 + 2) has no unit beside a quantity in m (write -(1 + 2) * 1 m)"},
		{"battery < 20", condition, "column 11: 20 has no unit beside a quantity in % (write 20 %)"},
		{"range < 60 ppm", condition, "column 9: cannot compare a quantity in m with a quantity in ppm (multiply 60 ppm by a quantity in m/ppm)"},
		{"range - 1.2 m/s * drive", metres, "column 9: cannot subtract a quantity in m/s from a quantity in m (multiply 1.2 m/s * drive by dt)"},
		{"range - speed * dt * dt", metres, "column 9: cannot subtract a quantity in m·s from a quantity in m (divide speed * dt * dt by dt)"},
		{"heat > 300 K", condition, "column 8: cannot compare a quantity in °C with a quantity in K (an offset of 273.15 lies between K and °C: write it in °C)"},
		{"range < 0.30 mtr", condition, `column 14: unknown unit "mtr" (known units are, for example, m, cm, s, ms, m/s, kg, N, Pa, V, A, W, °C, K, rad, °, %, ppm, dB, lx)`},
		{"heat > 50 C", condition, `column 11: unknown unit "C" (write °C or degC)`},
		{"speed < 5 m/sec", condition, "column 13: unknown unit \"m/sec\" (write s)"},
		{"2 drive", quantity, `column 3: unknown unit "drive" (write * between a number and a name)`},
		{"drive * 2 m/s", quantity, "column 1: the result is a quantity in m/s and not a plain number (multiply drive * 2 m/s by a quantity in s/m)"},
		{"drive", metres, "column 1: the result is a plain number and not a quantity in m (multiply drive by a quantity in m)"},
		{"3", metres, "column 1: the result needs a unit: m (write 3 m)"},
		{"range", condition, "column 1: a condition is needed, this is a quantity in m (compare it with something: <, >, ==)"},
		{"range < 1 m", quantity, "column 1: a quantity is needed, this is a condition (write (condition ? 1 : 0))"},
		{"bumper + 1", quantity, "column 1: bumper is a condition, no number (write (bumper ? 1 : 0))"},
		{"-bumper", quantity, "column 2: bumper is a condition, no number (write (bumper ? 1 : 0))"},
		{"!drive", condition, "column 2: ! negates a condition, this is a plain number (compare it with something, or write -)"},
		{"drive && bumper", condition, "column 1: && joins conditions, this is a plain number (compare it with something: <, >, ==)"},
		{"bumper < true", condition, "column 1: bumper is a condition, no number (write (bumper ? 1 : 0))"},
		{"drive ? 1 : 2", quantity, "column 1: ? needs a condition before it, this is a plain number (compare it with something: <, >, ==)"},
		{"bumper ? 1 : true", quantity, "column 14: one branch of ? : is a plain number, the other a condition (make both of one kind)"},
		{"bumper ? 1 m : 2 s", metres, "column 16: cannot choose between a quantity in m and a quantity in s (multiply 2 s by a quantity in m/s)"},
		{"bumper ? 1", quantity, "column 11: : expected after the first branch of ?, found the end (write condition ? a : b)"},
		{"0 < drive < 1", condition, "column 11: comparisons do not chain (write a < b && b < c)"},
		{"drive = 1", condition, "column 7: unexpected '=' (write == to compare)"},
		{"bumper & armed", condition, "column 8: unexpected '&' (write && for and)"},
		{"bumper and armed", condition, `column 8: operator expected, found "and" (write &&)`},
		{"not bumper", condition, "column 1: unknown name not (write ! for not)"},
		{"drive ^ 2", quantity, "column 7: unexpected '^' (there is no power operator: write x * x)"},
		{"(drive > 1", condition, "column 11: ) expected to close the parenthesis, found the end (every ( needs its ))"},
		{"drive > 1)", condition, "column 10: unexpected ) (there is no ( that it closes)"},
		{"drive >", condition, "column 8: a number or a name expected, found the end (write what it is applied to, or remove the operator)"},
		{"min(drive)", quantity, "column 1: min has 1 arguments (write min(a, b))"},
		{"min + 1", quantity, "column 1: min is a function (write min(a, b))"},
		{"mni(1, 2)", quantity, "column 1: unknown function mni (did you mean min?)"},
		{"tangent(1)", quantity, "column 1: unknown function tangent (known functions: abs, approach, battery, clamp, exp, growth, held, highest, log, logistic, lowest, max, mean, min, rate, safe_distance, safe_distance_opposite, safe_lateral_distance, since, sqrt, stopping_distance)"},
		{"maen(drive, 2s)", quantity, "column 1: unknown function maen (did you mean mean?)"},
		{"mean + 1", quantity, "column 1: mean is a function (write mean(x, 2s))"},
		{"drive(1)", quantity, "column 1: drive is no function (write * to multiply)"},
		{"held(bumper, 300ms)", condition, "column 6: held cannot be used here (reflexes, model and impact of a manual can look back in time)"},
		{"max(range, 3)", metres, "column 12: 3 has no unit beside a quantity in m (write 3 m)"},
		{"clamp(drive, 1, 0)", quantity, "column 14: the low limit of clamp is above the high one (write clamp(x, low, high))"},
		{"sqrt(range)", quantity, "column 6: m has no square root as a unit (the powers in it must be even, as in m^2)"},
		{"exp(range)", quantity, "column 5: exp needs a plain number, this is a quantity in m (divide it by a reference value: range / 1 m)"},
		{"drive / 0", quantity, "column 9: division by zero (divide by something else than 0)"},
		{"log(0)", quantity, "column 1: log(0) has no value (it is infinite or not a number)"},
		{"1e999", quantity, "column 1: number is out of range or too long (at most 40 characters, between about 5e-324 and 1.8e308)"},
		{"1e-999999", quantity, "column 1: number is out of range or too long (at most 40 characters, between about 5e-324 and 1.8e308)"},
		{"m + 1", quantity, "column 1: unknown name m (a unit stands behind a number: 1 m)"},
		{"sec + 1", quantity, "column 1: unknown name sec (write the name of a signal or an output)"},
		{"µ", quantity, "column 1: unknown name µ (write the name of a signal or an output)"},
		{"\xff", quantity, "column 1: unexpected '\ufffd' (it means nothing in an expression: remove it)"},
	}
	for _, test := range tests {
		_, err := Compile(test.source, museum(t), test.want)
		if err == nil {
			t.Errorf("%q: no error, want %s", test.source, test.error)
		} else if err.Error() != test.error {
			t.Errorf("%q:\n got %s\nwant %s", test.source, err, test.error)
		} else if err.(*Error).Hint == "" {
			t.Errorf("%q: %v does not say what to do", test.source, err)
		}
	}
}

func TestUnitOrName(t *testing.T) {
	scope := Scope{"s": {Slot: 0}, "speed": {Slot: 1, Unit: mustUnit(t, "m/s")}}
	if _, err := Compile("speed < 2 m/s", scope, Want{Boolean: true}); err == nil {
		t.Error("a unit that could be a name is accepted")
	} else if want := `column 13: "m/s" could be the unit or the name s (put spaces around the operator to calculate with the name, or rename it)`; err.Error() != want {
		t.Errorf("got %s\nwant %s", err, want)
	}
	if _, err := Compile("2 m / s", scope, Want{Unit: mustUnit(t, "m")}); err != nil {
		t.Errorf("a name behind a spaced operator: %v", err)
	}
}

func TestExpressionsHaveLimits(t *testing.T) {
	deep := strings.Repeat("(", maximumDepth) + "1" + strings.Repeat(")", maximumDepth)
	long := "1" + strings.Repeat("+1", maximumLength/2)
	units := "1 m" + strings.Repeat("*m", 100)
	for name, source := range map[string]string{"nesting": deep, "length": long, "units": units, "prefixes": strings.Repeat("-", 2000) + "1", "digits": strings.Repeat("1", 100)} {
		if _, err := Compile(source, Scope{}, Want{}); err == nil {
			t.Errorf("no limit on %s", name)
		}
	}
}
