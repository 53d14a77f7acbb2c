package fleet

import (
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/quorum"
)

// Figures of the recorder.
const (
	// ArrivalWindow is how early an agent may be READY. mesh-30k 3.2 counts it back from T;
	// here it is counted back from the moment planned for READY, T less Margin, which is
	// another measure and not comparable with the specification's.
	ArrivalWindow = 500 * time.Millisecond
	// PredictionBound is how far a prediction may be off (mesh-30k 11.1).
	PredictionBound = 50 * time.Millisecond

	arrivalStep  = 10 * time.Millisecond
	arrivalFirst = -5 * time.Second // READY - T
	arrivalLast  = 2 * time.Second
	arrivalBins  = int((arrivalLast - arrivalFirst) / arrivalStep)

	// coordinations that can be under way at a time
	openOperations = 4
)

// Recorder is the observer that measures what the report says. It takes 16 bytes a
// node, and 30 kB for each of the last four coordinations.
type Recorder struct {
	topology   *Topology
	operations []Operation
	paths      [openOperations][]uint32 // us; see reached
	latencies  [openOperations]Histogram
	pathOf     [openOperations]int32 // whose they are; -1: nobody's

	all        Histogram // of READY since the beginning, all coordinations
	arrivals   [arrivalBins + 2]uint64
	errors     Histogram // of predictions
	within     uint64    // PredictionBound
	lateness   Histogram // of acts, by the true clock
	answers    uint64
	conflicts  uint64
	early      uint64 // acts before T by the true clock
	active     availability
	up         availability
	modes      []ModeChange
	breakers   map[breakerKey]breaker.State // of those that are not closed; never ranged over
	open       [4]int32                     // by scope: open and half open
	breakersAt []BreakerCount
	incidents  []Incident
	failed     map[breakerKey]int // of incidents, those that are not restored; never ranged over
	reported   conflictCounts
	detected   [breaker.CascadeFailure + 1]uint64
}

// conflictCounts are of all conflicts that were reported.
type conflictCounts struct {
	types  [16]uint64
	logged uint64
	sector uint64 // told to one
	top    uint64 // told to the orchestrator
}

type breakerKey struct {
	scope breaker.Scope
	index int32
}

// Operation is one coordination of the whole fleet.
type Operation struct {
	Begun, T    time.Duration // true times
	Members     int32         // who count
	Ready       int32
	Margin      time.Duration // before T, when they are to be READY
	InTime      int32         // READY from ArrivalWindow before that up to it
	Late        int32         // READY after T
	Asked       int32         // were sent it
	Acted       int32
	Conflicts   int32
	Decision    quorum.Decision
	Decided     bool
	DecidedAt   time.Duration
	SlowestPath time.Duration // the longest sum of delays and work down to one agent that became READY
	P50, P95    time.Duration // from Begun until so many of Members were READY
	Reached     bool          // P95 is known: 95% became READY
}

// Incident is one failure of a scope that the mesh has found.
type Incident struct {
	Scope    breaker.Scope
	Index    int32
	From, To time.Duration
	Restored bool
}

// ModeChange says which mode holds from a time on.
type ModeChange struct {
	At   time.Duration
	Mode breaker.Mode
}

// BreakerCount says how many breakers of each scope do not route everything, from a
// time on.
type BreakerCount struct {
	At      time.Duration
	Cluster int32
	Sector  int32
	Global  int32
}

// availability is the time in which enough agents were active.
type availability struct {
	since     time.Duration // of the last word
	enough    bool
	known     bool
	good, bad time.Duration
	now, all  int32 // as last said
	words     uint64
}

func (a *availability) observe(now time.Duration, active, members int32) {
	a.words++
	if a.known {
		if a.enough {
			a.good += now - a.since
		} else {
			a.bad += now - a.since
		}
	}
	a.now, a.all = active, members
	a.since, a.known = now, true
	a.enough = int64(active)*100 >= int64(members)*95
}

// NewRecorder makes one that has seen nothing.
func NewRecorder(t *Topology) *Recorder {
	r := &Recorder{topology: t, breakers: map[breakerKey]breaker.State{}, failed: map[breakerKey]int{}}
	for i := range r.pathOf {
		r.pathOf[i] = -1
	}
	return r
}

// Observe implements Observer.
func (r *Recorder) Observe(o *Observation) {
	switch o.Kind {
	case Planned:
		r.planned(o)
	case Active:
		r.active.observe(o.Now, o.Value, o.Operation)
	case ModeIs:
		r.modes = append(r.modes, ModeChange{o.Now, breaker.Mode(o.Value)})
	case BreakerIs:
		r.breaker(o)
	case Failed, Restored:
		r.incident(o)
	case Conflicted:
		r.conflicted(o)
	case Detected:
		if o.Value > 0 && int(o.Value) < len(r.detected) {
			r.detected[o.Value]++
		}
	default:
		if o.Operation >= 0 && int(o.Operation) < len(r.operations) {
			r.coordination(o, &r.operations[o.Operation])
		}
	}
}

// Up tells how many agents have really not crashed, as the world knows it.
func (r *Recorder) Up(now time.Duration, up int32) {
	r.up.observe(now, up, r.topology.Agents())
}

func (r *Recorder) planned(o *Observation) {
	if int(o.Operation) != len(r.operations) {
		return // a number that was left out or comes again: not ours
	}
	r.operations = append(r.operations, Operation{Begun: o.Now, T: o.At, Members: o.Value})
	slot := o.Operation % openOperations
	r.close(slot)
	r.pathOf[slot] = o.Operation
	if r.paths[slot] == nil {
		r.paths[slot] = make([]uint32, r.topology.Nodes())
	}
	clear(r.paths[slot])
}

