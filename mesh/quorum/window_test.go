package quorum

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dancer/mesh"

	"pgregory.net/rapid"
)

const ms = time.Millisecond

func mustWindow(t *testing.T, size int, rule Rule, length, limit time.Duration, exempt ...int32) *Window {
	t.Helper()
	w, err := NewWindow(0, size, rule, length, limit, exempt...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestWindowClosesEarly(t *testing.T) {
	w := mustWindow(t, 100, RuleAgents, 500*ms, 500*ms)
	for i := range int32(95) {
		if w.Tick(10*ms) || w.Closed() {
			t.Fatalf("closed after %d answers", i)
		}
		w.Answer(10*ms, i, mesh.Ready)
	}
	if !w.Tick(11*ms) || !w.Closed() || !w.Verdict().Achieved() || w.Tick(12*ms) {
		t.Fatalf("%+v", w.Verdict())
	}
	if have := slices.Collect(w.Stragglers()); !slices.Equal(have, []int32{95, 96, 97, 98, 99}) {
		t.Errorf("stragglers %v", have)
	}
	// What comes before the deadline is not late, though the window has closed.
	if w.Answer(400*ms, 95, mesh.Ready) != Counted || w.Late() != [LateGroups]LateGroup{} || w.Counts().Ready != 96 {
		t.Errorf("late %v, %+v", w.Late(), w.Counts())
	}

	lost := mustWindow(t, 100, RuleAgents, 500*ms, 500*ms)
	for i := range int32(6) {
		lost.Answer(ms, i, mesh.Conflict)
	}
	if !lost.Tick(ms) || lost.Verdict().Decision != ResolveConflicts {
		t.Errorf("%+v", lost.Verdict())
	}
	cut := mustWindow(t, 100, RuleAgents, 500*ms, 500*ms)
	for i := range int32(6) {
		cut.Absent(ms, i)
	}
	if !cut.Tick(ms) || cut.Verdict().Reason != OutOfReach {
		t.Errorf("%+v", cut.Verdict())
	}
}

// TestWindowCountsNothingLate: an answer that comes after the deadline does not
// make the quorum, however late the caller's tick is.
func TestWindowCountsNothingLate(t *testing.T) {
	w := mustWindow(t, 20, RuleAgents, 100*ms, 100*ms)
	for i := range int32(18) {
		w.Answer(50*ms, i, mesh.Ready)
	}
	w.Answer(101*ms, 18, mesh.Ready)
	w.Answer(130*ms, 19, mesh.Conflict)
	w.Tick(time.Second)
	if v := w.Verdict(); v.Achieved() || v.Counts.Ready != 18 || w.Counts().Ready != 19 {
		t.Errorf("%+v, now %+v", v, w.Counts())
	}
	want := [LateGroups]LateGroup{0: {Ready: 1}, 1: {}, 2: {Conflict: 1}}
	if w.Late() != want {
		t.Errorf("late %v", w.Late())
	}
	// The 19th READY came after 101 ms: so long a window would have been enough.
	if a := w.Advice(); !a.Evidence || a.Window < 101*ms || a.Window > 114*ms || a.Ready != 19 {
		t.Errorf("advice %+v", a)
	}
}

func TestWindowExtends(t *testing.T) {
	w := mustWindow(t, 20, RuleAgents, 100*ms, 350*ms)
	for i := range int32(10) {
		w.Answer(50*ms, i, mesh.Ready)
	}
	for _, want := range []time.Duration{200 * ms, 350 * ms} {
		if !w.Tick(w.Deadline()) || w.Closed() || w.Deadline() != want {
			t.Fatalf("deadline %s, want %s", w.Deadline(), want)
		}
	}
	if !w.Tick(350*ms) || w.Verdict().Decision != Wait || w.Verdict().Reason != Unknown {
		t.Errorf("%+v", w.Verdict())
	}
	// Nothing is known of the others: twice as long.
	if a := w.Advice(); a.Evidence || a.Window != 700*ms {
		t.Errorf("advice %+v", a)
	}
}

func TestWindowBroken(t *testing.T) {
	w := mustWindow(t, 20, RuleAgents, 100*ms, 100*ms)
	for i := range int32(19) {
		w.Answer(ms, i, mesh.Ready)
	}
	w.Tick(2 * ms)
	if w.Answer(50*ms, 19, mesh.Conflict) != Counted || w.Broken() {
		t.Error("one conflict of twenty broke it")
	}
	if w.Answer(60*ms, 3, mesh.Conflict) != Changed || !w.Broken() || !w.Verdict().Achieved() {
		t.Errorf("two conflicts of twenty did not break it: %+v", w.Counts())
	}
}

func TestWindowPeople(t *testing.T) {
	w := mustWindow(t, 21, RuleAgents, 100*ms, 100*ms, 20)
	if w.Answer(0, 20, mesh.Conflict) != Uncounted || w.Counts() != (Counts{Total: 20}) || w.Absent(0, 20) {
		t.Errorf("%+v", w.Counts())
	}
}

func TestWindowRefuses(t *testing.T) {
	for _, c := range []struct {
		size          int
		rule          Rule
		length, limit time.Duration
	}{
		{-1, RuleAgents, ms, ms}, {1, Rule{}, ms, ms}, {1, RuleAgents, 0, ms}, {1, RuleAgents, 2 * ms, ms}, {1, RuleAgents, ms, MaxLength + 1},
	} {
		if _, err := NewWindow(0, c.size, c.rule, c.length, c.limit); err == nil {
			t.Errorf("%+v", c)
		}
	}
}

// TestWindowAlwaysCloses: whatever is answered and however the clock ticks, a
// window is closed at its limit, a quorum has enough READY at its closing, and
// what closed early keeps its outcome whatever comes from those in transit.
func TestWindowAlwaysCloses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(0, 60).Draw(t, "size")
		rule := drawRule(t)
		length := time.Duration(rapid.IntRange(1, 300).Draw(t, "length")) * ms
		limit := length + time.Duration(rapid.IntRange(0, 600).Draw(t, "more"))*ms
		w, err := NewWindow(0, size, rule, length, limit)
		if err != nil {
			t.Fatal(err)
		}
		now := time.Duration(0)
		early := false
		changed := false
		for now <= limit {
			o := w.Answer(now, rapid.Int32Range(0, 59).Draw(t, "member"), mesh.Trinary(rapid.IntRange(-1, 1).Draw(t, "said")))
			changed = changed || o == Changed
			if rapid.Bool().Draw(t, "tick") {
				for w.Tick(now) {
					early = w.Closed() && now < w.Deadline()
				}
			}
			now += time.Duration(rapid.IntRange(1, 100).Draw(t, "step")) * ms
		}
		for w.Tick(now) {
		}
		v := w.Verdict()
		if !w.Closed() || w.Deadline() > limit {
			t.Fatalf("open at %s, limit %s", now, limit)
		}
		if v.Achieved() && (v.Counts.Ready < v.Need || 2*v.Counts.Ready <= v.Counts.Total) {
			t.Fatalf("%+v", v)
		}
		if final := rule.Decide(w.Counts(), true).Achieved(); early && !changed && final != v.Achieved() {
			t.Fatalf("closed early as %+v, and then it became %v", v, final)
		}
	})
}

func TestSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Spread
		var all []time.Duration
		for range rapid.IntRange(1, 100).Draw(t, "count") {
			d := time.Duration(rapid.Int64Range(-int64(time.Second), int64(200*time.Second)).Draw(t, "d"))
			s.Add(d)
			all = append(all, max(d, 0))
		}
		slices.Sort(all)
		n := rapid.IntRange(1, len(all)).Draw(t, "rank")
		have, ok := s.Rank(n)
		if want := all[n-1]; !ok || have <= want || have > want+want/8+2*ms {
			t.Fatalf("rank %d is %s, want just over %s", n, have, want)
		}
		if _, ok := s.Rank(len(all) + 1); ok {
			t.Fatal("a rank that is not there")
		}
	})
	if bucketOf(time.Hour) != 127 || bucketOf(-1) != 0 {
		t.Error("ends")
	}
}

// TestAdviceIsEnough: a window of the advised length would have been enough for
// the same answers.
func TestAdviceIsEnough(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 28))
	for run := range 200 {
		w := mustWindow(t, 1000, RuleAgents, 100*ms, 100*ms)
		delays := make([]time.Duration, 1000)
		for i := range delays {
			delays[i] = time.Duration(random.ExpFloat64() * float64(100*ms))
		}
		gather(w, delays)
		a := w.Advice()
		again := mustWindow(t, 1000, RuleAgents, a.Window, a.Window)
		gather(again, delays)
		if w.Verdict().Achieved() || !a.Evidence || !again.Verdict().Achieved() {
			t.Fatalf("run %d: %s, advice %+v, then %s", run, w.Verdict().Decision, a, again.Verdict().Decision)
		}
	}
}

func gather(w *Window, delays []time.Duration) {
	order := make([]int32, len(delays))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortFunc(order, func(a, b int32) int { return int(delays[a] - delays[b]) })
	for _, i := range order {
		w.Answer(delays[i], i, mesh.Ready)
		w.Tick(delays[i])
	}
	for w.Tick(time.Minute) {
	}
}

func TestAnswersDoNotAllocate(t *testing.T) {
	w := mustWindow(t, 30_000, RuleAgents, time.Second, 2*time.Second)
	i := int32(0)
	if n := testing.AllocsPerRun(1000, func() {
		w.Answer(time.Duration(i)*ms, i%30_000, mesh.Ready)
		w.Tick(time.Duration(i) * ms)
		i += 7
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleWindow() {
	w, err := NewWindow(0, 20, RuleAgents, 500*time.Millisecond, time.Second)
	if err != nil {
		fmt.Println(err)
		return
	}
	for i := range int32(19) {
		w.Answer(40*time.Millisecond, i, mesh.Ready)
	}
	w.Tick(41 * time.Millisecond)
	fmt.Println(w.Verdict().Decision, "before the deadline, without", w.Counts().Transit())
	// Output: PROCEED before the deadline, without 1
}
