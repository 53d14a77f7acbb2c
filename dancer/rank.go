package dancer

import (
	"math"
	"slices"
)

// rung is one comparison of the third step of the verdict. Higher scores are
// better; every contender within the tolerance of the best remaining stays, so
// no pair is ever compared alone (tolerance bands are not transitive).
type rung struct {
	name      string
	tolerance float64
	score     func(*contender) float64
}

// drop says at which rung a contender fell out, and how far behind the winner.
type drop struct {
	c    *contender
	rung string
	best func(*contender) float64
}

// climb is step 3 of the verdict: it always leaves exactly one. The argument is
// not changed.
func (l *ladder) climb(contenders []*contender) (winner *contender, drops []drop) {
	kept := slices.Clone(contenders)
	drops = make([]drop, 0, len(kept))
	for _, r := range l.rungs {
		if len(kept) == 1 {
			break
		}
		best := math.Inf(-1)
		for _, c := range kept {
			best = max(best, r.score(c))
		}
		stay := kept[:0]
		for _, c := range kept {
			if r.score(c) >= best-r.tolerance {
				stay = append(stay, c)
				continue
			}
			drops = append(drops, drop{c, r.name, r.score})
		}
		kept = stay
	}
	return kept[0], l.dropByName(kept, drops)
}

// dropByName is the last tie-break: contenders are sorted by name already.
func (l *ladder) dropByName(kept []*contender, drops []drop) []drop {
	for _, c := range kept[1:] {
		drops = append(drops, drop{c, "name", func(*contender) float64 { return 0 }})
	}
	return drops
}

func (l *ladder) makeRungs() []rung {
	rungs := make([]rung, 0, 2*len(l.order)+3)
	for _, i := range l.order {
		rungs = append(rungs, rung{l.m.Values[i].Name, l.band,
			func(c *contender) float64 { return l.capped(i, c.worst[i]) }})
	}
	for _, i := range l.order {
		rungs = append(rungs, rung{"expected " + l.m.Values[i].Name, l.band,
			func(c *contender) float64 { return l.capped(i, c.expected[i]) }})
	}
	return append(rungs,
		rung{"disruption", 0, func(c *contender) float64 { return -ordered(c.a.Disruption) }},
		rung{"reversibility", 0, func(c *contender) float64 { return -ordered(-c.a.Reversibility) }},
		rung{"output changes", 0, func(c *contender) float64 { return -float64(c.a.Changes) }})
}

// capped: above `enough` more is not better, on values that have a floor.
func (l *ladder) capped(value int, index float64) float64 {
	v := &l.m.Values[value]
	if v.HasFloor && index > v.Enough {
		return v.Enough
	}
	return index
}

// ordered makes a cost comparable: what is not a number costs most.
func ordered(x float64) float64 {
	if x != x {
		return math.Inf(1)
	}
	return x
}

// runnerUp is who would win if the winner were not there; nil if nobody.
func (l *ladder) runnerUp(kept []*contender, winner *contender) *contender {
	rest := slices.DeleteFunc(slices.Clone(kept), func(c *contender) bool { return c == winner })
	if len(rest) == 0 {
		return nil
	}
	second, _ := l.climb(rest)
	return second
}

// decidedByFallback is what decides where nothing can be compared, see
// preferFallback.
const decidedByFallback = "fallback"

// separate names what decided between the winner and the runner-up, and by how
// much (in the unit of that rung; index points for a value).
func (l *ladder) separate(v *Verdict, winner, runner *contender, drops []drop, blind bool) {
	if runner == nil {
		v.DecidedBy, v.Margin = l.onlySurvivor(v, winner)
		return
	}
	v.RunnerUp = runner.a.Option
	if blind {
		v.DecidedBy = decidedByFallback
		return
	}
	for _, d := range drops {
		if d.c == runner {
			v.DecidedBy, v.Margin = d.rung, finite(d.best(winner)-d.best(runner))
		}
	}
}

// onlySurvivor: the last floor that took a rival out decided; the margin is the
// winner's distance from that floor (negative when it is under it, too).
func (l *ladder) onlySurvivor(v *Verdict, winner *contender) (by string, margin float64) {
	if len(v.Vetoes) == 0 {
		return "only option", 0
	}
	last := v.Vetoes[len(v.Vetoes)-1]
	for i := range l.m.Values {
		if l.m.Values[i].Name == last.Value {
			return "floor of " + last.Value, winner.worst[i] - last.Floor
		}
	}
	return "floor of " + last.Value, 0
}

// finite keeps what is recorded encodable.
func finite(x float64) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return 0
	}
	return x
}

// parts gives the confidence and what it is made of. Outcomes of the past say
// nothing of a signal that grows old now, so that a calibrated confidence is
// never above the freshness.
func (l *ladder) parts(winner, runner *contender, freshness float64, calibration *Calibration) *ConfidenceParts {
	p := &ConfidenceParts{Separation: l.separation(winner, runner), Freshness: unit(freshness)}
	p.Score = float64(p.Separation * p.Freshness)
	p.Calibrated = min(calibration.Calibrate(p.Score), p.Freshness)
	return p
}

// separation is the share of paired roll-outs in which the winner is not worse
// than the runner-up by more than a band on the first value where they differ; 1
// if only one option survives.
func (l *ladder) separation(winner, runner *contender) float64 {
	if runner == nil {
		return 1
	}
	n := len(l.m.Values)
	rows := min(len(winner.a.Samples), len(runner.a.Samples)) / max(n, 1)
	if rows == 0 {
		if l.worse(winner.worst, runner.worst) {
			return 0
		}
		return 1
	}
	good := 0
	for r := range rows {
		if !l.worse(winner.a.Samples[r*n:r*n+n], runner.a.Samples[r*n:r*n+n]) {
			good++
		}
	}
	return float64(good) / float64(rows)
}

func (l *ladder) worse(winner, runner []float64) bool {
	for _, i := range l.order {
		w, r := l.capped(i, clampIndex(winner[i])), l.capped(i, clampIndex(runner[i]))
		if w != r {
			return w < r-l.band
		}
	}
	return false
}
