package fleet

import (
	"fmt"
	"slices"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/quorum"
)

// ReportVersion is the version of Report's form. A field that is added leaves it; one
// that changes its meaning raises it.
const ReportVersion = 1

// Report is what a run has shown. It is a function of the setup and the protocol:
// no wall clock is in it. Times are milliseconds since the run's beginning or long,
// shares 0 to 1.
type Report struct {
	Version    int               `json:"version"`
	Agents     int32             `json:"agents"`
	Clusters   int32             `json:"clusters"`
	Sectors    int32             `json:"sectors"`
	Seed       uint64            `json:"seed"`
	Duration   Millis            `json:"duration_ms"`
	Conditions string            `json:"conditions"`
	Faults     []string          `json:"faults"`
	KPIs       []KPI             `json:"kpis"`
	Operations []OperationReport `json:"operations"`
	Arrivals   []ArrivalBin      `json:"arrivals"`
	Coverage   []CoveragePoint   `json:"coverage"`
	Breakers   []BreakerPoint    `json:"breakers"`
	Modes      []ModePoint       `json:"modes"`
	Incidents  []IncidentReport  `json:"incidents"`
	Conflicts  ConflictReport    `json:"conflicts"`
	Failures   []FailureCount    `json:"failures"`
	Acts       ActReport         `json:"acts"`
	Traffic    Traffic           `json:"traffic"`
	Events     Counters          `json:"events"`
}

// Millis is a time in milliseconds, to the microsecond.
type Millis float64

func millis(d time.Duration) Millis { return Millis(float64(d.Microseconds()) / 1000) }

// KPI is one of the indicators of mesh-30k 11.1.
type KPI struct {
	Name    string  `json:"name"`
	Meaning string  `json:"meaning"` // what exactly was measured
	Value   float64 `json:"value"`   // 0 unless Measured
	Target  float64 `json:"target"`
	AtLeast bool    `json:"at_least"` // the value is to be the target at least; otherwise at most
	Unit    string  `json:"unit"`     // "share", "ms"
	Samples uint64  `json:"samples"`
	// Measured is false when nothing happened that could be measured. A cascade that
	// never came to its end is measured, and Unbounded: its value is 0 and missed.
	Measured  bool `json:"measured"`
	Unbounded bool `json:"unbounded,omitempty"`
	Met       bool `json:"met"`
}

// Names of the KPIs, in their order.
const (
	KPICoordination  = "coordination_success_rate"
	KPIArrival       = "arrival_window_hit_rate"
	KPIPrediction    = "impedance_prediction_accuracy"
	KPIConflicts     = "conflict_rate"
	KPIAvailability  = "mesh_availability"
	KPICascade       = "cascade_latency_p95"
	KPIPath          = "cascade_over_slowest_path_p95"
	KPIClusterRepair = "recovery_time_cluster"
	KPISectorRepair  = "recovery_time_sector"
)

// OperationReport is one coordination.
type OperationReport struct {
	Number    int    `json:"number"`
	Begun     Millis `json:"begun_ms"`
	T         Millis `json:"t_ms"`
	Members   int32  `json:"members"`
	Ready     int32  `json:"ready"`
	Margin    Millis `json:"margin_ms"` // before T, when they were to be READY
	InTime    int32  `json:"in_time"`   // READY in the 500 ms before that
	Late      int32  `json:"late"`      // READY after T
	Acted     int32  `json:"acted"`
	Skipped   int32  `json:"skipped"` // members that were sent nothing: no way there in time, no clock, not alive
	Conflicts int32  `json:"conflicts"`
	Decision  string `json:"decision"`
	Decided   Millis `json:"decided_ms"`
	P50       Millis `json:"p50_ms"`
	P95       Millis `json:"p95_ms"` // 0: fewer became READY
	Slowest   Millis `json:"slowest_path_ms"`
}

// ArrivalBin is a bar of the histogram of READY - T. From is within it, To is not;
// the first and the last may be open.
type ArrivalBin struct {
	From  Millis `json:"from_ms"`
	To    Millis `json:"to_ms"`
	Count uint64 `json:"count"`
	Open  bool   `json:"open,omitempty"` // everything before To, or after From
}

