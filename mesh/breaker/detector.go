package breaker

import (
	"fmt"
	"math"
	"time"
)

const (
	maxContradicted = 4 // other agents that are remembered
	baselineSamples = 16
	baselineWeight  = 64                    // a sample moves the average by one part in so many
	spikeFloor      = 10 * time.Millisecond // twice a delay of nothing is nothing
	clumpLimit      = 2                     // failures of one cluster that count for the trend in one interval
	stableAfter     = 5 * time.Minute       // a replacement that lives so long has not failed
	unheard         = time.Duration(math.MinInt64)
)

// Finding is one failure that was detected. What to do about it is in the table.
type Finding struct {
	At       time.Duration
	Class    Class
	Agent    int32 // -1 for CASCADE_FAILURE
	Cluster  int32 // -1 for CASCADE_FAILURE
	Sector   int32 // of the agent; for CASCADE_FAILURE the one with most failures
	Count    int32 // what Entry.Escalate is compared with
	Escalate bool  // tell Entry.To
}

const (
	isCrashed uint8 = 1 << iota
	isSpiking
	isCorrupt
	isByzantine

	isQuarantined = isCorrupt | isByzantine
)

// agent is what the detector knows of one: 40 bytes, beside the time it was heard.
type agent struct {
	others   [maxContradicted]int32 // whom it contradicted
	since    time.Duration          // the first of them
	baseline float32                // ms
	samples  uint8
	high     uint8 // samples over the baseline in a row
	failures uint8 // in a row
	missed   uint8 // heartbeats
	crashes  uint8
	flags    uint8
	nothers  uint8
}

// Detector finds the six classes of failure. 56 bytes an agent, no allocation per
// call as long as the findings have room; every call is O(1) but Sweep, which
// passes over all agents. It is not safe for use by several goroutines.
type Detector struct {
	table     Table
	clusterOf []int32
	sectorOf  []int32
	heard     []time.Duration // last; unheard before the first time
	revived   []time.Duration // when it last came back from a crash; unheard if it never did
	agents    []agent
	spiking   []int32 // agents of each cluster
	clumps    []clump // by cluster
	recent    [2][]uint32
	interval  int64
	counted   uint32
	trend     Trend
	growing   bool
	active    int32
	members   int32
}

// clump bounds what one cluster adds to one interval.
type clump struct {
	interval int64
	count    uint8
}

// NewDetector makes a detector for agents, given the cluster of each and the
// sector of each cluster.
func NewDetector(clusterOf, sectorOf []int32, sectors int32, table Table) (*Detector, error) {
	if err := table.validate(); err != nil {
		return nil, fmt.Errorf("make detector: %w", err)
	}
	for i, c := range clusterOf {
		if c < 0 || int(c) >= len(sectorOf) {
			return nil, fmt.Errorf("make detector: %w: agent %d is in cluster %d of %d", ErrConfig, i, c, len(sectorOf))
		}
	}
	for i, s := range sectorOf {
		if s < 0 || s >= sectors {
			return nil, fmt.Errorf("make detector: %w: cluster %d is in sector %d of %d", ErrConfig, i, s, sectors)
		}
	}
	d := &Detector{table: table, clusterOf: clusterOf, sectorOf: sectorOf,
		heard: make([]time.Duration, len(clusterOf)), revived: make([]time.Duration, len(clusterOf)), agents: make([]agent, len(clusterOf)),
		spiking: make([]int32, len(sectorOf)), clumps: make([]clump, len(sectorOf)), members: int32(len(clusterOf))}
	d.recent = [2][]uint32{make([]uint32, sectors), make([]uint32, sectors)}
	for i := range d.heard {
		d.heard[i], d.revived[i] = unheard, unheard
	}
	for i := range d.clumps {
		d.clumps[i].interval = -1
	}
	return d, nil
}

// Active is how many agents have been heard, have not crashed since and are not
// in quarantine; Members is how many there are.
func (d *Detector) Active() (active, members int32) { return d.active, d.members }

// IsActive says whether one agent is among them.
func (d *Detector) IsActive(i int32) bool {
	return d.has(i) && d.heard[i] != unheard && d.agents[i].flags&(isCrashed|isQuarantined) == 0
}

// Quarantined says whether an agent is kept out of everything.
func (d *Detector) Quarantined(i int32) bool {
	return d.has(i) && d.agents[i].flags&isQuarantined != 0
}

// Spiking says whether an agent is much slower than it was.
func (d *Detector) Spiking(i int32) bool { return d.has(i) && d.agents[i].flags&isSpiking != 0 }

func (d *Detector) has(i int32) bool { return i >= 0 && int(i) < len(d.agents) }

