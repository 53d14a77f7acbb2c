package reflex_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/dancer/expr"
	"dancer/reflex"
)

// windowsOf compiles windowed expressions over the robot of these tests, whose
// slots 5 and up are the windows'.
func windowsOf(tb testing.TB, sources ...string) []reflex.Window {
	tb.Helper()
	kinds := map[string]reflex.WindowKind{"rate": reflex.RateWindow, "mean": reflex.MeanWindow, "lowest": reflex.LowestWindow, "highest": reflex.HighestWindow, "held": reflex.HeldWindow, "since": reflex.SinceWindow}
	found := &expr.Windows{First: 5}
	for _, source := range sources {
		want := expr.Want{AnyUnit: true, Boolean: strings.HasPrefix(source, "held")}
		if _, err := expr.CompileWindowed(source, scope(tb), want, found); err != nil {
			tb.Fatalf("%s: %v", source, err)
		}
	}
	var list []reflex.Window
	for _, w := range found.List() {
		list = append(list, reflex.Window{Kind: kinds[w.Function], Slot: w.Slot, Argument: w.Argument, Length: w.Length})
	}
	return list
}

// past is a set of windows driven by hand: slots range, bumper, smoke, drive,
// brake, and then the windows.
type past struct {
	tb      testing.TB
	windows *reflex.Windows
	slots   []float64
	now     time.Duration
}

func newPast(tb testing.TB, sources ...string) *past {
	tb.Helper()
	list := windowsOf(tb, sources...)
	p := &past{tb: tb, slots: make([]float64, 5+len(list)), now: time.Hour}
	for i := range 3 {
		p.slots[i] = math.NaN()
	}
	var err error
	if p.windows, err = reflex.NewWindows(list, len(p.slots)); err != nil {
		tb.Fatal(err)
	}
	p.windows.Start(p.now, p.slots)
	return p
}

// read is a reading some time after the last thing; deadlines before it are kept.
func (p *past) read(after time.Duration, slot int, value float64) {
	p.pass(after)
	p.slots[slot] = value
	p.windows.Update(p.now, []int{slot}, p.slots)
}

// pass lets time go by, from deadline to deadline.
func (p *past) pass(d time.Duration) {
	end := p.now + d
	for {
		due, ok := p.windows.NextDeadline()
		if !ok || due > end {
			break
		}
		p.now = due
		p.windows.Tick(p.now, p.slots)
	}
	p.now = end
}

// value of window i.
func (p *past) value(i int) float64 { return p.slots[5+i] }

func (p *past) is(want float64, when string) {
	p.tb.Helper()
	if got := p.value(0); got != want && !(got != got && want != want) {
		p.tb.Errorf("%s: %v, want %v", when, got, want)
	}
}

func TestHeldAtItsEdges(t *testing.T) {
	p := newPast(t, "held(bumper, 300ms)")
	p.is(math.NaN(), "before the first reading")
	p.read(0, bumperSlot, 1)
	p.is(0, "true from now on")
	if due, ok := p.windows.NextDeadline(); !ok || due != p.now+300*ms {
		t.Errorf("deadline %v %v", due, ok)
	}
	p.pass(300*ms - 1)
	p.is(0, "a nanosecond before")
	p.pass(1)
	p.is(1, "exactly then, by time alone")
	if due, ok := p.windows.NextDeadline(); ok {
		t.Errorf("a deadline at %v, and nothing to change", due)
	}
	p.read(ms, bumperSlot, 1)
	p.is(1, "still")
	p.read(ms, bumperSlot, 0)
	p.is(0, "broken")
	p.read(ms, bumperSlot, 1)
	p.read(300*ms-1, bumperSlot, 0)
	p.read(0, bumperSlot, 1)
	p.pass(299 * ms)
	p.is(0, "a break without length is a break")
	p.read(ms, bumperSlot, 1)
	p.is(1, "a reading exactly at the end of it")
	p.read(ms, bumperSlot, math.NaN())
	p.is(math.NaN(), "invalid")
	p.read(400*ms, bumperSlot, 1)
	p.is(0, "back, and anew")
	p.pass(300 * ms)
	p.is(1, "held since it is back")
}

