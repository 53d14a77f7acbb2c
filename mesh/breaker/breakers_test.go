package breaker

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// parents gives the sector of each cluster in a mesh of equal parts.
func parents(sectors, each int) []int32 {
	sectorOf := make([]int32, sectors*each)
	for i := range sectorOf {
		sectorOf[i] = int32(i / each)
	}
	return sectorOf
}

func mustNew(t testing.TB, sectors, each int, config Config, seed uint64) *Breakers {
	t.Helper()
	b, err := New(parents(sectors, each), int32(sectors), config, rand.New(rand.NewPCG(seed, 0)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func integer(t *testing.T, word string) int {
	t.Helper()
	n, err := strconv.Atoi(word)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestBreakersTranscript(t *testing.T) {
	var b *Breakers
	scopes := map[string]Scope{"cluster": ScopeCluster, "sector": ScopeSector, "global": ScopeGlobal}
	transcript(t, "testdata/breaker.txt", func(t *testing.T, words []string) string {
		if words[0] == "mesh" {
			c := DefaultConfig()
			c.Cluster.Jitter, c.Sector.Jitter, c.Global.Jitter = 0, 0, 0
			b = mustNew(t, integer(t, words[1]), integer(t, words[2]), c, 1)
			return ""
		}
		now := time.Duration(integer(t, words[len(words)-1])) * time.Second
		var events []Event
		switch words[0] {
		case "fail":
			for range integer(t, words[2]) {
				events = b.Failure(now, int32(integer(t, words[1])), events)
			}
		case "sector-fail":
			for range integer(t, words[2]) {
				events = b.FailureOfSector(now, int32(integer(t, words[1])), events)
			}
		case "tick":
			events = b.Tick(now, nil)
		case "probe":
			events = b.Probed(now, scopes[words[1]], int32(integer(t, words[2])), words[3] == "ok", nil)
		case "trip":
			events = b.Trip(now, scopes[words[1]], int32(integer(t, words[2])), nil)
		case "hasten":
			return fmt.Sprintf("%s: %v\n", strings.Join(words, " "), b.Hasten(now, scopes[words[1]], int32(integer(t, words[2]))))
		case "share":
			c := int32(integer(t, words[1]))
			return fmt.Sprintf("%s share of cluster %d: %.3f, routable %v\n", now, c, b.Share(c), b.Routable(c))
		default:
			t.Fatal(words)
		}
		out := ""
		for _, e := range events {
			out += fmt.Sprintf("%s %s %d %s: %s\n", e.At, e.Scope, e.Index, e.State, e.Cause)
		}
		return out
	})
}

func TestConfigValidate(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Limits){
		"no failures":       func(l *Limits) { l.Failures = 0 },
		"no window":         func(l *Limits) { l.Window = 0 },
		"a day of back-off": func(l *Limits) { l.MaxBackOff = 25 * time.Hour },
		"back-off shrinks":  func(l *Limits) { l.MaxBackOff = l.BackOff - 1 },
		"reopens at none":   func(l *Limits) { l.Reopen = 0 },
		"reopens later":     func(l *Limits) { l.Reopen = l.Failures + 1 },
		"admits nothing":    func(l *Limits) { l.Limited = 0 },
		"negative jitter":   func(l *Limits) { l.Jitter = -1 },
		"no ramp":           func(l *Limits) { l.Ramp = 0 },
	} {
		c := DefaultConfig()
		change(&c.Sector)
		if err := c.Validate(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), "sector") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New([]int32{1}, 1, DefaultConfig(), nil); !errors.Is(err, ErrConfig) {
		t.Errorf("a sector that is not there: %v", err)
	}
	// The times to recover of part 11.
	if have := DefaultConfig().Cluster.Recovery(); have > 5*time.Minute {
		t.Errorf("a cluster takes %s", have)
	}
	if have := DefaultConfig().Recovery(); have > 15*time.Minute {
		t.Errorf("a sector and the mesh take %s", have)
	}
}

// TestWindowAgainstList compares the opening of a breaker with a list of all
// failures.
func TestWindowAgainstList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := DefaultConfig()
		c.Cluster.Failures = rapid.IntRange(1, 7).Draw(t, "limit")
		c.Cluster.Reopen = 1
		b, err := New([]int32{0}, 1, c, rand.New(rand.NewPCG(1, 1)))
		if err != nil {
			t.Fatal(err)
		}
		var all []time.Duration
		now := time.Duration(0)
		for range rapid.IntRange(1, 60).Draw(t, "failures") {
			now += time.Duration(rapid.IntRange(0, 30_000).Draw(t, "pause")) * time.Millisecond
			all = append(all, now)
			recent := 0
			for _, at := range all {
				if now-at < time.Minute {
					recent++
				}
			}
			opened := len(b.Failure(now, 0, nil)) > 0
			if opened != (recent >= c.Cluster.Failures) {
				t.Fatalf("at %s with %d failures in the window: opened %v", now, recent, opened)
			}
			if opened {
				return
			}
		}
	})
}