// flag sets and clears states and keeps the count of active agents.
func (d *Detector) flag(i int32, set, reset uint8) {
	before := d.IsActive(i)
	d.agents[i].flags = d.agents[i].flags&^reset | set
	d.recount(i, before)
}

func (d *Detector) recount(i int32, before bool) {
	switch after := d.IsActive(i); {
	case after && !before:
		d.active++
	case before && !after:
		d.active--
	}
}

// Heard notes any message of an agent: a heartbeat, an answer. What it missed and
// a crash are over.
func (d *Detector) Heard(now time.Duration, i int32) {
	if !d.has(i) {
		return
	}
	a := &d.agents[i]
	before := d.IsActive(i)
	d.heard[i] = now
	a.failures, a.missed = 0, 0
	if a.flags&isCrashed != 0 {
		d.revived[i] = now
		a.flags &^= isCrashed
	}
	d.recount(i, before)
}

// Unwatch notes that nothing is expected of an agent any more, as it reports to another
// now: its silence is no failure. It is not active until it is heard; what was
// measured of it stays, and so does its quarantine.
func (d *Detector) Unwatch(i int32) {
	if !d.has(i) {
		return
	}
	before := d.IsActive(i)
	d.heard[i], d.revived[i] = unheard, unheard
	a := &d.agents[i]
	a.failures, a.missed, a.flags = 0, 0, a.flags&^isCrashed
	d.recount(i, before)
}

// finding makes a finding about an agent.
func (d *Detector) finding(now time.Duration, class Class, i int32, count int32) Finding {
	cluster := d.clusterOf[i]
	entry := &d.table[class-1]
	return Finding{now, class, i, cluster, d.sectorOf[cluster], count, count >= int32(entry.Escalate)}
}

// TimedOut notes that a message to an agent was not answered in time.
func (d *Detector) TimedOut(now time.Duration, i int32, found []Finding) []Finding {
	if !d.has(i) {
		return found
	}
	return d.transient(now, i, found)
}

func (d *Detector) transient(now time.Duration, i int32, found []Finding) []Finding {
	a := &d.agents[i]
	if a.failures == 0 {
		d.spread(i)
	}
	a.failures = min(a.failures+1, math.MaxUint8-1)
	f := d.finding(now, TransientNetwork, i, int32(a.failures))
	f.Escalate = int(f.Count) == d.table[TransientNetwork-1].Escalate // once in a row
	return append(found, f)
}

// spread counts an agent that has begun to fail. A cluster gives few in an
// interval, so that a lead that dies with its thirty agents is one clump and not a
// trend.
func (d *Detector) spread(i int32) {
	cluster := d.clusterOf[i]
	c := &d.clumps[cluster]
	if c.interval != d.interval {
		*c = clump{interval: d.interval}
	}
	if c.count >= clumpLimit {
		return
	}
	c.count++
	d.counted++
	d.recent[0][d.sectorOf[cluster]]++
}

// Sweep looks at the silence of every agent and at the growth of failures; call it
// about once a second.
func (d *Detector) Sweep(now time.Duration, found []Finding) []Finding {
	found = d.cascade(now, found)
	period, dead := d.table.Of(TransientNetwork).After, d.table.Of(AgentCrash).After
	for i, at := range d.heard {
		silence := now - at
		if at == unheard || silence < period+period/2 || d.agents[i].flags&isCrashed != 0 {
			continue
		}
		found = d.silent(now, int32(i), silence, period, dead, found)
	}
	return found
}

// silent handles an agent that has been silent for more than a period and a half.
func (d *Detector) silent(now time.Duration, i int32, silence, period, dead time.Duration, found []Finding) []Finding {
	a := &d.agents[i]
	for due := min(int64((silence-period/2)/period), math.MaxUint8-1); int64(a.missed) < due && silence < dead; a.missed++ {
		found = d.transient(now, i, found)
	}
	if silence < dead {
		return found
	}
	if a.failures == 0 {
		d.spread(i) // nobody looked in between
	}
	if d.revived[i] != unheard && d.heard[i]-d.revived[i] >= stableAfter {
		a.crashes = 0
	}
	a.crashes = min(a.crashes+1, math.MaxUint8-1)
	d.flag(i, isCrashed, 0)
	return append(found, d.finding(now, AgentCrash, i, int32(a.crashes)))
}

