package hal

import (
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

var nan = math.NaN()

func tableSignals() []Signal {
	return []Signal{
		{Name: "range", Minimum: 0, Maximum: 8, StaleAfter: 300 * ms},
		{Name: "bumper", Boolean: true},
		{Name: "pressure", Minimum: -1, Maximum: 1, StaleAfter: 2 * time.Second, StuckAfter: 500 * ms},
		{Name: "free", StaleAfter: time.Second}, // no range
	}
}

func TestTableJudgesReadings(t *testing.T) {
	tests := []struct {
		name   string
		signal int
		value  float64
		want   Validity
	}{
		{"in range", 0, 3, Valid},
		{"lower end", 0, 0, Valid},
		{"upper end", 0, 8, Valid},
		{"below", 0, -0.001, OutOfRange},
		{"above", 0, 8.001, OutOfRange},
		{"nan", 0, nan, NotANumber},
		{"infinite", 0, math.Inf(1), NotANumber},
		{"boolean on", 1, 1, Valid},
		{"boolean off", 1, 0, Valid},
		{"boolean half", 1, 0.5, OutOfRange},
		{"without range", 3, 1e300, Valid},
		{"without range, infinite", 3, math.Inf(-1), NotANumber},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := NewSignalTable(tableSignals())
			if !table.Set(Reading{test.signal, test.value, 10 * ms}) {
				t.Error("first reading is no change")
			}
			if got := table.Validity(test.signal); got != test.want {
				t.Errorf("validity is %v, want %v", got, test.want)
			}
			value := table.Values()[test.signal]
			if test.want == Valid && value != test.value || test.want != Valid && !math.IsNaN(value) {
				t.Errorf("rules read %v", value)
			}
			if !sameReading(table.Raw(test.signal), test.value) || table.At(test.signal) != 10*ms || !table.Seen(test.signal) {
				t.Errorf("reading is kept as %v at %v", table.Raw(test.signal), table.At(test.signal))
			}
		})
	}
}

func TestTableStartsUnseen(t *testing.T) {
	table := NewSignalTable(tableSignals())
	table.Start(time.Second)
	for i := range table.Len() {
		if table.Validity(i) != NeverSeen || !math.IsNaN(table.Values()[i]) || table.Seen(i) {
			t.Errorf("signal %d starts as %v", i, table.Validity(i))
		}
	}
	if at, ok := table.NextExpiry(); !ok || at != 1300*ms {
		t.Errorf("next expiry is %v, %v", at, ok)
	}
	var changed []int
	table.Expire(1300*ms-1, func(i int) { changed = append(changed, i) })
	if changed != nil {
		t.Errorf("%v expired early", changed)
	}
	table.Expire(1300*ms, func(i int) { changed = append(changed, i) })
	if len(changed) != 1 || changed[0] != 0 || table.Validity(0) != Stale {
		t.Errorf("%v expired, range is %v", changed, table.Validity(0))
	}
	table.Expire(time.Hour, nil)
	if table.Validity(1) != NeverSeen {
		t.Errorf("an edge-driven input became %v by waiting", table.Validity(1))
	}
	if _, ok := table.NextExpiry(); ok {
		t.Error("something can still expire")
	}
}

func TestTableStaleAndBack(t *testing.T) {
	table := NewSignalTable(tableSignals())
	table.Set(Reading{0, 3, 0})
	table.Set(Reading{0, 3, 100 * ms})
	table.Expire(399*ms, func(i int) {
		if i == 0 {
			t.Error("stale early")
		}
	})
	table.Expire(400*ms, nil)
	if table.Validity(0) != Stale {
		t.Fatalf("at 300 ms of age it is %v", table.Validity(0))
	}
	if !table.Set(Reading{0, 3, 500 * ms}) || table.Validity(0) != Valid {
		t.Error("the next reading does not bring it back")
	}
	if table.Set(Reading{0, 3, 510 * ms}) {
		t.Error("the same value again is reported as a change")
	}
}

func TestTableStuck(t *testing.T) {
	table := NewSignalTable(tableSignals())
	table.Set(Reading{2, 0.5, 0})
	table.Set(Reading{2, 0.5, 400 * ms})
	if table.Validity(2) != Valid {
		t.Fatalf("after 400 ms it is %v", table.Validity(2))
	}
	if !table.Set(Reading{2, 0.5, 500 * ms}) || table.Validity(2) != Stuck {
		t.Errorf("after 500 ms unchanged it is %v", table.Validity(2))
	}
	if !table.Set(Reading{2, 0.4, 510 * ms}) || table.Validity(2) != Valid {
		t.Errorf("a new value leaves it %v", table.Validity(2))
	}
	if at, ok := table.NextExpiry(); !ok || at > 1010*ms {
		t.Errorf("next expiry is %v, %v", at, ok)
	}
	table.Expire(1010*ms, nil)
	if table.Validity(2) != Stuck {
		t.Errorf("by time alone it is %v", table.Validity(2))
	}
}

