package expr

import "testing"

// The six programs of one step of the museum's model and its impact.
var museumStep = []struct{ source, unit string }{
	{"range - 1.2 m/s * drive * dt + d.range", "m"},
	{"smoke * (extinguisher > 0 ? 0.8 : 1.02)", "ppm"},
	{"10 - smoke / 60 ppm * min(people, 1) - (range < 0.20 m ? 6 : 0)", ""},
	{"10 - smoke / 100 ppm - 3 * extinguisher", ""},
	{"10 - 4 * extinguisher", ""},
	{"10 * drive", ""},
}

func BenchmarkMuseumStep(b *testing.B) {
	slots, registers := values(), make([]float64, 256)
	var steps []func() float64
	for _, s := range museumStep {
		p, err := Compile(s.source, museum(b), Want{Unit: mustUnit(b, s.unit)})
		if err != nil {
			b.Fatal(err)
		}
		steps = append(steps, func() float64 { return p.Eval(slots, registers) })
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, step := range steps {
			step()
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	scope := museum(b)
	for b.Loop() {
		if _, err := Compile(museumStep[2].source, scope, Want{}); err != nil {
			b.Fatal(err)
		}
	}
}