// Impedance takes a measured delay of an agent: the time that a standard message
// takes there and through its queue. It is the linear time and not the score of
// mesh/impedance, which is logarithmic: twice that score is the square of the
// time.
func (d *Detector) Impedance(now time.Duration, i int32, delay time.Duration, found []Finding) []Finding {
	if !d.has(i) {
		return found
	}
	a, entry := &d.agents[i], &d.table[ImpedanceSpike-1]
	ms := float32(max(delay, 0)) / float32(time.Millisecond)
	if a.samples < baselineSamples {
		a.samples++
		a.baseline += (ms - a.baseline) / float32(a.samples)
		return found
	}
	limit := max(float32(entry.Ratio)*a.baseline, a.baseline+float32(spikeFloor/time.Millisecond))
	high := ms > limit
	a.baseline += float32((min(ms, limit) - a.baseline) / baselineWeight) // so that a spike moves it little
	if !high {
		d.calm(i)
		return found
	}
	a.high = min(a.high+1, math.MaxUint8-1)
	if int(a.high) != entry.Count || a.flags&isSpiking != 0 {
		return found
	}
	d.flag(i, isSpiking, 0)
	d.spiking[d.clusterOf[i]]++
	return append(found, d.finding(now, ImpedanceSpike, i, d.spiking[d.clusterOf[i]]))
}

// calm ends a spike.
func (d *Detector) calm(i int32) {
	a := &d.agents[i]
	a.high = 0
	if a.flags&isSpiking != 0 {
		d.flag(i, 0, isSpiking)
		d.spiking[d.clusterOf[i]]--
	}
}

// Context compares the hash of the context that an agent has with the one that it
// should have.
func (d *Detector) Context(now time.Duration, i int32, have, want uint64, found []Finding) []Finding {
	if !d.has(i) || have == want || d.agents[i].flags&isCorrupt != 0 {
		return found
	}
	d.flag(i, isCorrupt, 0)
	return append(found, d.finding(now, ContextCorruption, i, 1))
}

// Contradict notes that the answers of two agents contradict each other. Either
// may be wrong; whoever contradicts enough different others is. The word of an
// agent in quarantine convicts nobody.
func (d *Detector) Contradict(now time.Duration, i, j int32, found []Finding) []Finding {
	if !d.has(i) || !d.has(j) || i == j || d.Quarantined(i) || d.Quarantined(j) {
		return found
	}
	found = d.against(now, i, j, found)
	if d.Quarantined(i) {
		return found
	}
	return d.against(now, j, i, found)
}

func (d *Detector) against(now time.Duration, i, other int32, found []Finding) []Finding {
	a, entry := &d.agents[i], &d.table[ByzantineBehavior-1]
	if a.nothers > 0 && now-a.since >= entry.After {
		a.nothers = 0
	}
	for _, known := range a.others[:a.nothers] {
		if known == other {
			return found
		}
	}
	if a.nothers == 0 {
		a.since = now
	}
	a.others[a.nothers] = other
	a.nothers++
	if int(a.nothers) < entry.Count {
		return found
	}
	a.nothers = 0
	d.flag(i, isByzantine, 0)
	return append(found, d.finding(now, ByzantineBehavior, i, 1))
}

// Quarantine keeps an agent out by order, or after a restart; it reports whether
// that changed anything.
func (d *Detector) Quarantine(i int32) bool {
	if !d.has(i) || d.Quarantined(i) {
		return false
	}
	d.flag(i, isByzantine, 0)
	return true
}

// Release takes an agent out of quarantine: it has reloaded its context, or people
// have looked at it. It reports whether it was in.
func (d *Detector) Release(i int32) bool {
	if !d.Quarantined(i) {
		return false
	}
	d.agents[i].nothers = 0
	d.flag(i, 0, isQuarantined)
	return true
}

// cascade ends the intervals that are over and looks at their growth.
func (d *Detector) cascade(now time.Duration, found []Finding) []Finding {
	entry := &d.table[CascadeFailure-1]
	interval := int64(now / entry.After)
	for passed := 0; d.interval < interval; passed++ {
		if passed > trendIntervals { // a long pause: nothing but empty intervals
			d.interval = interval
			break
		}
		d.trend.Add(d.counted)
		d.counted = 0
		d.interval++
		growing := d.trend.Growing(entry.Ratio, entry.Count)
		if growing && !d.growing {
			found = append(found, Finding{now, CascadeFailure, -1, -1, d.worst(), 1, true})
		}
		d.growing = growing
		d.recent[0], d.recent[1] = d.recent[1], d.recent[0]
		clear(d.recent[0])
	}
	return found
}

// worst is the sector with most failures in the interval that ended and the one
// before it; the lowest of equals.
func (d *Detector) worst() int32 {
	best, most := int32(-1), uint32(0)
	for s := range d.recent[0] {
		if n := d.recent[0][s] + d.recent[1][s]; n > most {
			best, most = int32(s), n
		}
	}
	return best
}
