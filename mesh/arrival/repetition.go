package arrival

const (
	ages     = 32   // rounds since the last sweep that are told apart; more count as the last
	ageLimit = 1024 // observations of one age after which its counts are halved
	quiet    = 2    // rounds of nothing but new delays that flood begins with
)

// repetition is what is known of a sender whose delays repeat: one that measures
// every so many rounds and says the last measurement again until then. A round in
// which more than a quarter of the delays change is a sweep; the rounds since it
// are the age. Where delays never repeat every round is a sweep, the age is 0, and
// a new delay is certain.
type repetition struct {
	count   [ages]float32 // observations at this age
	fresh   [ages]float32 // of them those that were new
	could   [ages]float32 // those that would have looked new, if all had been
	age     int
	rounds  uint16  // number of the current round, modulo 2^16
	chances float32 // probability that the delays of this round are new
	changed int     // new delays of this round
}

// chance is the probability that the next delay of a target differs from its
// last: that there is a new one, and that it is not the same again. For a target
// that was not heard of since the last sweep, the new one is certain.
func (r *repetition) chance(s *state) float32 {
	if !r.current(s) {
		return 1 - s.repeats()
	}
	return r.chances * (1 - s.repeats())
}

func (r *repetition) current(s *state) bool { return int(r.rounds-s.round) <= r.age+1 }

// judgeRepeat learns from one delay whether its age brings new ones.
func (p *pool) judgeRepeat(s *state, changed bool) {
	p.judged++
	if changed {
		p.changed++
	}
	if !p.current(s) {
		return
	}
	p.count[p.age]++
	p.could[p.age] += 1 - s.repeats()
	if changed {
		p.fresh[p.age]++
	}
}

// next begins a round, after one in which so many delays were judged and so many
// of them had changed.
func (r *repetition) next(judged, changed int) {
	r.rounds++
	r.age = min(r.age+1, ages-1)
	if 4*changed > judged {
		r.age = 0
	}
	if r.count[r.age] >= ageLimit {
		r.count[r.age] /= 2
		r.fresh[r.age] /= 2
		r.could[r.age] /= 2
	}
	some := max(1, caution*float32(judged))
	r.chances = min(1, (r.fresh[r.age]+float32(some/2))/(r.could[r.age]+some))
}

// flood is the share of late messages to aim at so that the share missed is
// reached over all ages: an age at which fewer delays than that are new misses
// fewer, and leaves the rest to the others. It begins with rounds of `each` new
// delays, so that a sender has to be seen to repeat before it is believed.
func (r *repetition) flood(missed, each float32) float32 {
	level := missed
	for range ages { // it rises above one age more each time, at least
		above := quiet * each
		spare := float32(above * missed)
		for age, n := range r.count {
			spare += float32(n * missed)
			if r.fresh[age] < level*n {
				spare -= r.fresh[age]
			} else {
				above += n
			}
		}
		if above == 0 || spare/above <= level {
			break
		}
		level = spare / above
	}
	return level
}
