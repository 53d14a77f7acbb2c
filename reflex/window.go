package reflex

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"slices"
	"time"

	"dancer/reflex/program"
)

// WindowKind is what a window makes of its argument. The zero value is invalid.
type WindowKind uint8

// The kinds of windows.
const (
	// RateWindow is the slope of the argument per second, from the oldest reading
	// inside Length to the newest and never over fewer than two readings, which are
	// RateOver apart at least. It moves with readings alone.
	RateWindow WindowKind = iota + 1

	// MeanWindow is the argument's mean over the last Length, or over the time
	// since it became valid when that is shorter; between two readings the argument
	// counts as the first of them.
	MeanWindow

	// HeldWindow is 1 once the argument has been true without a break for Length,
	// else 0.
	HeldWindow

	// SinceWindow is the number of seconds since the argument was last true, 0 while
	// it is; counted from its first valid value if it never was, and to SinceAtMost at most.
	SinceWindow

	// LowestWindow is the lowest value that the argument had in the last Length, or
	// in up to a 32nd of it more; between two readings the argument counts as the
	// first of them. It waits until the argument has been valid for Length.
	LowestWindow

	// HighestWindow is the highest one.
	HighestWindow
)

// Bounds of a window, and how often one that moves by time alone is looked at
// where nothing is said.
const (
	MaximumWindows = 64
	MinimumLength  = 10 * time.Millisecond
	MaximumLength  = 10 * time.Minute
	DefaultRefresh = 20 * time.Millisecond
)

// Bounds of results. A rate is never taken over less than RateOver: frames that
// come out of a port together have time stamps nanoseconds apart, and a slope
// between them says nothing of the world. Since stops counting at SinceAtMost
// seconds, eleven days.
const (
	RateOver    = time.Millisecond
	SinceAtMost = 1e6
)

// Window is one derived signal that looks back in time.
type Window struct {
	Kind     WindowKind
	Slot     int              // that the result is written to
	Argument *program.Program // over signals, the windows before this one, and outputs; of held and since a truth value
	Length   time.Duration    // MinimumLength to MaximumLength; of since not used
	Refresh  time.Duration    // how often mean and since are looked at by time alone; 0: DefaultRefresh
}

// WindowState says what a window's slot holds.
type WindowState uint8

// The states of a window. A window is invalid as soon as its argument is, and
// begins anew when the argument comes back.
const (
	WindowInvalid WindowState = iota // NaN: the argument is invalid, or the result is no number
	WindowWaiting                    // NaN: the argument is valid, and rate has one reading of it, or lowest and highest have less than their time
	WindowValid
)

// Windows holds the windows of a robot and what they remember: 33 buckets of
// time each, whatever happens. It is not safe for concurrent use: the one thread
// of the spine owns it. No method allocates.
//
// Results are functions of the readings and of the times of the calls alone.
// Every window reads only signals, outputs and the windows before it, so one pass
// in order brings all of them up to date.
type Windows struct {
	list    []Window
	states  []history
	readers []uint64 // slot -> windows whose argument reads it
	scratch []float64
}

// NewWindows checks the windows, for a robot with so many slots (signals, those
// of the windows among them, and outputs). It reports every fault at once.
func NewWindows(list []Window, slots int) (*Windows, error) {
	if len(list) > MaximumWindows {
		return nil, fmt.Errorf("check windows: %d of them, %d are possible", len(list), MaximumWindows)
	}
	list = slices.Clone(list)
	w := &Windows{
		list: list, states: make([]history, len(list)), readers: make([]uint64, slots),
		scratch: make([]float64, program.Registers),
	}
	var faults []error
	for i := range list {
		if err := w.check(i, slots); err != nil {
			faults = append(faults, fmt.Errorf("check window %d: %w", i, err))
			continue
		}
		w.states[i] = newHistory(&list[i])
		for _, s := range list[i].Argument.Reads() {
			w.readers[s] |= 1 << i
		}
	}
	return w, errors.Join(faults...)
}

