package expr

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// windowScope is the museum with outputs that are marked as such.
func windowScope(t *testing.T) Scope {
	t.Helper()
	scope := museum(t)
	for name, s := range scope {
		s.Commanded = name == "drive"
		s.Unmeasured = strings.HasPrefix(name, "d.")
		scope[name] = s
	}
	return scope
}

func TestWindowsAreNamedAndShared(t *testing.T) {
	condition, quantity := Want{Boolean: true}, Want{AnyUnit: true}
	tests := []struct {
		source string
		want   Want
		names  string // of the windows, in the order of their slots
		units  string
	}{
		{"mean(smoke,2s) > 60 ppm", condition, "mean(smoke, 2s)", "ppm"},
		{"mean( smoke , 2000 ms ) + mean(smoke, 2s)", quantity, "mean(smoke, 2s)", "ppm"},
		{"mean(smoke, 2s) + mean(smoke, 3s)", quantity, "mean(smoke, 2s); mean(smoke, 3s)", "ppm ppm"},
		{"rate(range) < -0.5 m/s", condition, "rate(range, 500ms)", "m/s"},
		{"rate(range, 0.5 s) < rate(range)", condition, "rate(range, 500ms)", "m/s"},
		{"rate(range+ -1*2m , 1min)", quantity, "rate(range + -1 * 2 m, 1min)", "m/s"},
		{"rate(speed)", quantity, "rate(speed, 500ms)", "m/s^2"},
		{"rate(min(drive, 1) * smoke)", quantity, "rate(min(drive, 1) * smoke, 500ms)", "ppm/s"},
		{"held(! bumper&&range<.3m,12.5ms)", condition, "held(!bumper && range < .3 m, 12.5ms)", ""},
		{"since(!(bumper || armed)) > 5 s", condition, "since(!(bumper || armed))", "s"},
		{"since(range < 1 m ? bumper : armed) > 5 s", condition, "since(range < 1 m ? bumper : armed)", "s"},
		{"mean(rate(range), 2s)", quantity, "rate(range, 500ms); mean(rate(range), 2s)", "m/s m/s"},
		{"rate(mean(drive, 1s), 1s)", quantity, "mean(drive, 1s); rate(mean(drive, 1s), 1s)", " 1/s"},
		{"mean(range, 10 * dt)", quantity, "mean(range, 1s)", "m"},
	}
	for _, test := range tests {
		windows := &Windows{First: 40}
		p, err := CompileWindowed(test.source, windowScope(t), test.want, windows)
		if err != nil {
			t.Errorf("%s: %v", test.source, err)
			continue
		}
		var names, units []string
		for i, w := range windows.List() {
			names, units = append(names, w.Name), append(units, w.Unit.String())
			if w.Slot != 40+i {
				t.Errorf("%s: window %d has slot %d", test.source, i, w.Slot)
			}
			if _, err := ParseUnit(w.Unit.String()); err != nil {
				t.Errorf("%s: unit %q cannot be read: %v", test.source, w.Unit.String(), err)
			}
		}
		if got := strings.Join(names, "; "); got != test.names {
			t.Errorf("%s: windows %q, want %q", test.source, got, test.names)
		}
		if got := strings.Join(units, " "); got != test.units {
			t.Errorf("%s: units %q, want %q", test.source, got, test.units)
		}
		last := 40 + len(windows.List()) - 1
		if reads := p.Reads(); reads[len(reads)-1] != last {
			t.Errorf("%s reads slots %v, want the last to be %d", test.source, reads, last)
		}
	}
}

// The name of a window is source text: compiled again it is the same window.
func TestWindowNamesAreStable(t *testing.T) {
	scope := windowScope(t)
	rapid.Check(t, func(rt *rapid.T) {
		source := arithmetic(rt, 4)
		for i, n := range numberNames { // the names of the oracle test
			scope[n] = Symbol{Slot: 20 + i}
		}
		for i, n := range truthNames {
			scope[n] = Symbol{Slot: 30 + i, Boolean: true}
		}
		first := &Windows{First: 40}
		if _, err := CompileWindowed("mean("+source+", 2s)", scope, Want{}, first); err != nil {
			return // a constant, or without a value
		}
		again := &Windows{First: 40}
		if _, err := CompileWindowed(first.List()[0].Name, scope, Want{}, again); err != nil {
			rt.Fatalf("%s: %v", first.List()[0].Name, err)
		}
		if a, b := first.List()[0], again.List()[0]; a.Name != b.Name || fmt.Sprint(a.Argument.Reads()) != fmt.Sprint(b.Argument.Reads()) {
			rt.Fatalf("%s becomes %s", a.Name, b.Name)
		}
	})
}