func TestTableIgnoresOlderAndUnknown(t *testing.T) {
	table := NewSignalTable(tableSignals())
	table.Set(Reading{1, 1, 50 * ms})
	if table.Set(Reading{1, 0, 49 * ms}) || table.Values()[1] != 1 {
		t.Error("an older reading replaced a newer one")
	}
	if table.Set(Reading{-1, 1, 0}) || table.Set(Reading{4, 1, 0}) {
		t.Error("a signal that does not exist was set")
	}
}

func TestTableInvalidate(t *testing.T) {
	table := NewSignalTable(tableSignals())
	if table.Invalidate(0, Stale) || table.Validity(0) != NeverSeen {
		t.Error("a signal never seen was invalidated")
	}
	table.Set(Reading{0, 1, 0})
	if !table.Invalidate(0, Stale) || table.Validity(0) != Stale || !math.IsNaN(table.Values()[0]) {
		t.Errorf("after Invalidate it is %v", table.Validity(0))
	}
	if table.Invalidate(0, Stale) || table.Invalidate(0, Valid) || table.Invalidate(9, Stale) {
		t.Error("Invalidate reports no news as news")
	}
	if !table.Set(Reading{0, 1, ms}) || table.Validity(0) != Valid {
		t.Error("a reading does not bring it back")
	}
}

func TestTableOverSlots(t *testing.T) {
	slots := []float64{1, 2, 3, 4, 5, 6}
	table := NewSignalTableOver(slots, tableSignals())
	table.Set(Reading{0, 3, 0})
	if slots[0] != 3 || !math.IsNaN(slots[1]) || slots[4] != 5 || len(table.Values()) != 4 {
		t.Errorf("slots are %v", slots)
	}
}

// TestTableAgainstHistory compares with a table that keeps every reading and
// works each answer out from the beginning.
func TestTableAgainstHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		signals := tableSignals()
		table := NewSignalTable(signals)
		history := make([][]Reading, len(signals))
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			now += time.Duration(rapid.IntRange(0, 300).Draw(t, "wait")) * ms
			if rapid.Bool().Draw(t, "reading") {
				r := Reading{
					Signal: rapid.IntRange(0, len(signals)-1).Draw(t, "signal"),
					Value:  rapid.SampledFrom([]float64{0, 1, 0.5, -2, 9, nan}).Draw(t, "value"),
					At:     now,
				}
				table.Set(r)
				history[r.Signal] = append(history[r.Signal], r)
			}
			if at, ok := table.NextExpiry(); ok && at > now {
				checkHistory(t, table, signals, history, now)
			}
			table.Expire(now, nil)
			checkHistory(t, table, signals, history, now)
		}
	})
}

func checkHistory(t *rapid.T, table *SignalTable, signals []Signal, history [][]Reading, now time.Duration) {
	t.Helper()
	for i := range signals {
		if want := judgeHistory(&signals[i], history[i], now); table.Validity(i) != want {
			t.Fatalf("at %v signal %s is %v, want %v of %v", now, signals[i].Name, table.Validity(i), want, history[i])
		}
	}
}

func judgeHistory(s *Signal, history []Reading, now time.Duration) Validity {
	last := Reading{}
	if len(history) > 0 {
		last = history[len(history)-1]
	}
	switch {
	case s.StaleAfter > 0 && now-last.At >= s.StaleAfter:
		return Stale
	case len(history) == 0:
		return NeverSeen
	case math.IsNaN(last.Value):
		return NotANumber
	case s.Boolean && last.Value != 0 && last.Value != 1,
		!s.Boolean && s.Maximum > s.Minimum && (last.Value < s.Minimum || last.Value > s.Maximum):
		return OutOfRange
	}
	if s.StuckAfter > 0 && unchangedFor(s, history, now) >= s.StuckAfter {
		return Stuck
	}
	return Valid
}

// unchangedFor adds up the time in which readings came and were no other plausible
// value than before.
func unchangedFor(s *Signal, history []Reading, now time.Duration) (unchanged time.Duration) {
	kept := nan
	for i, r := range history {
		if i > 0 {
			if pause := r.At - history[i-1].At; s.StaleAfter == 0 || pause < s.StaleAfter {
				unchanged += pause
			}
		}
		if plausible := s.inRange(r.Value) && !math.IsNaN(r.Value); plausible && r.Value != kept {
			kept, unchanged = r.Value, 0
		}
	}
	return unchanged + now - history[len(history)-1].At
}

