package expr

import (
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	oracle "github.com/expr-lang/expr"

	"dancer/reflex/program"
)

// r is a number written in decimals, without any rounding.
func r(text string) *big.Rat {
	x, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("no number: " + text)
	}
	return x
}

func times(x, y *big.Rat) *big.Rat { return new(big.Rat).Mul(x, y) }
func over(x, y *big.Rat) *big.Rat  { return new(big.Rat).Quo(x, y) }
func plus(x, y *big.Rat) *big.Rat  { return new(big.Rat).Add(x, y) }
func minus(x, y *big.Rat) *big.Rat { return new(big.Rat).Sub(x, y) }
func atLeast0(x *big.Rat) *big.Rat {
	if x.Sign() < 0 {
		return new(big.Rat)
	}
	return x
}

// way is v rho + a rho^2 / 2 + [v + rho a]+^2 / (2 b), exactly.
func way(v, rho, a, b *big.Rat) *big.Rat {
	w := atLeast0(plus(v, times(rho, a)))
	return plus(plus(times(v, rho), over(times(a, times(rho, rho)), r("2"))), over(times(w, w), times(r("2"), b)))
}

func perHour(text string) *big.Rat { return over(r(text), r("3.6")) }

// TestSafeDistanceCases: Responsibility-Sensitive Safety to 1 cm, against exact
// rationals by the paper's formula and against figures worked out apart from this
// program. 50 km/h both, response 2 s, acceleration 2, braking 4 and 8 m/s2 is
// the case that is quoted most.
func TestSafeDistanceCases(t *testing.T) {
	for _, c := range []struct {
		rear, front, rho, a, b, bFront string
		want                           float64 // m
	}{
		{"50", "50", "2", "2", "4", "8", 59.72},
		{"50", "50", "1", "2", "4", "8", 34.39},
		{"50", "50", "2", "2", "4", "4", 47.67},
		{"50", "50", "1", "2", "4", "4", 22.33},
		{"50", "50", "2", "2", "8", "8", 39.72},
		{"50", "50", "1", "2", "8", "8", 18.61},
		{"50", "50", "2", "2", "8", "4", 27.67},
		{"50", "50", "1", "2", "8", "4", 6.55},
		{"50", "50", "1", "3.5", "4", "8", 41.38},
		{"50", "50", "0", "2", "4", "8", 12.06},
		{"50", "50", "0", "2", "4", "4", 0},
		{"50", "0", "2", "2", "4", "8", 71.78}, // the front stands
		{"50", "0", "1", "2", "4", "8", 46.45},
		{"0", "0", "2", "2", "4", "8", 6}, // a standing one may start
		{"30", "50", "1", "2", "4", "8", 10.62},
		{"30", "80", "1", "2", "4", "8", 0}, // the front is so much faster
		{"0", "50", "2", "2", "4", "8", 0},
		{"100", "100", "1", "2", "4", "8", 91.39},
	} {
		source := fmt.Sprintf("safe_distance(%s km/h, %s km/h, %s s, %s m/s^2, %s m/s^2, %s m/s^2)", c.rear, c.front, c.rho, c.a, c.b, c.bFront)
		vf := perHour(c.front)
		exact := atLeast0(minus(way(perHour(c.rear), r(c.rho), r(c.a), r(c.b)), over(times(vf, vf), times(r("2"), r(c.bFront)))))
		holdDistance(t, source, exact, c.want)
	}
}