// fault is a part of the mesh that fails for a time.
type fault struct {
	cluster    int32
	from, to   time.Duration
	every      time.Duration
	deadProbes bool // probes fail too
}

func drawFaults(t *rapid.T, clusters int) (faults []fault, end time.Duration) {
	for range rapid.IntRange(1, 12).Draw(t, "faults") {
		f := fault{cluster: rapid.Int32Range(0, int32(clusters-1)).Draw(t, "cluster"), from: time.Duration(rapid.IntRange(0, 600).Draw(t, "from")) * time.Second,
			every: time.Duration(rapid.IntRange(1, 30).Draw(t, "every")) * 100 * time.Millisecond, deadProbes: rapid.Bool().Draw(t, "dead")}
		f.to = f.from + time.Duration(rapid.IntRange(0, 900).Draw(t, "for"))*time.Second
		faults, end = append(faults, f), max(end, f.to)
	}
	return faults, end
}

// TestBreakersAlwaysClose: whatever fails and for how long, some time after the
// fault has ended everything is closed and gets all traffic, within the bound that
// the configuration promises; and nothing is routed through an open breaker.
func TestBreakersAlwaysClose(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sectors, each := rapid.IntRange(1, 5).Draw(t, "sectors"), rapid.IntRange(1, 4).Draw(t, "clusters")
		config := DefaultConfig()
		config.Sector.Failures, config.Sector.Reopen = 12, 3
		config.Global.Failures, config.Global.Reopen = 2, 2
		b, err := New(parents(sectors, each), int32(sectors), config, rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		if err != nil {
			t.Fatal(err)
		}
		faults, end := drawFaults(t, sectors*each)
		world := world{b: b, faults: faults, state: map[[2]int32]State{}}
		if name := world.run(end + config.Recovery()); name != "" {
			t.Fatal(name)
		}
		for c := range int32(sectors * each) {
			if b.State(ScopeCluster, c) != Closed || b.State(ScopeSector, b.sectorOf[c]) != Closed || b.State(ScopeGlobal, 0) != Closed || b.Share(c) != 1 {
				t.Fatalf("%s after the fault: cluster %d is %s, sector %s, mesh %s, share %v", config.Recovery(), c,
					b.State(ScopeCluster, c), b.State(ScopeSector, b.sectorOf[c]), b.State(ScopeGlobal, 0), b.Share(c))
			}
		}
		if _, ok := b.Deadline(); ok {
			t.Fatal("a timer is left")
		}
	})
}

// world runs faults against breakers.
type world struct {
	b      *Breakers
	faults []fault
	state  map[[2]int32]State
}

// run gives what went wrong, or nothing.
func (w *world) run(until time.Duration) string {
	const step = 100 * time.Millisecond
	for now := time.Duration(0); now <= until; now += step {
		events := w.b.Tick(now, nil)
		for _, f := range w.faults {
			// A failure needs traffic, or a heartbeat that is missed.
			if now >= f.from && now < f.to && (now-f.from)%f.every == 0 {
				events = w.b.Failure(now, f.cluster, events)
			}
		}
		for i := 0; i < len(events); i++ {
			if why := w.check(events[i]); why != "" {
				return why
			}
			if e := events[i]; e.Cause == Probe {
				events = w.b.Probed(now, e.Scope, e.Index, !w.failing(e, now), events)
			}
		}
	}
	return ""
}

// failing says whether a probe finds a fault.
func (w *world) failing(e Event, now time.Duration) bool {
	for _, f := range w.faults {
		hit := e.Scope == ScopeCluster && f.cluster == e.Index || e.Scope == ScopeSector && w.b.sectorOf[f.cluster] == e.Index
		if hit && f.deadProbes && now >= f.from && now < f.to {
			return true
		}
	}
	return false
}

// check holds every event to the state machine.
func (w *world) check(e Event) string {
	key := [2]int32{int32(e.Scope), e.Index}
	before, known := w.state[key]
	if !known {
		before = Closed
	}
	w.state[key] = e.State
	ok := map[Cause]bool{
		TooMany: before == Closed && e.State == Open, FailedAgain: before != Open && e.State == Open, Probe: before == Open && e.State == Open,
		ProbeFailed: before == Open && e.State == Open, ProbeAnswered: before == Open && e.State == HalfOpen, FewerSectors: before == Open && e.State == HalfOpen,
		Evaluated: before == HalfOpen && e.State == Closed, FullyRecovered: before == Closed && e.State == Closed,
	}[e.Cause]
	if !ok {
		return fmt.Sprintf("%+v (%s) from %s", e, e.Cause, before)
	}
	for c := range w.b.sectorOf {
		open := w.b.State(ScopeCluster, int32(c)) == Open || w.b.State(ScopeSector, w.b.sectorOf[c]) == Open || w.b.State(ScopeGlobal, 0) == Open
		if w.b.Routable(int32(c)) == open || open && w.b.Admit(int32(c), uint64(e.At)) {
			return fmt.Sprintf("cluster %d: open %v, routable %v", c, open, w.b.Routable(int32(c)))
		}
	}
	return ""
}

