package partner

// random is splitmix64 (Steele, Lea and Flood 2014): eight bytes of state, the
// same sequence on every machine, and good enough to spread samples in a box.
type random uint64

// stream gives the sequence of one roll-out. It depends on the seed and the
// number of the roll-out alone, so every option meets the same disturbances.
func stream(seed uint64, rollout int) random {
	r := random(seed + uint64(rollout+1)*0xd1342543de82ef95)
	return random(r.next())
}

func (r *random) next() uint64 {
	*r += 0x9e3779b97f4a7c15
	z := uint64(*r)
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// share is uniform in [0, 1).
func (r *random) share() float64 { return float64(r.next()>>11) * (1.0 / (1 << 53)) }

// between is uniform in [low, high).
func (r *random) between(low, high float64) float64 {
	return low + float64(r.share()*(high-low))
}
