package dancer

import "strings"

// gravity is what makes a situation this one and not another, and how bad it
// is: which values the winner leaves under their floors and which of these
// cannot be known, the outcome, the winner, and its worst indices in the order of
// the ladder.
type gravity struct {
	under   []string
	unknown []string
	outcome string
	option  string
	worst   []float64
}

func (m *Manual) gravity(d *Decision) gravity {
	g := gravity{outcome: d.Verdict.Outcome, option: d.Verdict.Option}
	winner := d.Find(d.Verdict.Option)
	if winner == nil {
		return g
	}
	for i := range m.Values {
		if i >= len(winner.Indices) {
			break
		}
		w := clampIndex(winner.Indices[i].Worst)
		g.worst = append(g.worst, w)
		if m.Values[i].HasFloor && w < m.Values[i].Floor {
			g.under = append(g.under, m.Values[i].Name)
			if winner.Indices[i].Unknown {
				g.unknown = append(g.unknown, m.Values[i].Name)
			}
		}
	}
	return g
}

// key is equal for two moments of one situation: an index that moves inside its
// band does not change it.
func (g gravity) key() string {
	return g.outcome + "|" + g.option + "|" + strings.Join(g.under, ",")
}

// beyond says whether a value fell under its floor that was not before, or can no
// longer be known.
func (g gravity) beyond(before gravity) bool {
	if g.outcome == OutcomeUnderFloor && before.outcome != OutcomeUnderFloor {
		return true
	}
	for _, name := range g.under {
		if !contains(before.under, name) {
			return true
		}
	}
	for _, name := range g.unknown {
		if !contains(before.unknown, name) {
			return true
		}
	}
	return false
}

// worse says whether it is beyond, or the first index that moved by more than
// the band fell.
func (g gravity) worse(before gravity, band float64) bool {
	if g.beyond(before) {
		return true
	}
	for i := range min(len(g.worst), len(before.worst)) {
		if g.worst[i] < before.worst[i]-band {
			return true
		}
		if g.worst[i] > before.worst[i]+band {
			return false
		}
	}
	return false
}

func contains(list []string, name string) bool {
	for _, x := range list {
		if x == name {
			return true
		}
	}
	return false
}
