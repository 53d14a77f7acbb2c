package impedance

import (
	"math"
	"slices"
	"time"
)

// MapPeriod is how often a map is made anew (mesh-30k 4.3). It is made of all
// entries each time: a million take some tens of milliseconds, and nothing that
// is kept up to date by differences can go wrong.
const MapPeriod = 10 * time.Second

// HealthyPercent is how many of a region's agents are active when it is healthy. The
// specification counts exactly 95% as degraded here, and as full operation in its
// modes and its availability; we keep to the latter.
const HealthyPercent = 95

// Tally is what is counted and averaged over a cell, a region or all. People are
// counted apart and in nothing else (mesh-30k 2.2: touchpoints, not agents).
// Means and percentiles are over the agents that can be asked, active or
// degraded: of one that is offline there is no impedance.
type Tally struct {
	Agents   int     `json:"agents"`
	Active   int     `json:"active"`   // in state active
	Asked    int     `json:"asked"`    // active or degraded
	People   int     `json:"people"`   // class F
	Mean     float64 `json:"mean"`     // score; MaxScore when there are agents and none can be asked
	P95      uint16  `json:"p95"`      // score, nearest rank; the same
	Slow     int     `json:"slow"`     // can be asked, score over SlowScore
	Unstable int     `json:"unstable"` // can be asked, drift over UnstableDrift
	Spiking  int     `json:"spiking"`  // can be asked, score suddenly far over its average
	Spread   Spread  `json:"spread"`
	sum      uint64  // of the scores, while it is being counted
}

// Spread counts scores by SpreadStep points: what a percentile of several summaries
// can be made of, where nobody has all of their agents.
type Spread [MaxScore / SpreadStep]uint32

// SpreadStep is the width of a bin of a Spread, in points. The last bin holds
// MaxScore too.
const SpreadStep = 25

func (s *Spread) add(score uint16) { s[min(int(score)/SpreadStep, len(s)-1)]++ }

// p95 is the upper end of the bin in which the 95th percentile of n is.
func (s *Spread) p95(n int) uint16 {
	below := 0
	for i, count := range s {
		if below += int(count); n > 0 && below >= rank95(n) && i < len(s)-1 {
			return uint16((i+1)*SpreadStep - 1)
		}
	}
	return MaxScore
}

// Merge adds another tally, as a conductor does who sees summaries alone. The
// mean is exact; the percentile is at most SpreadStep points too high and never
// too low.
func (t *Tally) Merge(o Tally) {
	t.sum = t.scores()
	t.merge(o)
	t.P95 = t.Spread.p95(t.Asked)
	t.mean()
}

// scores is the sum of the scores, from what a tally shows of it.
func (t *Tally) scores() uint64 { return uint64(math.Round(max(t.Mean, 0) * float64(max(t.Asked, 0)))) }

// ActiveRate is the share of agents that are active, 0 when there are none.
func (t Tally) ActiveRate() float64 {
	if t.Agents == 0 {
		return 0
	}
	return float64(t.Active) / float64(t.Agents)
}

// Healthy says whether there are agents and HealthyPercent of them are active,
// counted in whole agents.
func (t Tally) Healthy() bool { return t.Agents > 0 && t.Active*100 >= t.Agents*HealthyPercent }

// CellSummary is a cell as its lead reports it upward (mesh-30k 4.2).
type CellSummary struct {
	Tally
	Cell    CellID   `json:"cell"`
	Region  RegionID `json:"region"`
	Slowest AgentID  `json:"slowest"` // of those that can be asked; the first of equal ones; NoAgent: none
	Fastest AgentID  `json:"fastest"`
}

// RegionSummary is a region (mesh-30k 4.3). Its mean and percentile are those of
// its agents, not of its cells' means and percentiles, in which an agent of a
// small cell would count for more.
type RegionSummary struct {
	Tally
	Region     RegionID `json:"region"`
	Cells      int      `json:"cells"`      // that have agents
	Healthiest CellID   `json:"healthiest"` // lowest mean, the first of equal ones; NoCell: no cell has agents
	Sickest    CellID   `json:"sickest"`    // highest mean
	best       float64
	worst      float64
}

// SummarizeRegion makes a region's summary of those of its cells, in their order:
// what a conductor can say that sees no agent. See Tally.Merge for how exact it is.
func SummarizeRegion(region RegionID, cells []CellSummary) RegionSummary {
	s := newRegionSummary(region)
	for i := range cells {
		s.add(&cells[i])
	}
	s.P95 = s.Spread.p95(s.Asked)
	s.mean()
	return s
}

func newRegionSummary(region RegionID) RegionSummary {
	return RegionSummary{Region: region, Healthiest: NoCell, Sickest: NoCell}
}