// CoveragePoint is the share of members, of all coordinations, that was READY so long
// after the beginning.
type CoveragePoint struct {
	After Millis  `json:"after_ms"`
	Share float64 `json:"share"`
}

// BreakerPoint is how many breakers were open or half open from a time on.
type BreakerPoint struct {
	At      Millis `json:"at_ms"`
	Cluster int32  `json:"cluster"`
	Sector  int32  `json:"sector"`
	Global  int32  `json:"global"`
}

// ModePoint is a mode from a time on.
type ModePoint struct {
	At   Millis `json:"at_ms"`
	Mode string `json:"mode"`
}

// IncidentReport is one failure of a scope.
type IncidentReport struct {
	Scope    string `json:"scope"`
	Index    int32  `json:"index"`
	From     Millis `json:"from_ms"`
	Took     Millis `json:"took_ms"` // to the end of the run where not restored
	Restored bool   `json:"restored"`
}

// ConflictReport is what was reported as CONFLICT, and what became of it.
type ConflictReport struct {
	Types        []TypeCount `json:"types"` // those there were
	Logged       uint64      `json:"logged"`
	Sectors      uint64      `json:"told_sector"`
	Orchestrator uint64      `json:"told_orchestrator"`
}

// TypeCount is how many conflicts of a type were reported.
type TypeCount struct {
	Type  string `json:"type"`
	Count uint64 `json:"count"`
}

// FailureCount is how many failures of a class (mesh-30k 6.1) the mesh found.
type FailureCount struct {
	Class string `json:"class"`
	Count uint64 `json:"count"`
}

// ActReport is how near to T was acted, by the true clock.
type ActReport struct {
	Count uint64 `json:"count"`
	Early uint64 `json:"before_t"` // by the true clock; clocks differ
	P50   Millis `json:"late_p50_ms"`
	P99   Millis `json:"late_p99_ms"`
	Max   Millis `json:"late_max_ms"`
}

// Report makes the report of a run until now. It changes nothing: the run may go on.
func (r *Recorder) Report(setup Setup, end time.Duration, traffic Traffic, counters Counters) *Report {
	all := r.all
	for slot := range int32(openOperations) {
		if r.pathOf[slot] >= 0 {
			r.sum(slot)
			all.Add(&r.latencies[slot])
		}
	}
	t := r.topology
	report := &Report{
		Version: ReportVersion, Agents: t.Agents(), Clusters: t.Clusters(), Sectors: t.Sectors,
		Seed: uint64(setup.Seed), Duration: millis(end), Conditions: setup.Conditions.String(),
		Faults: []string{}, Operations: []OperationReport{}, Arrivals: r.arrivalBins(), Coverage: r.coverage(&all),
		Breakers: []BreakerPoint{}, Modes: []ModePoint{}, Incidents: []IncidentReport{}, Traffic: traffic, Events: counters,
	}
	for _, f := range setup.Faults {
		report.Faults = append(report.Faults, f.String())
	}
	for i := range r.operations {
		report.Operations = append(report.Operations, r.operations[i].report(i+1))
	}
	for _, b := range r.breakersAt {
		report.Breakers = append(report.Breakers, BreakerPoint{millis(b.At), b.Cluster, b.Sector, b.Global})
	}
	for _, m := range r.modes {
		report.Modes = append(report.Modes, ModePoint{millis(m.At), m.Mode.String()})
	}
	for _, i := range r.incidents {
		to := i.To
		if !i.Restored {
			to = end
		}
		report.Incidents = append(report.Incidents, IncidentReport{i.Scope.String(), i.Index, millis(i.From), millis(to - i.From), i.Restored})
	}
	p50, _ := r.lateness.Quantile(500, 0)
	p99, _ := r.lateness.Quantile(990, 0)
	report.Acts = ActReport{r.lateness.Count(), r.early, millis(p50), millis(p99), millis(r.lateness.Max())}
	report.KPIs = r.kpis(end)
	report.Conflicts, report.Failures = r.conflictReport(), []FailureCount{}
	for class, n := range r.detected {
		if n > 0 {
			report.Failures = append(report.Failures, FailureCount{breaker.Class(class).String(), n})
		}
	}
	return report
}

