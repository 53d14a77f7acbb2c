package conflict_test

import (
	"crypto/sha256"
	"math"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dancer/mesh"
	"dancer/mesh/conflict"
)

func TestTrace(t *testing.T) {
	plain := conflict.Provenance{Origin: 1, Version: 3, Witnesses: 2, Hops: 2}
	with := func(change func(*conflict.Provenance)) conflict.Provenance {
		p := plain
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		expected, received conflict.Provenance
		want               conflict.Outcome
	}{
		"alike":          {plain, plain, conflict.Undecided},
		"restrictive":    {with(func(p *conflict.Provenance) { p.Restrictive = 5 }), with(func(p *conflict.Provenance) { p.Restrictive, p.Verified = 1, true }), conflict.KeepExpected},
		"verified":       {plain, with(func(p *conflict.Provenance) { p.Verified, p.Version = true, 1 }), conflict.KeepReceived},
		"newer":          {plain, with(func(p *conflict.Provenance) { p.Version, p.Witnesses = 4, 0 }), conflict.KeepReceived},
		"older":          {plain, with(func(p *conflict.Provenance) { p.Version, p.Witnesses = 2, 9 }), conflict.KeepExpected},
		"other origin":   {plain, with(func(p *conflict.Provenance) { p.Origin, p.Version = 2, 9 }), conflict.Undecided},
		"no version":     {plain, with(func(p *conflict.Provenance) { p.Version = 0 }), conflict.Undecided},
		"more witnesses": {plain, with(func(p *conflict.Provenance) { p.Origin, p.Witnesses, p.Hops = 2, 3, 9 }), conflict.KeepReceived},
		"fewer hops":     {with(func(p *conflict.Provenance) { p.Hops = 1 }), plain, conflict.KeepExpected},
	} {
		if have := conflict.Trace(c.expected, c.received); have.Outcome != c.want || have.Why == "" {
			t.Errorf("%s: %+v, want %v", name, have, c.want)
		}
	}
}

func drawProvenance(t *rapid.T, label string) conflict.Provenance {
	small := rapid.IntRange(0, 2)
	return conflict.Provenance{
		Restrictive: uint8(small.Draw(t, label+" restrictive")), Verified: rapid.Bool().Draw(t, label+" verified"), Origin: uint32(small.Draw(t, label+" origin")),
		Version: uint64(small.Draw(t, label+" version")), Witnesses: uint16(small.Draw(t, label+" witnesses")), Hops: uint8(small.Draw(t, label+" hops")),
	}
}

// TestTraceIsAntisymmetric: who comes first does not matter, and no order to a
// machine ever loses against a less restrictive one.
func TestTraceIsAntisymmetric(t *testing.T) {
	mirror := map[conflict.Outcome]conflict.Outcome{conflict.KeepExpected: conflict.KeepReceived, conflict.KeepReceived: conflict.KeepExpected, conflict.Undecided: conflict.Undecided}
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawProvenance(t, "a"), drawProvenance(t, "b")
		forth, back := conflict.Trace(a, b), conflict.Trace(b, a)
		if back.Outcome != mirror[forth.Outcome] || back.Why != forth.Why {
			t.Fatalf("%+v against %+v: %v, and back %v", a, b, forth, back)
		}
		if a.Restrictive > b.Restrictive && forth.Outcome != conflict.KeepExpected {
			t.Fatalf("the more restrictive %+v does not stand: %v", a, forth)
		}
		if a == b && forth.Decided() {
			t.Fatalf("equal values are decided: %v", forth)
		}
	})
}

func TestOfRulings(t *testing.T) {
	verdicts := []string{mesh.RuleApprove, mesh.RuleEscalate, mesh.RuleReschedule, mesh.RuleDefer, mesh.RuleDeny}
	for i, standing := range verdicts {
		for k, given := range verdicts {
			c := conflict.OfRulings(mesh.Ruling{Verdict: standing, By: "Ada"}, mesh.Ruling{Escalation: "Q", Verdict: given, By: "Bo"})
			want := conflict.KeepExpected
			if k > i {
				want = conflict.KeepReceived
			} else if k == i {
				want = conflict.Undecided
			}
			if c.Rule.Outcome != want || c.Subject != "ruling on question Q" || c.Expected != standing+" by Ada" {
				t.Errorf("%s, then %s: %+v", standing, given, c)
			}
		}
	}
}

