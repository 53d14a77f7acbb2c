package partner

import (
	"math"
	"slices"

	"dancer/dancer"
)

// rated is an output that has a rate: in a forecast it is on its way to the value of
// the option, and moves with every step like a signal.
type rated struct {
	output int
	slot   int
	most   float64 // in one step
}

// ratedOf lists the outputs with a rate.
func ratedOf(m *dancer.Manual) []rated {
	var all []rated
	for i := range m.Outputs {
		if rate := m.Outputs[i].Rate; rate > 0 {
			all = append(all, rated{i, m.Layout().Output(i), float64(rate * m.Model.Step.Seconds())})
		}
	}
	return all
}

// isRated says whether one of the slots is that of an output with a rate.
func (c *model) isRated(slots []int) bool {
	return slices.ContainsFunc(c.rated, func(r rated) bool { return slices.Contains(slots, r.slot) })
}

// approach gives where an output is one step after x, on its way to its aim.
func approach(x, aim, most float64) float64 {
	switch {
	case math.Abs(aim-x) <= most:
		return aim
	case aim < x:
		return x - most
	}
	return x + most
}

// aim is the row of what the i-th output with a rate is on its way to.
func (s *lanes) aim(i int) []float64 { return s.row(s.aims, i) }

// head puts the outputs with a rate back to where they are now, on their way to what
// their slots hold.
func (s *lanes) head(now []float64) {
	for i, r := range s.model.rated {
		copy(s.aim(i), s.slot(r.slot))
		fill(s.slot(r.slot), now[r.slot])
	}
}

// stay lets the outputs with a rate stay where they are in every lane.
func (s *lanes) stay() {
	for i, r := range s.model.rated {
		copy(s.aim(i), s.slot(r.slot))
	}
}

// target is the row that says where an output goes: its slot, unless it has a rate.
func (s *lanes) target(slot int) []float64 {
	for i, r := range s.model.rated {
		if r.slot == slot {
			return s.aim(i)
		}
	}
	return s.slot(slot)
}

// slew moves the outputs with a rate one step on.
func (s *lanes) slew() {
	for i, r := range s.model.rated {
		row, aim := s.slot(r.slot), s.aim(i)
		for l, x := range row {
			row[l] = approach(x, aim[l], r.most)
		}
	}
}

// keep and giveBack let the adversary look ahead.
func (s *lanes) keep() {
	for i, r := range s.model.rated {
		copy(s.row(s.kept, i), s.slot(r.slot))
	}
}

func (s *lanes) giveBack() {
	for i, r := range s.model.rated {
		copy(s.slot(r.slot), s.row(s.kept, i))
	}
}