func (r *Recorder) conflictReport() ConflictReport {
	c := ConflictReport{Types: []TypeCount{}, Logged: r.reported.logged, Sectors: r.reported.sector, Orchestrator: r.reported.top}
	for of, n := range r.reported.types {
		if n > 0 {
			c.Types = append(c.Types, TypeCount{conflict.Type(of).String(), n})
		}
	}
	return c
}

func (op *Operation) report(number int) OperationReport {
	o := OperationReport{
		Number: number, Begun: millis(op.Begun), T: millis(op.T), Members: op.Members, Ready: op.Ready, InTime: op.InTime,
		Margin: millis(op.Margin), Late: op.Late, Acted: op.Acted, Skipped: max(0, op.Members-op.Asked), Conflicts: op.Conflicts, Decision: "none",
		P50: millis(op.P50), P95: millis(op.P95), Slowest: millis(op.SlowestPath),
	}
	if op.Decided {
		o.Decision, o.Decided = op.Decision.String(), millis(op.DecidedAt)
	}
	return o
}

// share is a KPI that is a part of a whole.
func share(name, meaning string, part, whole uint64, target float64, atLeast bool) KPI {
	k := KPI{Name: name, Meaning: meaning, Target: target, AtLeast: atLeast, Unit: "share", Samples: whole, Measured: whole > 0}
	if k.Measured {
		k.Value = float64(part) / float64(whole)
		k.Met = k.Value >= target == atLeast || k.Value == target
	}
	return k
}

// longest is a KPI that is a time.
func longest(name, meaning string, d, target time.Duration, samples int, bounded bool) KPI {
	k := KPI{Name: name, Meaning: meaning, Target: float64(millis(target)), Unit: "ms", Samples: uint64(samples), Measured: samples > 0, Unbounded: samples > 0 && !bounded}
	if k.Measured && bounded {
		k.Value = float64(millis(d))
		k.Met = d <= target
	}
	return k
}

func (r *Recorder) kpis(end time.Duration) []KPI {
	var proceeded, inTime, members uint64
	for i := range r.operations {
		op := &r.operations[i]
		if op.Decided && op.Decision == quorum.Proceed {
			proceeded++
		}
		inTime += uint64(op.InTime)
		members += uint64(op.Members)
	}
	view, meaning := r.active, "time with 95% of the agents active, as the mesh knew it"
	if !view.known {
		view, meaning = r.up, "time with 95% of the agents not crashed (the mesh did not say)"
	}
	words := view.words
	if view.known {
		view.observe(max(end, view.since), view.now, view.all)
	}
	cascade, over, bounded := r.cascades()
	list := []KPI{
		share(KPICoordination, "coordinations that got their quorum", proceeded, uint64(len(r.operations)), 0.99, true),
		share(KPIArrival, "members READY in the 500 ms before the moment planned for it", inTime, members, 0.95, true),
		share(KPIPrediction, "messages READY within 50 ms of what was predicted", r.within, r.errors.Count(), 0.90, true),
		share(KPIConflicts, "answers that were CONFLICT", r.conflicts, r.answers, 0.01, false),
		share(KPIAvailability, meaning, uint64(view.good), uint64(view.good+view.bad), 0.999, true),
		longest(KPICascade, "95th percentile of the times until 95% of a cascade's members were READY", cascade, time.Second, len(r.operations), bounded),
		longest(KPIPath, "95th percentile of how much longer that was than the slowest path", over, 50*time.Millisecond, len(r.operations), bounded),
		r.repair(KPIClusterRepair, "longest time from a cluster's failure found to its return", breaker.ScopeCluster, 5*time.Minute),
		r.repair(KPISectorRepair, "longest time from a sector's failure found to its return", breaker.ScopeSector, 15*time.Minute),
	}
	list[4].Samples = words
	return list
}