func TestOtherDistanceCases(t *testing.T) {
	for _, c := range []struct {
		v, rho, a, b string
		want         float64
	}{{"50", "1", "2", "4", 46.45}, {"50", "2", "2", "4", 71.78}, {"0", "1", "2", "4", 1.5}, {"50", "1", "0", "8", 25.95}} {
		exact := way(perHour(c.v), r(c.rho), r(c.a), r(c.b))
		for _, sign := range []string{"", "-"} { // backwards it takes as long to stop
			holdDistance(t, fmt.Sprintf("stopping_distance(%s%s km/h, %s s, %s m/s^2, %s m/s^2)", sign, c.v, c.rho, c.a, c.b), exact, c.want)
		}
	}
	for _, c := range []struct {
		one, other, rho, a, b, bOther string
		want                          float64
	}{{"50", "50", "2", "2", "4", "8", 123.56}, {"50", "50", "1", "2", "4", "4", 92.89}, {"50", "0", "1", "2", "4", "4", 47.95}} {
		exact := plus(way(perHour(c.one), r(c.rho), r(c.a), r(c.b)), way(perHour(c.other), r(c.rho), r(c.a), r(c.bOther)))
		holdDistance(t, fmt.Sprintf("safe_distance_opposite(%s km/h, -%s km/h, %s s, %s m/s^2, %s m/s^2, %s m/s^2)", c.one, c.other, c.rho, c.a, c.b, c.bOther), exact, c.want)
	}
	for _, c := range []struct {
		left, right, rho, a, b, margin string
		want                           float64
	}{
		{"0", "0", "1", "0.2", "0.8", "0", 0.25}, // side by side: each may drift over in the response time
		{"0", "0", "1", "0.2", "0.8", "0.1", 0.35},
		{"1", "-1", "1", "0.2", "0.8", "0.1", 4.10},
		{"1", "0", "2", "0.2", "0.8", "0.1", 4.225},
		{"0.5", "0.5", "1", "0.2", "0.8", "0", 0.51},
		{"-1", "-1", "1", "0.2", "0.8", "0", 1.10},
		{"-1", "1", "1", "0.2", "0.8", "0.1", 0.1}, // they draw apart: the margin alone
		{"-5", "5", "1", "0.2", "0.8", "0.1", 0.1},
	} {
		both := plus(way(r(c.left), r(c.rho), r(c.a), r(c.b)), way(new(big.Rat).Neg(r(c.right)), r(c.rho), r(c.a), r(c.b)))
		holdDistance(t, fmt.Sprintf("safe_lateral_distance(%s m/s, %s m/s, %s s, %s m/s^2, %s m/s^2, %s m)", c.left, c.right, c.rho, c.a, c.b, c.margin),
			plus(r(c.margin), atLeast0(both)), c.want)
	}
}

// holdDistance wants an expression to give the exact distance to the last digits
// and the written one to 1 cm.
func holdDistance(t *testing.T, source string, exact *big.Rat, want float64) {
	t.Helper()
	p, err := Compile(source, Scope{}, Want{Unit: mustUnit(t, "m")})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	got := p.Eval(nil, make([]float64, p.Registers()))
	if exactly, _ := exact.Float64(); math.Abs(got-exactly) > 1e-12*math.Max(1, exactly) {
		t.Errorf("%s = %.15g m, exactly %.15g m", source, got, exactly)
	}
	if math.Abs(got-want) > 0.0051 {
		t.Errorf("%s = %.4f m, want %.2f m", source, got, want)
	}
}

// modelScope has a slot per argument, in units that are not the base ones where
// there are such.
func modelScope(t testing.TB) Scope {
	scope := Scope{"dt": {Constant: true, Value: 0.1, Unit: mustUnit(t, "s")}}
	for i, u := range []string{"m/s", "km/h", "ms", "m/s^2", "cm/s^2", "m/s^2", "cm", "ppm", "ppm", "°C", "°C", "%", "W", "Wh", "A", "mAh"} {
		scope[string(rune('a'+i))] = Symbol{Slot: i, Unit: mustUnit(t, u)}
	}
	return scope
}

// lower, upper are the limits of the random arguments: speeds, response,
// accelerations, a margin, hazards, temperatures, charge, power, capacity,
// current, capacity.
var (
	lower = []float64{-10, -50, 0, 0, 10, 0.1, 0, 0, 1, -20, -20, 0, -500, 1, -5, 100}
	upper = []float64{10, 50, 2000, 5, 900, 9, 100, 900, 2000, 120, 120, 100, 500, 900, 5, 9000}
)

// TestModelsAgainstOracle holds every distance against its formula, written out
// for another evaluator, on random arguments.
func TestModelsAgainstOracle(t *testing.T) {
	const stop = "(V*c/1000 + d*c/1000*c/1000/2 + (V + c/1000*d)*(V + c/1000*d)/(2*e/100))"
	const side = "(V*c/1000 + d*c/1000*c/1000/2 + max(V + c/1000*d, 0.0)*max(V + c/1000*d, 0.0)/(2*e/100))"
	at := func(formula, speed string) string { return strings.ReplaceAll(formula, "V", speed) }
	for source, formula := range map[string]string{
		"stopping_distance(a, c, d, e)":            at(stop, "abs(a)"),
		"safe_distance(a, abs(b), c, d, e, f)":     "max(0.0, " + at(stop, "max(a, 0.0)") + " - b/3.6*b/3.6/(2*f))",
		"safe_distance_opposite(a, b, c, d, e, e)": at(stop, "abs(a)") + " + " + at(stop, "abs(b/3.6)"),
		"safe_lateral_distance(a, b, c, d, e, g)":  "g/100 + max(0.0, " + at(side, "a") + " + " + at(side, "(-b/3.6)") + ")",
		"2 m + stopping_distance(b, 0.5 s, 0, f)":  "2.0 + abs(b/3.6)*0.5 + b/3.6*b/3.6/(2*f)",
	} {
		againstFormula(t, source, formula)
	}
}