func TestDiverged(t *testing.T) {
	hop := func(agent uint32, value uint64) conflict.Hop { return conflict.Hop{Agent: agent, Value: value} }
	for name, c := range map[string]struct {
		expected, received []conflict.Hop
		at                 int
		agent              uint32
		altered            conflict.Outcome
		ok                 bool
	}{
		"no trail":         {nil, []conflict.Hop{hop(1, 7)}, 0, 0, conflict.Undecided, false},
		"the same":         {[]conflict.Hop{hop(1, 7), hop(2, 7)}, []conflict.Hop{hop(1, 7)}, 0, 0, conflict.Undecided, false},
		"two origins":      {[]conflict.Hop{hop(1, 7)}, []conflict.Hop{hop(2, 8), hop(3, 8)}, 0, 2, conflict.Undecided, true},
		"origin says both": {[]conflict.Hop{hop(1, 7)}, []conflict.Hop{hop(1, 8)}, 0, 1, conflict.Undecided, true},
		"received altered": {[]conflict.Hop{hop(1, 7), hop(4, 7)}, []conflict.Hop{hop(1, 7), hop(2, 7), hop(3, 9), hop(5, 9)}, 2, 3, conflict.KeepExpected, true},
		"expected altered": {[]conflict.Hop{hop(1, 7), hop(4, 6)}, []conflict.Hop{hop(1, 7), hop(2, 7)}, 1, 4, conflict.KeepReceived, true},
	} {
		at, agent, altered, ok := conflict.Diverged(c.expected, c.received)
		if at != c.at || agent != c.agent || altered != c.altered || ok != c.ok {
			t.Errorf("%s: %d %d %v %v", name, at, agent, altered, ok)
		}
	}
}

func TestReconcileClocks(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		cause, effect   conflict.Stamp
		want            conflict.Outcome
		excess          time.Duration
		effect1, cause1 bool
	}{
		"in order":              {conflict.Stamp{Wall: 5 * ms, Logical: 1}, conflict.Stamp{Wall: 9 * ms, Logical: 2}, conflict.Explained, 0, false, false},
		"within the bounds":     {conflict.Stamp{Wall: 9 * ms, Error: 2 * ms, Logical: 1}, conflict.Stamp{Wall: 5 * ms, Error: 2 * ms, Logical: 2}, conflict.Explained, 0, false, false},
		"a nanosecond over":     {conflict.Stamp{Wall: 9*ms + 1, Error: 2 * ms, Logical: 1}, conflict.Stamp{Wall: 5 * ms, Error: 2 * ms, Logical: 2}, conflict.Explained, 1, true, true},
		"the effect's is worse": {conflict.Stamp{Wall: 500 * ms, Error: ms, Logical: 1}, conflict.Stamp{Error: 9 * ms, Logical: 2}, conflict.Explained, 490 * ms, true, false},
		"the cause's is worse":  {conflict.Stamp{Wall: 500 * ms, Error: 9 * ms, Logical: 1}, conflict.Stamp{Error: ms, Logical: 2}, conflict.Explained, 490 * ms, false, true},
		"not seen":              {conflict.Stamp{Wall: 5 * ms, Logical: 3}, conflict.Stamp{Wall: 9 * ms, Logical: 3}, conflict.Undecided, 0, false, false},
		"no logical time":       {conflict.Stamp{Wall: 9 * ms}, conflict.Stamp{Wall: 5 * ms}, conflict.Undecided, 4 * ms, false, false},
		"negative bound":        {conflict.Stamp{Wall: 9 * ms, Error: -time.Hour}, conflict.Stamp{Wall: 5 * ms}, conflict.Undecided, 4 * ms, false, false},
		"hostile":               {conflict.Stamp{Wall: math.MaxInt64, Error: math.MaxInt64}, conflict.Stamp{Wall: math.MinInt64, Error: math.MaxInt64}, conflict.Explained, 0, false, false},
	} {
		have := conflict.ReconcileClocks(c.cause, c.effect)
		if have.Outcome != c.want || have.Excess != c.excess || have.EffectSuspect != c.effect1 || have.CauseSuspect != c.cause1 {
			t.Errorf("%s: %+v", name, have)
		}
	}
}