func TestSince(t *testing.T) {
	p := newPast(t, "since(bumper)")
	p.read(0, bumperSlot, 0)
	p.is(0, "counted from the first reading")
	p.pass(2 * time.Second)
	p.is(2, "never true")
	p.read(500*ms, bumperSlot, 1)
	p.is(0, "true")
	p.pass(time.Minute)
	p.is(0, "while it is true")
	if due, ok := p.windows.NextDeadline(); ok {
		t.Errorf("a deadline at %v, and nothing to change", due)
	}
	p.read(0, bumperSlot, 0)
	p.is(0, "it was true until now")
	p.pass(99 * ms)
	p.is(0.08, "looked at every 20 ms")
	p.read(0, bumperSlot, 0)
	p.is(0.099, "and at every reading")
	p.read(ms, bumperSlot, math.NaN())
	p.is(math.NaN(), "invalid")
	p.read(ms, bumperSlot, 0)
	p.is(0, "back, and anew")
}

func TestRate(t *testing.T) {
	p := newPast(t, "rate(smoke, 1s)")
	p.read(0, smokeSlot, 10)
	p.is(math.NaN(), "one reading")
	if s := p.windows.State(0); s != reflex.WindowWaiting {
		t.Errorf("state %v, want waiting", s)
	}
	p.read(0, smokeSlot, 11)
	p.is(math.NaN(), "two at one time are one")
	p.read(ms-1, smokeSlot, 700)
	p.is(math.NaN(), "and two that came together")
	p.read(499*ms+1, smokeSlot, 12)
	p.is(2, "two readings")
	p.read(500*ms, smokeSlot, 14)
	p.is(3, "over the whole window, its edge included")
	p.read(500*ms, smokeSlot, 14)
	p.is(2, "the first is out of it")
	p.pass(time.Minute)
	p.is(2, "as of the newest reading")
	p.read(0, smokeSlot, 14+61)
	p.is(61/60.0, "the last two, if the window has one")
	p.read(ms, smokeSlot, math.NaN())
	p.is(math.NaN(), "invalid")
	p.read(ms, smokeSlot, 3)
	p.is(math.NaN(), "back, with one reading")
	p.read(ms, smokeSlot, 2)
	p.is(-1000, "and with two")
}

// Frames that waited in a port together have time stamps a nanosecond apart.
func TestRateOfFramesThatCameTogether(t *testing.T) {
	p := newPast(t, "rate(smoke, 50ms)")
	p.read(0, smokeSlot, 10)
	p.read(100*ms, smokeSlot, 11)
	p.read(1, smokeSlot, 12)
	if got := p.value(0); math.Abs(got-20) > 1e-6 {
		t.Errorf("the rate is %v, want 20: from the last reading before them", got)
	}
	p.read(10*ms, smokeSlot, 12)
	if got := p.value(0); math.Abs(got-100) > 1e-4 {
		t.Errorf("the rate is %v, want 100: from the first of them", got)
	}
}

func TestSinceEnds(t *testing.T) {
	p := newPast(t, "since(bumper)")
	p.read(0, bumperSlot, 0)
	p.now += 2e6 * time.Second
	p.windows.Tick(p.now, p.slots)
	p.is(1e6, "after many days")
	if due, ok := p.windows.NextDeadline(); ok {
		t.Errorf("a deadline at %v, and nothing to change", due)
	}
}

func TestMean(t *testing.T) {
	p := newPast(t, "mean(smoke, 3200ms)")
	p.read(0, smokeSlot, 10)
	p.is(10, "at once")
	p.read(100*ms, smokeSlot, 20)
	p.is(10, "the new value has had no time")
	p.read(100*ms, smokeSlot, 40)
	p.is(15, "over the time since the first reading")
	p.pass(3 * time.Second)
	p.is((10+20+30*40)/32.0, "over the whole window")
	p.pass(100 * ms)
	p.is((20+31*40)/32.0, "the first reading is out of it")
	p.pass(100 * ms)
	p.is(40, "nothing else in it")
	if due, ok := p.windows.NextDeadline(); ok {
		t.Errorf("a deadline at %v, and nothing to change", due)
	}
	p.read(0, smokeSlot, math.NaN())
	p.is(math.NaN(), "invalid")
	p.read(100*ms, smokeSlot, 7)
	p.is(7, "back, and anew")
}

