package spine

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// soakCycles is how many edges `make soak` drives through the spine, and missAfter
// the time from edge to output that is a miss.
const (
	soakCycles = 1_000_000
	missAfter  = time.Millisecond
)

// witnessPeriod is how often a witness looks whether its processor runs anything.
const witnessPeriod = 250 * time.Microsecond

// TestSoakCycles (`make soak`, 9 minutes) drives a million edges at 2 kHz through
// the spine, over pipes, with the real brain at full load beside it (see
// TestFiguresReflex, busy), source and loop on two processors. No edge may take more
// than 1 ms to its output once the time is taken off in which the loop could not run
// whatever it did. Both parts of that are measured:
//
//   - Run-queue delay: the loop's thread was ready and waited for its processor.
//     The kernel counts it in ns (second number of schedstat), and it is read after
//     each edge. A thread of the highest class in use waits only for what cannot be
//     preempted: interrupts, and this kernel's own work on behalf of others
//     (PREEMPT_NONE), the source and the witness (microseconds each).
//   - Stolen time: the processor ran nothing, not even a witness thread of a higher
//     priority that sleeps 0.25 ms at a time. From the moment in which a witness was
//     due to the one in which it ran, its processor was with the hypervisor, or in
//     kernel code that cannot be preempted. The kernel's own steal counter has ticks
//     of 10 ms, far too coarse to say of which edge a time was stolen; its total is
//     told beside.
//
// What is taken off is never more than what was waited. From the edge to the moment
// in which the loop reads its port (stamps of the program itself): the longer of both
// parts, because they overlap, and at most all of it. From there to the end of the
// output's write: stolen time alone. Time stolen from any processor counts, each
// moment once: a wake-up, and a turn that Go's threads hand over, may depend on
// another one. How many edges only that saves is told, as "elsewhere". What the loop
// does itself, what it waits for in Go's runtime, page faults and system calls are
// never taken off. A witness knows of a gap from when it was due; it may have begun up
// to 0.25 ms before, when the witness ran last. An edge that missed only if it did not
// is told as undecided and does not fail the test.
func TestSoakCycles(t *testing.T) {
	cycles := soakCycles
	switch n, err := strconv.Atoi(os.Getenv("DANCER_SOAK")); {
	case os.Getenv("DANCER_SOAK") == "":
		t.Skip("runs for nine minutes; make soak runs it")
	case err == nil && n > 1:
		cycles = n
	}
	if err := MayRunRealTime(); err != nil {
		t.Skipf("real-time priority is refused here, without which nothing holds: %v", err)
	}
	probe, binary := buildProbe(t), buildDancer(t)
	cell := startCell(t, binary)
	time.Sleep(startUp)
	p := placements()[len(placements())-1]
	spec := measuredSpec{CPU: p.loop, Binary: binary, Cell: cellName, Broker: cell.broker, Stamps: true}
	gaps, stolen := startWitnesses(t, probe), stealTicks(t)
	m, err := measureLatency(measureConfig{
		Probe: probe, Subject: spec.command, CPU: p.source, Edges: cycles, Period: figuresPeriod, StartUp: startUp, Stamps: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	ticks := stealTicks(t) - stolen
	j := judgeEdges(m.Edges, gaps(), p)
	t.Logf("%d edges: p50 %v p99 %v p99.9 %v longest %v; %d decisions, %d allocations, %d collections, %d page faults",
		m.Count, m.P50, m.P99, m.P999, m.Max, m.Subject.Decisions, m.Subject.Allocations, m.Subject.Collections, m.Subject.Faults)
	t.Logf("misses of %v: %d as measured, %d after run-queue delay and stolen time were taken off, %d undecided, %d for time stolen elsewhere alone",
		missAfter, j.raw, len(j.missed), j.undecided, j.elsewhere)
	t.Logf("run-queue delay of the loop: %v in all, longest of one edge %v", j.waited, j.waitedMost)
	t.Logf("stolen time seen by the witnesses: %s; steal counted by the kernel: %v", j.gaps, ticks)
	for _, line := range j.missed {
		t.Error(line)
	}
	if m.Refused != "" || m.Subject.Decisions == 0 || m.Subject.Collections != 0 || m.Subject.Allocations > uint64(cycles/20) {
		t.Errorf("refused: %q; %d decisions, %d allocations, %d collections", m.Refused, m.Subject.Decisions, m.Subject.Allocations, m.Subject.Collections)
	}
}

// gap is a time in which a processor ran nothing, ns of CLOCK_MONOTONIC: from a time
// on for certain, and at the earliest from another one.
type gap struct{ earliest, from, to int64 }

// keptTime is what the machine kept for itself: from the processor of the loop, of the
// source, and from any.
type keptTime struct{ loop, source, any []gap }

// keptFrom gives what is certain, and what is possible. gaps are those of each
// processor, in order.
func keptFrom(gaps [][]gap, p placement) (certain, possible keptTime) {
	longest := make([][]gap, len(gaps))
	for cpu := range gaps {
		longest[cpu] = slices.Clone(gaps[cpu])
		for i := range longest[cpu] {
			longest[cpu][i].from = longest[cpu][i].earliest
		}
	}
	of := func(g [][]gap) keptTime { return keptTime{g[p.loop], g[p.source], union(g)} }
	return of(gaps), of(longest)
}

// union is the time in which at least one processor ran nothing.
func union(gaps [][]gap) (all []gap) {
	sorted := slices.Concat(gaps...)
	slices.SortFunc(sorted, func(a, b gap) int { return cmp.Compare(a.from, b.from) })
	for _, g := range sorted {
		if n := len(all); n > 0 && g.from <= all[n-1].to {
			all[n-1].to = max(all[n-1].to, g.to)
			continue
		}
		all = append(all, g)
	}
	return all
}

// anywhere counts time that was kept from any processor.
func (k keptTime) anywhere() keptTime { return keptTime{k.any, k.any, k.any} }

// judgement is what became of the edges.
type judgement struct {
	raw                int      // longer than missAfter as measured
	missed             []string // and also without what is taken off, one line each
	undecided          int      // in time if gaps were as long as they can have been
	elsewhere          int      // in time because another processor was stolen
	waited, waitedMost time.Duration
	gaps               string
}

// judgeEdges takes off what TestSoakCycles says. gaps are those of each processor, in
// order.
func judgeEdges(edges []edge, gaps [][]gap, p placement) judgement {
	j := judgement{gaps: tellGaps(gaps)}
	certain, possible := keptFrom(gaps, p)
	for i, e := range edges {
		waited := time.Duration(e.Waited)
		j.waited += waited
		j.waitedMost = max(j.waitedMost, waited)
		end := e.Written
		if end < e.Begin { // the source read the answer before the loop came to its stamp
			end = e.End
		}
		took := time.Duration(end - e.Begin)
		if took <= missAfter {
			continue
		}
		j.raw++
		off := excused(e, end, possible.anywhere())
		switch {
		case took-off > missAfter:
			j.missed = append(j.missed, fmt.Sprintf("edge %d took %v, of which %v are not the loop's: run-queue delay %v; sent after %v, read after %v, written after %v",
				i, took, off, waited, time.Duration(e.Sent-e.Begin), time.Duration(e.Read-e.Begin), time.Duration(end-e.Begin)))
		case took-excused(e, end, certain.anywhere()) > missAfter:
			j.undecided++
		case took-excused(e, end, certain) > missAfter:
			j.elsewhere++
		}
	}
	return j
}

// excused is how long the loop could not have run.
func excused(e edge, end int64, k keptTime) time.Duration {
	read := min(max(e.Read, e.Begin), end)
	before := max(min(e.Waited, read-e.Begin), overlap(k.loop, e.Begin, read))
	if sending := min(e.Sent, read); sending > e.Begin { // the edge is sent by then: only a gap inside of the write counts
		before = max(before, min(overlap(k.source, e.Begin, sending)+overlap(k.loop, sending, read), read-e.Begin))
	}
	return time.Duration(before + overlap(k.loop, read, end))
}

// overlap is how much of a time was inside of gaps.
func overlap(gaps []gap, from, to int64) (sum int64) {
	first, _ := slices.BinarySearchFunc(gaps, from, func(g gap, at int64) int { return int(min(max(g.to-at, -1), 1)) })
	for _, g := range gaps[first:] {
		if g.from >= to {
			break
		}
		sum += max(min(g.to, to)-max(g.from, from), 0)
	}
	return sum
}

func tellGaps(gaps [][]gap) string {
	var parts []string
	for cpu, list := range gaps {
		var sum, most int64
		for _, g := range list {
			sum, most = sum+g.to-g.from, max(most, g.to-g.from)
		}
		parts = append(parts, fmt.Sprintf("CPU %d %v in %d gaps, longest %v", cpu, time.Duration(sum), len(list), time.Duration(most)))
	}
	return strings.Join(parts, "; ")
}

// startWitnesses runs one for each processor until their gaps are asked for.
func startWitnesses(t *testing.T, probe string) (gaps func() [][]gap) {
	t.Helper()
	all := make([]*exec.Cmd, runtime.NumCPU())
	told := make([]bytes.Buffer, len(all))
	ends := make([]func() error, len(all))
	for cpu := range all {
		all[cpu] = exec.CommandContext(t.Context(), probe, "witness", strconv.Itoa(cpu), strconv.FormatInt(int64(witnessPeriod), 10))
		all[cpu].Stdout, all[cpu].Stderr = &told[cpu], os.Stderr
		in, err := all[cpu].StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := all[cpu].Start(); err != nil {
			t.Fatal(err)
		}
		ends[cpu] = in.Close
	}
	return func() [][]gap {
		found := make([][]gap, len(all))
		for cpu, w := range all {
			_ = ends[cpu]() // it reads its end there
			if err := w.Wait(); err != nil {
				t.Fatalf("witness: %v", err)
			}
			for line := range strings.Lines(told[cpu].String()) {
				var g gap
				if _, err := fmt.Sscan(line, &g.earliest, &g.from, &g.to); err != nil {
					t.Fatalf("witness: %v: %q", err, line)
				}
				found[cpu] = append(found[cpu], g)
			}
		}
		return found
	}
}

// stealTicks is what the kernel counted as stolen from all processors since boot, in
// steps of 10 ms.
func stealTicks(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		t.Fatalf("/proc/stat begins with %q", line)
	}
	ticks, err := strconv.ParseInt(fields[8], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// TestJudgeEdges: only what the loop could not help is taken off.
func TestJudgeEdges(t *testing.T) {
	const us = 1000
	two := placement{source: 0, loop: 1}
	for _, c := range []struct {
		name    string
		edge    edge
		gaps    [][]gap
		raw     int
		missing int

		undecided, elsewhere int
	}{
		{"in time", edge{Begin: 0, Sent: 5 * us, Read: 50 * us, Written: 60 * us, End: 2000 * us}, [][]gap{nil, nil}, 0, 0, 0, 0},
		{"its own work", edge{Sent: 5 * us, Read: 50 * us, Written: 1200 * us}, [][]gap{nil, nil}, 1, 1, 0, 0},
		{"waited for its processor", edge{Sent: 5 * us, Read: 1500 * us, Written: 1510 * us, Waited: 1400 * us}, [][]gap{nil, nil}, 1, 0, 0, 0},
		{"waited while it worked", edge{Sent: 5 * us, Read: 50 * us, Written: 1200 * us, Waited: 1100 * us}, [][]gap{nil, nil}, 1, 1, 0, 0},
		{"waited for a lock", edge{Sent: 5 * us, Read: 1500 * us, Written: 1510 * us, Waited: 20 * us}, [][]gap{nil, nil}, 1, 1, 0, 0},
		{"stolen before it read", edge{Sent: 5 * us, Read: 3000 * us, Written: 3010 * us}, [][]gap{nil, {{-100 * us, -100 * us, 2900 * us}}}, 1, 0, 0, 0},
		{"stolen as it worked", edge{Sent: 5 * us, Read: 50 * us, Written: 3000 * us}, [][]gap{nil, {{60 * us, 60 * us, 2900 * us}}}, 1, 0, 0, 0},
		{"waited and stolen at once", edge{Sent: 5 * us, Read: 3000 * us, Written: 3010 * us, Waited: 1500 * us}, [][]gap{nil, {{0, 0, 1500 * us}}}, 1, 1, 0, 0},
		{"stolen from the source as it sent", edge{Sent: 2000 * us, Read: 2100 * us, Written: 2110 * us}, [][]gap{{{10 * us, 10 * us, 1990 * us}}, nil}, 1, 0, 0, 0},
		{"stolen from the source when it had sent", edge{Sent: 5 * us, Read: 2100 * us, Written: 2110 * us}, [][]gap{{{10 * us, 10 * us, 1990 * us}}, nil}, 1, 0, 0, 1},
		{"stolen at another time", edge{Sent: 5 * us, Read: 2100 * us, Written: 2110 * us}, [][]gap{nil, {{-900 * us, -900 * us, -10 * us}, {2200 * us, 2200 * us, 9000 * us}}}, 1, 1, 0, 0},
		{"stolen a little before", edge{Sent: 5 * us, Read: 2100 * us, Written: 2110 * us}, [][]gap{nil, {{900 * us, 1100 * us, 2095 * us}}}, 1, 0, 1, 0},
		{"stolen too late in any case", edge{Sent: 5 * us, Read: 3100 * us, Written: 3110 * us}, [][]gap{nil, {{1100 * us, 1300 * us, 3095 * us}}}, 1, 1, 0, 0},
	} {
		j := judgeEdges([]edge{c.edge}, c.gaps, two)
		if j.raw != c.raw || len(j.missed) != c.missing || j.undecided != c.undecided || j.elsewhere != c.elsewhere {
			t.Errorf("%s: %d misses as measured, want %d; %d left, want %d %v; %d undecided, want %d; %d elsewhere, want %d", c.name, j.raw, c.raw, len(j.missed), c.missing, j.missed, j.undecided, c.undecided, j.elsewhere, c.elsewhere)
		}
	}
}