func againstFormula(t *testing.T, source, formula string) {
	t.Helper()
	p, err := Compile(source, modelScope(t), Want{Unit: mustUnit(t, "m")})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	environment := map[string]any{}
	for i := range lower {
		environment[string(rune('a'+i))] = 0.5
	}
	other, err := oracle.Compile(formula, oracle.Env(environment))
	if err != nil {
		t.Fatalf("%s: %v", formula, err)
	}
	drawn(func(slots []float64) {
		for i, x := range slots {
			environment[string(rune('a'+i))] = x
		}
		want, err := oracle.Run(other, environment)
		if err != nil {
			t.Fatal(err)
		}
		got := p.Eval(slots, make([]float64, p.Registers()))
		if w := want.(float64); math.Abs(got-w) > 1e-9*math.Max(1, math.Abs(w)) {
			t.Fatalf("%s with %v = %v, the formula gives %v", source, slots, got, w)
		}
		lanes := make([]float64, 1)
		if p.EvalLanes(lanes, slots, make([]float64, p.Registers()), 1); lanes[0] != got {
			t.Fatalf("%s with %v = %v side by side, %v alone", source, slots, lanes[0], got)
		}
	})
}

// drawn calls back with 4,000 random states.
func drawn(do func(slots []float64)) {
	source := rand.New(rand.NewPCG(3, 1708_06374))
	slots := make([]float64, len(lower))
	for range 4000 {
		for i := range slots {
			slots[i] = lower[i] + (upper[i]-lower[i])*source.Float64()
		}
		do(slots)
	}
}

// TestGrowthModels: against Go's own evaluation of the closed forms, and two half
// steps give what one step does.
func TestGrowthModels(t *testing.T) {
	clamp01 := func(x float64) float64 { return math.Max(0, math.Min(1, x)) }
	for _, c := range []struct {
		source, unit string
		want         func(x []float64) float64
	}{
		{"growth(h, 5 s, dt)", "ppm", func(x []float64) float64 { return x[7] * math.Exp(0.1/5) }},
		{"growth(h, c, 200 ms)", "ppm", func(x []float64) float64 { return x[7] * math.Exp(200/x[2]) }},
		{"logistic(h, i, 5 s, dt)", "ppm", func(x []float64) float64 {
			return x[8] / (1 + (x[8]/x[7]-1)*math.Exp(-0.1/5))
		}},
		{"approach(j, k, 30 s, dt)", "°C", func(x []float64) float64 { return x[10] + (x[9]-x[10])*math.Exp(-0.1/30) }},
		{"approach(h, 0, 2 s, dt)", "ppm", func(x []float64) float64 { return x[7] * math.Exp(-0.1/2) }},
		{"battery(l, m, n, dt)", "", func(x []float64) float64 { return clamp01(x[11]/100 - x[12]*0.1/3600/x[13]) }},
		{"battery(l, o, p, 1 h)", "%", func(x []float64) float64 { return 100 * clamp01(x[11]/100-1000*x[14]/x[15]) }},
		{"battery(l, 0, n, dt)", "", func(x []float64) float64 { return x[11] / 100 }},
	} {
		p, err := Compile(c.source, modelScope(t), Want{Unit: mustUnit(t, c.unit)})
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		drawn(func(slots []float64) {
			if strings.Contains(c.source, "c,") && slots[2] < 1 {
				return // the exponential of a thousand
			}
			got, want := p.Eval(slots, make([]float64, p.Registers())), c.want(slots)
			if math.IsInf(want, 0) && math.IsNaN(got) {
				return
			}
			if math.Abs(got-want) > 1e-9*math.Max(1, math.Abs(want)) {
				t.Fatalf("%s with %v = %v, want %v", c.source, slots, got, want)
			}
		})
	}
	for _, pair := range [][2]string{
		{"growth(h, 5 s, 2 s)", "growth(growth(h, 5 s, 1 s), 5 s, 1 s)"},
		{"logistic(h, i, 5 s, 2 s)", "logistic(logistic(h, i, 5 s, 1 s), i, 5 s, 1 s)"},
		{"approach(h, i, 5 s, 2 s)", "approach(approach(h, i, 5 s, 1 s), i, 5 s, 1 s)"},
	} {
		one, two := compiled(t, pair[0], "ppm"), compiled(t, pair[1], "ppm")
		drawn(func(slots []float64) {
			a, b := one.Eval(slots, make([]float64, program.Registers)), two.Eval(slots, make([]float64, program.Registers))
			if math.Abs(a-b) > 1e-9*math.Max(1, a) {
				t.Fatalf("%s = %v, %s = %v", pair[0], a, pair[1], b)
			}
		})
	}
}