// What lowest and highest forget they forget by time alone, when the last 32nd of
// their time that had it is over.
func TestLowestAndHighest(t *testing.T) {
	p := newPast(t, "lowest(smoke, 320ms)", "highest(smoke, 320ms)")
	both := func(low, high float64, when string) {
		t.Helper()
		if l, h := p.value(0), p.value(1); (l != low || h != high) && !(l != l && low != low) {
			t.Errorf("%s: %v to %v, want %v to %v", when, l, h, low, high)
		}
	}
	p.read(0, smokeSlot, 3)
	both(math.NaN(), math.NaN(), "at first")
	if s := p.windows.State(0); s != reflex.WindowWaiting {
		t.Errorf("at first: state %v", s)
	}
	p.pass(320 * ms)
	both(3, 3, "when it was looked at for its whole time")
	if due, ok := p.windows.NextDeadline(); ok {
		t.Errorf("nothing moves, and a look is due at %v", due)
	}
	p.read(100*ms, smokeSlot, 9)
	both(3, 9, "a higher one")
	p.read(5*ms, smokeSlot, 5)
	both(3, 9, "the highest was short")
	p.pass(300 * ms)
	both(3, 9, "before the time is over")
	p.pass(30 * ms)
	both(5, 5, "after it")
	p.read(0, smokeSlot, math.NaN())
	p.read(ms, smokeSlot, 5)
	both(math.NaN(), math.NaN(), "anew")
}

func TestMeanOfWhatIsTooLargeIsInvalid(t *testing.T) {
	p := newPast(t, "mean(smoke, 1s)")
	p.read(0, smokeSlot, math.MaxFloat64)
	p.is(math.MaxFloat64, "nothing to add up")
	p.read(100*ms, smokeSlot, 1)
	p.is(math.NaN(), "the sum has no value")
	if s := p.windows.State(0); s != reflex.WindowInvalid {
		t.Errorf("state %v, want invalid", s)
	}
}

// What an argument reads and does not use in this state counts all the same.
func TestAnyInvalidSlotInvalidates(t *testing.T) {
	p := newPast(t, "mean(bumper ? smoke : 3, 1s)")
	p.read(0, bumperSlot, 0)
	p.is(math.NaN(), "smoke was never there")
	p.read(ms, smokeSlot, 8)
	p.is(3, "all is there")
	p.read(ms, smokeSlot, math.NaN())
	p.is(math.NaN(), "smoke is gone")
}

func TestWindowsOverWindows(t *testing.T) {
	p := newPast(t, "mean(rate(smoke, 100ms), 1s)", "held(mean(smoke, 100ms) > 5, 50ms)")
	p.read(0, smokeSlot, 0)
	for range 10 {
		p.read(10*ms, smokeSlot, p.slots[smokeSlot]+0.1)
	}
	if got := p.value(1); math.Abs(got-10) > 1e-9 {
		t.Errorf("mean of a rate of 10 per second: %v", got)
	}
	p.read(10*ms, smokeSlot, 100)
	for i, want := range map[int]float64{2: 0.5, 3: 0} {
		if got := p.value(i); math.Abs(got-want) > 0.1 {
			t.Errorf("window %d is %v, want about %v", i, got, want)
		}
	}
	p.pass(70 * ms)
	if got := p.value(3); got != 1 {
		t.Errorf("held over a mean that moved by time alone is %v (mean %v)", got, p.value(2))
	}
}

func TestTimeDoesNotGoBack(t *testing.T) {
	p := newPast(t, "mean(smoke, 1s)", "since(bumper)", "held(bumper, 1s)", "rate(smoke, 1s)")
	p.read(0, smokeSlot, 10)
	p.read(0, bumperSlot, 1)
	p.read(100*ms, smokeSlot, 20)
	before := p.now
	p.now -= 5 * ms
	p.read(0, smokeSlot, 30)
	p.read(0, bumperSlot, 0)
	p.now = before
	p.pass(100 * ms)
	p.windows.Update(p.now, []int{smokeSlot, bumperSlot}, p.slots)
	for i, want := range []float64{20, 0.105, 0, 100} {
		if got := p.value(i); math.Abs(got-want) > 1e-9 {
			t.Errorf("window %d is %v, want %v", i, got, want)
		}
	}
}

// sample is one value that an argument had, from a time on.
type sample struct {
	at    time.Duration
	value float64
}

// slow is the obvious second version of one window: it keeps every reading.
type slow struct {
	window reflex.Window
	all    []sample
}

// run gives the readings since the argument was last invalid.
func (s *slow) run() []sample {
	from := 0
	for i, r := range s.all {
		if r.value != r.value {
			from = i + 1
		}
	}
	return s.all[from:]
}

// result gives the window's value at a time, and how far it may be off.
func (s *slow) result(now time.Duration) (value, slack float64) {
	run := s.run()
	if len(run) == 0 {
		return math.NaN(), 0
	}
	switch s.window.Kind {
	case reflex.HeldWindow:
		return s.held(run, now), 0
	case reflex.SinceWindow:
		value = s.since(run, now)
		return value, 1e-15 * value // seconds are rounded twice here
	case reflex.MeanWindow:
		return s.mean(run, now)
	case reflex.LowestWindow, reflex.HighestWindow:
		return s.extreme(run, now), 0
	}
	value = s.rate(run)
	return value, 1e-14 * math.Abs(value)
}