// TestReconcileClocksNeverBlamesOrder: with a true order and clocks that are within
// their bounds, nothing is ever a paradox and no clock is suspect.
func TestReconcileClocksNeverBlamesOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		length := rapid.Int64Range(0, int64(time.Second))
		cause := time.Duration(length.Draw(t, "cause"))
		effect := cause + time.Duration(length.Draw(t, "later"))
		stamp := func(label string, at time.Duration, logical uint64) conflict.Stamp {
			bound := time.Duration(length.Draw(t, label+" bound"))
			off := time.Duration(rapid.Int64Range(-int64(bound), int64(bound)).Draw(t, label+" off"))
			return conflict.Stamp{Wall: at + off, Error: bound, Logical: logical}
		}
		logical := uint64(rapid.IntRange(0, 1).Draw(t, "logical"))
		have := conflict.ReconcileClocks(stamp("cause", cause, logical), stamp("effect", effect, 2*logical))
		if have.Outcome != conflict.Explained || have.Excess != 0 || have.CauseSuspect || have.EffectSuspect {
			t.Fatalf("%+v", have)
		}
	})
}

func TestRebuild(t *testing.T) {
	at := func(id, cause, logical uint64) conflict.Event {
		return conflict.Event{ID: id, Cause: cause, Stamp: conflict.Stamp{Logical: logical}}
	}
	have := conflict.Rebuild([]conflict.Event{
		at(3, 2, 1), at(2, 1, 9), at(1, 0, 5), // clocks say the reverse of the truth
		at(9, 77, 2),                                // cause unknown
		at(11, 12, 3), at(12, 11, 3), at(13, 12, 3), // a loop, and what hangs from it
		at(1, 0, 0), // the same again
	})
	want := conflict.Chain{Order: []int{2, 1, 0, 3}, Orphans: []int{3}, Loops: []int{4, 5, 6}, Doubles: []int{7}}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("have %+v\nwant %+v", have, want)
	}
}

// TestRebuildKeepsCauses: every event has exactly one place, and every cause comes
// before its effects.
func TestRebuildKeepsCauses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 20).Draw(t, "events")
		events := make([]conflict.Event, n)
		for i := range events {
			events[i] = conflict.Event{ID: uint64(rapid.IntRange(1, 25).Draw(t, "id")), Cause: uint64(rapid.IntRange(0, 25).Draw(t, "cause")),
				Stamp: conflict.Stamp{Wall: time.Duration(rapid.IntRange(0, 3).Draw(t, "wall")), Logical: uint64(rapid.IntRange(0, 3).Draw(t, "logical"))}}
		}
		c := conflict.Rebuild(events)
		all := slices.Concat(c.Order, c.Loops, c.Doubles)
		slices.Sort(all)
		for i := range n {
			if len(all) != n || all[i] != i {
				t.Fatalf("%d events have the places %v", n, all)
			}
		}
		done, known := map[uint64]bool{}, map[uint64]bool{}
		for _, e := range events {
			known[e.ID] = true
		}
		for _, i := range c.Order {
			if cause := events[i].Cause; cause != 0 && known[cause] && !done[cause] {
				t.Fatalf("event %d comes before its cause %d", events[i].ID, cause)
			}
			done[events[i].ID] = true
		}
		if again := conflict.Rebuild(events); !reflect.DeepEqual(again, c) {
			t.Fatalf("%+v, and again %+v", c, again)
		}
	})
}

func TestConverge(t *testing.T) {
	for name, c := range map[string]struct {
		left, right []uint64
		want        conflict.Convergence
		depth       int
	}{
		"the same":    {[]uint64{3, 2, 1}, []uint64{3, 2, 1}, conflict.Convergence{Found: true, Version: 3}, 0},
		"one behind":  {[]uint64{3, 2, 1}, []uint64{2, 1}, conflict.Convergence{Found: true, Version: 2, Left: 1}, 1},
		"both moved":  {[]uint64{5, 4, 1}, []uint64{9, 8, 7, 1}, conflict.Convergence{Found: true, Version: 1, Left: 2, Right: 3}, 3},
		"strangers":   {[]uint64{5}, []uint64{6, 7}, conflict.Convergence{Left: 1, Right: 2}, conflict.MaxHistory + 1},
		"nothing yet": {nil, nil, conflict.Convergence{}, conflict.MaxHistory + 1},
	} {
		if have := conflict.Converge(c.left, c.right); have != c.want || have.Depth() != c.depth {
			t.Errorf("%s: %+v, depth %d", name, have, have.Depth())
		}
	}
	long := make([]uint64, conflict.MaxHistory+1)
	for i := range long {
		long[i] = uint64(i + 1)
	}
	if have := conflict.Converge(long, long[conflict.MaxHistory:]); have.Found {
		t.Errorf("a version past the bound is found: %+v", have)
	}
}

