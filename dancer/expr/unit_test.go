package expr

import (
	"math"
	"testing"
)

func TestUnitsConvert(t *testing.T) {
	tests := []struct {
		value    float64
		from, to string
		want     float64
	}{
		{30, "cm", "m", 0.3},
		{0.29, "m", "cm", 29},
		{1, "km/h", "m/s", 1 / 3.6},
		{90, "km/h", "m/s", 25},
		{1, "bar", "kPa", 100},
		{1, "kWh", "J", 3.6e6},
		{1000, "mAh", "A·s", 3600},
		{1, "V", "kg·m^2/s^3/A", 1},
		{12, "V*A", "W", 12},
		{1, "Ω", "V/A", 1},
		{1, "kohm", "Ω", 1000},
		{180, "deg", "rad", math.Pi},
		{60, "rpm", "rad/s", 2 * math.Pi},
		{1, "rev", "°", 360},
		{1, "L", "m3", 0.001},
		{5, "µg/m^3", "kg/m³", 5e-9},
		{1, "\u03bcm", "µm", 1},
		{2, "ppm", "ppb", 2000},
		{20, "%", "", 0.2},
		{1, "min", "s", 60},
		{1, "Hz", "1/s", 1},
		{4, "degC", "°C", 4},
		{1, "Nm", "J", 1},
		{1, "mT", "V·s/m^2", 0.001},
	}
	for _, test := range tests {
		from, to := mustUnit(t, test.from), mustUnit(t, test.to)
		if !from.Fits(to) {
			t.Errorf("%s does not fit %s", test.from, test.to)
			continue
		}
		if got := from.Convert(test.value, to); math.Abs(got-test.want) > 2e-16*test.want {
			t.Errorf("%v %s = %v %s, want %v", test.value, test.from, got, test.to, test.want)
		}
	}
}

// What has no safe conversion must not fit.
func TestUnitsThatDoNotFit(t *testing.T) {
	for _, pair := range [][2]string{{"°C", "K"}, {"ppm", "%"}, {"rad", ""}, {"rpm", "Hz"}, {"dB", ""}, {"m", "s"}, {"m/s", "m/s^2"}, {"lx", "W/m^2"}, {"Sv", "J/kg"}} {
		if mustUnit(t, pair[0]).Fits(mustUnit(t, pair[1])) {
			t.Errorf("%s fits %s", pair[0], pair[1])
		}
	}
}

func TestUnitErrors(t *testing.T) {
	for text, want := range map[string]string{
		"parsec":      `column 1: unknown unit "parsec" (known units are, for example, m, cm, s, ms, m/s, kg, N, Pa, V, A, W, °C, K, rad, °, %, ppm, dB, lx)`,
		"m/sec":       `column 2: unknown unit "/sec" (write s)`,
		"C":           `column 1: unknown unit "C" (write °C or degC)`,
		"pmp":         `column 1: unknown unit "pmp" (did you mean ppm?)`,
		"m^9*m^9*m^9": `column 8: unit is out of all proportion (use fewer and smaller powers)`,
	} {
		_, err := ParseUnit(text)
		if err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestUnitString(t *testing.T) {
	ms, second := mustUnit(t, "m/s"), mustUnit(t, "s")
	acceleration, _ := ms.combine(second, -1)
	inverse, _ := Unit{}.combine(second, -1)
	centi, _ := mustUnit(t, "cm").combine(second, 1)
	for want, u := range map[string]Unit{"m/s": ms, "m/s^2": acceleration, "1/s": inverse, "0.01 m·s": centi, "": {}} {
		if got := u.String(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestEveryUnitHasADefinition(t *testing.T) {
	for name, u := range unitTable {
		if s := u.Scale(); !(s > 0) || math.IsInf(s, 0) {
			t.Errorf("%s has scale %v", name, s)
		}
		if u.Dimensionless() && name != "%" {
			t.Errorf("%s has no dimension", name)
		}
		again, err := ParseUnit(name)
		if err != nil || !again.Fits(u) {
			t.Errorf("%s reads as %v, %v", name, again, err)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"bumper", "range", "smoke"}
	for name, want := range map[string]string{"rnage": "range", "ranges": "range", "bmper": "bumper", "smok": "smoke", "x": "", "extinguisher": ""} {
		if got, _ := nearest(name, names); got != want {
			t.Errorf("%s is nearest to %q, want %q", name, got, want)
		}
	}
}
