package breaker

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// resolution is how exact the timers are. Rounding them up lets one pass over all
// breakers serve many of them.
const resolution = 100 * time.Millisecond

// rampSteps is how many steps lead from the limited share to the whole.
const rampSteps = 8

// never is the due time of a breaker that waits for nothing.
const never = time.Duration(math.MaxInt64)

// whole is the share of all traffic; shares are in 1/whole.
const whole = 1024

// record is one breaker: 24 bytes, beside the stamps of its failures.
type record struct {
	due      time.Duration // of its next timer
	failures uint16        // while half open
	share    uint16        // of the traffic that it admits, in 1/whole
	next     uint16        // where its next stamp goes
	state    State
	attempt  uint8 // probes and recoveries that failed
	step     uint8 // of the ramp; 0 while there is none
	probing  bool
}

// tierOf is all breakers of one scope.
type tierOf struct {
	scope   Scope
	limits  Limits
	records []record
	stamps  []time.Duration // the last limits.Failures failures of each
}

// Breakers is the circuit breakers of a mesh. About 85 bytes a cluster and 430 a
// sector; Routable, Admit and Failure are O(1) and allocate nothing while no
// breaker changes its state. It is not safe for use by several goroutines.
type Breakers struct {
	random   *rand.Rand
	tiers    [3]tierOf // cluster, sector, global
	sectorOf []int32   // of each cluster
	members  []int32   // clusters by sector
	first    []int32   // where a sector's begin in members; one more than sectors
	admitted []uint16  // of each cluster, in 1/whole: the least of its own, its sector's and the mesh's
	open     int       // sectors that are open
	next     time.Duration
	isolated uint64
}

// New makes closed breakers for clusters, given the sector of each. random spreads
// the probes and the recovery.
func New(sectorOf []int32, sectors int32, config Config, random *rand.Rand) (*Breakers, error) {
	if err := config.Validate(); err != nil {
		return nil, fmt.Errorf("make breakers: %w", err)
	}
	b := &Breakers{random: random, sectorOf: sectorOf, next: never, admitted: make([]uint16, len(sectorOf))}
	if err := b.group(sectors); err != nil {
		return nil, fmt.Errorf("make breakers: %w", err)
	}
	for i := range b.admitted {
		b.admitted[i] = whole
	}
	b.tiers = [3]tierOf{
		newTier(ScopeCluster, config.Cluster, len(sectorOf), config.Cluster.Failures),
		newTier(ScopeSector, config.Sector, int(sectors), config.Sector.Failures),
		newTier(ScopeGlobal, config.Global, 1, 0), // it counts open sectors, not failures
	}
	return b, nil
}

func newTier(scope Scope, limits Limits, count, stamps int) tierOf {
	t := tierOf{scope, limits, make([]record, count), make([]time.Duration, count*stamps)}
	for i := range t.records {
		t.records[i] = record{state: Closed, due: never, share: whole}
		t.forget(int32(i))
	}
	return t
}

// group lists the clusters of each sector.
func (b *Breakers) group(sectors int32) error {
	if sectors < 0 || len(b.sectorOf) > math.MaxInt32 {
		return fmt.Errorf("%w: %d sectors, %d clusters", ErrConfig, sectors, len(b.sectorOf))
	}
	b.first = make([]int32, int(sectors)+1)
	for c, s := range b.sectorOf {
		if s < 0 || s >= sectors {
			return fmt.Errorf("%w: cluster %d is in sector %d of %d", ErrConfig, c, s, sectors)
		}
		b.first[s+1]++
	}
	for s := range sectors {
		b.first[s+1] += b.first[s]
	}
	b.members = make([]int32, len(b.sectorOf))
	at := append([]int32(nil), b.first...)
	for c, s := range b.sectorOf {
		b.members[at[s]] = int32(c)
		at[s]++
	}
	return nil
}

// Routable says whether any traffic goes to a cluster: one look-up. A cluster that
// is not there is not routable.
func (b *Breakers) Routable(cluster int32) bool {
	return cluster >= 0 && int(cluster) < len(b.admitted) && b.admitted[cluster] > 0
}

// Admit says whether this message may go to a cluster: always behind closed
// breakers, never behind an open one, and in between for a share of the messages.
// key is any number of the message, as a hash of its id: the same message is
// always judged alike while the share does not fall.
func (b *Breakers) Admit(cluster int32, key uint64) bool {
	if cluster < 0 || int(cluster) >= len(b.admitted) {
		return false
	}
	return uint16(mix(key)>>54) < b.admitted[cluster]
}

// mix spreads the bits of a key (the finalizer of SplitMix64, Steele et al. 2014).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Share is the part of the traffic that a cluster gets, 0 to 1.
func (b *Breakers) Share(cluster int32) float64 {
	if cluster < 0 || int(cluster) >= len(b.admitted) {
		return 0
	}
	return float64(b.admitted[cluster]) / whole
}

// State of one breaker; Open for one that is not there.
func (b *Breakers) State(scope Scope, index int32) State {
	if t := b.tier(scope, index); t != nil {
		return t.records[index].state
	}
	return Open
}

// Isolated is how many failures came from clusters whose breaker was open.
func (b *Breakers) Isolated() uint64 { return b.isolated }

// tier gives the breakers of a scope; nil if the scope or the index is not there.
func (b *Breakers) tier(scope Scope, index int32) *tierOf {
	if scope < ScopeCluster || scope > ScopeGlobal {
		return nil
	}
	t := &b.tiers[scope-ScopeCluster]
	if index < 0 || int(index) >= len(t.records) {
		return nil
	}
	return t
}

// Deadline is when Tick has something to do; false when every breaker is closed.
func (b *Breakers) Deadline() (time.Duration, bool) { return b.next, b.next != never }

// refresh sets what the clusters of a scope get.
func (b *Breakers) refresh(scope Scope, index int32) {
	global := b.tiers[2].records[0].share
	set := func(cluster int32) {
		b.admitted[cluster] = min(b.tiers[0].records[cluster].share, b.tiers[1].records[b.sectorOf[cluster]].share, global)
	}
	switch scope {
	case ScopeCluster:
		set(index)
	case ScopeSector:
		for _, c := range b.members[b.first[index]:b.first[index+1]] {
			set(c)
		}
	case ScopeGlobal:
		for c := range b.sectorOf {
			set(int32(c))
		}
	}
}

// stamp notes a failure and reports whether it completes the limit within the
// window.
func (t *tierOf) stamp(now time.Duration, index int32) bool {
	limit := t.limits.Failures
	r, stamps := &t.records[index], t.stamps[int(index)*limit:][:limit]
	stamps[r.next] = now
	r.next++
	if int(r.next) == limit {
		r.next = 0
	}
	oldest := stamps[r.next] // the slot that comes next holds the oldest
	return oldest >= 0 && now-oldest < t.limits.Window
}

// forget clears the stamps of a breaker.
func (t *tierOf) forget(index int32) {
	if len(t.stamps) == 0 {
		return
	}
	stamps := t.stamps[int(index)*t.limits.Failures:][:t.limits.Failures]
	for i := range stamps {
		stamps[i] = -1
	}
	t.records[index].next = 0
}