func (s *slow) held(run []sample, now time.Duration) float64 {
	for i := len(run) - 1; i >= 0 && run[i].value == 1; i-- {
		if now-run[i].at >= s.window.Length {
			return 1
		}
	}
	return 0
}

func (s *slow) since(run []sample, now time.Duration) float64 {
	last := run[0].at
	for i, r := range run {
		end := now
		if i+1 < len(run) {
			end = run[i+1].at
		}
		if r.value == 1 {
			last = end
		}
	}
	return (now - last).Seconds()
}

// extreme looks back to the beginning of the 32nd, counted from the start of the
// clock, in which the window begins.
func (s *slow) extreme(run []sample, now time.Duration) float64 {
	if now-run[0].at < s.window.Length {
		return math.NaN()
	}
	width := (s.window.Length + 31) / 32
	from, result := (now-s.window.Length)/width*width, run[len(run)-1].value
	for i, r := range run {
		if i+1 < len(run) && run[i+1].at < from {
			continue
		}
		if s.window.Kind == reflex.LowestWindow {
			result = min(result, r.value)
		} else {
			result = max(result, r.value)
		}
	}
	return result
}

func (s *slow) mean(run []sample, now time.Duration) (value, slack float64) {
	from := max(now-s.window.Length, run[0].at)
	total, low, high := 0.0, math.Inf(1), math.Inf(-1)
	for i, r := range run {
		end := now
		if i+1 < len(run) {
			end = run[i+1].at
		}
		if d := end - max(r.at, from); d > 0 || i == len(run)-1 {
			total += r.value * float64(max(d, 0))
		}
		if end >= from-s.window.Length/32-1 { // the bucket that the window begins in
			low, high = min(low, r.value), max(high, r.value)
		}
	}
	if now == from {
		return run[len(run)-1].value, 0
	}
	return total / float64(now-from), (high-low)/127 + 1e-12*max(math.Abs(low), math.Abs(high))
}

// rate takes the first reading of each 32nd of the window's length, counted from
// the start of the clock, and no two that are less than a millisecond apart.
func (s *slow) rate(run []sample) float64 {
	var distinct []sample
	for _, r := range run {
		if n := len(distinct); n > 0 && distinct[n-1].at == r.at {
			distinct[n-1] = r
			continue
		}
		distinct = append(distinct, r)
	}
	newest := distinct[len(distinct)-1]
	oldest := sample{value: math.NaN()}
	for i := 1; i < len(distinct); i++ {
		if distinct[i].at-distinct[i-1].at >= ms {
			oldest = distinct[i-1]
		}
	}
	width := (s.window.Length + 31) / 32
	for i := len(distinct) - 1; i >= 0 && distinct[i].at >= newest.at-s.window.Length; i-- {
		if first := i == 0 || distinct[i-1].at/width != distinct[i].at/width; first && distinct[i].at <= newest.at-ms {
			oldest = distinct[i]
		}
	}
	return (newest.value - oldest.value) / (newest.at - oldest.at).Seconds()
}

