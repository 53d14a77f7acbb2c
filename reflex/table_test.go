package reflex_test

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"dancer/dancer/expr"
	"dancer/hal"
	"dancer/reflex"
)

const ms = time.Millisecond

// The robot of these tests: signals range, bumper, smoke; outputs drive, brake.
const (
	rangeSlot = iota
	bumperSlot
	smokeSlot
	driveSlot
	brakeSlot
	driveOutput = 0
	brakeOutput = 1
)

func scope(tb testing.TB) expr.Scope {
	tb.Helper()
	metre, err := expr.ParseUnit("m")
	if err != nil {
		tb.Fatal(err)
	}
	return expr.Scope{
		"range": {Slot: rangeSlot, Unit: metre}, "bumper": {Slot: bumperSlot, Boolean: true}, "smoke": {Slot: smokeSlot},
		"drive": {Slot: driveSlot}, "brake": {Slot: brakeSlot},
	}
}

func outputs() []hal.Output {
	return []hal.Output{
		{Name: "drive", Minimum: -1, Maximum: 1},
		{Name: "brake", Maximum: 1, Safe: 1},
	}
}

// bench is a table with its slots, driven by hand.
type bench struct {
	t     *testing.T
	table *reflex.Table
	slots []float64
	now   time.Duration
}

func newBench(t *testing.T, rules ...reflex.Rule) *bench {
	t.Helper()
	table, err := reflex.NewTable(rules, outputs(), 3)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, table: table, slots: []float64{2, 0, 10, 0.5, 0}}
	table.Evaluate(0, b.slots)
	return b
}

// set gives a slot a new reading 10 ms later.
func (b *bench) set(slot int, value float64) {
	b.now += 10 * ms
	b.slots[slot] = value
	b.table.Changed(b.now, slot, b.slots)
}

func (b *bench) active(want bool, when string) {
	b.t.Helper()
	if got := b.table.Active(0); got != want {
		b.t.Errorf("%s: active %v, want %v", when, got, want)
	}
}

// moves takes all transitions and prints them.
func (b *bench) moves() string {
	var list []string
	dst := make([]reflex.Transition, 1)
	for b.table.TakeTransitions(dst) == 1 {
		list = append(list, dst[0].Kind.String())
	}
	return strings.Join(list, " ")
}

func stop() []reflex.Setting {
	return []reflex.Setting{{Output: driveOutput, Value: 0}, {Output: brakeOutput, Value: 1}}
}

func TestRuleFiresAndEnds(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, "range < 0.30 m && drive > 0", ""))
	b.active(false, "far")
	b.set(rangeSlot, 0.30)
	b.active(false, "at the limit")
	b.set(rangeSlot, 0.299)
	b.active(true, "near")
	if v, by, ok := b.table.Merged(brakeOutput); v != 1 || by != 0 || !ok {
		t.Errorf("brake %v by %d %v, want 1 by 0", v, by, ok)
	}
	b.set(driveSlot, 0)
	b.active(false, "not driving")
	if _, _, ok := b.table.Merged(brakeOutput); ok {
		t.Error("brake is still set after the end")
	}
	if got := b.moves(); got != "fired ended" {
		t.Errorf("transitions %q", got)
	}
}

func TestUntilGivesHysteresis(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, "range < 0.30 m && drive > 0", "range > 0.45 m"))
	b.set(rangeSlot, 0.2)
	b.set(driveSlot, 0)
	b.active(true, "when is over, until not yet")
	b.set(rangeSlot, 0.45)
	b.active(true, "at until's limit")
	b.set(rangeSlot, 0.5)
	b.active(false, "until is true")
}