// close ends a coordination: another one needs its place.
func (r *Recorder) close(slot int32) {
	if r.pathOf[slot] < 0 {
		return
	}
	r.sum(slot)
	r.all.Add(&r.latencies[slot])
	r.latencies[slot] = Histogram{}
	r.pathOf[slot] = -1
}

// sum computes what only the whole of a coordination tells, as far as it is known.
func (r *Recorder) sum(slot int32) {
	op, h := &r.operations[r.pathOf[slot]], &r.latencies[slot]
	op.P50, _ = h.Quantile(500, uint64(op.Members))
	op.P95, op.Reached = h.Quantile(950, uint64(op.Members))
}

func (r *Recorder) coordination(o *Observation, op *Operation) {
	switch o.Kind {
	case Reached, Passed, Ready:
		r.path(o, op)
	case Acted:
		op.Acted++
		r.lateness.Record(max(0, o.Now-op.T))
		if o.Now < op.T {
			r.early++
		}
	case Answered:
		r.answers++
		if o.Value < 0 {
			r.conflicts++
			op.Conflicts++
		}
	case Asked:
		op.Asked++
	case Margin:
		op.Margin = time.Duration(o.Value) * time.Microsecond
	case Decided:
		op.Decided, op.DecidedAt, op.Decision = true, o.Now, quorum.Decision(o.Value)
	}
}

// path adds up how long the way down to each agent took, without any waiting in
// between: for a coordinator or lead from the orchestrator until it sends on, for an
// agent, until it is READY, the delay of its own message.
func (r *Recorder) path(o *Observation, op *Operation) {
	slot := o.Operation % openOperations
	if r.pathOf[slot] != o.Operation {
		return // over: others came since
	}
	paths := r.paths[slot]
	micro := func(d time.Duration) uint32 { return uint32(min(d.Microseconds(), 1<<31)) }
	switch o.Kind {
	case Reached:
		paths[o.Node] = micro(o.Delay)
		if o.Node < r.topology.Agent(0) {
			paths[o.Node] += paths[r.topology.ParentOf(o.Node)]
		}
		return
	case Passed:
		paths[o.Node] += micro(o.Work)
		return
	}
	own := time.Duration(paths[o.Node])*time.Microsecond + o.Work
	op.Ready++
	op.SlowestPath = max(op.SlowestPath, own+time.Duration(paths[r.topology.ParentOf(o.Node)])*time.Microsecond)
	r.latencies[slot].Record(o.Now - op.Begun)
	if predicted := time.Duration(o.Value) * time.Microsecond; predicted > 0 {
		off := (own - predicted).Abs()
		r.errors.Record(off)
		if off <= PredictionBound {
			r.within++
		}
	}
	r.arrive(o.Now-op.T, op)
}

func (r *Recorder) arrive(after time.Duration, op *Operation) {
	if after > 0 {
		op.Late++
	}
	if goal := after + op.Margin; goal <= 0 && goal >= -ArrivalWindow {
		op.InTime++
	}
	bin := 0
	if after >= arrivalFirst {
		bin = min(1+int((after-arrivalFirst)/arrivalStep), arrivalBins+1)
	}
	r.arrivals[bin]++
}

func (r *Recorder) breaker(o *Observation) {
	key := breakerKey{breaker.Scope(o.Value >> 8), o.Operation}
	state := breaker.State(o.Value & 0xff)
	if key.scope > breaker.ScopeGlobal {
		return
	}
	_, was := r.breakers[key]
	if state == breaker.Closed {
		delete(r.breakers, key)
	} else {
		r.breakers[key] = state
	}
	if is := state != breaker.Closed; is != was {
		r.open[key.scope]--
		if is {
			r.open[key.scope] += 2
		}
		r.countBreakers(o.Now)
	}
}

// countBreakers keeps the most of each second: a fault that opens a thousand breakers
// is one point, and a run has at most as many points as seconds.
func (r *Recorder) countBreakers(now time.Duration) {
	at := now.Truncate(time.Second)
	n := len(r.breakersAt)
	if n == 0 || r.breakersAt[n-1].At < at {
		r.breakersAt = append(r.breakersAt, BreakerCount{at, r.open[breaker.ScopeCluster], r.open[breaker.ScopeSector], r.open[breaker.ScopeGlobal]})
		return
	}
	last := &r.breakersAt[n-1]
	last.Cluster, last.Sector, last.Global = r.open[breaker.ScopeCluster], r.open[breaker.ScopeSector], r.open[breaker.ScopeGlobal]
}

func (r *Recorder) incident(o *Observation) {
	key := breakerKey{breaker.Scope(o.Value), o.Operation}
	number, known := r.failed[key]
	switch {
	case known && o.Kind == Restored:
		r.incidents[number].Restored, r.incidents[number].To = true, o.Now
		delete(r.failed, key)
	case !known && o.Kind == Failed:
		r.failed[key] = len(r.incidents)
		r.incidents = append(r.incidents, Incident{Scope: key.scope, Index: key.index, From: o.Now})
	}
}

// conflicted counts a conflict.
func (r *Recorder) conflicted(o *Observation) {
	c := &r.reported
	if of := o.Value & 0xff; int(of) < len(c.types) {
		c.types[of]++
	}
	told := conflict.Tiers(o.Value >> 8)
	if told&conflict.ToSector != 0 {
		c.sector++
	}
	if told&conflict.ToOrchestrator != 0 {
		c.top++
	}
	if o.Value>>16 != 0 {
		c.logged++
	}
}