func TestWindowsAgreeWithTheSlowVersion(t *testing.T) {
	lengths := []string{"10ms", "33ms", "100ms", "777ms", "2s"}
	pauses := rapid.SampledFrom([]time.Duration{0, 1, 313, ms, 7 * ms, 20 * ms, 33 * ms, 100 * ms, 300 * ms, 3 * time.Second})
	values := rapid.SampledFrom([]float64{0, 0.25, 1, 3, -7, 1e6, math.NaN()})
	checked := map[reflex.WindowKind]int{}
	rapid.Check(t, func(rt *rapid.T) {
		var sources []string
		for range rapid.IntRange(1, 6).Draw(rt, "windows") {
			length := rapid.SampledFrom(lengths).Draw(rt, "length")
			sources = append(sources, fmt.Sprintf(rapid.SampledFrom([]string{
				"rate(smoke, %s)", "mean(smoke, %s)", "mean(smoke * drive, %s)", "lowest(smoke, %s)", "highest(smoke * drive, %s)", "held(smoke > 0.5, %s)", "held(bumper, %s)", "since(bumper || smoke == 1) + 0 * mean(drive, %s) * 1 s",
			}).Draw(rt, "window"), length))
		}
		p := newPast(t, sources...)
		list := windowsOf(t, sources...)
		slows := make([]slow, len(list))
		for i := range list {
			slows[i].window = list[i]
		}
		scratch := make([]float64, list[0].Argument.Registers())
		look := func(at time.Duration, slot int) {
			for i := range slows {
				a := list[i].Argument
				reads := false
				for _, s := range a.Reads() {
					reads = reads || s == slot || slot < 0
				}
				if !reads {
					continue
				}
				x := math.NaN()
				if !a.AnyInvalid(p.slots) {
					x = a.Eval(p.slots, scratch)
				}
				slows[i].all = append(slows[i].all, sample{at, x})
			}
		}
		look(p.now, -1)
		check := func(updated uint64) {
			for i := range slows {
				timed := list[i].Kind == reflex.MeanWindow || list[i].Kind == reflex.SinceWindow
				if timed && updated>>i&1 == 0 {
					continue // as of its last look
				}
				want, slack := slows[i].result(p.now)
				got := p.value(i)
				if want == want {
					checked[list[i].Kind]++
				}
				if (got == got) != (want == want) || math.Abs(got-want) > slack {
					rt.Fatalf("%v at %v over %v of %v: %v, want %v ± %v", list[i].Kind, p.now, list[i].Length, slows[i].all, got, want, slack)
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(rt, "steps") {
			end := p.now + pauses.Draw(rt, "pause")
			for {
				due, ok := p.windows.NextDeadline()
				if !ok || due > end {
					break
				}
				p.now = due
				check(p.windows.Tick(due, p.slots))
			}
			p.now = end
			slot := rapid.SampledFrom([]int{smokeSlot, smokeSlot, bumperSlot, driveSlot}).Draw(rt, "slot")
			p.slots[slot] = values.Draw(rt, "value")
			if slot == driveSlot {
				p.slots[slot] = 0.5
			} else if slot == bumperSlot && p.slots[slot] == p.slots[slot] {
				p.slots[slot] = float64(int(math.Abs(p.slots[slot])) & 1)
			}
			look(p.now, slot)
			check(p.windows.Update(p.now, []int{slot}, p.slots))
		}
	})
	for kind := reflex.RateWindow; kind <= reflex.HighestWindow; kind++ {
		if checked[kind] < 300 && !testing.Short() || checked[kind] == 0 { // in short mode there are 20 draws
			t.Errorf("windows of kind %v were compared %d times", kind, checked[kind])
		}
	}
}

// A straight line has the same slope wherever its readings are.
func TestRateOfAStraightLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := newPast(t, "rate(smoke, 2s)")
		slope, begun, first := rapid.Float64Range(-1000, 1000).Draw(rt, "slope"), p.now, p.now
		for i := range rapid.IntRange(2, 100).Draw(rt, "readings") {
			p.pass(time.Duration(rapid.Int64Range(1, int64(time.Second)).Draw(rt, "pause")))
			p.read(0, smokeSlot, slope*(p.now-begun).Seconds())
			if i == 0 {
				first = p.now
			}
			if got := p.value(0); p.now-first < ms {
				if got == got {
					rt.Fatalf("slope %v of readings that came together", got)
				}
			} else if math.Abs(got-slope) > 1e-5*math.Abs(slope)+1e-9 {
				rt.Fatalf("slope %v, want %v", got, slope)
			}
		}
	})
}

func TestNewWindowsNamesEveryFault(t *testing.T) {
	good := windowsOf(t, "mean(smoke, 1s)")[0]
	change := func(f func(*reflex.Window)) reflex.Window { w := good; f(&w); return w }
	nested := windowsOf(t, "mean(rate(smoke), 2s)")
	list := []reflex.Window{
		change(func(w *reflex.Window) { w.Kind = 0 }),
		change(func(w *reflex.Window) { w.Argument = nil }),
		change(func(w *reflex.Window) { w.Slot = 9 }),
		change(func(w *reflex.Window) { w.Length = 9 * ms }),
		change(func(w *reflex.Window) { w.Length = 11 * time.Minute }),
		change(func(w *reflex.Window) { w.Refresh = -1 }),
		good, nested[1], nested[0],
	}
	_, err := reflex.NewWindows(list, 9)
	want := `check window 0: it is of no kind
check window 1: it has no argument
check window 2: it uses a slot that is neither a signal nor an output
check window 3: its length is 9ms, not 10ms to 10m0s
check window 4: its length is 11m0s, not 10ms to 10m0s
check window 5: its refresh is negative
check window 7: it reads itself or a window behind it`
	if err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
	if _, err := reflex.NewWindows(make([]reflex.Window, 65), 70); err == nil || err.Error() != "check windows: 65 of them, 64 are possible" {
		t.Errorf("65 windows: %v", err)
	}
}