func TestInvalidSlots(t *testing.T) {
	nan := math.NaN()
	t.Run("fires, whatever the other terms say", func(t *testing.T) {
		for _, when := range []string{"range < 0.30 m && drive > 0", "range > 9 m || drive < 0", "bumper && range < 1 m", "range * 2 < 0.5 m && drive > 7", "drive > 7 ? range < 1 m : false"} {
			b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, when, ""))
			b.active(false, when+", valid")
			b.set(rangeSlot, nan)
			b.active(true, when+", invalid")
			b.set(rangeSlot, 2)
			b.active(false, when+", valid again")
		}
	})
	t.Run("do not end through until", func(t *testing.T) {
		b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, "bumper", "range > 1 m || drive < 1"))
		b.set(bumperSlot, 1)
		b.slots[rangeSlot] = nan
		b.set(bumperSlot, 0)
		b.active(true, "until reads an invalid slot")
		b.set(rangeSlot, 0.5)
		b.active(false, "until reads valid slots")
	})
	t.Run("a value that cannot be computed fires", func(t *testing.T) {
		b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, "1 / smoke > 3", ""))
		b.set(smokeSlot, 0)
		b.active(true, "division by zero")
	})
}

func TestDebounce(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2, Debounce: 25 * ms}, "bumper", ""))
	b.set(bumperSlot, 1) // at 10 ms
	b.active(false, "at once")
	if due, ok := b.table.NextDeadline(); due != 35*ms || !ok {
		t.Errorf("deadline %v %v, want 35ms", due, ok)
	}
	b.set(bumperSlot, 0)
	if _, ok := b.table.NextDeadline(); ok {
		t.Error("a deadline is left after the condition went away")
	}
	b.set(bumperSlot, math.NaN()) // at 30 ms
	b.table.Tick(54 * ms)
	b.active(false, "1 ms too early")
	b.table.Tick(55 * ms)
	b.active(true, "after the debounce")
	if _, ok := b.table.NextDeadline(); ok {
		t.Error("a deadline is left after the rule fired")
	}
}

func TestConfirmCountsReadings(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2, Confirm: 3}, "range < 0.30 m && smoke > 5", ""))
	b.set(rangeSlot, 0.2)
	b.table.Tick(b.now + ms)
	b.table.Changed(b.now, smokeSlot, b.slots) // the same frame
	b.active(false, "one reading")
	b.set(rangeSlot, 0.2)
	b.active(false, "two readings")
	b.set(rangeSlot, 0.9)
	b.set(rangeSlot, 0.2)
	b.set(rangeSlot, 0.2)
	b.active(false, "two readings in a row")
	b.set(rangeSlot, 0.2)
	b.active(true, "three readings in a row")
}

// A signal that has stopped gives no more readings to count.
func TestConfirmDoesNotWaitForWhatIsLost(t *testing.T) {
	b := newBench(t,
		rule(t, scope(t), reflex.Rule{Name: "sure", Set: stop(), Stop: reflex.Stop2, Confirm: 3, Debounce: 5 * ms}, "range < 0.30 m && smoke > 5", "smoke > 50"),
		rule(t, scope(t), reflex.Rule{Name: "other", Set: stop(), Stop: reflex.Stop2, Confirm: 3}, "bumper", ""))
	b.set(rangeSlot, math.NaN())
	b.table.Tick(b.now + 5*ms)
	b.active(false, "one invalid reading, which others may follow")
	b.set(rangeSlot, 1)
	lose := func(slot int) {
		b.now += 10 * ms
		b.slots[slot] = math.NaN()
		b.table.Lost(b.now, slot, b.slots)
	}
	lose(rangeSlot)
	b.active(false, "the debounce runs")
	b.set(rangeSlot, 1)
	b.table.Tick(b.now + 5*ms)
	b.active(false, "it came back in time")
	lose(rangeSlot)
	if due, ok := b.table.NextDeadline(); !ok || due != b.now+5*ms {
		t.Errorf("deadline %v %v, want the end of the debounce", due, ok)
	}
	b.table.Tick(b.now + 5*ms)
	b.active(true, "lost")
	if b.table.Active(1) {
		t.Error("a rule fired that does not read it")
	}
	lose(bumperSlot)
	if !b.table.Active(1) {
		t.Error("without a debounce it fires at once")
	}
}

func TestConfirmAndDebounceLeaveNoStaleDeadline(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2, Confirm: 2, Debounce: 5 * ms}, "bumper", ""))
	b.set(bumperSlot, 1)
	b.table.Tick(b.now + 5*ms)
	b.active(false, "debounced, not confirmed")
	if due, ok := b.table.NextDeadline(); ok {
		t.Errorf("deadline %v although time alone changes nothing", due)
	}
	b.set(bumperSlot, 1)
	b.active(true, "debounced and confirmed")
}

