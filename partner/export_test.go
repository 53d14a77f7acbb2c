package partner

import "dancer/dancer"

// Roll makes the roll-outs of a forecast, and no assessments of them.
func (p *Partner) Roll(m *dancer.Manual, slots []float64, options []dancer.Option, steps, rollouts int, seed uint64) {
	p.run(m, slots, options, steps, schedule(m, steps, rollouts), seed)
}