// A frozen sensor does not hide behind readings that are none, behind the rounding
// of its value, or behind a port that comes and goes.
func TestTableStuckIsNotHidden(t *testing.T) {
	third := 1.0 / 3
	for _, c := range []struct {
		name string
		at   func(i int) (value float64, pause time.Duration)
		want Validity
	}{
		{"an ulp up and down", func(i int) (float64, time.Duration) {
			return math.Nextafter(third, float64(i&1)), 50 * ms
		}, Stuck},
		{"not a number in between", func(i int) (float64, time.Duration) {
			return []float64{third, nan, third}[i%3], 50 * ms
		}, Stuck},
		{"out of range in between", func(i int) (float64, time.Duration) {
			return []float64{third, 7, third}[i%3], 50 * ms
		}, Stuck},
		{"at the upper end", func(int) (float64, time.Duration) { return 1, 50 * ms }, Stuck},
		{"at the lower end", func(int) (float64, time.Duration) { return -1, 50 * ms }, Stuck},
		{"a port that comes and goes", func(i int) (float64, time.Duration) {
			return third, []time.Duration{100 * ms, 3 * time.Second}[i%2]
		}, Stuck},
		{"a port that was gone for long", func(i int) (float64, time.Duration) {
			return third, []time.Duration{50 * ms, 50 * ms, time.Hour, 50 * ms}[min(i, 3)]
		}, Valid},
		{"a slow drift", func(i int) (float64, time.Duration) { return float64(i) * 1e-8, 50 * ms }, Valid},
		{"a very slow drift", func(i int) (float64, time.Duration) { return float64(i) * 0.9e-9, 50 * ms }, Valid},
	} {
		t.Run(c.name, func(t *testing.T) {
			table := NewSignalTable(tableSignals())
			now := time.Duration(0)
			readings := 15
			if c.want == Valid {
				readings = 9
			}
			for i := range readings {
				value, pause := c.at(i)
				table.Expire(now, nil)
				table.Set(Reading{2, value, now})
				if i < readings-1 {
					now += pause
				}
			}
			if got := table.Validity(2); got != c.want {
				t.Fatalf("it is %v, want %v", got, c.want)
			}
			if table.Set(Reading{2, 0.9, now + ms}); table.Validity(2) != Valid {
				t.Errorf("with another value it is %v", table.Validity(2))
			}
		})
	}
}

// A stuck signal that becomes stale is stuck again when the same value comes back.
func TestTableStuckAndStale(t *testing.T) {
	table := NewSignalTable(tableSignals())
	for i := range 11 {
		table.Set(Reading{2, 0.5, time.Duration(i) * 50 * ms})
	}
	if v := table.Validity(2); v != Stuck {
		t.Fatalf("it is %v", v)
	}
	table.Expire(time.Minute, nil)
	if v := table.Validity(2); v != Stale {
		t.Fatalf("without readings it is %v", v)
	}
	if table.Set(Reading{2, 0.5, time.Minute + ms}); table.Validity(2) != Stuck {
		t.Errorf("the same value again makes it %v", table.Validity(2))
	}
	if table.Set(Reading{2, 0.6, time.Minute + 2*ms}); table.Validity(2) != Valid {
		t.Errorf("another value makes it %v", table.Validity(2))
	}
}

// A line that has no readings but its edges is found by the deadline alone.
func TestTableStuckLine(t *testing.T) {
	table := NewSignalTable([]Signal{{Name: "pulse", Boolean: true, StuckAfter: time.Second}})
	table.Set(Reading{0, 1, 0})
	if at, ok := table.NextExpiry(); !ok || at != time.Second {
		t.Fatalf("next expiry is %v, %v", at, ok)
	}
	found := -1
	if table.Expire(time.Second-1, func(i int) { found = i }); found >= 0 {
		t.Error("a nanosecond early")
	}
	if table.Expire(time.Second, func(i int) { found = i }); found != 0 || table.Validity(0) != Stuck {
		t.Errorf("at the deadline: signal %d, %v", found, table.Validity(0))
	}
	if at, ok := table.NextExpiry(); ok {
		t.Errorf("and then something is due at %v", at)
	}
	if table.Set(Reading{0, 0, 2 * time.Second}); table.Validity(0) != Valid {
		t.Errorf("an edge leaves it %v", table.Validity(0))
	}
}

func TestTableAllocatesNothing(t *testing.T) {
	table := NewSignalTable(tableSignals())
	changed := func(int) {}
	now := time.Duration(0)
	allocs := testing.AllocsPerRun(100, func() {
		now += 40 * ms
		table.Set(Reading{0, float64(now%7) / 2, now})
		table.Set(Reading{2, nan, now})
		table.Expire(now, changed)
		table.NextExpiry()
		table.Invalidate(0, Stale)
	})
	if allocs != 0 {
		t.Errorf("%v allocations a round", allocs)
	}
}

func TestValidityNames(t *testing.T) {
	names := map[Validity]string{NeverSeen: "never seen", Valid: "valid", Stale: "stale",
		NotANumber: "not a number", OutOfRange: "out of range", Stuck: "stuck", 99: "unknown"}
	for v, want := range names {
		if v.String() != want {
			t.Errorf("%d is %q, want %q", v, v, want)
		}
	}
}

func BenchmarkTableSet(b *testing.B) {
	table := NewSignalTable(tableSignals())
	for i := range b.N {
		table.Set(Reading{0, float64(i & 7), time.Duration(i)})
	}
}
