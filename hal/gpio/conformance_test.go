//go:build linux

package gpio

import (
	"errors"
	"testing"
	"time"

	"dancer/hal"
	"dancer/hal/haltest"

	"golang.org/x/sys/unix"
)

// world is what is soldered to the lines of a rig: inputs 0 and 1, outputs 2
// and 3. Levels are physical.
type world interface {
	press(line int, level bool)
	sense(line int) bool
	now() time.Duration
}

// gpioRig is the package's lines and the world around them.
type gpioRig struct {
	world
	inputs  []*Input
	outputs *Outputs
	buffer  []hal.Reading
	idle    []hal.Reading
}

// rigLines are on one chip: a switch to ground with a pull-up, an active-low
// one, a motor and a spring-applied brake driven by an active-low line.
func rigLines(chip string) ([]InputConfig, []OutputConfig) {
	at := func(offset int) Line { return Line{Chip: chip, Offset: offset} }
	return []InputConfig{{Line: at(0)}, {Line: at(1), Signal: 1, ActiveLow: true}},
		[]OutputConfig{{Line: at(2)}, {Line: at(3), Safe: true, ActiveLow: true}}
}

func openRig(t *testing.T, k *kernel, chip string, w world) *gpioRig {
	t.Helper()
	ins, outs := rigLines(chip)
	inputs, err := requestInputs(k, ins)
	if err != nil {
		t.Fatal(err)
	}
	outputs, err := requestOutputs(k, outs)
	if err != nil {
		t.Fatal(err)
	}
	rig := &gpioRig{world: w, inputs: inputs, outputs: outputs, buffer: make([]hal.Reading, 16)}
	for _, in := range inputs {
		first, err := in.Level(w.now())
		if err != nil {
			t.Fatal(err)
		}
		rig.idle = append(rig.idle, first)
	}
	t.Cleanup(func() { rig.Close() })
	return rig
}

// Stimulate presses the line that reads the value; signal 1 is active low.
func (r *gpioRig) Stimulate(signal int, value float64) {
	r.press(signal, (value == 1) != (signal == 1))
}

func (r *gpioRig) Collect(emit func(hal.Reading)) {
	for _, first := range r.idle {
		if r.inputs[first.Signal].Fd() >= 0 {
			emit(first)
		}
	}
	r.idle = r.idle[:0]
	r.collect(emit)
}

func (r *gpioRig) collect(emit func(hal.Reading)) {
	for _, in := range r.inputs {
		n, err := in.Read(r.buffer)
		if err != nil {
			continue
		}
		for _, reading := range r.buffer[:n] {
			emit(reading)
		}
	}
}

func (r *gpioRig) Drive(output int, value float64) error { return r.outputs.Set(output, value == 1) }

// World reads the physical line; output 1 is active low.
func (r *gpioRig) World(output int) (float64, bool) {
	if r.sense(2+output) != (output == 1) {
		return 1, true
	}
	return 0, true
}

func (r *gpioRig) Turn() {
	r.collect(func(hal.Reading) {})
	_ = r.outputs.Set(0, true)
	_, _ = r.outputs.Get(1)
}

func (r *gpioRig) Halt() error { return r.outputs.Halt() }

func (r *gpioRig) Close() error {
	errs := []error{r.outputs.Close()}
	for _, in := range r.inputs {
		errs = append(errs, in.Close())
	}
	return errors.Join(errs...)
}

// conform runs the suite over a kernel; fresh gives a world with a chip of its
// own for every test.
func conform(t *testing.T, now func() time.Duration, fresh func(t *testing.T) (k *kernel, chip string, w world)) {
	haltest.Suite{
		Signals:    []hal.Signal{{Name: "bumper", Boolean: true}, {Name: "estop", Boolean: true}},
		Outputs:    []hal.Output{{Name: "drive", Maximum: 1}, {Name: "brake", Maximum: 1, Safe: 1}},
		Now:        now,
		StartsSafe: true,
		Open: func(t *testing.T) haltest.Rig {
			k, chip, w := fresh(t)
			return openRig(t, k, chip, w)
		},
	}.Run(t)
}

// fakeWorld is the kernel in memory.
type fakeWorld struct {
	*board
	chip *chip
}

func (w fakeWorld) press(line int, level bool) { w.drive(w.chip, line, level) }
func (w fakeWorld) sense(line int) bool        { return w.chip.lines[line].level }
func (w fakeWorld) now() time.Duration         { return time.Duration(w.board.now) }

// TestConformance runs the suite over the kernel in memory; TestConformanceOfKernel
// runs it over the real one.
func TestConformance(t *testing.T) {
	var newest fakeWorld
	conform(t, func() time.Duration { return newest.now() }, func(t *testing.T) (*kernel, string, world) {
		b := newBoard(t)
		newest = fakeWorld{b, b.add("gpiochip0", "fake", "", "", "", "")}
		return b.kernel(), "fake", newest
	})
}

// monotonic is the clock of the kernel's events.
func monotonic() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts)
	return time.Duration(ts.Nano())
}