func TestLatch(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "bump", Set: stop(), Stop: reflex.Stop2, Latch: true}, "bumper", ""))
	b.set(bumperSlot, 1)
	if err := b.table.Clear(0); !errors.Is(err, reflex.ErrStillTrue) {
		t.Errorf("clear while true: %v, want ErrStillTrue", err)
	}
	b.set(bumperSlot, 0)
	b.active(false, "released")
	if _, _, ok := b.table.Merged(driveOutput); !b.table.Latched(0) || !ok {
		t.Error("the latch does not hold the outputs")
	}
	if err := b.table.Clear(0); err != nil {
		t.Errorf("clear: %v", err)
	}
	if _, _, ok := b.table.Merged(driveOutput); b.table.Latched(0) || ok {
		t.Error("still latched after clear")
	}
	if err := b.table.Clear(0); err != nil {
		t.Errorf("clear what is not latched: %v", err)
	}
	if err := b.table.Clear(1); !errors.Is(err, reflex.ErrNoRule) {
		t.Errorf("clear of no rule: %v", err)
	}
	if got := b.moves(); got != "fired latched ended cleared" {
		t.Errorf("transitions %q", got)
	}
}

func TestClearRefusesWhatIsNotKnown(t *testing.T) {
	r := rule(t, scope(t), reflex.Rule{Name: "bump", Set: stop(), Stop: reflex.Stop2, Latch: true, Debounce: time.Second}, "bumper", "")
	table, err := reflex.NewTable([]reflex.Rule{r}, outputs(), 3)
	if err != nil {
		t.Fatal(err)
	}
	table.Restore(0)
	if _, _, ok := table.Merged(driveOutput); !ok {
		t.Error("a restored latch sets nothing")
	}
	if err := table.Clear(0); !errors.Is(err, reflex.ErrStillTrue) {
		t.Errorf("clear before the first evaluation: %v", err)
	}
	slots := []float64{2, math.NaN(), 10, 0, 1}
	table.Evaluate(0, slots)
	if err := table.Clear(0); !errors.Is(err, reflex.ErrStillTrue) {
		t.Errorf("clear while the signal is invalid, though not yet fired: %v", err)
	}
	slots[bumperSlot] = 0
	table.Changed(ms, bumperSlot, slots)
	if err := table.Clear(0); err != nil {
		t.Errorf("clear: %v", err)
	}
}

// A restart is no way around until: what could not be cleared before it cannot be
// cleared after it either.
func TestRestoredLatchWaitsForUntil(t *testing.T) {
	r := rule(t, scope(t), reflex.Rule{Name: "smoke", Set: stop(), Stop: reflex.Stop2, Latch: true}, "smoke > 60", "smoke < 20")
	table, err := reflex.NewTable([]reflex.Rule{r}, outputs(), 3)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, table: table, slots: []float64{2, 0, 40, 0.5, 0}}
	table.Restore(0)
	table.Evaluate(0, b.slots)
	b.active(true, "between the two limits")
	if err := table.Clear(0); !errors.Is(err, reflex.ErrStillTrue) {
		t.Errorf("clear before until is true: %v, want ErrStillTrue", err)
	}
	b.set(smokeSlot, math.NaN())
	b.set(smokeSlot, 10)
	b.active(false, "until is true")
	if err := table.Clear(0); err != nil {
		t.Errorf("clear: %v", err)
	}
	if got := b.moves(); got != "ended cleared" {
		t.Errorf("transitions %q", got)
	}
}

func TestAwaitedSlotsDoNotFire(t *testing.T) {
	r := rule(t, scope(t), reflex.Rule{Name: "bump", Set: stop(), Stop: reflex.Stop2, Latch: true}, "bumper", "")
	table, err := reflex.NewTable([]reflex.Rule{r}, outputs(), 3)
	if err != nil {
		t.Fatal(err)
	}
	slots := []float64{2, math.NaN(), 10, 0, 1}
	table.Await(bumperSlot, true)
	table.Evaluate(0, slots)
	if table.Active(0) || table.Latched(0) {
		t.Error("fired on a signal that has not come yet")
	}
	table.Await(bumperSlot, false)
	table.Changed(ms, bumperSlot, slots)
	if !table.Latched(0) {
		t.Error("not fired after the signal was given up")
	}
}