func (w *Windows) check(i, slots int) error {
	v := &w.list[i]
	switch {
	case v.Kind < RateWindow || v.Kind > HighestWindow:
		return errors.New("it is of no kind")
	case v.Argument == nil:
		return errors.New("it has no argument")
	case v.Slot < 0 || v.Slot >= slots || !readsBelow(v.Argument, slots):
		return errors.New("it uses a slot that is neither a signal nor an output")
	case v.Kind != SinceWindow && (v.Length < MinimumLength || v.Length > MaximumLength):
		return fmt.Errorf("its length is %v, not %v to %v", v.Length, MinimumLength, MaximumLength)
	case v.Refresh < 0:
		return errors.New("its refresh is negative")
	}
	for later := i; later < len(w.list); later++ {
		for _, s := range v.Argument.Reads() {
			if s == w.list[later].Slot {
				return errors.New("it reads itself or a window behind it")
			}
		}
	}
	return nil
}

// Len is the number of windows.
func (w *Windows) Len() int { return len(w.list) }

// Slot gives the slot of window i.
func (w *Windows) Slot(i int) int { return w.list[i].Slot }

// Reads gives the slots that the argument of window i reads. The caller must not
// modify it.
func (w *Windows) Reads(i int) []int { return w.list[i].Argument.Reads() }

// State says what the slot of window i holds.
func (w *Windows) State(i int) WindowState { return w.states[i].state }

// Start forgets everything and looks at every window for the first time. Each
// slot holds the window's value from here on, or NaN.
func (w *Windows) Start(now time.Duration, slots []float64) {
	for i := range w.states {
		w.states[i].forget()
		w.states[i].at = now
		slots[w.list[i].Slot] = math.NaN()
	}
	for i := range w.list {
		w.read(i, now, slots)
		w.show(i, now, slots)
	}
}

// Update takes in new readings, or a new validity, of the given slots at one
// time, writes the slots of the windows that depend on them, and gives those
// windows, one bit each. A time before that of an earlier call counts as that
// one. A new value of an output counts as a reading of it.
func (w *Windows) Update(at time.Duration, changed []int, slots []float64) (windows uint64) {
	var read uint64
	for _, s := range changed {
		read |= w.readers[s]
	}
	return w.look(at, read, 0, slots)
}

// Tick lets time pass without a reading. Call it at [Windows.NextDeadline]. It
// gives the windows that it has looked at, one bit each.
func (w *Windows) Tick(now time.Duration, slots []float64) (windows uint64) {
	var timed uint64
	for i := range w.states {
		if w.states[i].due <= now {
			timed |= 1 << i
		}
	}
	return w.look(now, 0, timed, slots)
}

// NextDeadline gives the earliest time at which a window changes by time alone:
// for held, lowest and highest exactly, for mean and since the next look.
func (w *Windows) NextDeadline() (earliest time.Duration, ok bool) {
	earliest = never
	for i := range w.states {
		earliest = min(earliest, w.states[i].due)
	}
	return earliest, earliest != never
}

// look goes through windows in order, so that one which reads another comes after
// it.
func (w *Windows) look(now time.Duration, read, timed uint64, slots []float64) (done uint64) {
	for todo := read | timed; todo != 0; todo = (read | timed) &^ done {
		i := bits.TrailingZeros64(todo)
		if read>>i&1 != 0 {
			w.read(i, now, slots)
		}
		w.show(i, now, slots)
		read |= w.readers[w.list[i].Slot]
		done |= 1 << i
	}
	return done
}

// read evaluates the argument of a window and remembers it.
func (w *Windows) read(i int, now time.Duration, slots []float64) {
	p, h := w.list[i].Argument, &w.states[i]
	x := math.NaN()
	if !p.AnyInvalid(slots) {
		x = p.Eval(slots, w.scratch)
	}
	now = max(now, h.at)
	switch {
	case x != x:
		h.forget()
		h.at = now
	case !h.valid:
		h.begin(now, x)
	default:
		h.take(now, x)
	}
}

// show writes the result of a window as of now.
func (w *Windows) show(i int, now time.Duration, slots []float64) {
	h := &w.states[i]
	result := h.result(max(now, h.at))
	if result-result != 0 {
		result = math.NaN()
	}
	switch {
	case result == result:
		h.state = WindowValid
	case h.waiting:
		h.state = WindowWaiting
	default:
		h.state = WindowInvalid
	}
	slots[w.list[i].Slot] = result
}
