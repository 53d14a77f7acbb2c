package breaker

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// mustDetector makes a detector over sectors x clusters x agents.
func mustDetector(t testing.TB, sectors, clusters, agents int) *Detector {
	t.Helper()
	d, err := NewDetector(parents(sectors*clusters, agents), parents(sectors, clusters), int32(sectors), DefaultTable())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// only gives the findings of one class.
func only(found []Finding, class Class) (out []Finding) {
	for _, f := range found {
		if f.Class == class {
			out = append(out, f)
		}
	}
	return out
}

func TestTransientNetwork(t *testing.T) {
	d := mustDetector(t, 1, 1, 3)
	if d.Sweep(time.Hour, nil) != nil {
		t.Error("agents that were never heard are missed")
	}
	d.Heard(time.Hour, 0)
	at := func(s float64) time.Duration { return time.Hour + time.Duration(s*float64(time.Second)) }
	if f := d.Sweep(at(7.4), nil); len(f) != 0 {
		t.Errorf("missed before half a period was over: %+v", f)
	}
	if f := d.Sweep(at(7.5), nil); len(f) != 1 || f[0] != (Finding{at(7.5), TransientNetwork, 0, 0, 0, 1, false}) {
		t.Errorf("%+v", f)
	}
	if f := d.Sweep(at(12), nil); len(f) != 0 {
		t.Errorf("the same heartbeat missed twice: %+v", f)
	}
	if f := d.TimedOut(at(12), 0, nil); len(f) != 1 || f[0].Count != 2 || f[0].Escalate {
		t.Errorf("%+v", f)
	}
	if f := d.Sweep(at(12.5), nil); len(f) != 1 || f[0].Count != 3 || !f[0].Escalate {
		t.Errorf("the third in a row: %+v", f)
	}
	if f := d.TimedOut(at(13), 0, nil); f[0].Count != 4 || f[0].Escalate {
		t.Errorf("escalated twice in a row: %+v", f)
	}
	d.Heard(at(14), 0)
	if f := d.TimedOut(at(15), 0, nil); f[0].Count != 1 {
		t.Errorf("an answer does not end the row: %+v", f)
	}
	if d.TimedOut(0, 3, nil) != nil || d.TimedOut(0, -1, nil) != nil {
		t.Error("an agent that is not there")
	}
}

func TestAgentCrash(t *testing.T) {
	d := mustDetector(t, 1, 2, 2)
	for i := range int32(4) {
		d.Heard(0, i)
	}
	if active, members := d.Active(); active != 4 || members != 4 {
		t.Errorf("%d of %d", active, members)
	}
	for now := time.Duration(0); now < 30*time.Second; now += time.Second {
		for i := range int32(3) {
			d.Heard(now, i)
		}
		if f := only(d.Sweep(now, nil), AgentCrash); len(f) != 0 {
			t.Fatalf("crashed after %s: %+v", now, f)
		}
	}
	for i := range int32(3) {
		d.Heard(30*time.Second, i)
	}
	f := only(d.Sweep(30*time.Second, nil), AgentCrash)
	if len(f) != 1 || f[0] != (Finding{30 * time.Second, AgentCrash, 3, 1, 0, 1, false}) || d.IsActive(3) {
		t.Errorf("%+v", f)
	}
	if active, _ := d.Active(); active != 3 {
		t.Errorf("%d active", active)
	}
	if f := d.Sweep(31*time.Second, nil); len(only(f, AgentCrash)) != 0 {
		t.Errorf("found twice: %+v", f)
	}
	// The replacement also fails: escalate. One that lives for five minutes has not.
	d.Heard(40*time.Second, 3)
	if f := only(d.Sweep(70*time.Second, nil), AgentCrash); len(f) != 4 || !f[3].Escalate || f[3].Count != 2 {
		t.Errorf("%+v", f)
	}
	d.Heard(80*time.Second, 3)
	d.Heard(400*time.Second, 3)
	if f := only(d.Sweep(430*time.Second, nil), AgentCrash); len(f) != 1 || f[0].Escalate {
		t.Errorf("%+v", f)
	}
}

func TestImpedanceSpike(t *testing.T) {
	d := mustDetector(t, 1, 2, 3)
	const now = time.Second
	feed := func(i int32, ms, times int) (found []Finding) {
		for range times {
			found = d.Impedance(now, i, time.Duration(ms)*time.Millisecond, found)
		}
		return found
	}
	for i := range int32(6) {
		if f := feed(i, 50, baselineSamples); f != nil {
			t.Fatalf("a spike while the baseline is learned: %+v", f)
		}
	}
	if f := feed(0, 99, 100); f != nil {
		t.Errorf("under twice the average: %+v", f)
	}
	if f := append(feed(1, 500, 2), append(feed(1, 50, 1), feed(1, 500, 2)...)...); f != nil || d.Spiking(1) {
		t.Errorf("two in a row: %+v", f)
	}
	if f := feed(1, 500, 5); len(f) != 1 || f[0] != (Finding{now, ImpedanceSpike, 1, 0, 0, 1, false}) || !d.Spiking(1) {
		t.Errorf("%+v", f)
	}
	if f := feed(3, 500, 3); len(f) != 1 || f[0].Escalate {
		t.Errorf("the first of another cluster: %+v", f)
	}
	if f := feed(2, 500, 3); len(f) != 1 || !f[0].Escalate || f[0].Count != 2 {
		t.Errorf("the second of a cluster: %+v", f)
	}
	if feed(2, 50, 1); d.Spiking(2) {
		t.Error("a spike without an end")
	}
	if f := feed(2, 500, 3); len(f) != 1 || f[0].Count != 2 {
		t.Errorf("the count of the cluster: %+v", f)
	}
	// Twice a delay of nothing is nothing.
	quick := mustDetector(t, 1, 1, 1)
	for range baselineSamples {
		quick.Impedance(now, 0, 100*time.Microsecond, nil)
	}
	for range 10 {
		if f := quick.Impedance(now, 0, 5*time.Millisecond, nil); f != nil {
			t.Fatalf("%+v", f)
		}
	}
	// Who stays slow is slow, and no news any more.
	slow := 0
	for d.Spiking(1) && slow < 1000 {
		feed(1, 500, 1)
		slow++
	}
	if slow < 20 || slow == 1000 {
		t.Errorf("the average followed after %d samples", slow)
	}
}

func TestContextCorruption(t *testing.T) {
	d := mustDetector(t, 1, 1, 2)
	d.Heard(0, 0)
	if f := d.Context(0, 0, 7, 7, nil); f != nil {
		t.Errorf("%+v", f)
	}
	if f := d.Context(1, 0, 7, 8, nil); len(f) != 1 || f[0] != (Finding{1, ContextCorruption, 0, 0, 0, 1, true}) {
		t.Errorf("%+v", f)
	}
	if f := d.Context(2, 0, 7, 8, nil); f != nil || !d.Quarantined(0) || d.IsActive(0) {
		t.Error("in quarantine it is no news")
	}
	if d.Heard(3, 0); d.IsActive(0) {
		t.Error("a heartbeat ended the quarantine")
	}
	if !d.Release(0) || d.Release(0) || !d.IsActive(0) {
		t.Error("release")
	}
	if !d.Quarantine(0) || d.Quarantine(0) || d.Quarantine(9) || d.IsActive(0) || !d.Release(0) {
		t.Error("quarantine by order")
	}
	if f := d.Context(4, 0, 7, 8, nil); len(f) != 1 {
		t.Error("corrupt again, and nobody says so")
	}
}

func TestByzantine(t *testing.T) {
	d := mustDetector(t, 1, 1, 8)
	for i := range int32(8) {
		d.Heard(0, i)
	}
	var found []Finding
	for range 5 { // the same two over and over convict nobody
		found = d.Contradict(time.Second, 0, 1, found)
		found = d.Contradict(time.Second, 0, 2, found)
	}
	found = d.Contradict(time.Second, 0, 0, found)
	if found != nil {
		t.Fatalf("%+v", found)
	}
	found = d.Contradict(2*time.Second, 3, 0, found)
	if len(found) != 1 || found[0] != (Finding{2 * time.Second, ByzantineBehavior, 0, 0, 0, 1, true}) || !d.Quarantined(0) {
		t.Fatalf("%+v", found)
	}
	// The liar's word convicts nobody.
	for i := int32(1); i < 8; i++ {
		if f := d.Contradict(3*time.Second, 0, i, nil); f != nil {
			t.Errorf("%+v", f)
		}
	}
	// Two liars cannot convict an honest agent, and are found themselves.
	d = mustDetector(t, 1, 1, 8)
	found = nil
	for i := int32(2); i < 8; i++ {
		found = d.Contradict(time.Second, 0, i, found)
		found = d.Contradict(time.Second, i, 1, found)
	}
	if len(found) != 2 || !d.Quarantined(0) || !d.Quarantined(1) {
		t.Errorf("%+v", found)
	}
	// Contradictions that are far apart do not add up.
	d = mustDetector(t, 1, 1, 8)
	for i := int32(1); i < 8; i++ {
		if f := d.Contradict(time.Duration(i)*40*time.Second, 0, i, nil); f != nil {
			t.Errorf("%+v", f)
		}
	}
}

// poisson draws a count by the waiting times of a Poisson process.
func poisson(random *rand.Rand, rate float64) uint32 {
	n := uint32(0)
	for t := random.ExpFloat64(); t < rate; t += random.ExpFloat64() {
		n++
	}
	return n
}

// TestTrendFalseAlarms simulates failures that do not spread and counts alarms in
// 300,000 intervals of 10 s, 35 days. The marks: at a constant rate, whatever it is,
// one in ten days; of 10,000 steps of any size, 60; where the rate itself is drawn
// anew each 10 s, from next to nothing to many times its mean, one a day.
func TestTrendFalseAlarms(t *testing.T) {
	entry := DefaultTable()[CascadeFailure-1]
	const intervals = 300_000
	var low, high, at float64
	for _, c := range []struct {
		name string
		rate func(i int, random *rand.Rand) float64
		most int
	}{
		{"constant", func(int, *rand.Rand) float64 { return 5 }, 3},
		{"rare", func(int, *rand.Rand) float64 { return 0.3 }, 3},
		{"frequent", func(int, *rand.Rand) float64 { return 100 }, 0},
		{"a step up every five minutes", func(i int, _ *rand.Rand) float64 { return []float64{2, 40}[i/30%2] }, 3},
		{"up and down within an hour", func(i int, _ *rand.Rand) float64 { return 20 + 18*float64(abs(i%360-180))/180 }, 0},
		{"single bursts of 500", func(i int, _ *rand.Rand) float64 { return map[bool]float64{true: 500, false: 1}[i%20 == 0] }, 3},
		{"a step of any size at any time", func(i int, random *rand.Rand) float64 {
			if i%30 == 0 {
				low, high = 10*random.Float64(), 100*random.Float64()
				at = 5 + 20*random.Float64()
			}
			part := min(1, max(0, float64(i%30)-at)) // the interval in which it comes has a part of it
			return low + float64(part*(max(high, low)-low))
		}, 60},
		{"a rate that changes at random", func(_ int, random *rand.Rand) float64 { return 5 * random.ExpFloat64() }, 35},
	} {
		random := rand.New(rand.NewPCG(6, 1))
		var trend Trend
		alarms, before := 0, false
		for i := range intervals {
			trend.Add(poisson(random, c.rate(i, random)))
			now := trend.Growing(entry.Ratio, entry.Count)
			if now && !before {
				alarms++
			}
			before = now
		}
		if alarms > c.most {
			t.Errorf("%s: %d alarms in %d intervals, at most %d", c.name, alarms, intervals, c.most)
		}
		t.Logf("%s: %d alarms in %d intervals", c.name, alarms, intervals)
	}
}

func abs(x int) int { return max(x, -x) }

// TestTrendPower: failures that double every 20 s are found within two
// minutes from the tenth of them on in nine of ten runs; faster growth in all.
func TestTrendPower(t *testing.T) {
	entry := DefaultTable()[CascadeFailure-1]
	for _, c := range []struct {
		name       string
		growth     float64 // per interval of 10 s
		background float64
	}{{"doubles every 20 s", 1.41, 0}, {"doubles every 10 s", 2, 0}, {"doubles every 20 s over a background", 1.41, 1}, {"triples every 10 s", 3, 0}} {
		random := rand.New(rand.NewPCG(5, 5))
		late := 0
		const runs = 1000
		for range runs {
			var trend Trend
			for range trendIntervals {
				trend.Add(poisson(random, c.background))
			}
			rate, seen, waited := 1.0, uint32(0), 0
			for !trend.Growing(entry.Ratio, entry.Count) && waited <= 12 {
				n := poisson(random, rate)
				trend.Add(n + poisson(random, c.background))
				rate *= c.growth
				if seen += n; seen >= 10 {
					waited++
				}
			}
			if waited > 12 {
				late++
			}
		}
		if most := map[bool]int{true: runs / 10}[c.growth < 2]; late > most {
			t.Errorf("%s: late in %d of %d runs", c.name, late, runs)
		}
		t.Logf("%s: late in %d of %d runs", c.name, late, runs)
	}
}

// TestCascadeFailure: failures that spread through a mesh are found and the sector
// that fails most is named; a lead that dies with its agents is not.
func TestCascadeFailure(t *testing.T) {
	d := mustDetector(t, 10, 10, 30)
	var found []Finding
	step := func(now time.Duration, sector, agents int) {
		for i := range agents {
			cluster := sector*10 + i%10
			found = d.TimedOut(now, int32(cluster*30+i/10%30), found)
		}
		for i := range int32(3000) {
			d.Heard(now+5*time.Second, i)
		}
		found = d.Sweep(now+9*time.Second, found)
	}
	for i := range 20 { // one cluster after another dies whole
		now := time.Duration(i) * 10 * time.Second
		for a := range int32(30) {
			found = d.TimedOut(now, int32(i)*30+a, found)
		}
		step(now, 0, 0)
	}
	if f := only(found, CascadeFailure); len(f) != 0 {
		t.Fatalf("dead leads are a cascade: %+v", f)
	}
	for i, agents := range []int{1, 1, 2, 4, 6, 10, 15, 20, 20, 20, 20} {
		step(time.Duration(20+i)*10*time.Second, 7, agents)
	}
	f := only(found, CascadeFailure)
	if len(f) != 1 || f[0].Sector != 7 || !f[0].Escalate || f[0].Agent != -1 {
		t.Fatalf("%+v", f)
	}
	if d.Sweep(24*time.Hour, nil); d.interval != int64(24*time.Hour/(10*time.Second)) {
		t.Errorf("after a pause it is in interval %d", d.interval)
	}
}

// TestDeadLeadsAreNoCascade: leads die at random with all their agents. Counted by
// agents that is noise of thirty at a time, which at three leads in ten seconds
// looks like growth seven times in three days; counted by clumps it never does.
func TestDeadLeadsAreNoCascade(t *testing.T) {
	for _, rate := range []float64{0.3, 3} {
		d := mustDetector(t, 10, 10, 30)
		random := rand.New(rand.NewPCG(3, 3))
		var found []Finding
		for i := range 26_000 {
			now := time.Duration(i) * 10 * time.Second
			for range poisson(random, rate) {
				cluster := random.Int32N(100)
				for a := range int32(30) {
					found = d.TimedOut(now, cluster*30+a, found[:0])
					d.Heard(now, cluster*30+a)
				}
			}
			if found = d.cascade(now+9*time.Second, found[:0]); len(found) != 0 {
				t.Fatalf("%g leads in 10 s, after %s: %+v, %v", rate, now, found, d.trend.counts)
			}
		}
	}
}

func TestTable(t *testing.T) {
	table := DefaultTable()
	for c := TransientNetwork; c < failureClasses; c++ {
		e := table.Of(c)
		if e.Class != c || e.Detected == "" || e.Remedy == NoRemedy || e.To == NoLevel || c.String() == "NONE" {
			t.Errorf("%s: %+v", c, e)
		}
	}
	want := []Remedy{RetryLater, Replace, RouteAround, QuarantineAndReload, QuarantineAndAsk, IsolateSector}
	have := make([]Remedy, 0, len(table))
	for _, e := range table {
		have = append(have, e.Remedy)
	}
	if !slices.Equal(have, want) || table.Of(NoFailure) != (Entry{}) || table.Of(99) != (Entry{}) {
		t.Errorf("%v", have)
	}
	for name, change := range map[string]func(*Table){
		"rows out of order":   func(t *Table) { t[0], t[1] = t[1], t[0] },
		"no remedy":           func(t *Table) { t[2].Remedy = NoRemedy },
		"never escalates":     func(t *Table) { t[3].Escalate = 0 },
		"crash before a miss": func(t *Table) { t[1].After = time.Second },
		"one convicts":        func(t *Table) { t[4].Count = 1 },
		"too many to keep":    func(t *Table) { t[4].Count = maxContradicted + 1 },
		"no spike":            func(t *Table) { t[2].Ratio = 1 },
		"no growth":           func(t *Table) { t[5].Ratio = 1 },
	} {
		bad := DefaultTable()
		change(&bad)
		if _, err := NewDetector(nil, nil, 0, bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewDetector([]int32{1}, []int32{0}, 1, table); !errors.Is(err, ErrConfig) {
		t.Errorf("%v", err)
	}
	if _, err := NewDetector([]int32{0}, []int32{1}, 1, table); !errors.Is(err, ErrConfig) {
		t.Errorf("%v", err)
	}
}

// TestBackOff: the ceiling doubles to its bound, and the delays are spread evenly
// under it.
func TestBackOff(t *testing.T) {
	b := DefaultBackOff
	for n, want := range map[int]time.Duration{0: 100 * time.Millisecond, 1: 200 * time.Millisecond, 8: 25600 * time.Millisecond, 9: 30 * time.Second, 1 << 30: 30 * time.Second, -1: 100 * time.Millisecond} {
		if have := b.Ceiling(n); have != want {
			t.Errorf("retry %d within %s, want %s", n, have, want)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	var tenths [10]int
	for range 100_000 {
		d := b.Delay(3, random)
		if d < 0 || d > 800*time.Millisecond {
			t.Fatalf("%s", d)
		}
		tenths[min(9, int(d/(80*time.Millisecond)))]++
	}
	for i, n := range tenths {
		if n < 9_500 || n > 10_500 {
			t.Errorf("tenth %d has %d of 100000", i, n)
		}
	}
	if d := (BackOff{}).Delay(5, random); d != 0 {
		t.Errorf("%s", d)
	}
}

// TestUnwatch: who is not watched is not active and no failure, until it is heard
// again; its quarantine stays.
func TestUnwatch(t *testing.T) {
	d, err := NewDetector([]int32{0, 0}, []int32{0}, 1, DefaultTable())
	if err != nil {
		t.Fatal(err)
	}
	d.Heard(0, 0)
	d.Heard(0, 1)
	d.Quarantine(1)
	d.Unwatch(0)
	d.Unwatch(1)
	d.Unwatch(2) // not there
	if found := d.Sweep(time.Hour, nil); len(found) != 0 || d.IsActive(0) || !d.Quarantined(1) {
		t.Errorf("%+v, active %v, quarantined %v", found, d.IsActive(0), d.Quarantined(1))
	}
	d.Heard(time.Hour, 0)
	if active, _ := d.Active(); active != 1 || len(d.Sweep(2*time.Hour, nil)) == 0 {
		t.Errorf("%d active after it was heard, and its silence is not found", active)
	}
}
