package haltest

import (
	"math"
	"testing"
	"time"

	"dancer/hal"
)

// Silencer is a Rig whose world gives readings without being asked: silent, it gives
// none, and the adapter must not make any up.
type Silencer interface{ Silence(on bool) }

// Counter is a Rig that counts the changes which it could not keep.
type Counter interface{ Lost() uint64 }

// Breaker is a Rig whose device can go away.
type Breaker interface {
	// Break makes the world take the device away.
	Break()
	// Broken says that the adapter has told of it.
	Broken() bool
	// Mend makes the world give the device back, and takes it again as the adapter's
	// owner does; it is called until it gives nil.
	Mend() error
}

// burst is how many changes come at once: more than the 64 events that a GPIO chip
// keeps for a line, and less than the 4096 bytes that a terminal takes.
const burst = 100

// rounds is how often an adapter is asked that must have nothing.
const rounds = 20

// order: changes that come while nobody reads arrive in their order, each at most
// once, the newest always, and what is missing was counted.
func (s Suite) order(t *testing.T) {
	for i, signal := range s.Signals {
		rig := s.Open(t)
		values := s.burst(signal)
		s.bring(t, rig, i, values[0])
		lost := lostBy(rig)
		for _, v := range values[1:] {
			rig.Stimulate(i, v)
		}
		got := s.takeUntil(t, rig, i, values[len(values)-1])
		if s.Sampled && same(signal, values[0], got[0]) {
			got = got[1:] // a sample that was taken before the first change
		}
		at := 0
		for _, v := range got {
			for at++; at < len(values) && !same(signal, values[at], v); at++ {
			}
			if at >= len(values) {
				t.Fatalf("%s: %v is out of order among %d changes, in %v", signal.Name, v, len(values)-1, got)
			}
		}
		missing := len(values) - 1 - len(got)
		if counted := lostBy(rig) - lost; !s.Sampled && uint64(missing) != counted {
			t.Errorf("%s: %d of %d changes are missing, and %d are counted", signal.Name, missing, len(values)-1, counted)
		}
	}
}

// burst gives values of which no two neighbours are the same, in a numeric signal
// no two at all.
func (s Suite) burst(signal hal.Signal) []float64 {
	values := make([]float64, burst+1)
	for k := range values {
		values[k] = float64(k % 2)
		if !signal.Boolean {
			values[k] = signal.Minimum + float64((signal.Maximum-signal.Minimum)*float64(k)/burst)
		}
	}
	return values
}

// same allows for the steps in which a converter measures.
func same(signal hal.Signal, a, b float64) bool {
	return math.Abs(a-b) <= 1e-9*math.Max(1, signal.Maximum-signal.Minimum)
}

// bring makes a signal have a value, and waits until the adapter has said so.
func (s Suite) bring(t *testing.T, rig Rig, signal int, value float64) {
	t.Helper()
	rig.Stimulate(signal, value)
	s.takeUntil(t, rig, signal, value)
}

// settled is how many times in a row an adapter must have nothing new.
const settled = 5

// takeUntil gives the values of a signal up to one after which nothing new comes,
// without repetitions where it is sampled.
func (s Suite) takeUntil(t *testing.T, rig Rig, signal int, last float64) (got []float64) {
	t.Helper()
	idle := 0
	reached := wait(func() bool {
		before := len(got)
		rig.Collect(func(r hal.Reading) {
			if r.Signal == signal && (!s.Sampled || len(got) == 0 || got[len(got)-1] != r.Value) {
				got = append(got, r.Value)
			}
		})
		if idle++; len(got) > before {
			idle = 0
		}
		return idle >= settled && len(got) > 0 && same(s.Signals[signal], got[len(got)-1], last)
	})
	if !reached {
		t.Fatalf("%s never became %v: %v", s.Signals[signal].Name, last, got)
	}
	return got
}

func lostBy(rig Rig) uint64 {
	if c, is := rig.(Counter); is {
		return c.Lost()
	}
	return 0
}

