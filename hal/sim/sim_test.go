package sim

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"dancer/hal"
)

var signals = []hal.Signal{
	{Name: "range", Unit: "m", Minimum: 0, Maximum: 8},
	{Name: "smoke", Unit: "ppm", Minimum: 0, Maximum: 100},
	{Name: "bumper", Boolean: true},
}

var outputs = []hal.Output{{Name: "drive", Maximum: 1}, {Name: "brake", Maximum: 1, Safe: 1}}

func mustScenario(t testing.TB, lines ...string) *Scenario {
	t.Helper()
	s, err := ParseScenario("test.scenario", []byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustBoard(t testing.TB, c Config) *Board {
	t.Helper()
	if c.Signals == nil {
		c.Signals, c.Outputs = signals, outputs
	}
	b, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// at gives a signal's readings at times since the start, "-" where there is
// none.
func at(t *testing.T, b *Board, signal int, times ...time.Duration) string {
	t.Helper()
	const boot = 7 * time.Hour // the spine's clock does not begin at 0
	var texts []string
	for _, want := range times {
		text := "-"
		for {
			due := max(b.Due(), boot)
			if due > boot+want {
				break
			}
			text = "-"
			b.Advance(due, nil, func(r hal.Reading) {
				if r.At != due {
					t.Errorf("a reading of %v at %v", r.At, due)
				}
				if r.Signal == signal {
					text = fmt.Sprintf("%.4g", r.Value)
				}
			})
		}
		texts = append(texts, text)
	}
	return strings.Join(texts, " ")
}

const (
	ms  = time.Millisecond
	sec = time.Second
)

func TestScenarioHappens(t *testing.T) {
	const range_, smoke, bumper = 0, 1, 2
	tests := []struct {
		name   string
		lines  []string
		signal int
		times  []time.Duration
		want   string
	}{
		{"nothing before the first value", []string{"at 1s smoke = 5"}, smoke, []time.Duration{0, 980 * ms, sec, 2 * sec}, "- - 5 5"},
		{"start", []string{"start smoke = 5 ppm"}, smoke, []time.Duration{0, sec}, "5 5"},
		{"at 0", []string{"at 0s smoke = 5"}, smoke, []time.Duration{0}, "5"},
		{"a boolean starts off", nil, bumper, []time.Duration{0}, "0"},
		{"for a while", []string{"at 1s bumper = 1 for 200ms"}, bumper, []time.Duration{980 * ms, sec, 1180 * ms, 1200 * ms}, "0 1 1 0"},
		{"true", []string{"at 1s bumper = true", "at 2s bumper=false"}, bumper, []time.Duration{sec, 2 * sec}, "1 0"},
		{"ramp", []string{"start smoke = 10", "from 1s to 3s smoke + 20/s"}, smoke, []time.Duration{sec, 2 * sec, 3 * sec, 9 * sec}, "10 30 50 50"},
		{"ramp down, by the minute", []string{"start smoke = 10", "from 0s to 60s smoke -6 ppm/min"}, smoke, []time.Duration{10 * sec, 60 * sec}, "9 4"},
		{"a sensor saturates", []string{"start smoke = 90", "from 0s to 9s smoke + 20/s"}, smoke, []time.Duration{2 * sec}, "100"},
		{"outside on purpose", []string{"at 1s smoke = 500"}, smoke, []time.Duration{sec, 2 * sec}, "500 500"},
		{"held", []string{"start smoke = 1", "from 1s to 2s smoke = 7", "from 0s to 9s smoke + 1/s"}, smoke, []time.Duration{980 * ms, 1500 * ms, 2 * sec}, "1.98 7 2"},
		{"dropped", []string{"start range = 3", "drop range from 1s to 2s"}, range_, []time.Duration{980 * ms, sec, 1980 * ms, 2 * sec}, "3 - - 3"},
		{"nan", []string{"start range = 3", "at 1s range = nan for 1s"}, range_, []time.Duration{980 * ms, sec, 2 * sec}, "3 NaN 3"},
		{"nan for good", []string{"at 1s range = nan"}, range_, []time.Duration{980 * ms, sec, 2 * sec}, "- NaN NaN"},
		{"loop", []string{"start smoke = 0", "at 1s smoke = 5", "at 2s smoke = 6", "loop 3s"}, smoke, []time.Duration{980 * ms, sec, 2 * sec, 3980 * ms, 4 * sec, 5 * sec}, "0 5 6 6 5 6"},
		{"loop holds and drops", []string{"start smoke = 1", "at 1s smoke = 2 for 1s", "drop smoke from 0s to 100ms", "loop 2s"}, smoke, []time.Duration{0, 500 * ms, sec, 1980 * ms, 2 * sec, 2500 * ms, 3 * sec}, "- 1 2 2 - 1 2"},
		{"loop ramps", []string{"start smoke = 0", "from 0s to 1s smoke + 10/s", "loop 1s"}, smoke, []time.Duration{sec, 2 * sec, 5 * sec}, "10 20 50"},
		{"loop not a multiple of the step", []string{"start smoke = 0", "at 0s smoke = 1", "at 100ms smoke = 2", "loop 130ms"}, smoke, []time.Duration{0, 100 * ms, 120 * ms, 140 * ms, 240 * ms, 260 * ms}, "1 2 2 1 2 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := mustBoard(t, Config{Scenario: mustScenario(t, test.lines...)})
			if got := at(t, b, test.signal, test.times...); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}

// toward drives range down with drive, as the museum's robots do.
func toward(dt time.Duration, slots []float64) {
	slots[0] -= 1.2 * slots[3] * dt.Seconds()
}

func TestPlantMovesSignals(t *testing.T) {
	b := mustBoard(t, Config{Plant: toward, Start: []float64{3, math.NaN(), math.NaN()}})
	if got := at(t, b, 0, 0, sec); got != "3 3" {
		t.Errorf("at rest: %s", got)
	}
	if err := b.Drive(0, 1); err != nil {
		t.Fatal(err)
	}
	if got := at(t, b, 0, 2*sec, 9*sec); got != "1.8 0" {
		t.Errorf("driving: %s", got)
	}
	if b.Value(0) != 0 || b.Output(0) != 1 || b.Output(1) != 1 {
		t.Errorf("range %v, drive %v, brake %v", b.Value(0), b.Output(0), b.Output(1))
	}
}

func TestAdvanceTakesOutputs(t *testing.T) {
	b := mustBoard(t, Config{Plant: toward, Start: []float64{3}})
	b.Advance(0, []float64{1, 0}, func(hal.Reading) {})
	if n := b.Advance(sec, nil, func(hal.Reading) {}); n != 50 || math.Abs(b.Value(0)-1.8) > 1e-9 {
		t.Errorf("after %d steps range is %v", n, b.Value(0))
	}
}

func TestLateCallersSkip(t *testing.T) {
	b := mustBoard(t, Config{Start: []float64{1, 1, 0}})
	newest := time.Duration(0)
	emit := func(r hal.Reading) { newest = r.At }
	b.Advance(0, nil, emit)
	if n := b.Advance(time.Hour, nil, emit); n != maxCatchUp {
		t.Errorf("%d steps in one call", n)
	}
	if want := uint64(time.Hour/DefaultStep) - maxCatchUp; b.Skipped() != want {
		t.Errorf("%d skipped, want %d", b.Skipped(), want)
	}
	if newest != time.Hour || b.Due() != time.Hour+DefaultStep {
		t.Errorf("the newest reading is of %v, the next of %v", newest, b.Due())
	}
}

func TestNoiseIsSeededAndBounded(t *testing.T) {
	run := func(seed uint64) (values []float64) {
		b := mustBoard(t, Config{Scenario: mustScenario(t, "start range = 7.99", "noise range 0.05"), Seed: seed})
		for i := range 500 {
			b.Advance(time.Duration(i)*DefaultStep, nil, func(r hal.Reading) {
				if r.Signal == 0 {
					values = append(values, r.Value)
				}
			})
		}
		return values
	}
	a, b, c := run(1), run(1), run(2)
	low, high := math.Inf(1), math.Inf(-1)
	for i := range a {
		if a[i] != b[i] {
			t.Fatal("the same seed gives other readings")
		}
		low, high = min(low, a[i]), max(high, a[i])
	}
	if fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("another seed gives the same readings")
	}
	if low < 7.94 || low > 7.96 || high != 8 {
		t.Errorf("readings of 7.99 +- 0.05 in [0, 8] are in [%v, %v]", low, high)
	}
}

func TestMissing(t *testing.T) {
	b := mustBoard(t, Config{Scenario: mustScenario(t, "at 5s range = 1")})
	if got := fmt.Sprint(b.Missing()); got != "[smoke]" {
		t.Errorf("missing: %s", got)
	}
	if got := mustBoard(t, Config{Start: []float64{1, 2, 1}}).Missing(); got != nil {
		t.Errorf("missing: %v", got)
	}
}

func TestDriveRefuses(t *testing.T) {
	b := mustBoard(t, Config{})
	for _, bad := range []struct {
		output int
		value  float64
	}{{-1, 0}, {2, 0}, {0, 1.01}, {0, -0.01}, {0, math.NaN()}} {
		if err := b.Drive(bad.output, bad.value); !errors.Is(err, ErrOutput) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	b.Close()
	if err := b.Drive(0, 0); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if b.Advance(sec, nil, nil) != 0 {
		t.Error("a closed board goes on")
	}
}

func TestNewRefuses(t *testing.T) {
	if _, err := New(Config{Signals: signals, Step: -1}); err == nil {
		t.Error("a negative step is accepted")
	}
	if _, err := New(Config{Signals: signals, Scenario: mustScenario(t, "at 1s nothing = 1")}); err == nil {
		t.Error("an unknown signal is accepted")
	}
}

func BenchmarkAdvance(b *testing.B) {
	board := mustBoard(b, Config{Plant: toward, Start: []float64{3, 2, 0}, Scenario: mustScenario(b, "noise range 0.01", "from 2s to 8s smoke + 2/s", "loop 10s")})
	emit := func(hal.Reading) {}
	b.ReportAllocs()
	for range b.N {
		board.Advance(board.Due(), nil, emit)
	}
}
