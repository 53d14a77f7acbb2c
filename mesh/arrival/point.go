package arrival

import "time"

// pointLimit is the number of points after which the counts of kept and moved are
// halved.
const pointLimit = 1024

// Point implements Estimator: the last delay, or the one that is usual for the
// target where that is more probable and has been right more often.
func (e *Adaptive) Point(target int) time.Duration {
	s := &e.targets[target]
	value := s.last
	if usual, better := prefer(s, e.pool.chance(s)); better && e.pool.moved >= e.pool.kept {
		value = usual
	}
	return time.Duration(value) * time.Microsecond
}

// prefer gives the usual delay of a target and whether the next one is nearer to
// it than to the last, as far as the distribution says.
func prefer(s *state, fresh float32) (usual uint32, better bool) {
	if fresh < 0.5 {
		return 0, false
	}
	usual, share := s.usual()
	return usual, fresh*share > 1-fresh
}

// judgePoint learns which of the two was nearer where the usual one was preferred.
func (p *pool) judgePoint(s *state, fresh float32, now uint32) {
	usual, better := prefer(s, fresh)
	if !better {
		return
	}
	if near(usual, now) {
		p.moved++
	}
	if near(s.last, now) {
		p.kept++
	}
	if p.moved+p.kept > pointLimit {
		p.moved /= 2
		p.kept /= 2
	}
}