func TestStopCategories(t *testing.T) {
	slow := []reflex.Setting{{Output: driveOutput, Value: 0.2}}
	value := func(b *bench) float64 {
		v, _, ok := b.table.Merged(driveOutput)
		if !ok {
			return math.NaN()
		}
		return v
	}
	tests := []struct {
		stop          reflex.StopCategory
		latch         bool
		first, second float64
	}{
		{reflex.Stop0, false, 0, 0},
		{reflex.Stop1, false, 0.2, 0},
		{reflex.Stop1, true, 0.2, 0},
		{reflex.Stop2, false, 0.2, 0.2},
	}
	for _, test := range tests {
		b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "slow", Set: slow, Stop: test.stop, Latch: test.latch, Controlled: 100 * ms}, "bumper", ""))
		b.set(bumperSlot, 1) // at 10 ms
		if got := value(b); got != test.first {
			t.Errorf("stop %d at once: %v, want %v", test.stop-1, got, test.first)
		}
		if test.stop == reflex.Stop1 {
			if due, ok := b.table.NextDeadline(); due != 110*ms || !ok {
				t.Errorf("deadline %v %v, want 110ms", due, ok)
			}
		}
		b.table.Tick(110 * ms)
		if got := value(b); got != test.second {
			t.Errorf("stop %d later: %v, want %v", test.stop-1, got, test.second)
		}
		if test.latch { // it fires again while latched: no second controlled part
			b.set(bumperSlot, 0)
			b.set(bumperSlot, 1)
			if got := value(b); got != 0 {
				t.Errorf("fired again while latched: %v, want 0", got)
			}
		}
	}
}

func TestTransitionsAreBounded(t *testing.T) {
	b := newBench(t, rule(t, scope(t), reflex.Rule{Name: "stop", Set: stop(), Stop: reflex.Stop2}, "bumper", ""))
	for i := range 10 {
		b.set(bumperSlot, float64(1-i%2))
	}
	if got := b.moves(); got != "fired ended fired ended" || b.table.LostTransitions() != 6 {
		t.Errorf("transitions %q, %d lost; want 4 and 6 lost", got, b.table.LostTransitions())
	}
}

func TestNewTableNamesEveryFault(t *testing.T) {
	s := scope(t)
	good := reflex.Rule{Name: "good", Set: stop(), Stop: reflex.Stop2}
	change := func(name, when string, change func(*reflex.Rule)) reflex.Rule {
		r := rule(t, s, good, when, "")
		r.Name = name
		r.Set = slices.Clone(r.Set)
		change(&r)
		return r
	}
	s["far"] = expr.Symbol{Slot: 5}
	rules := []reflex.Rule{
		change("a", "bumper", func(r *reflex.Rule) { r.When = nil }),
		change("b", "far > 1", func(*reflex.Rule) {}),
		change("c", "bumper", func(r *reflex.Rule) { r.Stop = 0 }),
		change("d", "bumper", func(r *reflex.Rule) { r.Set = nil }),
		change("e", "bumper", func(r *reflex.Rule) { r.Set[0].Value = 2 }),
		change("f", "bumper", func(r *reflex.Rule) { r.Set[0].Value = math.NaN() }),
		change("g", "bumper", func(r *reflex.Rule) { r.Set[0].Output = 1 }),
		change("h", "bumper", func(r *reflex.Rule) { r.Set[0].Output = 2 }),
		change("i", "bumper", func(r *reflex.Rule) { r.Debounce = -1 }),
	}
	_, err := reflex.NewTable(rules, outputs(), 3)
	if err == nil {
		t.Fatal("no error")
	}
	want := `check reflex "a": it has no when
check reflex "b": it reads a slot that is neither a signal nor an output
check reflex "c": it has no stop category (0, 1 or 2)
check reflex "d": it sets no output
check reflex "e": it sets drive to 2, outside of -1 to 1
check reflex "f": it sets drive to NaN, outside of -1 to 1
check reflex "g": it sets brake twice
check reflex "h": it sets output 2 of 2
check reflex "i": debounce, confirm, ramp or the time of a controlled stop is negative`
	if err.Error() != want {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}
