package operator

import (
	"slices"
	"time"

	"dancer/mesh/breaker"
	"dancer/mesh/conflict"
	"dancer/mesh/coordination"
	"dancer/mesh/impedance"
)

// Status is how a mesh is (mesh-30k 7.1), all of it measured. Times ending in MS are
// milliseconds, in S seconds, of the mesh's own time.
type Status struct {
	Version   int     `json:"version"`
	Name      string  `json:"name"`
	Simulated bool    `json:"simulated"`
	Speed     float64 `json:"speed,omitempty"`  // simulated: mesh time beside the wall clock's, as asked for
	LagMS     float64 `json:"lag_ms,omitempty"` // simulated: by how much it is behind that
	UpS       float64 `json:"up_s"`
	AgeMS     float64 `json:"age_ms"` // of what is shown of agents

	Mode         string   `json:"mode"`
	Acknowledge  bool     `json:"acknowledge"` // EMERGENCY stays until dancer heal
	Restrictions []string `json:"restrictions"`
	Frozen       []string `json:"frozen"`

	Agents   AgentCounts  `json:"agents"`
	Classes  []ClassCount `json:"classes"`
	Sectors  TierHealth   `json:"sectors"`
	Clusters TierHealth   `json:"clusters"`
	Led      bool         `json:"led"` // somebody leads the whole

	Impedance    Impedance      `json:"impedance"`
	Coordination Coordination   `json:"coordination"`
	Last         *LastCascade   `json:"last_cascade,omitempty"`
	Conflicts    map[string]int `json:"conflicts_last_hour"` // by level: background, low, medium, high, critical
	Breakers     BreakerCounts  `json:"breakers"`
	Failures     map[string]int `json:"failures"` // found, by class, since the desk was opened
	Running      int            `json:"running"`  // operations
}

// AgentCounts counts machines by state; people are apart.
type AgentCounts struct {
	Members     int `json:"members"`
	Active      int `json:"active"` // with Degraded
	Degraded    int `json:"degraded"`
	Offline     int `json:"offline"`
	Quarantined int `json:"quarantined"`
	Unknown     int `json:"unknown"` // never heard, or nobody leads them
	Frozen      int `json:"frozen"`
	People      int `json:"people"`
}

// ClassCount is one class.
type ClassCount struct {
	Class   string  `json:"class"` // A to F, ? unknown
	Name    string  `json:"name"`
	Members int     `json:"members"`
	Active  int     `json:"active"`
	MeanMS  float64 `json:"mean_ms"` // until READY, of the active ones
}

// TierHealth is how the groups of a tier are.
type TierHealth struct {
	Total   int `json:"total"`
	Led     int `json:"led"`
	Healthy int `json:"healthy"` // led, breaker closed, 95% of the agents active
}

// Impedance is over the agents that can be asked: the expected time from sending a
// standard payload until an agent has it processed, behind what waits there, from
// what its lead measures; the work of one that has processed nothing yet is that of
// its class. Scores are those of mesh/impedance, reliability and drift left out,
// which a lead does not measure.
type Impedance struct {
	MeanMS    float64 `json:"mean_ms"`
	P50MS     float64 `json:"p50_ms"`
	P95MS     float64 `json:"p95_ms"`
	P99MS     float64 `json:"p99_ms"`
	Slowest   string  `json:"slowest,omitempty"`
	SlowestMS float64 `json:"slowest_ms"`
	Score     float64 `json:"score"` // mean
	ScoreP95  int     `json:"score_p95"`
	Slow      int     `json:"slow"`    // score over 800
	Spiking   int     `json:"spiking"` // much slower than they were
}

// Coordination counts cascades since the desk was opened, whoever ordered them.
type Coordination struct {
	Started   uint64  `json:"started"`
	Committed uint64  `json:"committed"`
	Degraded  uint64  `json:"degraded"`
	Failed    uint64  `json:"failed"`
	Cancelled uint64  `json:"cancelled"`
	Success   float64 `json:"success"` // committed and degraded, of those that were decided; 0 with none
	P50MS     float64 `json:"p50_ms"`  // until the quorum, of the last 1,024
	P95MS     float64 `json:"p95_ms"`
}

// LastCascade is the one that ended last.
type LastCascade struct {
	AgoS    float64 `json:"ago_s"`
	Outcome string  `json:"outcome"` // committed, degraded, failed, cancelled
	TookMS  float64 `json:"took_ms"`
	Counts  Share   `json:"counts"` // of the phase that decided
}

// BreakerCounts counts breakers that are not closed.
type BreakerCounts struct {
	ClustersOpen     int    `json:"clusters_open"`
	ClustersHalfOpen int    `json:"clusters_half_open"`
	SectorsOpen      int    `json:"sectors_open"`
	SectorsHalfOpen  int    `json:"sectors_half_open"`
	Global           string `json:"global"` // CLOSED, HALF_OPEN, OPEN
}

// Status tells how the mesh is.
func (d *Desk) Status() Status {
	d.refresh()
	v, now := d.view, d.cores.Now()
	s := Status{Version: Version, Name: d.shape.Name, Simulated: d.shape.Simulated, UpS: now.Seconds(), AgeMS: ms(now - v.at),
		Mode: v.mode.String(), Acknowledge: v.locked, Restrictions: restrictions(v.mode), Frozen: v.frozenScopes(), Led: v.root.led,
		Conflicts: map[string]int{}, Failures: map[string]int{}, Running: len(d.running)}
	s.count(v)
	s.groups(v)
	s.cascades(&d.tally, now)
	for p, n := range d.tally.hour(now) {
		s.Conflicts[conflict.Priority(p).String()] = n
	}
	for class, n := range d.tally.failures {
		if n > 0 {
			s.Failures[breaker.Class(class).String()] = int(n)
		}
	}
	return s
}

