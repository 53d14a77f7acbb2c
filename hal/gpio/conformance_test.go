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
	gone    bool // a read told of it
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
	rig := &gpioRig{world: w, buffer: make([]hal.Reading, 16)}
	if err := rig.request(k, chip); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { rig.Close() })
	return rig
}

// request takes the lines and their first levels.
func (r *gpioRig) request(k *kernel, chip string) (err error) {
	ins, outs := rigLines(chip)
	if r.inputs, err = requestInputs(k, ins); err != nil {
		return err
	}
	if r.outputs, err = requestOutputs(k, outs); err != nil {
		return err
	}
	for _, in := range r.inputs {
		first, err := in.Level(r.now())
		if err != nil {
			return err
		}
		r.idle = append(r.idle, first)
	}
	return nil
}

// Lost counts edges that the kernel dropped.
func (r *gpioRig) Lost() (n uint64) {
	for _, in := range r.inputs {
		n += in.Lost()
	}
	return n
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
		r.gone = r.gone || errors.Is(err, ErrGone)
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

// unpluggedRig is one whose chip can go away, as on a USB adapter: the kernel in
// memory alone can do that.
type unpluggedRig struct {
	*gpioRig
	board *board
	chip  string
}

func (r unpluggedRig) Break()       { r.board.gone = true }
func (r unpluggedRig) Broken() bool { return r.gone }

// Mend requests the lines again, as a new run does.
func (r unpluggedRig) Mend() error {
	_ = r.Close() // what is left of the old ones
	r.board.gone, r.gpioRig.gone = false, false
	return r.request(r.board.kernel(), r.chip)
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
			rig := openRig(t, k, chip, w)
			if fake, is := w.(fakeWorld); is {
				return unpluggedRig{rig, fake.board, chip}
			}
			return rig
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