func compiled(t *testing.T, source, unit string) *program.Program {
	t.Helper()
	p, err := Compile(source, modelScope(t), Want{Unit: mustUnit(t, unit)})
	if err != nil {
		t.Fatalf("%s: %v", source, err)
	}
	return p
}

// TestModelsRefuseNonsense: an argument that means nothing makes the result
// invalid, never a distance that is too short.
func TestModelsRefuseNonsense(t *testing.T) {
	for _, c := range []struct {
		source string
		slot   int
		values []float64
	}{
		{"stopping_distance(a, c, d, e)", 2, []float64{-1, -1e-9, math.NaN()}},
		{"stopping_distance(a, c, d, e)", 3, []float64{-0.5}},
		{"stopping_distance(a, c, d, e)", 4, []float64{0, -300, math.NaN()}},
		{"stopping_distance(a, c, d, e)", 0, []float64{math.NaN(), math.Inf(1)}},
		{"safe_distance(a, b, c, d, e, f)", 1, []float64{-0.1, math.NaN()}},
		{"safe_distance(a, b, c, d, e, f)", 5, []float64{0, -8}},
		{"safe_distance_opposite(a, b, c, d, e, f)", 5, []float64{0, -8}},
		{"safe_lateral_distance(a, b, c, d, e, g)", 6, []float64{-1}},
	} {
		p := compiled(t, c.source, "m")
		for _, bad := range c.values {
			slots := []float64{1, 2, 500, 1, 200, 2, 10}
			if got := p.Eval(slots, make([]float64, p.Registers())); !(got > 0) {
				t.Fatalf("%s is %v", c.source, got)
			}
			slots[c.slot] = bad
			if got := p.Eval(slots, make([]float64, p.Registers())); !math.IsNaN(got) {
				t.Errorf("%s with %v in slot %d = %v, want no value", c.source, bad, c.slot, got)
			}
		}
	}
}