// Map is the impedance of everybody (mesh-30k 4.3).
type Map struct {
	At              time.Duration
	Cells           []CellSummary   // by number
	Regions         []RegionSummary // by number
	Global          Tally
	RegionsHealthy  int // see Tally.Healthy
	RegionsDegraded int // have agents and are not healthy
}

// histogram counts agents by score.
type histogram [MaxScore + 1]uint32

// Summarize makes the map. It reuses what m holds, and allocates only when there
// are more cells or regions than before: whoever hands a map to other goroutines
// uses a new one each time.
func (r *Registry) Summarize(now time.Duration, m *Map) {
	m.At, m.Global, m.RegionsHealthy, m.RegionsDegraded = now, Tally{}, 0, 0
	m.Cells = slices.Grow(m.Cells[:0], len(r.cells))[:len(r.cells)]
	m.Regions = slices.Grow(m.Regions[:0], len(r.regions))[:len(r.regions)]
	var all histogram
	for region, cells := range r.regions {
		s := &m.Regions[region]
		*s = newRegionSummary(RegionID(region))
		var scores histogram
		for _, id := range cells {
			c := &m.Cells[id]
			r.summarizeCell(id, c, &scores)
			s.add(c)
		}
		s.average(&scores)
		m.Global.merge(s.Tally)
		if s.Healthy() {
			m.RegionsHealthy++
		} else if s.Agents > 0 {
			m.RegionsDegraded++
		}
		for score, n := range scores {
			all[score] += n
		}
	}
	m.Global.average(&all)
}

// summarizeCell fills a cell's summary and adds its agents to the scores.
func (r *Registry) summarizeCell(id CellID, c *CellSummary, scores *histogram) {
	*c = CellSummary{Cell: id, Region: r.cells[id].region, Slowest: NoAgent, Fastest: NoAgent}
	r.scores = r.scores[:0]
	var least, most uint16
	for _, member := range r.cells[id].members {
		e := r.agents[member].current()
		if !c.count(e) {
			continue
		}
		scores[e.Score]++
		r.scores = append(r.scores, e.Score)
		if c.Slowest == NoAgent || e.Score > most {
			c.Slowest, most = member, e.Score
		}
		if c.Fastest == NoAgent || e.Score < least {
			c.Fastest, least = member, e.Score
		}
	}
	slices.Sort(r.scores)
	c.P95 = MaxScore
	if c.Asked > 0 {
		c.P95 = r.scores[rank95(c.Asked)-1]
	}
	c.mean()
}

// count takes an agent into the tally and says whether it can be asked.
func (t *Tally) count(e Entry) bool {
	if !e.Class.Counted() {
		t.People++
		return false
	}
	t.Agents++
	if !e.asked() {
		return false
	}
	t.Asked++
	t.sum += uint64(e.Score)
	t.Spread.add(e.Score)
	t.Active += truth(e.Operation == Active)
	t.Slow += truth(e.Flags&FlagSlow != 0)
	t.Unstable += truth(e.Flags&FlagUnstable != 0)
	t.Spiking += truth(e.Flags&FlagSpike != 0)
	return true
}

// merge adds the counts of another tally.
func (t *Tally) merge(o Tally) {
	t.Agents, t.Active, t.Asked, t.People = t.Agents+o.Agents, t.Active+o.Active, t.Asked+o.Asked, t.People+o.People
	t.Slow, t.Unstable, t.Spiking, t.sum = t.Slow+o.Slow, t.Unstable+o.Unstable, t.Spiking+o.Spiking, t.sum+o.scores()
	for i, n := range o.Spread {
		t.Spread[i] += n
	}
}

// mean follows from sum and count. Nobody who can be asked is as bad as can be.
func (t *Tally) mean() {
	switch {
	case t.Asked > 0:
		t.Mean = float64(t.sum) / float64(t.Asked)
	case t.Agents > 0:
		t.Mean = MaxScore
	default:
		t.Mean, t.P95 = 0, 0
	}
}

// average sets mean and percentile from the scores of those that can be asked.
func (t *Tally) average(scores *histogram) {
	t.P95 = MaxScore
	for score, below := 0, 0; score < len(scores) && t.Asked > 0; score++ {
		if below += int(scores[score]); below >= rank95(t.Asked) {
			t.P95 = uint16(score)
			break
		}
	}
	t.mean()
}

// rank95 is the nearest rank of the 95th percentile of n: 95% of n, rounded up.
func rank95(n int) int { return (n*95 + 99) / 100 }

// add takes a cell into its region.
func (s *RegionSummary) add(c *CellSummary) {
	s.merge(c.Tally)
	if c.Agents == 0 {
		return
	}
	s.Cells++
	if s.Healthiest == NoCell || c.Mean < s.best {
		s.Healthiest, s.best = c.Cell, c.Mean
	}
	if s.Sickest == NoCell || c.Mean > s.worst {
		s.Sickest, s.worst = c.Cell, c.Mean
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
