package breaker

import (
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func mustFreezes(t testing.TB, sectors, each int) *Freezes {
	t.Helper()
	f, err := NewFreezes(parents(sectors, each), int32(sectors))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFreezesNest(t *testing.T) {
	f := mustFreezes(t, 2, 2)
	if !f.Freeze(ScopeCluster, 0, 1) || f.Freeze(ScopeCluster, 0, 1) || f.Freeze(ScopeCluster, 0, 2) {
		t.Error("a freeze is not idempotent")
	}
	f.Freeze(ScopeSector, 0, 1)
	f.Freeze(ScopeGlobal, 0, 1)
	frozen := func() (all string) {
		for c := range int32(4) {
			all += map[bool]string{true: "F", false: "-"}[f.Frozen(c)]
		}
		return all
	}
	for _, step := range []struct {
		scope Scope
		want  string
	}{{ScopeNone, "FFFF"}, {ScopeGlobal, "FF--"}, {ScopeSector, "F---"}, {ScopeCluster, "----"}} {
		f.Thaw(step.scope, 0, 9)
		if frozen() != step.want {
			t.Errorf("after the thaw of %s: %s, want %s", step.scope, frozen(), step.want)
		}
	}
	if f.Freeze(ScopeCluster, 0, 8) || f.Frozen(0) {
		t.Error("a freeze from before the thaw froze again")
	}
	if !f.Freeze(ScopeCluster, 0, 9) || f.Thaw(ScopeCluster, 0, 9) || !f.Held(ScopeCluster, 0) {
		t.Error("of two commands with one number the freeze does not hold")
	}
	for _, c := range []int32{-1, 4} {
		if !f.Frozen(c) {
			t.Errorf("cluster %d, which is not there, may act", c)
		}
	}
	if f.Freeze(ScopeGlobal, 1, 99) || f.Freeze(ScopeSector, 2, 99) || f.Freeze(ScopeCluster, -1, 99) || f.Held(ScopeNone, 0) {
		t.Error("a scope that is not there")
	}
	if _, err := NewFreezes([]int32{2}, 2); err == nil {
		t.Error("a sector that is not there")
	}
}

// command of an operator.
type command struct {
	scope    Scope
	index    int32
	sequence uint64
	freeze   bool
}

func (c command) send(f *Freezes) {
	if c.freeze {
		f.Freeze(c.scope, c.index, c.sequence)
	} else {
		f.Thaw(c.scope, c.index, c.sequence)
	}
}

// TestFreezesAgainstList: commands in any order, each once or more, leave frozen
// what the last command of each scope says.
func TestFreezesAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, err := NewFreezes(parents(2, 3), 2)
		if err != nil {
			t.Fatal(err)
		}
		var list []command
		for i := range rapid.IntRange(0, 30).Draw(t, "commands") {
			scope := Scope(rapid.IntRange(1, 3).Draw(t, "scope"))
			most := map[Scope]int32{ScopeCluster: 5, ScopeSector: 1, ScopeGlobal: 0}[scope]
			list = append(list, command{scope, rapid.Int32Range(0, most).Draw(t, "index"), uint64(i + 1), rapid.Bool().Draw(t, "freeze")})
		}
		last := map[[2]int32]bool{}
		for _, c := range list {
			last[[2]int32{int32(c.scope), c.index}] = c.freeze
		}
		sent := append(append([]command(nil), list...), list...)
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
		for _, c := range sent {
			c.send(f)
		}
		stored, err := NewFreezes(parents(2, 3), 2)
		if err != nil {
			t.Fatal(err)
		}
		for c := range f.Commands() {
			stored.Restore(c)
		}
		for c := range int32(6) {
			if stored.Frozen(c) != f.Frozen(c) {
				t.Fatalf("cluster %d is frozen %v after a restart, was %v", c, stored.Frozen(c), f.Frozen(c))
			}
			want := last[[2]int32{int32(ScopeCluster), c}] || last[[2]int32{int32(ScopeSector), c / 3}] || last[[2]int32{int32(ScopeGlobal), 0}]
			if f.Frozen(c) != want {
				t.Fatalf("cluster %d frozen %v, want %v", c, f.Frozen(c), want)
			}
		}
	})
}

func TestGuard(t *testing.T) {
	g := Guard{mustModes(t), mustFreezes(t, 2, 2), mustNew(t, 2, 2, DefaultConfig(), 1)}
	g.Modes.Start(100, 100)
	act := Operation{Kind: Direct, Priority: 3, Size: 1, Members: 100, Operator: true, Approved: true}
	ask := func(want Permission, why Why) {
		t.Helper()
		if r := g.May(act, 1, 42); r != (Ruling{want, why}) {
			t.Errorf("%s, %s; want %s, %s", r.Permission, r.Why, want, why)
		}
	}
	ask(Allowed, Unrestricted)
	g.Breakers.Trip(0, ScopeCluster, 1, nil)
	ask(Refused, Cut)
	g.Freezes.Freeze(ScopeGlobal, 0, 1)
	ask(Refused, Frozen)
	for kind, want := range map[Kind]Permission{Safety: Allowed, Telemetry: Allowed, Recovery: Refused, NoKind: Refused} {
		if r := g.May(Operation{Kind: kind}, 1, 0); r.Permission != want {
			t.Errorf("%s in a frozen scope: %s, %s", kind, r.Permission, r.Why)
		}
	}
	g.Freezes.Thaw(ScopeGlobal, 0, 2)
	if r := g.May(Operation{Kind: Recovery}, 1, 0); r.Permission != Allowed {
		t.Error("nobody may repair what is behind an open breaker")
	}
	if r := g.May(act, 9, 0); r.Permission != Refused {
		t.Errorf("a cluster that is not there: %+v", r)
	}
	// A sector that is half open is ailing: from DEGRADED_MODERATE on it gets nothing.
	g.Modes.Start(70, 100)
	g.Breakers.Trip(0, ScopeSector, 1, nil)
	g.Breakers.Tick(40*time.Second, nil)
	g.Breakers.Probed(40*time.Second, ScopeSector, 1, true, nil)
	for key := uint64(0); ; key++ {
		if g.Breakers.Admit(2, key) {
			if r := g.May(act, 2, key); r != (Ruling{Refused, AilingSector}) {
				t.Errorf("%+v", r)
			}
			break
		}
	}
}

// TestFrozenNeverActs: no mode, breaker, operator or approval makes a frozen scope
// act.
func TestFrozenNeverActs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		modes, err := NewModes(DefaultModeConfig())
		if err != nil {
			t.Fatal(err)
		}
		freezes, err := NewFreezes(parents(2, 2), 2)
		if err != nil {
			t.Fatal(err)
		}
		breakers, err := New(parents(2, 2), 2, DefaultConfig(), rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		modes.Start(rapid.Int32Range(0, 100).Draw(t, "active"), 100)
		cluster := rapid.Int32Range(0, 3).Draw(t, "cluster")
		switch rapid.IntRange(0, 2).Draw(t, "scope") {
		case 0:
			freezes.Freeze(ScopeCluster, cluster, 1)
		case 1:
			freezes.Freeze(ScopeSector, cluster/2, 1)
		case 2:
			freezes.Freeze(ScopeGlobal, 0, 1)
		}
		o := drawOperation(t)
		r := Guard{modes, freezes, breakers}.May(o, cluster, rapid.Uint64().Draw(t, "key"))
		if r.Permission != Refused && o.Kind != Safety && o.Kind != Telemetry {
			t.Fatalf("%+v: %s", o, r.Permission)
		}
	})
}