// silence: where the world says nothing, no reading comes, and the table calls the
// signal stale at the nanosecond; the next reading brings it back.
func (s Suite) silence(t *testing.T) {
	rig := s.Open(t)
	newest := make([]hal.Reading, len(s.Signals))
	seen := make([]bool, len(s.Signals))
	take := func(r hal.Reading) { newest[r.Signal], seen[r.Signal] = r, true }
	for i, signal := range s.Signals {
		rig.Stimulate(i, values(signal)[0])
		if !wait(func() bool { rig.Collect(take); return seen[i] && newest[i].Value == values(signal)[0] }) {
			t.Fatalf("%s never had a value", signal.Name)
		}
	}
	s.silent(t, rig, take)
	tables := make([]*hal.SignalTable, len(s.Signals))
	for i := range s.Signals {
		tables[i] = s.stale(t, newest[i])
	}
	if quiet, is := rig.(Silencer); is {
		quiet.Silence(false)
	}
	for i, signal := range s.Signals {
		want := values(signal)[1]
		rig.Stimulate(i, want)
		back := func(r hal.Reading) {
			if r.Signal == i {
				tables[i].Set(hal.Reading{Value: r.Value, At: r.At})
			}
		}
		if !wait(func() bool { rig.Collect(back); return tables[i].Validity(0) == hal.Valid && tables[i].Raw(0) == want }) {
			t.Errorf("%s does not come back: it is %v", signal.Name, tables[i].Validity(0))
		}
	}
}

// staleAfter is longer than a test, so that real time makes nothing stale.
const staleAfter = time.Minute

// stale puts a reading into a table of its own and lets it become stale there.
func (s Suite) stale(t *testing.T, r hal.Reading) *hal.SignalTable {
	t.Helper()
	signal := s.Signals[r.Signal]
	signal.StaleAfter = staleAfter
	table := hal.NewSignalTable([]hal.Signal{signal})
	table.Start(r.At)
	table.Set(hal.Reading{Value: r.Value, At: r.At})
	table.Expire(r.At+staleAfter-1, nil)
	if v := table.Validity(0); v != hal.Valid {
		t.Errorf("%s is %v before its time", signal.Name, v)
	}
	table.Expire(r.At+staleAfter, nil)
	if v := table.Validity(0); v != hal.Stale {
		t.Errorf("%s is %v, want stale", signal.Name, v)
	}
	return table
}

// silent makes the world silent and checks that the adapter is.
func (s Suite) silent(t *testing.T, rig Rig, take func(hal.Reading)) {
	t.Helper()
	if quiet, is := rig.(Silencer); is {
		quiet.Silence(true)
	}
	since := s.Now()
	s.nothing(t, rig, since, take)
}

// nothing checks that no reading is newer than a time.
func (s Suite) nothing(t *testing.T, rig Rig, since time.Duration, take func(hal.Reading)) {
	t.Helper()
	for range rounds {
		rig.Collect(func(r hal.Reading) {
			if r.At > since {
				t.Errorf("a reading of %v after the world fell silent at %v: %+v", r.At, since, r)
			}
			take(r)
		})
	}
}

// loss: a device that goes away is told of, gives no readings and takes no values;
// when it is back, everything works as before.
func (s Suite) loss(t *testing.T) {
	rig := s.Open(t)
	device, breaks := rig.(Breaker)
	if !breaks {
		t.Skip("there is no device behind this adapter that could go away")
	}
	s.follow(t, rig)
	device.Break()
	if !wait(func() bool { rig.Collect(func(hal.Reading) {}); return device.Broken() }) {
		t.Fatal("the adapter never tells that its device is gone")
	}
	s.nothing(t, rig, s.Now(), func(hal.Reading) {})
	for i, o := range s.Outputs {
		if err := rig.Drive(i, safe(o)); err == nil {
			t.Errorf("%s can be driven without its device", o.Name)
		}
	}
	if err := rig.Halt(); err == nil && len(s.Outputs) > 0 {
		t.Error("Halt without a device reports success")
	}
	if !wait(func() bool { return device.Mend() == nil }) {
		t.Fatalf("the device cannot be taken again: %v", device.Mend())
	}
	s.follow(t, rig)
	if device.Broken() {
		t.Error("the adapter still tells that its device is gone")
	}
	s.drive(t, rig, unsafe)
	s.expect(t, rig, unsafe)
	if err := rig.Halt(); err != nil {
		t.Error(err)
	}
	s.expect(t, rig, safe)
}