// TestRecoveryIsNoStampede: a partition opens a thousand clusters within a second.
// When it ends, neither the probes nor the traffic come back at once.
func TestRecoveryIsNoStampede(t *testing.T) {
	const sectors, each = 100, 10
	config := DefaultConfig()
	// Sectors and the mesh stay closed, so that the clusters are seen alone.
	config.Sector.Failures, config.Global.Failures = 1000, 1000
	for seed := range uint64(5) {
		b := mustNew(t, sectors, each, config, seed)
		for i := range int32(sectors * each) {
			for range 5 {
				b.Failure(time.Duration(i)*time.Millisecond, i, nil)
			}
		}
		probes := map[time.Duration]int{}
		last, steepest := 0.0, 0.0
		for now := time.Duration(0); now < 5*time.Minute; now += resolution {
			for _, e := range b.Tick(now, nil) {
				if e.Cause == Probe {
					probes[now/time.Second]++
					b.Probed(now, e.Scope, e.Index, true, nil)
				}
			}
			if now%time.Second == 0 {
				sum := 0.0
				for c := range int32(sectors * each) {
					sum += b.Share(c)
				}
				sum /= sectors * each
				steepest, last = max(steepest, sum-last), sum
			}
		}
		most := 0
		for _, n := range probes {
			most = max(most, n)
		}
		if last != 1 {
			t.Errorf("seed %d: %v of the traffic after 5 minutes", seed, last)
		}
		// Without jitter it would be 1,000 probes in one second; without ramp and
		// jitter all of the traffic in one second.
		if most > 200 || steepest > 0.05 {
			t.Errorf("seed %d: %d probes and %.3f of the traffic in one second", seed, most, steepest)
		}
	}
}

// TestAdmitIsAShare: of many messages the share is admitted, and the same ones.
func TestAdmitIsAShare(t *testing.T) {
	b := mustNew(t, 1, 1, DefaultConfig(), 1)
	b.Trip(0, ScopeCluster, 0, nil)
	b.Tick(40*time.Second, nil)
	b.Probed(40*time.Second, ScopeCluster, 0, true, nil)
	admitted := make([]bool, 100_000)
	n := 0
	for i := range admitted {
		if admitted[i] = b.Admit(0, uint64(i)); admitted[i] {
			n++
		}
	}
	if n < 9_500 || n > 10_700 {
		t.Errorf("%d of 100000 admitted, a tenth is asked", n)
	}
	for _, e := range b.Tick(140*time.Second, nil) {
		if e.Cause != Evaluated {
			t.Errorf("%+v", e)
		}
	}
	for i := range admitted {
		if admitted[i] && !b.Admit(0, uint64(i)) {
			t.Fatal("what was admitted is not, with a larger share")
		}
	}
	for _, c := range []int32{-1, 1} {
		if b.Routable(c) || b.Admit(c, 0) || b.Share(c) != 0 || b.State(ScopeCluster, c) != Open {
			t.Errorf("cluster %d, which is not there, is routable", c)
		}
	}
	if b.State(ScopeNone, 0) != Open || b.Trip(0, ScopeGlobal, 1, nil) != nil || b.Failure(0, 7, nil) != nil || b.Probed(0, ScopeSector, 9, true, nil) != nil || b.Hasten(0, 9, 0) {
		t.Error("a scope that is not there")
	}
}

// TestSameSeedSameRun: jitter comes from the seed alone.
func TestSameSeedSameRun(t *testing.T) {
	run := func(seed uint64) (all []Event) {
		b := mustNew(t, 3, 4, DefaultConfig(), seed)
		for now := time.Duration(0); now < 10*time.Minute; now += resolution {
			all = b.Tick(now, all)
			if now < 3*time.Minute {
				all = b.Failure(now, int32(now/resolution)%12, all)
			}
			for _, e := range all[max(0, len(all)-12):] {
				all = b.Probed(now, e.Scope, e.Index, now > 3*time.Minute, all)
			}
		}
		return all
	}
	if a := run(7); !slices.Equal(a, run(7)) || slices.Equal(a, run(8)) || len(a) < 20 {
		t.Errorf("%d events", len(a))
	}
}
