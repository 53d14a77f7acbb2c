package haltest

import (
	"math"
	"runtime"
	"testing"
	"time"

	"dancer/hal"
)

// patience bounds the wait for something that must come.
const patience = 10 * time.Second

// Rig is an opened adapter together with the world around it. One goroutine
// calls it.
type Rig interface {
	// Stimulate makes the world change a signal to a value.
	Stimulate(signal int, value float64)
	// Collect emits what the adapter has, and may wait for more up to a few
	// milliseconds.
	Collect(emit func(hal.Reading))
	// Drive sets an output through the adapter.
	Drive(output int, value float64) error
	// World is the newest value that the actuator got; ok is false if it got
	// none yet.
	World(output int) (value float64, ok bool)
	// Turn is one turn of the spine's loop over the adapter, without waiting:
	// a read and a write. It is measured for allocations.
	Turn()
	Halt() error
	Close() error
}

// Suite is what an adapter's test gives.
type Suite struct {
	Signals    []hal.Signal
	Outputs    []hal.Output
	Open       func(t *testing.T) Rig // closes with the test
	Now        func() time.Duration   // the clock of the readings
	StartsSafe bool                   // outputs are safe before anything is driven

	// Sampled says that the adapter looks at its signals from time to time: a change
	// between two looks is not seen, and a reading's time is that at which the look
	// began, so that its value may be newer.
	Sampled bool

	Goroutines int // that an open rig may have; after Close none is left
}

// Run runs every test of the suite, each on a rig of its own.
func (s Suite) Run(t *testing.T) {
	t.Run("readings arrive", s.readings)
	t.Run("changes keep their order", s.order)
	t.Run("silence is stale", s.silence)
	t.Run("outputs start safe", s.startSafe)
	t.Run("outputs reach the world", s.outputs)
	t.Run("halt makes safe", s.halt)
	t.Run("loss is told and mended", s.loss)
	t.Run("close is final", s.close)
	t.Run("no goroutine", s.goroutines)
	t.Run("no allocation", s.allocations)
}

// values are worth trying for a signal.
func values(s hal.Signal) []float64 {
	if s.Boolean {
		return []float64{1, 0, 1}
	}
	middle := (s.Minimum + s.Maximum) / 2
	return []float64{s.Maximum, s.Minimum, middle}
}

// readings: every change of the world becomes a reading, its time neither in
// the future nor before the change, nor before the one before it.
func (s Suite) readings(t *testing.T) { s.follow(t, s.Open(t)) }

func (s Suite) follow(t *testing.T, rig Rig) {
	t.Helper()
	newest := make([]hal.Reading, len(s.Signals))
	for i := range newest {
		newest[i] = hal.Reading{Value: math.NaN(), At: math.MinInt64}
	}
	take := func(r hal.Reading) {
		if r.Signal < 0 || r.Signal >= len(newest) {
			t.Fatalf("reading of signal %d of %d", r.Signal, len(newest))
		}
		if r.At < newest[r.Signal].At {
			t.Errorf("signal %d goes back in time: %v after %v", r.Signal, r.At, newest[r.Signal].At)
		}
		newest[r.Signal] = r
	}
	for i, signal := range s.Signals {
		for _, value := range values(signal) {
			before, was := s.Now(), newest[i].Value
			rig.Stimulate(i, value)
			reached := wait(func() bool {
				rig.Collect(take)
				return newest[i].Value == value
			})
			if !reached {
				t.Fatalf("%s is %v, want %v", signal.Name, newest[i].Value, value)
			}
			if now := s.Now(); newest[i].At > now {
				t.Errorf("%s is read at %v, which is after %v", signal.Name, newest[i].At, now)
			}
			if !s.Sampled && was != value && newest[i].At < before {
				t.Errorf("%s is read at %v, before its change at %v", signal.Name, newest[i].At, before)
			}
		}
	}
}

func (s Suite) startSafe(t *testing.T) {
	if !s.StartsSafe && len(s.Outputs) > 0 {
		t.Skip("the device behind this adapter keeps its outputs by itself until it is told")
	}
	s.expect(t, s.Open(t), func(o hal.Output) float64 { return o.Safe })
}

func (s Suite) outputs(t *testing.T) {
	rig := s.Open(t)
	for _, pick := range []func(hal.Output) float64{unsafe, safe, unsafe} {
		s.drive(t, rig, pick)
		s.expect(t, rig, pick)
	}
}

// halt: every output becomes safe, whatever was driven before; halting again is
// fine, and the adapter goes on afterwards.
func (s Suite) halt(t *testing.T) {
	rig := s.Open(t)
	for range 2 {
		s.drive(t, rig, unsafe)
		for range 2 {
			if err := rig.Halt(); err != nil {
				t.Fatal(err)
			}
			s.expect(t, rig, safe)
		}
	}
}

func (s Suite) close(t *testing.T) {
	rig := s.Open(t)
	if err := rig.Close(); err != nil {
		t.Fatal(err)
	}
	if err := rig.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
	for i, o := range s.Outputs {
		if err := rig.Drive(i, safe(o)); err == nil {
			t.Errorf("%s can be driven after Close", o.Name)
		}
	}
	if err := rig.Halt(); err == nil {
		t.Error("Halt after Close reports success")
	}
	rig.Collect(func(r hal.Reading) { t.Errorf("a reading after Close: %+v", r) })
}

func (s Suite) goroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	rig := s.Open(t)
	s.drive(t, rig, unsafe)
	rig.Collect(func(hal.Reading) {})
	if after := runtime.NumGoroutine(); after > before+s.Goroutines {
		t.Errorf("%d goroutines more, %d are its own", after-before, s.Goroutines)
	}
	if err := rig.Close(); err != nil {
		t.Error(err)
	}
	if !wait(func() bool { return runtime.NumGoroutine() <= before }) {
		t.Errorf("%d goroutines are left after Close", runtime.NumGoroutine()-before)
	}
}

func (s Suite) allocations(t *testing.T) {
	rig := s.Open(t)
	rig.Turn()
	if n := testing.AllocsPerRun(200, rig.Turn); n != 0 {
		t.Errorf("%v allocations a turn", n)
	}
}

func (s Suite) drive(t *testing.T, rig Rig, pick func(hal.Output) float64) {
	t.Helper()
	for i, o := range s.Outputs {
		if err := rig.Drive(i, pick(o)); err != nil {
			t.Fatalf("drive %s: %v", o.Name, err)
		}
	}
}

func (s Suite) expect(t *testing.T, rig Rig, pick func(hal.Output) float64) {
	t.Helper()
	for i, o := range s.Outputs {
		reached := wait(func() bool {
			value, ok := rig.World(i)
			return ok && value == pick(o)
		})
		if !reached {
			value, ok := rig.World(i)
			t.Fatalf("%s is %v (told: %v), want %v", o.Name, value, ok, pick(o))
		}
	}
}

func safe(o hal.Output) float64 { return o.Safe }

// unsafe is the end of the range farther from the safe value.
func unsafe(o hal.Output) float64 {
	if o.Safe-o.Minimum > o.Maximum-o.Safe {
		return o.Minimum
	}
	return o.Maximum
}

// wait asks until something is so, or patience ends.
func wait(done func() bool) bool {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		if done() {
			return true
		}
		runtime.Gosched()
	}
	return false
}
