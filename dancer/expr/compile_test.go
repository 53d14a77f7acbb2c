package expr

import (
	"math"
	"testing"
)

func mustUnit(t *testing.T, text string) Unit {
	t.Helper()
	u, err := ParseUnit(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// museum is the scope of the design's example, with the values of values().
func museum(t *testing.T) Scope {
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
