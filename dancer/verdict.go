package dancer

import (
	"slices"
	"strconv"
	"strings"
)

// DefaultBand is the tolerance band on indices where the manual sets none.
const DefaultBand = 0.5

// Judge climbs the ladder of values with what a forecast says of every option
// (design part 4, "Verdict"). The order of the assessments never matters.
// freshness is the lowest freshness of the signals read, 0-1; it scales the
// confidence. An index that is not a number counts as 0, and so does one that is
// missing. Without any assessment the verdict is under the floor, names the
// fallback and escalates.
func Judge(m *Manual, assessments []Assessment, freshness float64) Verdict {
	return JudgeCalibrated(m, assessments, freshness, nil)
}

// JudgeCalibrated is Judge with a confidence that logged outcomes have
// recalibrated; nil leaves it raw.
func JudgeCalibrated(m *Manual, assessments []Assessment, freshness float64, calibration *Calibration) Verdict {
	l := newLadder(m, assessments)
	if len(l.all) == 0 {
		return Verdict{
			Outcome: OutcomeUnderFloor, Option: l.fallbackName(), DecidedBy: decidedByFallback,
			Escalate: true, Because: []string{"there is no forecast"},
			Why: []string{"there is no forecast of any option, so the fallback runs"},
		}
	}
	var v Verdict
	kept, under := l.floors(&v)
	candidates := l.preferFallback(kept, under)
	winner, drops := l.climb(candidates)
	runner := l.runnerUp(kept, winner)

	v.Option, v.Survivors = winner.a.Option, names(kept)
	v.Outcome = outcome(winner, under)
	l.separate(&v, winner, runner, drops, len(candidates) < len(kept))
	l.compare(&v, winner, runner)
	v.Parts = l.parts(winner, runner, freshness, calibration)
	v.Confidence = v.Parts.Calibrated
	l.escalation(&v, winner, runner)
	v.Why = l.why(&v, winner, runner)
	return v
}

// contender is one assessment with its indices made comparable.
type contender struct {
	a        *Assessment
	worst    []float64 // per value, 0-10
	expected []float64
}

// ladder is the state of one Judge.
type ladder struct {
	m         *Manual
	band      float64
	all       []*contender // by name
	anyBroken bool         // some option is under some floor
	order     []int        // values in the order of comparison: those with a floor first
	rungs     []rung       // of the third step
	spread    spread       // why the winner and the runner-up are incomparable, if they are
}

func newLadder(m *Manual, assessments []Assessment) *ladder {
	l := &ladder{m: m, band: m.Band(), order: m.comparison(), all: make([]*contender, len(assessments))}
	l.rungs = l.makeRungs()
	contenders := make([]contender, len(assessments))
	n := len(m.Values)
	indices := make([]float64, 2*n*len(assessments))
	for i := range contenders {
		own := indices[2*n*i:]
		contenders[i] = contender{a: &assessments[i], worst: own[:n:n], expected: own[n : 2*n : 2*n]}
		l.read(&contenders[i])
		l.all[i] = &contenders[i]
	}
	slices.SortStableFunc(l.all, func(x, y *contender) int { return strings.Compare(x.a.Option, y.a.Option) })
	return l
}

// Band is the tolerance band on indices, with its default filled in.
func (m *Manual) Band() float64 {
	if m.Escalation.Band > 0 {
		return m.Escalation.Band
	}
	return DefaultBand
}

// comparison gives the values in the order in which options are compared: those
// with a floor, then those without, each in the order of the ladder.
func (m *Manual) comparison() []int {
	order := make([]int, 0, len(m.Values))
	for _, floored := range [2]bool{true, false} {
		for i := range m.Values {
			if m.Values[i].HasFloor == floored {
				order = append(order, i)
			}
		}
	}
	return order
}

// read makes the indices of an assessment comparable; one that is missing is 0.
func (l *ladder) read(c *contender) {
	for i := range l.m.Values {
		if i < len(c.a.Indices) {
			x := &c.a.Indices[i]
			c.worst[i], c.expected[i] = clampIndex(x.Worst), clampIndex(x.Expected-x.Repair)
		}
		value := &l.m.Values[i]
		l.anyBroken = l.anyBroken || value.HasFloor && c.worst[i] < value.Floor
	}
}

// floors is step 1 of the verdict: value by value in lexical order, while a
// floor is set. It records every veto.
func (l *ladder) floors(v *Verdict) (kept []*contender, under bool) {
	kept = l.all
	for i := range l.m.Values {
		value := &l.m.Values[i]
		if !value.HasFloor {
			continue
		}
		limit, best := value.Floor, bestWorst(kept, i)
		if best < value.Floor {
			under, limit = true, best-l.band
		}
		var stay []*contender
		for _, c := range kept {
			if c.worst[i] >= limit {
				stay = append(stay, c)
				continue
			}
			v.Vetoes = append(v.Vetoes, Veto{Option: c.a.Option, Value: value.Name, Worst: c.worst[i], Floor: value.Floor})
		}
		kept = stay
	}
	return kept, under
}

// preferFallback decides what cannot be compared. Under the floor, when a value
// with a floor is unknown for an option left (an invalid signal was read), the
// ladder has no ground to prefer one of them: a lower rung such as the task must
// not choose for a blind robot. The fallback is the action that keeps the floors
// when nothing else does, so it stays alone.
func (l *ladder) preferFallback(kept []*contender, under bool) []*contender {
	if !under || !l.blind(kept) {
		return kept
	}
	for i, c := range kept {
		if c.a.Is(l.fallbackName()) {
			return kept[i : i+1]
		}
	}
	return kept
}

func (l *ladder) blind(kept []*contender) bool {
	for i := range l.m.Values {
		if l.m.Values[i].HasFloor && unknown(kept, i) > 0 {
			return true
		}
	}
	return false
}

// unknown counts the contenders for whom a value cannot be known.
func unknown(cs []*contender, value int) int {
	n := 0
	for _, c := range cs {
		if value < len(c.a.Indices) && c.a.Indices[value].Unknown {
			n++
		}
	}
	return n
}

func outcome(winner *contender, under bool) string {
	switch {
	case under:
		return OutcomeUnderFloor
	case winner.a.Inaction:
		return OutcomeHold
	}
	return OutcomeAct
}

func (l *ladder) fallbackName() string {
	if l.m.Fallback >= 0 && l.m.Fallback < len(l.m.Actions) {
		return l.m.Actions[l.m.Fallback].Name
	}
	return ""
}

func bestWorst(cs []*contender, value int) float64 {
	best := 0.0
	for _, c := range cs {
		best = max(best, c.worst[value])
	}
	return best
}

func names(cs []*contender) []string {
	out := make([]string, len(cs))
	for i, c := range cs {
		out[i] = c.a.Option
	}
	return out
}

// clampIndex brings an index into 0-10; what is not a number is ruin.
func clampIndex(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 10)
}

// unit brings a share into 0-1; what is not a number is 0.
func unit(x float64) float64 {
	if !(x > 0) {
		return 0
	}
	return min(x, 1)
}

// number prints a figure for people: two decimals at most.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'f', 2, 64)
	for s[len(s)-1] == '0' {
		s = s[:len(s)-1]
	}
	if s[len(s)-1] == '.' {
		s = s[:len(s)-1]
	}
	if s == "-0" {
		return "0"
	}
	return s
}
