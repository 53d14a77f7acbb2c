package partner

import "dancer/dancer"

// plan divides a budget of roll-outs. The roll-outs of a smaller budget, down to
// the least one, are the first ones of a larger: so a forecast that was cut is
// the forecast with the budget that it completed.
type plan struct {
	corners     int
	all         bool // the corners are all there are
	samples     int
	adversaries int
}

// paired is the number of roll-outs that meet the same disturbances in every
// option.
func (p plan) paired() int { return p.corners + p.samples }

// rollouts is the number of all roll-outs of an option.
func (p plan) rollouts() int { return p.paired() + p.adversaries }

// least is the smallest budget that has the same corners and adversaries.
func (p plan) least() int { return max(2*p.corners, 8*p.adversaries) }

const (
	manyDisturbances = 20 // from here on corners are too many to count
	manyCorners      = 32 // of those drawn where there are too many
)

func cornersOnly(m *dancer.Manual, budget int) plan {
	n := len(m.Model.Disturbance)
	budget = max(budget, 1)
	if n < manyDisturbances && 1<<n <= budget {
		return plan{corners: 1 << n, all: true}
	}
	return plan{corners: budget}
}

// schedule gives at most half of the budget to corners and an eighth to
// adversaries, one for each value with a floor. A model without disturbances has
// only one future.
func schedule(m *dancer.Manual, steps, budget int) plan {
	budget = max(budget, 1)
	if len(m.Model.Disturbance) == 0 {
		return plan{corners: 1, all: true}
	}
	p := cornersOnly(m, max(budget/2, 1))
	if !p.all {
		p.corners = min(p.corners, manyCorners)
	}
	if steps > 1 {
		p.adversaries = min(floors(m), budget/8)
	}
	p.samples = max(budget-p.corners-p.adversaries, 0)
	return p
}

func floors(m *dancer.Manual) int {
	n := 0
	for i := range m.Values {
		if m.Values[i].HasFloor {
			n++
		}
	}
	return n
}

// corner gives disturbance i in corner r: all corners counted in binary; where
// there are too many, all low, all high, then corners drawn from the seed.
func (p plan) corner(d *dancer.Disturbance, r, i int, seed uint64) float64 {
	high := false
	switch {
	case p.all:
		high = r>>i&1 == 1
	case r < 2:
		high = r == 1
	default:
		source := stream(seed^uint64(i+1)*0xa0761d6478bd642f, r)
		high = source.next()&1 == 1
	}
	if high {
		return d.Maximum
	}
	return d.Minimum
}
