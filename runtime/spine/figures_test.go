package spine

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// mark is how much slower than the same loop in C the spine may be at p99.9.
const mark = 1.3

// figures is one run of `make bench-spine`.
type figures struct {
	t       *testing.T
	probe   string
	binary  string
	cell    *cell         // nil while the machine is idle
	seconds time.Duration // of one measurement
	period  time.Duration // between two edges
	seed    uint64
	table   strings.Builder // for docs/benchmarks.md
	verdict strings.Builder
}

// repetitions is of how many interleaved runs a figure is the median; odd.
const repetitions = 9

// figuresPeriod is the time between two edges.
const figuresPeriod = 500 * time.Microsecond

// rarePeriod is the time between two edges that are rarer than Go's scheduler lets a
// thread keep its turn, and rareEdges how many of them one run has.
const (
	rarePeriod = 20 * time.Millisecond
	rareEdges  = 400
)

// defaultSeconds is what one measurement takes where DANCER_FIGURES gives no
// other number.
const defaultSeconds = 3

// placement says on which processors the source of the edges and the loop are. A
// wake-up on another virtual processor is most of what is measured on two.
type placement struct {
	name         string
	source, loop int
}

func placements() []placement {
	list := []placement{{"one CPU", 1, 1}, {"two CPUs", 0, 1}}
	if runtime.NumCPU() < 2 {
		return []placement{{"one CPU", 0, 0}}
	}
	return list
}

// TestFiguresReflex (`make bench-spine`) measures on one machine in one run, all
// over pipes, each figure the median of nine interleaved runs:
//
//   - the time from an edge to its output, of the spine with a hundred rules and of
//     the same loop in C (tools/probe);
//   - the same with edges that are rare, on an idle machine;
//   - how late the spine and cyclictest wake for a deadline;
//   - one process against two: the same loop as a thread of the brain's process.
//
// Each under three loads. Idle: nothing else runs. Busy: the real brain decides
// without a pause at its own priority, with gossip, MQTT and its store, and a
// conductor with broker and three more robots run besides; what is measured beside
// the brain of another (the loop in C, cyclictest) has the same robot with the same
// edges beside it, whose spine has normal priority, so that nothing but the brain
// competes. Hogs: busy, and a program that writes to 2 GiB of memory and one that
// writes and syncs files.
//
// Pipes, because a pseudo-terminal passes through a kernel worker without real-time
// priority. What a real port's driver, line and worker add is not in it.
//
// It fails where the spine allocates, collects or loses an edge. The mark is told
// and not judged: one run on a virtual machine proves little either way.
func TestFiguresReflex(t *testing.T) {
	seconds := defaultSeconds
	switch n, err := strconv.Atoi(os.Getenv("DANCER_FIGURES")); {
	case os.Getenv("DANCER_FIGURES") == "":
		t.Skip("measures for a quarter of an hour; make bench-spine runs it")
	case err == nil && n > 1:
		seconds = n
	}
	f := &figures{t: t, probe: buildProbe(t), binary: buildDancer(t), seconds: time.Duration(seconds) * time.Second, period: figuresPeriod}
	f.load("idle")
	f.rare()
	f.cell = startCell(t, f.binary)
	time.Sleep(startUp)
	f.load("busy")
	f.together()
	startHogs(t)
	time.Sleep(startUp)
	f.load("hogs")
	t.Logf("medians of %d interleaved runs of %v, %d edges each, us\n%s\n%s", repetitions, f.seconds, f.edges(), f.table.String(), f.verdict.String())
}

func (f *figures) edges() int { return int(f.seconds / f.period) }

// spec of the measured robot under the present load.
func (f *figures) spec(cpu int) measuredSpec {
	s := measuredSpec{CPU: cpu, Period: f.period}
	if f.cell != nil {
		s.Binary, s.Cell, s.Broker = f.binary, cellName, f.cell.broker
	}
	return s
}

// beside is what runs beside a subject that has no brain.
func (f *figures) beside() func() *exec.Cmd {
	if f.cell == nil {
		return nil
	}
	s := f.spec(-1)
	s.Shadow = true
	return s.command
}

// subject is one of those that take turns.
type subject struct {
	name    string
	measure func() quantiles
	runs    []quantiles
}