// restrictions of a mode in words.
func restrictions(m breaker.Mode) []string {
	list := []string{}
	for _, of := range []struct {
		from  breaker.Mode
		words string
	}{
		{breaker.Emergency, "nothing automatic; what a person asks for needs an approval"},
		{breaker.DegradedSevere, "critical operations only; over half of the mesh with an approval"},
		{breaker.DegradedModerate, "healthy sectors only; no scatter over 1,000 agents; what is not urgent waits"},
		{breaker.DegradedLight, "no background tasks; retries wait longer"},
	} {
		if m <= of.from {
			list = append(list, of.words)
		}
	}
	return list
}

// count goes through the agents.
func (s *Status) count(v *view) {
	var classes [impedance.ClassHuman + 1]ClassCount
	var sums [impedance.ClassHuman + 1]time.Duration
	times := make([]time.Duration, 0, len(v.states))
	slowest := int32(-1)
	longest, sum := time.Duration(0), time.Duration(0)
	for agent := range int32(len(v.states)) {
		class := v.class(agent)
		c := &classes[class]
		c.Members++
		active := v.asked(agent)
		if active {
			c.Active++
		}
		if v.frozen(agent) && class.Counted() {
			s.Agents.Frozen++
		}
		s.Agents.add(v.states[agent], class)
		if !active || !class.Counted() {
			continue
		}
		e, _ := v.registry.Read(agentID(agent))
		ready := e.Ready(1)
		times, sum, sums[class] = append(times, ready), sum+ready, sums[class]+ready
		if ready > longest {
			slowest, longest = agent, ready
		}
		if v.spiking[agent] {
			s.Impedance.Spiking++
		}
	}
	for class := range classes {
		if c := classes[class]; c.Members > 0 {
			c.Class, c.Name = impedance.Class(class).String(), classWords[class]
			if impedance.Class(class).Counted() && c.Active > 0 {
				c.MeanMS = ms(sums[class] / time.Duration(c.Active))
			}
			s.Classes = append(s.Classes, c)
		}
	}
	all := &v.summary.Global
	s.Impedance.Score, s.Impedance.ScoreP95, s.Impedance.Slow = all.Mean, int(all.P95), all.Slow
	if len(times) > 0 {
		slices.Sort(times)
		s.Impedance.MeanMS, s.Impedance.P50MS, s.Impedance.P95MS, s.Impedance.P99MS = ms(sum/time.Duration(len(times))), percentile(times, 50), percentile(times, 95), percentile(times, 99)
		s.Impedance.Slowest, s.Impedance.SlowestMS = v.shape.NameOf(Place{AtAgent, slowest}), ms(longest)
	}
}

// percentile by nearest rank, of what is sorted.
func percentile(sorted []time.Duration, p int) float64 {
	return ms(sorted[(len(sorted)*p+99)/100-1])
}

func (a *AgentCounts) add(state AgentState, class impedance.Class) {
	if !class.Counted() {
		a.People++
		return
	}
	a.Members++
	switch state {
	case Active:
		a.Active++
	case Degraded:
		a.Active++
		a.Degraded++
	case Offline:
		a.Offline++
	case Quarantined:
		a.Quarantined++
	default:
		a.Unknown++
	}
}

// groups goes through clusters and sectors.
func (s *Status) groups(v *view) {
	s.Clusters, s.Sectors = TierHealth{Total: len(v.clusters)}, TierHealth{Total: len(v.sectors)}
	for i := range v.clusters {
		s.Clusters.add(&v.clusters[i], v.summary.Cells[i].Tally)
		s.Breakers.ClustersOpen += truth(v.clusters[i].breaker == breaker.Open)
		s.Breakers.ClustersHalfOpen += truth(v.clusters[i].breaker == breaker.HalfOpen)
	}
	for i := range v.sectors {
		if i < len(v.summary.Regions) {
			s.Sectors.add(&v.sectors[i], v.summary.Regions[i].Tally)
		}
		s.Breakers.SectorsOpen += truth(v.sectors[i].breaker == breaker.Open)
		s.Breakers.SectorsHalfOpen += truth(v.sectors[i].breaker == breaker.HalfOpen)
	}
	s.Breakers.Global = v.global.String()
}

func (t *TierHealth) add(g *group, of impedance.Tally) {
	t.Led += truth(g.led)
	// A degraded agent works: it counts as the mesh's mode counts it.
	t.Healthy += truth(g.led && g.breaker == breaker.Closed && of.Asked*100 >= of.Agents*impedance.HealthyPercent)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

var outcomes = map[coordination.EffectKind]string{
	coordination.Committed: "committed", coordination.Degraded: "degraded", coordination.Failed: "failed", coordination.Cancelled: "cancelled",
}

func (s *Status) cascades(t *tally, now time.Duration) {
	c := &s.Coordination
	*c = Coordination{Started: t.started, Committed: t.committed, Degraded: t.degraded, Failed: t.failed, Cancelled: t.cancelled}
	if decided := t.committed + t.degraded + t.failed; decided > 0 {
		c.Success = float64(t.committed+t.degraded) / float64(decided)
	}
	if len(t.took) > 0 {
		took := slices.Clone(t.took)
		slices.Sort(took)
		c.P50MS, c.P95MS = percentile(took, 50), percentile(took, 95)
	}
	if l := &t.last; l.state {
		s.Last = &LastCascade{AgoS: (now - l.ended).Seconds(), Outcome: outcomes[l.kind], TookMS: ms(l.ended - l.began), Counts: share(l.counts)}
	}
}