// cascades gives the 95th percentiles (nearest rank) over all cascades, of their times
// and of what they took over their slowest paths. A cascade that 95% never reached is
// longer than any.
func (r *Recorder) cascades() (p95, over time.Duration, bounded bool) {
	var times, overs []time.Duration
	for i := range r.operations {
		if op := &r.operations[i]; op.Reached {
			times = append(times, op.P95)
			overs = append(overs, op.P95-op.SlowestPath)
		}
	}
	rank := (len(r.operations)*95 + 99) / 100
	if rank == 0 || rank > len(times) {
		return 0, 0, false
	}
	slices.Sort(times)
	slices.Sort(overs)
	return times[rank-1], overs[rank-1], true
}

func (r *Recorder) repair(name, meaning string, scope breaker.Scope, target time.Duration) KPI {
	var most time.Duration
	count, bounded := 0, true
	for _, i := range r.incidents {
		if i.Scope != scope {
			continue
		}
		count++
		bounded = bounded && i.Restored
		most = max(most, i.To-i.From)
	}
	return longest(name, meaning, most, target, count, bounded)
}

// arrivalBins gives the histogram where there is something, in at most forty bars.
func (r *Recorder) arrivalBins() []ArrivalBin {
	bins := []ArrivalBin{}
	first, last := -1, -1
	for i := 1; i <= arrivalBins; i++ {
		if r.arrivals[i] > 0 {
			if first < 0 {
				first = i
			}
			last = i
		}
	}
	edge := func(i int) time.Duration { return arrivalFirst + time.Duration(i-1)*arrivalStep }
	if n := r.arrivals[0]; n > 0 {
		bins = append(bins, ArrivalBin{To: millis(edge(max(first, 1))), From: millis(edge(max(first, 1))), Count: n, Open: true})
	}
	if first >= 0 {
		width := 1
		for (last-first)/width >= 40 {
			width = widen(width)
		}
		// T lies on an edge.
		zero := 1 + int(-arrivalFirst/arrivalStep)
		from := zero - (zero-first+width-1)/width*width
		if first >= zero {
			from = zero + (first-zero)/width*width
		}
		for i := from; i <= last; i += width {
			bin := ArrivalBin{From: millis(edge(i)), To: millis(edge(i + width))}
			for j := max(i, 1); j < min(i+width, arrivalBins+1); j++ {
				bin.Count += r.arrivals[j]
			}
			bins = append(bins, bin)
		}
	}
	if n := r.arrivals[arrivalBins+1]; n > 0 {
		bins = append(bins, ArrivalBin{From: millis(arrivalLast), To: millis(arrivalLast), Count: n, Open: true})
	}
	return bins
}

// widen goes 1, 2, 5, 10, 20, 50, ...
func widen(width int) int {
	for unit := 1; ; unit *= 10 {
		for _, step := range []int{1, 2, 5} {
			if unit*step > width {
				return unit * step
			}
		}
	}
}

// coveragePoints is how many there are of the curve.
const coveragePoints = 40

func (r *Recorder) coverage(all *Histogram) []CoveragePoint {
	points := []CoveragePoint{}
	var members uint64
	for i := range r.operations {
		members += uint64(r.operations[i].Members)
	}
	if members == 0 || all.Count() == 0 {
		return points
	}
	// To the next hundred milliseconds after 99% of those who came.
	long, _ := all.Quantile(990, all.Count())
	long = (long/(100*time.Millisecond) + 1) * 100 * time.Millisecond
	for i := range coveragePoints + 1 {
		after := long * time.Duration(i) / coveragePoints
		points = append(points, CoveragePoint{millis(after), float64(all.AtMost(after)) / float64(members)})
	}
	return points
}

// String says the conditions in one line.
func (c *Conditions) String() string {
	delays := "delays by class"
	if c.Trace != nil {
		delays = fmt.Sprintf("delays of a trace of %d pairs", c.Trace.Pairs())
	}
	return fmt.Sprintf("%s, asymmetry %v, loss %v, twice %v, reordered %v, corrupt %v, radios asleep %v, clocks off by %v and %d ppm",
		delays, c.Asymmetry, c.Loss, c.Duplicate, c.Reorder, c.Corrupt, c.Sleep, c.Offset, c.Drift)
}
