package expr

import (
	"testing"
	"unicode/utf8"

	"dancer/reflex/program"
)

// Whatever the text, Compile gives either a program that evaluates or an error
// that points into the text.
func FuzzCompile(f *testing.F) {
	for _, s := range museumStep {
		f.Add(s.source)
	}
	for _, s := range []string{
		"range < 0.30 m && drive > 0", "!bumper || battery >= 20%", "heat > 50 °C ? 1 : 0", "held(bumper, 300ms)", "rate(range) < -1 m/s", "mean(rate(range), 2s)", "since(!bumper) > 1 s", "mean(d.range, 0.1 min)", "9.81 m/s²", "1 µm", "5 N·m", "2 m/s^-2",
		"((((", "-----1", "1e", "1e+", ".", "1..2", "a.b.c", "0x10", "1_000", "\xff\xfe", "µ", "°", "%", "2 %%", "1 m/", "1 1/s", "clamp(drive, 0, 1)", "sqrt(range*range)",
		"safe_distance(speed, 0, 0.5 s, 1 m/s^2, 2 m/s^2, 4 m/s^2) > range", "growth(smoke, 5 s, dt)", "battery(battery, 30 W, 90 Wh, dt)",
	} {
		f.Add(s)
	}
	scope := museum(f)
	metre := mustUnit(f, "m")
	f.Fuzz(func(t *testing.T, source string) {
		for _, want := range []Want{{Boolean: true}, {}, {Unit: metre}, {AnyUnit: true}} {
			windows := &Windows{First: len(values())}
			p, err := CompileWindowed(source, scope, want, windows)
			if err != nil {
				e := err.(*Error)
				if e.What == "" || e.Offset < 0 || e.Offset > len(source) {
					t.Fatalf("%q: error %q at %d of %d", source, e.What, e.Offset, len(source))
				}
				if utf8.ValidString(source) && !utf8.ValidString(e.Error()) {
					t.Fatalf("%q: message %q is not text", source, e.Error())
				}
				continue
			}
			slots := append(values(), make([]float64, MaximumWindows)...)
			for _, w := range windows.List() {
				w.Argument.Eval(slots, make([]float64, program.Registers))
			}
			v := p.Eval(slots, make([]float64, program.Registers))
			if want.Boolean && v != 0 && v != 1 && v == v {
				t.Fatalf("%q: condition is %v", source, v)
			}
		}
	})
}

// ParseUnit never panics, and reads back what it prints.
func FuzzParseUnit(f *testing.F) {
	for _, s := range []string{"", "m", "m/s^2", "kg·m/s²", "1/s", "%", "°C", "m^", "m^-", "mm3", "N*m", "m/", "/", "1", " m ", "rpm", "m^9*m^9*m^9"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := ParseUnit(text)
		if err != nil {
			if e := err.(*Error); e.Offset < 0 || e.Offset > len(text) {
				t.Fatalf("%q: offset %d of %d", text, e.Offset, len(text))
			}
			return
		}
		again, err := ParseUnit(u.String())
		if err != nil || !again.Fits(u) || again.Scale() != u.Scale() {
			t.Fatalf("%q prints as %q, which reads as %v %v", text, u, again, err)
		}
	})
}
