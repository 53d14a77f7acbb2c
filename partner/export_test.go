package partner

import "dancer/dancer"

// Roll makes the roll-outs of a forecast, and no assessments of them.
func (p *Partner) Roll(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) {
	p.run(m, slots, options, steps, schedule(m, steps, rollouts), seed)
}

// Draws gives the disturbances of every paired roll-out and step, and how many of
// the roll-outs are corners, and how many adversaries there are beside them.
func Draws(m *dancer.Manual, steps, rollouts int, seed uint64) (draws [][][]float64, corners, adversaries int) {
	plan := schedule(m, steps, rollouts)
	for r := range plan.paired() {
		source := stream(seed, r)
		var roll [][]float64
		for step := range steps {
			row := make([]float64, len(m.Model.Disturbance))
			for i := range row {
				d := &m.Model.Disturbance[i]
				switch {
				case r < plan.corners:
					row[i] = plan.corner(d, r, i, seed)
				case step > 0 && r%2 == 0:
					row[i] = roll[0][i]
				default:
					row[i] = source.between(d.Minimum, d.Maximum)
				}
			}
			roll = append(roll, row)
		}
		draws = append(draws, roll)
	}
	return draws, plan.corners, plan.adversaries
}