// quantiles of one run.
type quantiles struct{ p50, p99, p999, most time.Duration }

// median takes the median of each by itself.
func (s *subject) median() quantiles {
	of := func(pick func(quantiles) time.Duration) time.Duration {
		var all []time.Duration
		for _, q := range s.runs {
			all = append(all, pick(q))
		}
		slices.Sort(all)
		return all[len(all)/2]
	}
	return quantiles{
		of(func(q quantiles) time.Duration { return q.p50 }), of(func(q quantiles) time.Duration { return q.p99 }),
		of(func(q quantiles) time.Duration { return q.p999 }), of(func(q quantiles) time.Duration { return q.most }),
	}
}

// inTurns runs the subjects in turns, each turn begun by another one, and adds a
// row for each to the table.
func (f *figures) inTurns(load, where string, subjects ...*subject) {
	for turn := range repetitions {
		for i := range subjects {
			s := subjects[(turn+i)%len(subjects)]
			s.runs = append(s.runs, s.measure())
		}
	}
	us := func(d time.Duration) float64 { return float64(d) / 1e3 }
	for _, s := range subjects {
		q := s.median()
		row := fmt.Sprintf("| %s | %s | %s | %.0f | %.0f | %.0f | %.0f |", s.name, load, where, us(q.p50), us(q.p99), us(q.p999), us(q.most))
		f.t.Log(row)
		fmt.Fprintln(&f.table, row)
	}
}

// load measures all of one load.
func (f *figures) load(name string) {
	for _, p := range placements() {
		loop := &subject{name: "edge to output, C loop", measure: func() quantiles { return f.loop(p) }}
		spine := &subject{name: "edge to output, spine", measure: func() quantiles { return f.spine(p, f.spec(p.loop), true) }}
		f.inTurns(name, p.name, loop, spine)
		ratio := float64(spine.median().p999) / float64(loop.median().p999)
		fmt.Fprintf(&f.verdict, "p99.9 spine / C loop = %.2f (mark %.1f), %s, %s\n", ratio, mark, name, p.name)
	}
	f.inTurns(name, "",
		&subject{name: "wake-up, cyclictest", measure: f.cyclictest},
		&subject{name: "wake-up, spine's own histogram", measure: f.wakeUp})
}

// rare measures edges that come seldom, as most do.
func (f *figures) rare() {
	seconds := f.seconds
	f.period, f.seconds = rarePeriod, rareEdges*rarePeriod
	for _, p := range placements() {
		f.inTurns("idle, an edge every "+rarePeriod.String(), p.name,
			&subject{name: "edge to output, C loop", measure: func() quantiles { return f.loop(p) }},
			&subject{name: "edge to output, spine", measure: func() quantiles { return f.spine(p, f.spec(p.loop), true) }})
	}
	f.period, f.seconds = figuresPeriod, seconds
}

// together measures the usual design under the present load, source and loop on
// the last of the placements.
func (f *figures) together() {
	p := placements()[len(placements())-1]
	spec := f.spec(p.loop)
	one, plain := spec, spec
	one.Together, one.FIFO, plain.Together = true, true, true
	f.inTurns("busy", p.name,
		&subject{name: "two processes", measure: func() quantiles { return f.spine(p, spec, true) }},
		&subject{name: "one process, SCHED_FIFO", measure: func() quantiles { return f.spine(p, one, false) }},
		&subject{name: "one process", measure: func() quantiles { return f.spine(p, plain, false) }})
}

// loop measures the loop in C.
func (f *figures) loop(p placement) quantiles {
	return f.run(p, measureConfig{Beside: f.beside(), Subject: f.loopCommand(p)}).quantiles()
}

func (f *figures) loopCommand(p placement) func() *exec.Cmd {
	return func() *exec.Cmd {
		return exec.Command("taskset", "-c", strconv.Itoa(p.loop), f.probe, "loop", "-", "-")
	}
}

// spine measures one of our own programs. strict: it must not allocate.
func (f *figures) spine(p placement, spec measuredSpec, strict bool) quantiles {
	m := f.run(p, measureConfig{Subject: spec.command})
	f.check(m.Subject, spec, strict)
	return m.quantiles()
}