func TestReconcile(t *testing.T) {
	facts := func(pairs ...uint64) (out []conflict.Fact) {
		for i := 0; i < len(pairs); i += 2 {
			out = append(out, conflict.Fact{Subject: pairs[i], Value: pairs[i+1]})
		}
		return out
	}
	base := facts(1, 10, 2, 20, 3, 30, 4, 40, 5, 50)
	left := facts(1, 11, 2, 20, 4, 41, 5, 51, 6, 60)         // changed 1, removed 3, changed 4 and 5, added 6
	right := facts(1, 10, 2, 22, 3, 30, 4, 41, 6, 61, 7, 70) // changed 2, changed 4 alike, removed 5, added another 6, added 7
	merged, open, err := conflict.Reconcile(base, left, right)
	if err != nil || !reflect.DeepEqual(merged, facts(1, 11, 2, 22, 4, 41, 5, 50, 7, 70)) {
		t.Errorf("merged %v, %v", merged, err)
	}
	want := []conflict.Difference{{Subject: 5, Left: 51, HasLeft: true}, {Subject: 6, Left: 60, Right: 61, HasLeft: true, HasRight: true}}
	if !reflect.DeepEqual(open, want) {
		t.Errorf("open %+v", open)
	}
	if _, _, err := conflict.Reconcile(facts(2, 1, 1, 1), nil, nil); err == nil {
		t.Error("facts out of order are merged")
	}
}

// TestReconcileIsFair: sides can be exchanged, one side alone wins whole, and
// nothing is invented.
func TestReconcileIsFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) (out []conflict.Fact) {
			for subject := range uint64(6) {
				if v := rapid.IntRange(0, 3).Draw(t, label); v > 0 {
					out = append(out, conflict.Fact{Subject: subject, Value: uint64(v)})
				}
			}
			return out
		}
		base, left, right := draw("base"), draw("left"), draw("right")
		merged, open, _ := conflict.Reconcile(base, left, right)
		mirrored, other, _ := conflict.Reconcile(base, right, left)
		if !slices.Equal(merged, mirrored) || len(open) != len(other) {
			t.Fatalf("%v %v, mirrored %v %v", merged, open, mirrored, other)
		}
		if alone, open, _ := conflict.Reconcile(base, left, base); !slices.Equal(alone, left) || len(open) > 0 {
			t.Fatalf("left alone gives %v %v of %v", alone, open, left)
		}
		for _, f := range merged {
			if !slices.Contains(base, f) && !slices.Contains(left, f) && !slices.Contains(right, f) {
				t.Fatalf("%v is invented", f)
			}
		}
	})
}

func TestReroute(t *testing.T) {
	agents := []conflict.Capable{{1, 0b111, 10}, {2, 0b011, 50}, {3, 0b011, 40}, {4, 0b001, 1}, {5, 0b011, 40}}
	have := conflict.Reroute(1, 0b011, 0b001, agents)
	if want := (conflict.Rerouted{Found: true, To: 3, Remove: 0b010}); have != want {
		t.Errorf("have %+v, want %+v", have, want)
	}
	if have := conflict.Reroute(1, 0b100, 0b100, agents); have.Found || have.Remove != 0 {
		t.Errorf("only the refusing one has it: %+v", have)
	}
	if n := testing.AllocsPerRun(100, func() { conflict.Reroute(1, 0b011, 0, agents) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestReread(t *testing.T) {
	good, bad := conflict.Copy{Source: 1, Data: []byte("good")}, conflict.Copy{Source: 2, Data: []byte("gone")}
	want := sha256.Sum256(good.Data)
	for _, c := range []struct {
		copies    []conflict.Copy
		good, bad int
	}{{nil, -1, 0}, {[]conflict.Copy{bad}, -1, 1}, {[]conflict.Copy{bad, good, bad}, 1, 1}, {[]conflict.Copy{good}, 0, 0}} {
		if g, b := conflict.Reread(want, c.copies); g != c.good || b != c.bad {
			t.Errorf("%v: %d %d", c.copies, g, b)
		}
	}
}