func TestModelErrors(t *testing.T) {
	tests := []struct{ source, error string }{
		{"stopping_distance(a, b, d, e)", "column 22: response of stopping_distance must be a quantity in s, this is a quantity in km/h (multiply b by a quantity in s^2/m)"},
		{"stopping_distance(a, 1, d, e)", "column 22: response of stopping_distance needs a unit: s (write 1 s)"},
		{"stopping_distance(5, 1 s, d, e)", "column 19: speed of stopping_distance needs a unit: m/s (write 5 m/s)"},
		{"stopping_distance(a, 1 s, d, 0)", "column 30: braking of stopping_distance is not above 0 (write braking as an amount above 0)"},
		{"stopping_distance(a, 1 s, d, -4 m/s^2)", "column 30: braking of stopping_distance is not above 0 (write braking as an amount above 0)"},
		{"stopping_distance(a, -1 s, d, e)", "column 22: response of stopping_distance is below 0 (write response as an amount, 0 or more)"},
		{"stopping_distance(a, 1 s, d)", "column 1: stopping_distance has 3 arguments (write stopping_distance(speed, response, acceleration, braking))"},
		{"stopping_distance(a > b, 1 s, d, e)", "column 19: a > b is a condition, no number (write (a > b ? 1 : 0))"},
		{"safe_distance(a, b, c, d, e, g)", "column 30: front_braking of safe_distance must be a quantity in m/s^2, this is a quantity in cm (divide g by a quantity in s^2)"},
		{"safe_distance(a, -1 m/s, c, d, e, f)", "column 18: front_speed of safe_distance is below 0 (write front_speed as an amount, 0 or more)"},
		{"safe_lateral_distance(a, b, c, d, e, 1)", "column 38: margin of safe_lateral_distance needs a unit: m (write 1 m)"},
		{"growth(h, 5, dt)", "column 11: time_constant of growth needs a unit: s (write 5 s)"},
		{"growth(h, 0 s, dt)", "column 11: time_constant of growth is not above 0 (write time_constant as an amount above 0)"},
		{"growth(h, 5 s)", "column 1: growth has 2 arguments (write growth(x, time_constant, dt))"},
		{"logistic(h, 3, 5 s, dt)", "column 13: 3 has no unit beside a quantity in ppm (write 3 ppm)"},
		{"logistic(h, g, 5 s, dt)", "column 13: capacity of logistic must be a quantity in ppm like x, this is a quantity in cm (multiply g by a quantity in ppm/m)"},
		{"approach(j, 300 K, 5 s, dt)", "column 13: target of approach must be a quantity in °C like x, this is a quantity in K (an offset of 273.15 lies between K and °C: write it in °C)"},
		{"logistic(h, 0 ppm, 5 s, dt)", "column 13: capacity of logistic is not above 0 (write capacity as an amount above 0)"},
		{"approach(h, j, 5 s, dt)", "column 13: target of approach must be a quantity in ppm like x, this is a quantity in °C (multiply j by a quantity in ppm/°C)"},
		{"battery(l, h, n, dt)", "column 12: power of battery must be a quantity in W or A, this is a quantity in ppm (write 30 W with a capacity in Wh, or 2 A with one in Ah)"},
		{"battery(l, 30 W, p, dt)", "column 18: capacity of battery must be a quantity in Wh, this is a quantity in mAh (multiply p by a quantity in m^2·kg/s^3/A)"},
		{"battery(n, m, n, dt)", "column 9: charge of battery must be a share from 0 to 1 or in %, this is a quantity in Wh (divide it by the capacity)"},
		{"battery(l, m, n, 1)", "column 18: dt of battery needs a unit: s (write 1 s)"},
		{"safe_distence(a, b, c, d, e, f)", "column 1: unknown function safe_distence (did you mean safe_distance?)"},
	}
	for _, test := range tests {
		_, err := Compile(test.source, modelScope(t), Want{AnyUnit: true})
		if err == nil {
			t.Errorf("%q: no error, want %s", test.source, test.error)
		} else if err.Error() != test.error {
			t.Errorf("%q:\n got %s\nwant %s", test.source, err, test.error)
		}
	}
}

// TestModelsOverIntervals: what a model gives over a box of arguments contains
// what it gives at any point of the box, also where an argument means nothing
// there; and where none does, no point is taken for invalid, or nothing that uses
// the model could be proved.
func TestModelsOverIntervals(t *testing.T) {
	random := rand.New(rand.NewPCG(17, 8))
	registers, scratch := make([]program.Interval, program.Registers), make([]float64, program.Registers)
	invalid := 0
	for source, unit := range map[string]string{
		"stopping_distance(a, c, d, e)":            "m",
		"safe_distance(a, b, c, d, e, f)":          "m",
		"safe_distance_opposite(a, b, c, d, e, e)": "m",
		"safe_lateral_distance(a, b, c, d, e, g)":  "m",
		"growth(h, 1 s + c, dt)":                   "ppm",
		"logistic(h, i, 5 s, c)":                   "ppm",
		"approach(j, k, 1 s, c)":                   "°C",
		"battery(l, m, n, c)":                      "",
		"battery(l, o, p, c)":                      "",
	} {
		p := compiled(t, source, unit)
		for n := range 3000 {
			sound := n%2 == 0
			box, point := make([]program.Interval, len(lower)), make([]float64, len(lower))
			for i := range box {
				low, high := lower[i], upper[i]
				if i == 1 { // front speed
					low = 0
				}
				if !sound {
					low -= (high - low) * 0.2 * random.Float64()
				}
				from, to := low+float64((high-low)*random.Float64()), low+float64((high-low)*random.Float64())
				box[i] = program.Between(min(from, to), max(from, to))
				if random.IntN(4) == 0 {
					box[i] = program.Between(low, high)
				}
			}
			got := p.EvalInterval(box, registers)
			if sound && got.Invalid {
				t.Fatalf("%s over %v may be invalid: %v", source, box, got)
			}
			for range 20 {
				for i, x := range box {
					point[i] = min(x.Low+float64((x.High-x.Low)*random.Float64()), x.High)
					if random.IntN(8) == 0 {
						point[i] = []float64{x.Low, x.High}[random.IntN(2)]
					}
				}
				v := p.Eval(point, scratch)
				if v != v {
					invalid++
				}
				if !got.Contains(v) {
					t.Fatalf("%s at %v is %v, which is not in %v", source, point, v, got)
				}
			}
		}
	}
	if invalid < 1000 {
		t.Errorf("only %d points were invalid", invalid)
	}
}