// The argument keeps its own unit; what is compared with the window is converted.
func TestWindowUnits(t *testing.T) {
	windows := &Windows{First: 40}
	p, err := CompileWindowed("rate(range * 2, 1s) < 50 cm/s", windowScope(t), Want{Boolean: true}, windows)
	if err != nil {
		t.Fatal(err)
	}
	slots, registers := make([]float64, 41), make([]float64, 256)
	for value, want := range map[float64]float64{0.49: 1, 0.51: 0} {
		slots[40] = value // m/s
		if got := p.Eval(slots, registers); got != want {
			t.Errorf("%v m/s < 50 cm/s is %v, want %v", value, got, want)
		}
	}
	slots[museum(t)["range"].Slot] = 3
	if got := windows.List()[0].Argument.Eval(slots, registers); got != 6 {
		t.Errorf("the argument is %v m, want 6", got)
	}
	if got := windows.List()[0].Length; got != time.Second {
		t.Errorf("the window is %v long", got)
	}
}

func TestWindowErrors(t *testing.T) {
	condition, quantity := Want{Boolean: true}, Want{AnyUnit: true}
	tests := []struct {
		source string
		want   Want
		error  string
	}{
		{"mean(smoke)", quantity, "column 1: mean has 1 arguments (write mean(x, 2s))"},
		{"since(bumper, 2s)", quantity, "column 1: since has 2 arguments (write since(condition))"},
		{"mean(bumper, 2s)", quantity, "column 6: bumper is a condition, no number (write (bumper ? 1 : 0))"},
		{"held(range, 2s)", condition, "column 6: held looks back at a condition, this is a quantity in m (compare it with something: <, >, ==)"},
		{"mean(smoke, 2)", quantity, "column 13: the window of mean has no unit (write 2ms or 2s)"},
		{"mean(smoke, 1 + 1)", quantity, "column 13: the window of mean has no unit (write a time, as in mean(x, 2s))"},
		{"mean(smoke, 2 m)", quantity, "column 13: the window of mean is a quantity in m, and no time (write a time, as in mean(x, 2s))"},
		{"held(bumper, range / speed)", condition, "column 14: the window of held is not a fixed time (write a time, as in held(condition, 300ms))"},
		{"held(bumper, armed)", condition, "column 14: the window of held is not a fixed time (write a time, as in held(condition, 300ms))"},
		{"mean(smoke, 9ms)", quantity, "column 13: the window of mean is out of range (give a time from 10ms to 10min)"},
		{"mean(smoke, 601 s)", quantity, "column 13: the window of mean is out of range (give a time from 10ms to 10min)"},
		{"mean(smoke, -2 s)", quantity, "column 13: the window of mean is out of range (give a time from 10ms to 10min)"},
		{"mean(3 m, 2s)", quantity, "column 6: mean looks back at a constant (look back at signals and outputs)"},
		{"1 + since(true) / 1 s", quantity, "column 11: since looks back at a constant (look back at signals and outputs)"},
		{"mean(range + d.range, 2s)", quantity, "column 14: mean looks back at d.range, which is never measured (look back at signals and outputs)"},
		{"1 + rate(2 * drive)", quantity, "column 10: rate needs the readings of a signal, and this has none (mean, lowest, highest, held and since look back at outputs too)"},
		{"mean(rnage, 2s)", quantity, "column 6: unknown name rnage (did you mean range?)"},
		{"mean(smoke, 2s) < 3 m", condition, "column 19: cannot compare a quantity in ppm with a quantity in m (multiply 3 m by a quantity in ppm/m)"},
	}
	for _, test := range tests {
		_, err := CompileWindowed(test.source, windowScope(t), test.want, &Windows{First: 40})
		if err == nil {
			t.Errorf("%q: no error, want %s", test.source, test.error)
		} else if err.Error() != test.error {
			t.Errorf("%q:\n got %s\nwant %s", test.source, err, test.error)
		}
	}
}

func TestWindowsAreBounded(t *testing.T) {
	windows := &Windows{First: 40}
	compile := func(ms int) error {
		_, err := CompileWindowed(fmt.Sprintf("mean(smoke, %dms)", ms), windowScope(t), Want{AnyUnit: true}, windows)
		return err
	}
	for i := range MaximumWindows {
		if err := compile(10 + i); err != nil {
			t.Fatal(err)
		}
	}
	if err := compile(10); err != nil {
		t.Errorf("a window that is there already: %v", err)
	}
	want := "column 6: mean(smoke, 1999ms) is one window too many: there are 64 (calls that are the same share one window)"
	if err := compile(1999); err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if n := len(windows.List()); n != MaximumWindows {
		t.Errorf("%d windows", n)
	}
}