func (f *figures) run(p placement, cfg measureConfig) measurement {
	f.t.Helper()
	f.seed++
	cfg.Probe, cfg.CPU, cfg.Edges, cfg.Period, cfg.Seed = f.probe, p.source, f.edges(), f.period, f.seed
	if f.cell != nil {
		cfg.StartUp = startUp
	}
	m, err := measureLatency(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	if m.Refused != "" {
		f.t.Errorf("a figure without privilege: %s", m.Refused)
	}
	return m
}

func (m measurement) quantiles() quantiles { return quantiles{m.P50, m.P99, m.P999, m.Max} }

// check holds the spine to what it promises, and the load to its name.
func (f *figures) check(m *Measured, spec measuredSpec, strict bool) {
	f.t.Helper()
	if m == nil {
		f.t.Fatal("the measured spine has not reported")
	}
	lines := min(m.Report.Overruns, uint64(f.seconds/time.Second)*overrunLines)
	if strict && (m.Allocations > threadObjects+lines*lineObjects || m.Collections > 0 || m.Faults > firstTouches || !m.Report.RealTime) {
		f.t.Errorf("%d allocations, %d collections, %d page faults, real time %v", m.Allocations, m.Collections, m.Faults, m.Report.RealTime)
	}
	if atLeast := uint64(f.seconds / time.Second); spec.Binary != "" && m.Decisions < atLeast {
		f.t.Errorf("the brain beside it made %d decisions, want %d: that was no load", m.Decisions, atLeast)
	}
}

// firstTouches are the pages of the program, mostly of Go's scheduler, which the
// loop's thread may touch for the first time; each only once, because memory is
// locked as it is touched. Faults that come again would be hundreds.
const firstTouches = 20

// threadObjects are what threads that Go makes beside the loop cost, and lineObjects
// what the keeper's line of the log for a missed deadline does; the loop itself
// allocates nothing, and one object per edge would be thousands.
const (
	threadObjects = 100
	lineObjects   = 8
)

// wakeUp measures how late the spine wakes for a deadline, 1,000 a second, from its
// own histogram.
func (f *figures) wakeUp() quantiles {
	p := placements()[len(placements())-1]
	spec := f.spec(p.loop)
	spec.Wake = true
	m := f.run(p, measureConfig{Subject: spec.command})
	f.check(m.Subject, spec, true)
	w := m.Subject.WakeUp
	return quantiles{w.P50, w.P99, w.P999, w.Most}
}

// cyclictest measures the same from outside of any program of ours.
func (f *figures) cyclictest() quantiles {
	if beside := f.beside(); beside != nil {
		end, err := startLoad(beside())
		if err != nil {
			f.t.Fatal(err)
		}
		defer end()
		time.Sleep(startUp)
	}
	p := placements()[len(placements())-1]
	out, err := exec.Command("cyclictest", "-q", "-m", "-t", "1", "-a", strconv.Itoa(p.loop), "-p", strconv.Itoa(priority),
		"-i", "1000", "-l", strconv.Itoa(int(f.seconds/time.Millisecond)), "-h", "100000").CombinedOutput()
	if err != nil {
		f.t.Skipf("cyclictest, of Debian's rt-tests: %v: %s", err, out)
	}
	return cyclicQuantiles(string(out))
}

var cyclicLine = regexp.MustCompile(`(?m)^(\d{6}) (\d+)`)

// cyclicQuantiles reads the histogram that cyclictest prints, one bucket a
// microsecond; what is beyond it counts as the longest that it tells.
func cyclicQuantiles(text string) (q quantiles) {
	var us, counts []int
	total := 0
	for _, m := range cyclicLine.FindAllStringSubmatch(text, -1) {
		at, _ := strconv.Atoi(m[1])
		n, _ := strconv.Atoi(m[2])
		us, counts, total = append(us, at), append(counts, n), total+n
	}
	at := func(perMille int) time.Duration {
		seen, last := 0, 0
		for i, n := range counts {
			if n > 0 {
				last = us[i]
			}
			if seen += n; seen*1000 >= total*perMille {
				break
			}
		}
		return time.Duration(last) * time.Microsecond
	}
	return quantiles{at(500), at(990), at(999), at(1000)}
}
